//! What stood there before: registrations that are renewed or replaced, and connectors of other tools that are adopted.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use k8s_openapi::api::rbac::v1::{ClusterRole, RoleBinding};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use eksconnect_sandbox::aws::control::FaultKind;

use crate::by_hand::Activation;
use crate::support::{NAMESPACE, Scene, until};

pub(crate) const OFFICIAL: &str = include_str!("fixtures/official.yaml");
pub(crate) const EKSCTL_GRANTS: &str = include_str!("fixtures/eksctl-grants.yaml");
const HELM: &str = include_str!("fixtures/helm.yaml");

/// Applies a manifest as its users do: with kubectl, which leaves its own marks.
pub(crate) async fn kubectl_apply(scene: &Scene, manifest: &str, activation: &Activation) {
    let manifest = manifest
        .replace("%CODE_BASE64%", &STANDARD.encode(&activation.code))
        .replace("%CODE%", &activation.code)
        .replace("%ID%", &activation.id)
        .replace("%REGION%", scene.lease.region());
    let file = scene.lease.home().join("manifest.yaml");
    std::fs::write(&file, manifest).unwrap();
    let mut kubectl = tokio::process::Command::new("kubectl");
    kubectl.args(["apply", "-f"]).arg(&file).env_clear().envs(scene.environment());
    let output = kubectl.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::remove_file(file).unwrap();
}

/// As `helm install` marks every object of a release.
pub(crate) async fn helm_install(scene: &Scene, activation: &Activation) {
    let client = scene.client().await;
    let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": "tools" } })).unwrap();
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    kubectl_apply(scene, HELM, activation).await;
    let mark = json!({ "metadata": {
        "labels": { "app.kubernetes.io/managed-by": "Helm" },
        "annotations": { "meta.helm.sh/release-name": "connect", "meta.helm.sh/release-namespace": "tools" },
    } });
    let sets: Api<StatefulSet> = Api::namespaced(client, "tools");
    sets.patch("eks-connector", &PatchParams::default(), &Patch::Merge(&mark)).await.unwrap();
}

pub(crate) async fn until_active(scene: &Scene, namespace: &str) {
    let sets: Api<StatefulSet> = Api::namespaced(scene.client().await, namespace);
    until("ACTIVE, and both agents ready", || async {
        let set = sets.get("eks-connector").await.unwrap();
        let ready = set.status.and_then(|status| status.ready_replicas);
        let answer = scene.eks().describe_cluster().name("onprem1").send().await.unwrap();
        let status = answer.cluster.unwrap().status.unwrap();
        status.as_str() == "ACTIVE" && ready == Some(2)
    })
    .await;
}

async fn made_registrations(scene: &Scene) -> usize {
    scene
        .calls()
        .await
        .iter()
        .filter(|call| call.operation == "RegisterCluster" && call.status == 200)
        .count()
}

/// Run again there is nothing to do, and nothing to be asked.
async fn converged(scene: &Scene, options: &[&str]) {
    let again = scene.register(&[options, &["-o", "json"]].concat()).await.expect(0).json();
    assert_eq!((&again["changed"], &again["done"]), (&json!(false), &json!([])));
}

/// The StatefulSet and what its fields belong to.
async fn agents(scene: &Scene, namespace: &str) -> Value {
    let sets: Api<StatefulSet> = Api::namespaced(scene.client().await, namespace);
    serde_json::to_value(sets.get("eks-connector").await.unwrap()).unwrap()
}

