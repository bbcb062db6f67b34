//! What deregistering leaves, or has to find again: roles, grants beside another connector, and what may not be looked at.

use eksconnect_sandbox::aws::control::{Fault, FaultKind, Selector};
use serde_json::{Value, json};

use crate::by_hand::Activation;
use crate::deregister::{account, surplus};
use crate::support::{NAMESPACE, Scene};
use crate::takeover::helm_install;

const DEREGISTER: [&str; 4] = ["deregister", "--name", "onprem1", "--yes"];

async fn roles(scene: &Scene) -> Value {
    account(scene).await["roles"].clone()
}

/// Whether there is an object of this kind by which the connector impersonates a principal.
async fn impersonates(scene: &Scene, kind: &str) -> bool {
    let start = format!("{kind} /eksconnect:impersonate:");
    surplus(scene).await.iter().any(|object| object.starts_with(&start))
}

#[tokio::test]
async fn no_role_is_deleted_that_the_registration_did_not_have() {
    let scene = Scene::new().await;
    scene.run(&["roles", "create"]).await.expect(0);
    scene.register(&["--role-name", "onprem-agent"]).await.expect(0);
    let linked = ["roles", "delete", "--role-name", "unused", "--delete-service-linked-role", "--yes"];
    let run = scene.run(&linked).await.expect_error("EKSC0464", 3);
    run.says(&["eksconnect deregister --name onprem1 --region eu-west-1"]);

    // Without the cluster nothing tells the role once the registration is gone.
    scene.refuse("iam", "DeleteRole", 403, "AccessDenied", "no").await;
    let alone = [&DEREGISTER[..], &["--aws-only", "--delete-role"]].concat();
    let run = scene.run(&alone).await.expect_error("EKSC0207", 5);
    let run = run.says(&[
        "then run eksconnect roles delete --role-name onprem-agent",
        "to remove: eksconnect roles delete --role-name onprem-agent",
    ]);
    assert!(!run.stderr.contains("run the same command again"), "it would not find it:\n{}", run.stderr);
    scene.heal().await;
    let before = roles(&scene).await;
    assert_eq!(
        before,
        json!(["amazoneksconnectoragentrole", "awsserviceroleforamazoneksconnector", "onprem-agent"])
    );
    scene.run(&alone).await.expect_error("EKSC0460", 3).says(&["there is no registration onprem1"]);
    let typo = ["deregister", "--name", "typo", "--aws-only", "--delete-role", "--yes"];
    scene.run(&typo).await.expect_error("EKSC0460", 3).says(&["there is no registration typo"]);
    let missing = [&typo[..], &["--allow-missing"]].concat();
    let run = scene.run(&missing).await.expect(0).says(&["Which agent role it had is not known any more"]);
    assert!(run.stdout.contains("There is nothing of typo in account"), "{}", run.stdout);
    let document = scene.run(&[&missing[..], &["-o", "json"]].concat()).await.expect(0).json();
    assert_eq!((&document["registration"]["name"], &document["changed"]), (&json!("typo"), &json!(false)));
    assert_eq!(roles(&scene).await, before);
    scene.run(&["roles", "delete", "--role-name", "onprem-agent", "--yes"]).await.expect(0);
    scene.run(&["deregister", "--cluster-only", "--yes"]).await.expect(0);

    // With it the Lease does.
    scene.register(&["--role-name", "onprem-agent"]).await.expect(0);
    scene.refuse("iam", "DeleteRole", 403, "AccessDenied", "no").await;
    let both = [&DEREGISTER[..], &["--delete-role"]].concat();
    let run = scene.run(&both).await.expect_error("EKSC0207", 5);
    run.says(&["then run the same command again"]);
    assert!(scene.registrations().await.is_empty());
    scene.heal().await;
    scene.run(&both).await.expect(0);
    assert_eq!(
        roles(&scene).await,
        json!(["amazoneksconnectoragentrole", "awsserviceroleforamazoneksconnector"])
    );
    assert_eq!(surplus(&scene).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_run_knows_its_role_when_it_has_to_look_again() {
    let scene = Scene::new().await;
    scene.register(&["--role-name", "onprem-agent"]).await.expect(0);
    // Somebody else changes the role at the same moment.
    let busy =
        FaultKind::Error { status: 409, code: "ConcurrentModification".into(), message: "busy".into() };
    let selector = Selector {
        service: Some("iam".into()),
        operation: Some("DeleteRole".into()),
        account: Some(scene.lease.account().id.clone()),
    };
    let fault = Fault { selector, ..Fault::once("iam", "DeleteRole", busy) };
    scene.lease.aws().add_fault(fault).await.unwrap();
    scene.run(&[&DEREGISTER[..], &["--aws-only", "--delete-role"]].concat()).await.expect(0);
    assert_eq!(roles(&scene).await, json!(["awsserviceroleforamazoneksconnector"]));
    assert!(scene.registrations().await.is_empty());
}

#[tokio::test]
async fn beside_another_connector_a_resumed_run_leaves_no_impersonation_and_says_why_views_stay() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let viewer = crate::grants::role(&scene, "Viewer").await;
    scene.run(&["grant-view", "--principal", &viewer]).await.expect(0);
    helm_install(&scene, &Activation { id: "none".to_owned(), code: "none".to_owned() }).await;
    let deregister = ["deregister", "--namespace", NAMESPACE, "--yes"];
    scene.fail("eks", "DeregisterCluster", FaultKind::Reset).await;
    scene.run(&deregister).await.expect_error("EKSC0206", 5);
    // The binding went first, and what it gave is still there.
    assert!(!impersonates(&scene, "ClusterRoleBinding").await);
    assert!(impersonates(&scene, "ClusterRole").await);
    scene.heal().await;
    let run = scene.run(&deregister).await.expect(0);
    run.says(&["ClusterRoleBinding eksconnect:view:viewer-", "the connector in namespace tools may need it"]);
    assert!(!impersonates(&scene, "ClusterRole").await);
    assert!(!scene.namespace_exists().await);
    let left = surplus(&scene).await;
    assert!(left.iter().any(|object| object.starts_with("ClusterRoleBinding /eksconnect:view:")), "{left:?}");
}

#[tokio::test]
async fn all_that_could_not_be_listed_is_named_and_that_the_namespace_stays() {
    let mut scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let core = "endpoints events limitranges namespaces nodes persistentvolumeclaims pods podtemplates \
                replicationcontrollers resourcequotas secrets serviceaccounts services";
    let groups = "apps autoscaling batch coordination.k8s.io discovery.k8s.io events.k8s.io \
                  rbac.authorization.k8s.io resource.k8s.io storage.k8s.io";
    let words = |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
    // Everything, but to list three of the kinds.
    let rules = [
        json!({
            "verbs": ["get", "create", "update", "patch", "delete", "watch"],
            "apiGroups": ["*"], "resources": ["*"],
        }),
        json!({ "verbs": ["list"], "apiGroups": [""], "resources": words(core) }),
        json!({ "verbs": ["list"], "apiGroups": words(groups), "resources": ["*"] }),
        json!({ "verbs": ["list"], "apiGroups": ["networking.k8s.io"], "resources": ["ingresses"] }),
    ];
    scene.become_user("few", &rules).await;
    let run = scene.run(&DEREGISTER).await.expect(0);
    let run = run.says(&[
        "Namespace eks-connector is kept, since what is in it could not all be listed: configmaps (",
        "networkpolicies (",
        "poddisruptionbudgets (",
    ]);
    assert!(run.stdout.contains("Namespace eks-connector stays."), "{}", run.stdout);
    assert!(scene.namespace_exists().await);
    // Who may look finishes it.
    scene.env.clear();
    let run = scene.run(&DEREGISTER).await.expect(0);
    assert!(!run.stdout.contains("stays"), "{}", run.stdout);
    assert!(!scene.namespace_exists().await);
}
