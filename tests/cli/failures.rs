//! Failures part-way: undone or resumed, and what remains is listed.

use eksconnect_sandbox::aws::control::{Fault, FaultKind, RepeatToken, Selector, SettingsPatch, When};
use eksconnect_sandbox::pool::LeaseOptions;
use eksconnect_sandbox::world::{NodeSpec, SiteSpec};
use k8s_openapi::api::core::v1::{Namespace, ResourceQuota};
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::json;

use crate::support::{NAMESPACE, Scene, until};

#[tokio::test]
async fn before_the_code_is_in_the_cluster_what_was_made_there_is_undone() {
    let scene = Scene::new().await;
    let account = scene.lease.account().id.clone();
    let arn = format!("arn:aws:iam::{account}:user/ana");
    let message = format!("User: {arn} is not authorized to perform: eks:RegisterCluster");
    scene.refuse("eks", "RegisterCluster", 403, "AccessDeniedException", &message).await;
    let run = scene.register(&[]).await.expect_error("EKSC0207", 5);
    let run = run.says(&[
        "could not register onprem1",
        "eks:RegisterCluster",
        "Left in place",
        "aws iam delete-role",
    ]);
    assert!(!run.stderr.contains("kubectl delete"), "{}", run.stderr);
    assert!(!scene.namespace_exists().await);
    let roles: Api<ClusterRole> = Api::all(scene.client().await);
    assert!(roles.get_opt("eks-connector-cluster-meta-access").await.unwrap().is_none());

    // With the roles there from the first run, a failure leaves nothing that this run made. The undone namespace is
    // really gone, so nobody has to wait.
    scene.register(&[]).await.expect_error("EKSC0207", 1);
    scene.heal().await;
    scene.register(&[]).await.expect(0);
}

#[tokio::test]
async fn a_lost_answer_of_register_does_not_lose_the_registration() {
    for repeat in ["same", "in-use"] {
        let scene = Scene::new().await;
        if repeat == "in-use" {
            let settings =
                SettingsPatch { repeat_token: Some(RepeatToken::InUse), ..SettingsPatch::default() };
            scene.settings(settings).await;
        }
        let fault = Fault {
            selector: Selector {
                service: Some("eks".into()),
                operation: Some("RegisterCluster".into()),
                account: Some(scene.lease.account().id.clone()),
            },
            when: When::After,
            ..Fault::once("eks", "RegisterCluster", FaultKind::Reset)
        };
        scene.lease.aws().add_fault(fault).await.unwrap();
        let run = scene.register(&[]).await.expect(0);
        assert!(run.stdout.contains("ACTIVE"), "{repeat}: {}", run.stdout);
        assert_eq!(scene.registrations().await.len(), 1, "{repeat}");
    }
}

#[tokio::test]
async fn an_activation_that_cannot_be_kept_takes_the_registration_back() {
    let scene = Scene::new().await;
    // A namespace that may have no Secret.
    let client = scene.client().await;
    let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": NAMESPACE } })).unwrap();
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    forbid(&client, "secrets").await;
    let run = scene.register(&[]).await.expect_error("EKSC0410", 5);
    run.says(&["the registration was taken back", "secrets", "role AmazonEKSConnectorAgentRole"]);
    assert_eq!(scene.registrations().await.len(), 0);
    assert_eq!(scene.activation_value().await, None);
    let calls = scene.calls().await;
    assert!(calls.iter().any(|call| call.operation == "RegisterCluster" && call.status == 200));
    assert!(calls.iter().any(|call| call.operation == "DeregisterCluster" && call.status == 200));
}

#[tokio::test]
async fn a_timeout_names_the_cause_and_the_same_command_resumes() {
    let scene = Scene::new().await;
    // The agents run, and cannot open their channels.
    scene
        .fail(
            "ssmmessages",
            "CreateControlChannel",
            FaultKind::Error { status: 403, code: "AccessDeniedException".into(), message: "not now".into() },
        )
        .await;
    let run = scene.register(&["--wait-timeout", "3s"]).await.expect_error("EKSC0412", 4);
    run.says(&[
        "onprem1 did not become ACTIVE within 3s",
        "PENDING",
        "valid until",
        "Left in place, to be resumed",
        "registration onprem1",
        "aws eks deregister-cluster --name onprem1 --region eu-west-1",
    ]);
    assert_eq!(scene.registrations().await.len(), 1);
    scene.heal().await;
    scene.register(&[]).await.expect(0);
    assert_eq!(scene.registrations().await.len(), 1);
    let registered = scene.calls().await.iter().filter(|call| call.operation == "RegisterCluster").count();
    assert_eq!(registered, 1, "the activation was continued, not made anew");
}