/// The pods run our template, nothing of the other tool's is left in it, and there is nothing left to do.
async fn adopted(scene: &Scene, namespace: &str) {
    let set = agents(scene, namespace).await;
    assert_eq!(set["metadata"]["labels"]["app.kubernetes.io/managed-by"], "eksconnect");
    let pod = &set["spec"]["template"]["spec"];
    assert_eq!(pod["affinity"], Value::Null, "the other tool's");
    let volumes = pod["volumes"].as_array().unwrap();
    let token = volumes.iter().find(|volume| volume["name"] == "service-account-token").unwrap();
    assert_eq!((token.get("secret"), token["projected"].is_object()), (None, true));
    let managers: Vec<&str> = set["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["subresource"].is_null())
        .map(|entry| entry["manager"].as_str().unwrap())
        .collect();
    assert_eq!(managers, ["eksconnect"], "a field that we no longer want would stay");
    let init = pod["initContainers"][0]["args"].to_string();
    assert!(init.contains("$(EKS_ACTIVATION_CODE)"), "no code in arguments: {init}");
    let secrets: Api<Secret> = Api::namespaced(scene.client().await, namespace);
    assert!(secrets.get_opt("eks-connector-token").await.unwrap().is_none(), "a long-lived token is left");
    let code = secrets.get("eks-connector-activation-config").await.unwrap().data.unwrap();
    assert_eq!(code["code"].0, b"spent");
    let options = ["--namespace", namespace, "--role-name", "Theirs"];
    converged(scene, &options).await;
    // Something is taken away again: no other manager holds on to it.
    let more = [&options[..], &["--node-selector", "kubernetes.io/os=linux", "--toleration", "x:NoSchedule"]]
        .concat();
    scene.register(&more).await.expect(0);
    scene.register(&options).await.expect(0);
    let tolerations = agents(scene, namespace).await["spec"]["template"]["spec"]["tolerations"].clone();
    assert!(!tolerations.to_string().contains("\"x\""), "{tolerations}");
    assert_eq!(made_registrations(scene).await, 1);
}

#[tokio::test]
async fn the_official_manifest_is_adopted_with_its_registration() {
    let scene = Scene::new().await;
    let activation = scene.register_by_hand("Theirs").await;
    kubectl_apply(&scene, OFFICIAL, &activation).await;
    until_active(&scene, NAMESPACE).await;
    let options = ["--role-name", "Theirs"];
    let run = scene.register(&options).await.expect_error("EKSC0503", 3);
    run.says(&["--adopt"]);
    // It asks, and nobody is there to answer.
    let adopt = ["--role-name", "Theirs", "--adopt"];
    let before = agents(&scene, NAMESPACE).await;
    scene.register(&adopt).await.expect_error("EKSC0112", 3).says(&["is taken over", "one by one", "--yes"]);
    assert_eq!(agents(&scene, NAMESPACE).await["metadata"]["generation"], before["metadata"]["generation"]);

    scene.register(&[&adopt[..], &["--yes"]].concat()).await.expect(0);
    let after = agents(&scene, NAMESPACE).await;
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"], "replaced in place");
    assert_eq!(after["spec"]["podManagementPolicy"], "OrderedReady", "what cannot be changed stays");
    adopted(&scene, NAMESPACE).await;
    assert_eq!(scene.registrations().await.len(), 1);
}

#[tokio::test]
async fn what_eksctl_installed_is_adopted_and_its_grants_stay() {
    let scene = Scene::new().await;
    let activation = scene.register_by_hand("Theirs").await;
    kubectl_apply(&scene, OFFICIAL, &activation).await;
    kubectl_apply(&scene, EKSCTL_GRANTS, &activation).await;
    until_active(&scene, NAMESPACE).await;
    let roles: Api<ClusterRole> = Api::all(scene.client().await);
    let before = roles.get("eks-connector-service").await.unwrap();
    scene.register(&["--role-name", "Theirs", "--adopt", "--yes"]).await.expect(0);
    adopted(&scene, NAMESPACE).await;
    assert_eq!(roles.get("eks-connector-service").await.unwrap(), before);
    roles.get("eks-connector-console-dashboard-full-access-clusterrole").await.unwrap();
}

#[tokio::test]
async fn a_helm_release_elsewhere_is_found_and_adopted_with_its_state() {
    let scene = Scene::new().await;
    let activation = scene.register_by_hand("Theirs").await;
    helm_install(&scene, &activation).await;
    until_active(&scene, "tools").await;
    let run = scene.register(&["--role-name", "Theirs"]).await.expect_error("EKSC0418", 3);
    run.says(&["in namespace tools", "--namespace tools --adopt"]);

    let options = ["--role-name", "Theirs", "--namespace", "tools", "--adopt", "--yes"];
    let run = scene.register(&options).await.expect(0);
    run.says(&["Helm still knows the release connect", "owner=helm,name=connect"]);
    let set = agents(&scene, "tools").await;
    assert!(set["metadata"]["annotations"].get("meta.helm.sh/release-name").is_none(), "{set}");
    assert!(set.to_string().contains("--state.secretNamePrefix=connector"), "the state stays where it was");
    assert!(!set.to_string().contains(&activation.code), "the code is in the arguments");
    adopted(&scene, "tools").await;

    // The prefix is known although the StatefulSet is lost.
    let sets: Api<StatefulSet> = Api::namespaced(scene.client().await, "tools");
    sets.delete("eks-connector", &DeleteParams::default()).await.unwrap();
    scene.register(&["--role-name", "Theirs", "--namespace", "tools"]).await.expect(0);
    assert_eq!(made_registrations(&scene).await, 1);
    let left = scene.objects_in("tools").await;
    assert!(!left.iter().any(|object| object.starts_with("Secret eks-connector-state")), "{left:?}");
}

#[tokio::test]
async fn an_installation_whose_registration_is_gone_is_adopted_with_a_new_one() {
    let scene = Scene::new().await;
    let activation = scene.register_by_hand("AmazonEKSConnectorAgentRole").await;
    kubectl_apply(&scene, OFFICIAL, &activation).await;
    until_active(&scene, NAMESPACE).await;
    scene.deregister_by_hand().await;
    let run = scene.register(&["--adopt", "--yes"]).await.expect_error("EKSC0419", 3);
    run.says(&[&activation.id, "--renew"]);
    scene.register(&["--adopt", "--renew", "--yes"]).await.expect(0);
    assert_eq!(scene.registrations().await["onprem1"]["tags"]["eksconnect:managed"], "true");
    converged(&scene, &[]).await;
    let set = agents(&scene, NAMESPACE).await;
    assert_eq!(set["spec"]["podManagementPolicy"], "Parallel", "made anew");
}

#[tokio::test]
async fn lost_state_is_explained_and_mended_by_renewing() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let first = scene.registrations().await["onprem1"]["activation_id"].clone();
    let client = scene.client().await;
    // A grant, and an object of nobody's business.
    let grant: ClusterRole = serde_json::from_value(json!({ "metadata": { "name": "a-grant" } })).unwrap();
    Api::<ClusterRole>::all(client.clone()).create(&PostParams::default(), &grant).await.unwrap();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    for name in ["eks-connector-state-0", "eks-connector-state-1"] {
        secrets.delete(name, &DeleteParams::default()).await.unwrap();
    }
    scene.register(&[]).await.expect_error("EKSC0407", 3).says(&["register --name onprem1 --renew"]);
    assert_eq!(scene.registrations().await["onprem1"]["activation_id"], first);
    let run = scene.register(&["--renew"]).await.expect_error("EKSC0112", 3);
    run.says(&["(ACTIVE) is removed and made anew", "nobody can look into the cluster"]);
    assert_eq!(scene.registrations().await["onprem1"]["activation_id"], first);

    let run = scene.register(&["--renew", "--yes"]).await.expect(0);
    assert!(run.stdout.contains("onprem1 is ACTIVE after"), "{}", run.stdout);
    let second = scene.registrations().await["onprem1"]["activation_id"].clone();
    assert_ne!(first, second);
    assert_eq!(scene.activation_value().await.as_deref(), Some("spent"), "both agents registered anew");
    let state = secrets.get("eks-connector-state-1").await.unwrap().data.unwrap();
    let config: Value = serde_json::from_slice(&state["connector-config"].0).unwrap();
    assert_eq!(config["activationId"], second);
    Api::<ClusterRole>::all(client).get("a-grant").await.unwrap();
    converged(&scene, &[]).await;
}

