//! Grants that others made, by the official template or the Helm chart: taken away, one principal at a time.

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::grants::{ask, make_admin, namespace, refused, role, until_asked};
use crate::support::{NAMESPACE, Scene, until};

const OFFICIAL: &str = include_str!("fixtures/official.yaml");
const EKSCTL_GRANTS: &str = include_str!("fixtures/eksctl-grants.yaml");
const HELM: &str = include_str!("fixtures/helm.yaml");

/// The official template's grants, edited for these principals.
pub(crate) fn template(arns: &[&str]) -> String {
    let names = serde_json::to_string(arns).unwrap();
    let mut manifest = EKSCTL_GRANTS.replace(r#"["arn:aws:iam::111122223333:user/ana"]"#, &names);
    let subject = |arn: &&str| {
        format!("  - kind: User\n    name: \"{arn}\"\n    apiGroup: rbac.authorization.k8s.io\n")
    };
    let ana = "  - kind: User\n    name: \"arn:aws:iam::111122223333:user/ana\"\n    apiGroup: rbac.authorization.k8s.io\n";
    assert!(manifest.contains(ana), "the fixture has changed");
    manifest = manifest.replace(ana, &arns.iter().map(subject).collect::<String>());
    manifest
}

pub(crate) async fn apply(scene: &Scene, manifest: &str) {
    let file = scene.lease.home().join("grants.yaml");
    std::fs::write(&file, manifest).unwrap();
    let mut kubectl = tokio::process::Command::new("kubectl");
    kubectl.args(["apply", "-f"]).arg(&file).env_clear().envs(scene.environment());
    let output = kubectl.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

async fn cluster_role(scene: &Scene, name: &str) -> Value {
    let roles: Api<ClusterRole> = Api::all(scene.client().await);
    serde_json::to_value(roles.get(name).await.unwrap()).unwrap()
}

#[tokio::test]
async fn revoking_takes_one_principal_out_of_what_the_template_gave_to_several() {
    let scene = Scene::new().await;
    let activation = scene.register_by_hand("Theirs").await;
    let official = OFFICIAL
        .replace("%CODE_BASE64%", &base64(&activation.code))
        .replace("%CODE%", &activation.code)
        .replace("%ID%", &activation.id)
        .replace("%REGION%", scene.lease.region());
    let (ana, ops) = (role(&scene, "Ana").await, role(&scene, "Ops").await);
    apply(&scene, &official).await;
    apply(&scene, &template(&[&ana, &ops])).await;
    until_asked_of(&scene, NAMESPACE, &ana).await;
    until_asked(&scene, &ana, "GET", "/api/v1/pods", |status, _| status == 200).await;

    let planned = scene.run(&["revoke-view", "--principal", &ana, "--dry-run"]).await.expect(0);
    assert!(
        planned.stdout.contains("~ ClusterRole eks-connector-service: role/Ana leaves its rules"),
        "{}",
        planned.stdout
    );
    scene.run(&["revoke-view", "--principal", &ana]).await.expect(0);
    let (status, body) = ask(&scene, NAMESPACE, &ana, "GET", "/api/v1/pods").await;
    assert!(refused(status, &body), "{status} {body}");
    let (status, _) = ask(&scene, NAMESPACE, &ops, "GET", "/api/v1/pods").await;
    assert_eq!(status, 200, "the other one stays");
    let rules = cluster_role(&scene, "eks-connector-service").await["rules"].clone();
    assert_eq!(rules[0]["resourceNames"], json!([ops]));
    let bindings: Api<ClusterRoleBinding> = Api::all(scene.client().await);
    let dashboard = "eks-connector-console-dashboard-full-access-clusterrole-binding";
    let subjects = bindings.get(dashboard).await.unwrap().subjects.unwrap();
    assert_eq!(subjects.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), [ops.as_str()]);

    // With the last one go the rule and the binding: an empty list of names would be everybody.
    scene.run(&["revoke-view", "--principal", &ops]).await.expect(0);
    let rules = cluster_role(&scene, "eks-connector-service").await["rules"].clone();
    assert!(rules.is_null() || rules == json!([]), "{rules}");
    assert!(bindings.get_opt(dashboard).await.unwrap().is_none());
    let (status, body) = ask(&scene, NAMESPACE, &ops, "GET", "/api/v1/pods").await;
    assert!(refused(status, &body), "{status} {body}");
    scene.run(&["revoke-view", "--principal", &ops]).await.expect(0);
}

fn base64(text: &str) -> String {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD.encode(text)
}

/// Until the agents of an installation can be asked through.
async fn until_asked_of(scene: &Scene, place: &str, arn: &str) {
    let pod = format!("{place}/eks-connector-0");
    until("an agent with a control channel", || async {
        for node in scene.lease.nodes() {
            if node.ask_connector(&pod, Some(arn), "GET", "/version").await.is_ok() {
                return true;
            }
        }
        false
    })
    .await;
}

#[tokio::test]
async fn a_chart_that_let_the_connector_be_anyone_is_narrowed_after_a_question() {
    let scene = Scene::new().await;
    let activation = scene.register_by_hand("Theirs").await;
    namespace(&scene, "tools").await;
    let (ana, ops) = (role(&scene, "Ana").await, role(&scene, "Ops").await);
    let chart = HELM
        .replace("%CODE_BASE64%", &base64(&activation.code))
        .replace("%CODE%", &activation.code)
        .replace("%ID%", &activation.id)
        .replace("%REGION%", scene.lease.region())
        .replace(r#"["arn:aws:iam::111122223333:user/ana"]"#, "null");
    apply(&scene, &chart).await;
    let client = scene.client().await;
    let binding: ClusterRoleBinding = serde_json::from_value(json!({
        "metadata": { "name": "eks-connector-service" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "eks-connector-service" },
        "subjects": [{ "kind": "ServiceAccount", "name": "eks-connector", "namespace": "tools" }],
    }))
    .unwrap();
    let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
    let found = bindings.get_opt("eks-connector-service").await.unwrap();
    if found.is_none() {
        bindings.create(&PostParams::default(), &binding).await.unwrap();
    }
    let roles: Api<ClusterRole> = Api::all(client.clone());
    let mark = json!({ "metadata": { "annotations": { "meta.helm.sh/release-name": "connect" } } });
    roles.patch("eks-connector-service", &PatchParams::default(), &Patch::Merge(&mark)).await.unwrap();
    make_admin(&scene, &ana, "ana-is-admin").await;
    make_admin(&scene, &ops, "ops-is-admin").await;
    until_asked_of(&scene, "tools", &ana).await;

    let revoke = ["revoke-view", "--namespace", "tools", "--principal", &ana];
    scene.run(&revoke).await.expect_error("EKSC0112", 3).says(&["lets the connector be anyone", &ops]);
    let revoked = scene.run(&[&revoke[..], &["--yes"]].concat()).await.expect(0);
    let revoked = revoked.says(&["Helm release connect", "ana-is-admin"]);
    assert!(revoked.stdout.contains("no view any more"), "{}", revoked.stdout);
    for arn in [&ana, &ops] {
        let (status, body) = ask(&scene, "tools", arn, "GET", "/api/v1/pods").await;
        assert!(refused(status, &body), "{status} {body}");
    }
}