/// Lets the connector's namespace have none of a kind of objects.
async fn forbid(client: &Client, kind: &str) {
    let quota: ResourceQuota = serde_json::from_value(json!({
        "metadata": { "name": "none" },
        "spec": { "hard": { kind: "0" } },
    }))
    .unwrap();
    let quotas: Api<ResourceQuota> = Api::namespaced(client.clone(), NAMESPACE);
    quotas.create(&PostParams::default(), &quota).await.unwrap();
    until("the quota is in force", || async {
        quotas.get("none").await.unwrap().status.and_then(|status| status.hard).is_some()
    })
    .await;
}

#[tokio::test]
async fn a_failing_container_is_quoted() {
    let scene = Scene::new().await;
    // The role that the agents' init needs is taken from them as soon as it is there, by a quota of nothing.
    let client = scene.client().await;
    let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": NAMESPACE } })).unwrap();
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    forbid(&client, "pods").await;
    let run = scene.register(&["--wait-timeout", "4s"]).await.expect_error("EKSC0412", 4);
    run.says(&["the StatefulSet cannot make its pods", "exceeded quota: none", "state   PENDING"]);
}

#[tokio::test]
async fn a_cluster_without_a_suitable_node_is_refused_before_any_change() {
    let arm = NodeSpec { arch: "arm64".into(), ..NodeSpec::default() };
    let site = SiteSpec { nodes: vec![arm], ..SiteSpec::default() };
    let scene = Scene::with(LeaseOptions { site, ..LeaseOptions::default() }).await;
    let run = scene.register(&[]).await.expect_error("EKSC0501", 3);
    run.says(&["linux/arm64", "amd64"]);
    assert_eq!(scene.registrations().await.len(), 0);
    assert!(!scene.namespace_exists().await);
}

#[tokio::test]
async fn an_expired_activation_is_renewed_and_that_is_said() {
    // Nobody connects in time: there is no node that could run the agents.
    let arm = NodeSpec { arch: "arm64".into(), ..NodeSpec::default() };
    let site = SiteSpec { nodes: vec![arm], ..SiteSpec::default() };
    let scene = Scene::with(LeaseOptions { site, ..LeaseOptions::default() }).await;
    scene.settings(SettingsPatch { activation_expiry_seconds: Some(1), ..SettingsPatch::default() }).await;
    scene.register(&["--no-wait"]).await.expect(0);
    let first = scene.activation_value().await.unwrap();
    until("the registration FAILED", || async {
        let run = scene.register(&["--dry-run", "-o", "json"]).await;
        let plan = scene.register(&["--dry-run", "--no-wait", "-o", "json"]).await.expect(0);
        run.code == Some(3) && plan.json()["notes"].to_string().contains("has FAILED")
    })
    .await;
    scene.settings(SettingsPatch { activation_expiry_seconds: Some(3600), ..SettingsPatch::default() }).await;
    scene.register(&["--no-wait"]).await.expect(0).says(&["has FAILED; it is removed and made anew"]);
    let registrations = scene.registrations().await;
    assert_eq!(registrations.len(), 1);
    assert_ne!(scene.activation_value().await.unwrap(), first, "the code is a new one");
    scene.register(&["--no-wait"]).await.expect(0).says(&["exists"]);
}

#[tokio::test]
async fn somebody_elses_namespace_keeps_its_labels_and_is_never_offered_for_deletion() {
    let scene = Scene::new().await;
    let namespaces: Api<Namespace> = Api::all(scene.client().await);
    let theirs = json!({ "metadata": { "name": NAMESPACE, "labels": { "team": "them" } } });
    namespaces.create(&PostParams::default(), &serde_json::from_value(theirs).unwrap()).await.unwrap();
    scene.fail("ssmmessages", "CreateControlChannel", FaultKind::Reset).await;
    let run = scene.register(&["--wait-timeout", "2s"]).await.expect_error("EKSC0412", 4);
    assert!(!run.stderr.contains("kubectl delete namespace"), "{}", run.stderr);
    scene.heal().await;
    scene.register(&[]).await.expect(0);
    let again = scene.register(&[]).await.expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
    let labels = namespaces.get(NAMESPACE).await.unwrap().metadata.labels.unwrap();
    let own: Vec<&String> = labels.keys().filter(|key| !key.starts_with("kubernetes.io/")).collect();
    assert_eq!(own, ["team"]);
}