#[tokio::test]
async fn a_healthy_registration_is_renewed_too_and_old_state_does_no_harm() {
    let scene = Scene::new().await;
    scene.register(&["--replicas", "3"]).await.expect(0);
    let first = scene.registrations().await["onprem1"]["activation_id"].clone();
    scene.register(&["--renew", "--yes", "--replicas", "2"]).await.expect(0);
    assert_ne!(scene.registrations().await["onprem1"]["activation_id"], first);
    // More agents than have their state: only with a new code.
    let run = scene.register(&["--replicas", "3"]).await.expect_error("EKSC0416", 3);
    run.says(&["use --replicas 2", "--renew"]);
    scene.register(&["--replicas", "3", "--renew", "--yes"]).await.expect(0);
    converged(&scene, &["--replicas", "3"]).await;
}

#[tokio::test]
async fn a_renewal_that_fails_half_way_is_finished_by_the_same_command() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    scene.refuse("eks", "RegisterCluster", 403, "AccessDeniedException", "no").await;
    let run = scene.register(&["--renew", "--yes"]).await.expect_error("EKSC0207", 1);
    run.says(&["the registration onprem1 was removed, and is not made anew yet"]);
    scene.heal().await;
    // Without a question: there is nothing to lose any more.
    scene.register(&["--renew"]).await.expect(0);
    assert_eq!(scene.registrations().await.len(), 1);
}

