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
pub(crate) async fn forbid(client: &Client, kind: &str) {
    allow_only(client, kind, "0").await;
}

/// Lets the connector's namespace have so many of a kind of objects.
pub(crate) async fn allow_only(client: &Client, kind: &str, number: &str) {
    let quota: ResourceQuota = serde_json::from_value(json!({
        "metadata": { "name": "few" },
        "spec": { "hard": { kind: number } },
    }))
    .unwrap();
    let quotas: Api<ResourceQuota> = Api::namespaced(client.clone(), NAMESPACE);
    quotas.create(&PostParams::default(), &quota).await.unwrap();
    until("the quota is in force", || async {
        quotas.get("few").await.unwrap().status.and_then(|status| status.hard).is_some()
    })
    .await;
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

/// Makes the first RegisterCluster find the name taken, and whatever comes second fail.
async fn changed_in_between(scene: &Scene, service: &str, operation: &str) {
    let account = scene.lease.account().id.clone();
    let in_use = FaultKind::Error {
        status: 409,
        code: "ResourceInUseException".into(),
        message: "Cluster already exists with name: onprem1".into(),
    };
    let selector = |service: &str, operation: &str| Selector {
        service: Some(service.into()),
        operation: Some(operation.into()),
        account: Some(account.clone()),
    };
    let first = Fault {
        selector: selector("eks", "RegisterCluster"),
        ..Fault::once("eks", "RegisterCluster", in_use)
    };
    scene.lease.aws().add_fault(first).await.unwrap();
    let denied = FaultKind::Error {
        status: 403,
        code: "AccessDeniedException".into(),
        message: "not the second time".into(),
    };
    let second = Fault {
        selector: selector(service, operation),
        nth: 2,
        times: None,
        ..Fault::once(service, operation, denied)
    };
    scene.lease.aws().add_fault(second).await.unwrap();
}

#[tokio::test]
async fn a_failure_on_the_second_look_undoes_what_the_first_try_made() {
    let scene = Scene::new().await;
    changed_in_between(&scene, "eks", "DescribeCluster").await;
    let run = scene.register(&[]).await.expect_error("EKSC0207", 5);
    let run = run.says(&["Something changed in the meantime", "role AmazonEKSConnectorAgentRole"]);
    assert!(!run.stderr.contains("kubectl delete"), "{}", run.stderr);
    assert!(!scene.namespace_exists().await);
    let roles: Api<ClusterRole> = Api::all(scene.client().await);
    assert!(roles.get_opt("eks-connector-cluster-meta-access").await.unwrap().is_none());
}

#[tokio::test]
async fn what_stood_there_before_stays_when_the_second_look_fails() {
    let scene = Scene::new().await;
    let namespaces: Api<Namespace> = Api::all(scene.client().await);
    let theirs = json!({ "metadata": { "name": NAMESPACE } });
    namespaces.create(&PostParams::default(), &serde_json::from_value(theirs).unwrap()).await.unwrap();
    changed_in_between(&scene, "sts", "GetCallerIdentity").await;
    let run = scene.register(&[]).await.expect(5);
    assert!(!run.stderr.contains("kubectl delete"), "{}", run.stderr);
    assert!(scene.namespace_exists().await);
    let left: Vec<String> = scene.objects_in(NAMESPACE).await;
    assert_eq!(left, Vec::<String>::new(), "what this run made, the Lease included, is gone");
}

#[tokio::test]
async fn a_world_that_keeps_changing_is_given_up_and_left_as_it_was() {
    let scene = Scene::new().await;
    scene.refuse("eks", "RegisterCluster", 409, "ResourceInUseException", "Cluster already exists").await;
    let run = scene.register(&[]).await.expect_error("EKSC0409", 5);
    let run = run.says(&["registering onprem1 failed: the world kept changing", "Cluster already exists"]);
    assert!(!run.stderr.contains("kubectl delete"), "{}", run.stderr);
    assert!(!scene.namespace_exists().await);
}

/// Starts a run that waits until ACTIVE, which does not come.
async fn waits_in_vain(scene: &Scene) -> tokio::process::Child {
    scene.fail("ssmmessages", "CreateControlChannel", FaultKind::Reset).await;
    let child = scene.command(&["register", "--name", "onprem1"]).spawn().unwrap();
    let sets: Api<k8s_openapi::api::apps::v1::StatefulSet> = Api::namespaced(scene.client().await, NAMESPACE);
    until("the agents are applied", || async { sets.get_opt("eks-connector").await.unwrap().is_some() })
        .await;
    child
}

async fn said_at_the_end(child: tokio::process::Child) -> (Option<i32>, String) {
    let output = tokio::time::timeout(crate::support::PATIENCE, child.wait_with_output()).await;
    let output = output.expect("it ends").unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn a_registration_that_fails_while_it_is_awaited() {
    let scene = Scene::new().await;
    scene.settings(SettingsPatch { activation_expiry_seconds: Some(4), ..SettingsPatch::default() }).await;
    let child = waits_in_vain(&scene).await;
    let (code, said) = said_at_the_end(child).await;
    assert!(said.contains("error[EKSC0413]") && said.contains("run the same command again"), "{said}");
    assert_eq!(code, Some(5), "{said}");
}

#[tokio::test]
async fn a_registration_that_is_removed_while_it_is_awaited() {
    let scene = Scene::new().await;
    let child = waits_in_vain(&scene).await;
    scene.deregister_by_hand().await;
    let (code, said) = said_at_the_end(child).await;
    assert!(said.contains("error[EKSC0415]") && said.contains("CloudTrail"), "{said}");
    assert!(!said.contains("aws eks deregister-cluster"), "it is gone: {said}");
    assert_eq!(code, Some(5), "{said}");
    scene.heal().await;
    scene.register(&[]).await.expect(0);
}