#[tokio::test]
async fn while_another_run_renews_this_one_says_so() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    scene.fail("ssmmessages", "CreateControlChannel", FaultKind::Reset).await;
    let mut renewing = scene.command(&["register", "--name", "onprem1", "--renew", "--yes"]).spawn().unwrap();
    let sets: Api<StatefulSet> = Api::namespaced(scene.client().await, NAMESPACE);
    let before = sets.get("eks-connector").await.unwrap().metadata.generation;
    until("the new agents are applied", || async {
        made_registrations(&scene).await == 2
            && sets.get("eks-connector").await.unwrap().metadata.generation != before
    })
    .await;
    for options in [&[][..], &["--renew", "--yes"]] {
        scene.register(options).await.expect_error("EKSC0408", 3).says(&["another run of eksconnect"]);
    }
    scene.heal().await;
    let status = tokio::time::timeout(crate::support::PATIENCE, renewing.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!((made_registrations(&scene).await, scene.registrations().await.len()), (2, 1));
    converged(&scene, &[]).await;
}

#[tokio::test]
async fn a_name_is_taken_over_from_a_rebuilt_cluster() {
    let [old, mut rebuilt] = Scene::two().await;
    old.register(&[]).await.expect(0);
    for (name, value) in old.lease.env() {
        if name.starts_with("AWS_") {
            rebuilt.set(&name, &value);
        }
    }
    let run = rebuilt.register(&[]).await.expect_error("EKSC0402", 3);
    run.says(&["--replace"]);
    let run = rebuilt.register(&["--replace"]).await.expect_error("EKSC0112", 3);
    run.says(&[
        "It is ACTIVE, made 20",
        "provider OTHER",
        "kube-system namespace has the UID",
        "look into that cluster",
    ]);
    assert!(!rebuilt.namespace_exists().await);
    let before = old.registrations().await["onprem1"]["activation_id"].clone();
    rebuilt.register(&["--replace", "--yes"]).await.expect(0);
    let after = old.registrations().await;
    assert_eq!(after.len(), 1);
    assert_ne!(after["onprem1"]["activation_id"], before);
    let again = rebuilt.register(&["--replace"]).await.expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
    // And the old cluster says that the name is another's now.
    old.register(&[]).await.expect_error("EKSC0402", 3);
}

#[tokio::test]
async fn objects_of_others_are_refused_and_left_as_they_are() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": NAMESPACE } })).unwrap();
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let theirs = json!({ "metadata": { "name": "eks-connector-agent" }, "data": { "mine": "yes" } });
    maps.create(&PostParams::default(), &serde_json::from_value(theirs).unwrap()).await.unwrap();
    let run = scene.register(&[]).await.expect_error("EKSC0503", 3);
    run.says(&["ConfigMap eks-connector/eks-connector-agent was not made by eksconnect", "--adopt"]);
    let map = maps.get("eks-connector-agent").await.unwrap();
    assert_eq!(map.data.unwrap()["mine"], "yes");
    maps.delete("eks-connector-agent", &DeleteParams::default()).await.unwrap();

    // A Secret with a code that a tool keeps: neither without asking nor with.
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let sealed = json!({
        "metadata": {
            "name": "eks-connector-activation-config",
            "labels": { "app.kubernetes.io/managed-by": "external-secrets" },
        },
        "stringData": { "code": "somebody's own" },
    });
    secrets.create(&PostParams::default(), &serde_json::from_value(sealed).unwrap()).await.unwrap();
    scene.register(&[]).await.expect_error("EKSC0503", 3);
    let run = scene.register(&["--adopt", "--yes"]).await.expect_error("EKSC0420", 3);
    run.says(&["external-secrets"]);
    assert_eq!(scene.activation_value().await.as_deref(), Some("somebody's own"));
    assert_eq!(scene.registrations().await.len(), 0);
}

#[tokio::test]
async fn a_binding_that_binds_another_role_is_made_anew() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let bindings: Api<RoleBinding> = Api::namespaced(scene.client().await, NAMESPACE);
    let name = "eks-connector-secret-access";
    let mut binding = bindings.get(name).await.unwrap();
    bindings.delete(name, &DeleteParams::default()).await.unwrap();
    binding.role_ref.name = "another".into();
    (binding.metadata.resource_version, binding.metadata.uid, binding.metadata.managed_fields) =
        (None, None, None);
    bindings.create(&PostParams::default(), &binding).await.unwrap();
    scene.register(&[]).await.expect(0);
    assert_eq!(bindings.get(name).await.unwrap().role_ref.name, name);
    let secrets: Api<Secret> = Api::namespaced(scene.client().await, NAMESPACE);
    secrets.delete("eks-connector-activation-config", &DeleteParams::default()).await.unwrap();
    scene.register(&[]).await.expect(0);
    assert_eq!(scene.activation_value().await.as_deref(), Some("spent"), "agents do not start without it");
    assert_eq!(secrets.list(&ListParams::default()).await.unwrap().items.len(), 3);
}
