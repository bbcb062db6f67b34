//! Deregistering: whoever made it, nothing is left of it, and nothing else is touched.

use eksconnect_sandbox::aws::control::{FaultKind, SettingsChange, SettingsPatch};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::support::{NAMESPACE, Scene, until};
use crate::takeover::{EKSCTL_GRANTS, OFFICIAL, helm_install, kubectl_apply, until_active};

const DEREGISTER: [&str; 4] = ["deregister", "--name", "onprem1", "--yes"];

/// What in the cluster is not as it was when it was new: `Kind namespace/name` for what is there beyond that.
pub(crate) async fn surplus(scene: &Scene) -> Vec<String> {
    let mut found = scene.lease.differences().await.unwrap();
    // Events are about what was there, and go by themselves.
    found.retain(|object| !object.starts_with("Event "));
    found
}

/// The dumps of the API server and of the emulator are as they were, but for these roles.
pub(crate) async fn dumps_are_equal(scene: &Scene, before: &Value, roles: &[&str]) {
    assert_eq!(surplus(scene).await, Vec::<String>::new());
    account_is_as_before(scene, before, roles).await;
}

/// The dump of the emulator is as it was, but for these roles.
async fn account_is_as_before(scene: &Scene, before: &Value, roles: &[&str]) {
    let mut now = scene.account().await;
    let account = &mut now["accounts"][&scene.lease.account().id];
    for role in roles {
        assert!(account["roles"].as_object_mut().unwrap().remove(*role).is_some(), "no role {role}");
    }
    assert_eq!(now, *before);
}

/// What the account has: roles, and in every Region registrations and what comes with them.
pub(crate) async fn account(scene: &Scene) -> Value {
    let dump = scene.account().await;
    let account = &dump["accounts"][&scene.lease.account().id];
    let region = &account["regions"][scene.lease.region()];
    let keys = |value: &Value| -> Vec<String> {
        value.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect()
    };
    json!({
        "roles": keys(&account["roles"]),
        "registrations": keys(&region["registrations"]),
        "activations": keys(&region["activations"]),
    })
}

/// Nothing is left but these roles.
async fn nothing_left(scene: &Scene, roles: &[&str]) {
    assert_eq!(surplus(scene).await, Vec::<String>::new());
    let expected = json!({ "roles": roles, "registrations": [], "activations": [] });
    assert_eq!(account(scene).await, expected);
}

const OUR_ROLES: [&str; 2] = ["amazoneksconnectoragentrole", "awsserviceroleforamazoneksconnector"];

#[tokio::test]
async fn a_registration_of_ours_goes_without_a_trace() {
    let scene = Scene::new().await;
    let before = scene.account().await;
    scene.register(&[]).await.expect(0);
    // It asks, and nobody is there to answer.
    let run = scene.run(&["deregister"]).await.expect_error("EKSC0112", 3);
    run.says(&[
        "registration onprem1 (ACTIVE, OTHER",
        "Namespace eks-connector with the",
        "nobody can look into",
    ]);
    assert_eq!(scene.registrations().await.len(), 1);

    let plan = scene.run(&["deregister", "--dry-run", "-o", "json"]).await.expect(0).json();
    assert_eq!(plan["registration"]["name"], "onprem1");
    scene.run(&["deregister", "--dry-run", "--detailed-exitcode"]).await.expect(7);
    assert_eq!(scene.registrations().await.len(), 1, "a dry run");

    let run = scene.run(&["deregister", "--yes"]).await.expect(0);
    assert!(run.stdout.contains("onprem1 is gone from account"), "{}", run.stdout);
    dumps_are_equal(&scene, &before, &OUR_ROLES).await;

    // Again there is nothing, which is said, unless that is as good.
    scene.run(&DEREGISTER).await.expect_error("EKSC0460", 3).says(&["--allow-missing"]);
    scene.run(&["deregister", "--yes"]).await.expect_error("EKSC0460", 3);
    let run =
        scene.run(&[&DEREGISTER[..], &["--allow-missing", "-o", "json"]].concat()).await.expect(0).json();
    assert_eq!((&run["changed"], &run["done"]), (&json!(false), &json!([])));
}

#[tokio::test]
async fn both_roles_go_if_asked_and_nothing_else_needs_them() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let all = [&DEREGISTER[..], &["--delete-role", "--delete-service-linked-role"]].concat();
    // Another registration, in another Region.
    let file = scene.lease.home().join("other.json");
    // One that the account has not enabled cannot have any.
    let change = SettingsChange {
        account: Some(scene.lease.account().id.clone()),
        region: Some("il-central-1".to_owned()),
        settings: SettingsPatch { disabled: Some(true), ..SettingsPatch::default() },
    };
    scene.lease.aws().change_settings(change).await.unwrap();
    let other = ["register", "--name", "onprem2", "--provider", "GKE", "--region", "us-east-2", "--aws-only"];
    let other = [&other[..], &["--activation-out", file.to_str().unwrap()]].concat();
    scene.run(&other).await.expect(0);
    let run = scene.run(&all).await.expect_error("EKSC0464", 3);
    run.says(&["the registration onprem2 in us-east-2 uses it"]);
    let linked = [&DEREGISTER[..], &["--delete-service-linked-role"]].concat();
    scene.run(&linked).await.expect_error("EKSC0464", 3).says(&["onprem2 in us-east-2"]);
    assert_eq!(scene.registrations().await.len(), 1, "nothing was changed");
    // A Region that cannot be read may have one too.
    scene
        .run(&["deregister", "--name", "onprem2", "--aws-only", "--yes", "--region", "us-east-2"])
        .await
        .expect(0);
    scene.refuse("eks", "ListClusters", 403, "AccessDeniedException", "no").await;
    scene.run(&all).await.expect_error("EKSC0207", 1).says(&["eks:ListClusters"]);
    scene.heal().await;
    scene.run(&all).await.expect(0);
    nothing_left(&scene, &[]).await;
}

#[tokio::test]
async fn a_role_that_others_made_stays() {
    let scene = Scene::new().await;
    let before = scene.account().await;
    let activation = scene.register_by_hand("Theirs").await;
    kubectl_apply(&scene, OFFICIAL, &activation).await;
    until_active(&scene, NAMESPACE).await;
    let run = scene.run(&[&DEREGISTER[..], &["--delete-role"]].concat()).await.expect_error("EKSC0464", 3);
    run.says(&["the role Theirs", "neither eksconnect nor eksctl made it"]);
    assert_eq!(scene.registrations().await.len(), 1);
    // Without it, what the official manifest made goes without a trace.
    scene.run(&["deregister", "--yes"]).await.expect(0);
    dumps_are_equal(&scene, &before, &["awsserviceroleforamazoneksconnector", "theirs"]).await;
}

#[tokio::test]
async fn what_eksctl_made_goes_without_a_trace_role_and_grants_included() {
    let scene = Scene::new().await;
    let before = scene.account().await;
    let activation = scene.register_by_hand("eksctl-20261125").await;
    scene.as_eksctl("eksctl-20261125").await;
    kubectl_apply(&scene, OFFICIAL, &activation).await;
    kubectl_apply(&scene, EKSCTL_GRANTS, &activation).await;
    until_active(&scene, NAMESPACE).await;
    scene.run(&["deregister", "--yes", "--delete-role"]).await.expect(0);
    dumps_are_equal(&scene, &before, &["awsserviceroleforamazoneksconnector"]).await;
}

#[tokio::test]
async fn what_helm_installed_goes_and_its_namespace_stays() {
    let scene = Scene::new().await;
    let before = scene.account().await;
    let activation = scene.register_by_hand("Theirs").await;
    helm_install(&scene, &activation).await;
    until_active(&scene, "tools").await;
    let run = scene.run(&["deregister", "--yes"]).await.expect(0);
    run.says(&["Namespace tools is kept: it was not made for the connector"]);
    let left = surplus(&scene).await;
    assert_eq!(
        left,
        ["ConfigMap tools/kube-root-ca.crt", "Namespace /tools", "ServiceAccount tools/default"]
    );
    account_is_as_before(&scene, &before, &["awsserviceroleforamazoneksconnector", "theirs"]).await;
}

#[tokio::test]
async fn what_was_adopted_in_anothers_namespace_leaves_no_mark_on_it() {
    let scene = Scene::new().await;
    let activation = scene.register_by_hand("Theirs").await;
    helm_install(&scene, &activation).await;
    until_active(&scene, "tools").await;
    let adopt = ["--role-name", "Theirs", "--namespace", "tools", "--adopt", "--yes"];
    scene.register(&adopt).await.expect(0);
    scene.run(&["deregister", "--yes"]).await.expect(0);
    let left = surplus(&scene).await;
    assert_eq!(
        left,
        ["ConfigMap tools/kube-root-ca.crt", "Namespace /tools", "ServiceAccount tools/default"]
    );
    let namespaces: Api<Namespace> = Api::all(scene.client().await);
    let annotations = namespaces.get("tools").await.unwrap().metadata.annotations.unwrap_or_default();
    assert!(!annotations.keys().any(|key| key.starts_with("eksconnect/")), "{annotations:?}");
}

#[tokio::test]
async fn what_is_not_the_connectors_stays_and_is_named() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let client = scene.client().await;
    let mine: ConfigMap = serde_json::from_value(json!({ "metadata": { "name": "mine" } })).unwrap();
    Api::namespaced(client.clone(), NAMESPACE).create(&PostParams::default(), &mine).await.unwrap();
    let account = json!({ "kind": "ServiceAccount", "name": "eks-connector", "namespace": NAMESPACE });
    let principal = json!({
        "kind": "User", "name": "arn:aws:iam::111122223333:user/ana", "apiGroup": "rbac.authorization.k8s.io",
    });
    let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
    for (name, subjects) in [
        (
            "shared",
            json!([account, { "kind": "Group", "name": "ops", "apiGroup": "rbac.authorization.k8s.io" }]),
        ),
        ("lent", json!([account])),
        ("theirs", json!([principal])),
    ] {
        let binding = json!({
            "metadata": { "name": name },
            "subjects": subjects,
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view" },
        });
        bindings.create(&PostParams::default(), &serde_json::from_value(binding).unwrap()).await.unwrap();
    }
    let run = scene.run(&["deregister", "--yes"]).await.expect(0);
    run.says(&[
        "Namespace eks-connector is kept: it has what is not the connector's (ConfigMap mine)",
        "ClusterRoleBinding shared names the connector's service account beside others and is kept",
        "ClusterRoleBinding theirs gives view to an IAM principal and is kept",
    ]);
    assert_eq!(
        surplus(&scene).await,
        [
            "ClusterRoleBinding /shared",
            "ClusterRoleBinding /theirs",
            "ConfigMap eks-connector/kube-root-ca.crt",
            "ConfigMap eks-connector/mine",
            "Namespace /eks-connector",
            "ServiceAccount eks-connector/default",
        ]
    );
    let roles: Api<ClusterRole> = Api::all(client);
    roles.get("view").await.unwrap();
    // And it can be registered there again.
    scene.register(&[]).await.expect(0);
}

#[tokio::test]
async fn one_side_alone() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    scene.run(&["deregister", "--aws-only", "--yes"]).await.expect(2);
    let mut blind = scene.environment();
    blind.remove("KUBECONFIG");
    let mut command = scene.command(&["deregister", "--name", "onprem1", "--aws-only", "--yes"]);
    let output = command.env_remove("KUBECONFIG").output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(account(&scene).await["registrations"], json!([]));
    assert!(scene.namespace_exists().await);

    let run = scene.run(&["deregister", "--name", "other", "--cluster-only", "--yes"]).await;
    run.expect_error("EKSC0461", 3).says(&["says that it belongs to", "cluster/onprem1"]);
    let mut command = scene.command(&["deregister", "--cluster-only", "--yes"]);
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"] {
        command.env_remove(name);
    }
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    nothing_left(&scene, &OUR_ROLES).await;
}

#[tokio::test]
async fn another_cluster_behind_the_name_or_the_context_is_refused() {
    let [one, mut other] = Scene::two().await;
    one.register(&[]).await.expect(0);
    for (name, value) in one.lease.env() {
        if name.starts_with("AWS_") {
            other.set(&name, &value);
        }
    }
    // The right name, the wrong context: first an empty cluster, then one that has a registration of its own.
    other.run(&DEREGISTER).await.expect_error("EKSC0461", 3).says(&["UID", "--aws-only"]);
    other.run(&["register", "--name", "onprem2"]).await.expect(0);
    other.run(&DEREGISTER).await.expect_error("EKSC0461", 3);
    let run = other.run(&["deregister", "--name", "onprem3", "--yes"]).await.expect_error("EKSC0461", 3);
    run.says(&["this cluster belongs to another one", "--name onprem2"]);
    // Another Region: the cluster tells where its registration is.
    let run = other.run(&["deregister", "--yes", "--region", "us-west-2"]).await.expect_error("EKSC0462", 3);
    run.says(&["eu-west-1", "cluster/onprem2"]);
    assert_eq!(one.registrations().await.len(), 2);
    // Without a name each context finds its own.
    other.run(&["deregister", "--yes"]).await.expect(0);
    assert_eq!(one.registrations().await.keys().collect::<Vec<_>>(), ["onprem1"]);
}

#[tokio::test]
async fn a_connector_whose_registration_is_gone_is_only_removed_when_asked() {
    let scene = Scene::new().await;
    let activation = scene.register_by_hand("Theirs").await;
    kubectl_apply(&scene, OFFICIAL, &activation).await;
    until_active(&scene, NAMESPACE).await;
    scene.deregister_by_hand().await;
    let run = scene.run(&["deregister", "--yes"]).await.expect_error("EKSC0462", 3);
    run.says(&[&activation.id, "--cluster-only"]);
    assert!(scene.namespace_exists().await);
    scene.run(&["deregister", "--cluster-only", "--yes"]).await.expect(0);
    assert_eq!(surplus(&scene).await, Vec::<String>::new());

    // One of ours says itself to which it belonged: then no more is to be asked.
    scene.register(&["--role-name", "Theirs"]).await.expect(0);
    scene.deregister_by_hand().await;
    scene.run(&["deregister", "--yes"]).await.expect(0);
    assert_eq!(surplus(&scene).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_registration_whose_namespace_is_gone_is_found_by_its_tag() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let namespaces: Api<Namespace> = Api::all(scene.client().await);
    namespaces.delete(NAMESPACE, &DeleteParams::default()).await.unwrap();
    until("it is gone", || async { namespaces.get_opt(NAMESPACE).await.unwrap().is_none() }).await;
    scene.run(&["deregister", "--yes"]).await.expect(0);
    nothing_left(&scene, &OUR_ROLES).await;
}

#[tokio::test]
async fn a_namespace_that_does_not_go_is_explained_by_what_holds_it() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let maps: Api<ConfigMap> = Api::namespaced(scene.client().await, NAMESPACE);
    let held = json!({ "metadata": { "finalizers": ["example.com/wait"] } });
    maps.patch("eks-connector-agent", &PatchParams::default(), &Patch::Merge(held)).await.unwrap();
    let command = [&DEREGISTER[..], &["--wait-timeout", "12s"]].concat();
    let run = scene.run(&command).await.expect_error("EKSC0463", 4);
    let run = run
        .says(&["ConfigMap eks-connector-agent waits for its finalizers: example.com/wait", "Left in place"]);
    assert!(!run.stderr.contains("may be gone already"), "it was seen:\n{}", run.stderr);
    // Again it goes on waiting, though nothing else is left to tell whose it was.
    scene.run(&command).await.expect_error("EKSC0463", 4);
    let free = json!({ "metadata": { "finalizers": null } });
    maps.patch("eks-connector-agent", &PatchParams::default(), &Patch::Merge(free)).await.unwrap();
    scene.run(&[&DEREGISTER[..], &["--allow-missing"]].concat()).await.expect(0);
    nothing_left(&scene, &OUR_ROLES).await;
}

#[tokio::test]
async fn two_at_once_end_well_and_so_does_registering_at_the_same_time() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let (one, other) = tokio::join!(scene.run(&DEREGISTER), scene.run(&DEREGISTER));
    assert!([&one, &other].iter().any(|run| run.code == Some(0)), "{one:?}\n{other:?}");
    for run in [&one, &other] {
        let refused = ["error[EKSC0408]", "error[EKSC0460]"].iter().any(|code| run.stderr.contains(code));
        assert!(run.code == Some(0) || refused, "{run:?}");
    }
    scene.run(&[&DEREGISTER[..], &["--allow-missing"]].concat()).await.expect(0);
    nothing_left(&scene, &OUR_ROLES).await;

    scene.register(&[]).await.expect(0);
    let (down, up) = tokio::join!(scene.run(&DEREGISTER), scene.register(&[]));
    for run in [&down, &up] {
        assert!(!run.stderr.contains("EKSC09"), "{run:?}");
        assert!(matches!(run.code, Some(0 | 1 | 3 | 5)), "{run:?}");
    }
    // Whichever came first, each of the two can be had afterwards.
    scene.run(&[&DEREGISTER[..], &["--allow-missing"]].concat()).await.expect(0);
    nothing_left(&scene, &OUR_ROLES).await;
    scene.register(&[]).await.expect(0);
}

#[tokio::test]
async fn a_failure_half_way_lists_what_is_left_and_the_same_command_finishes() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let grants = EKSCTL_GRANTS;
    kubectl_apply(&scene, grants, &crate::by_hand::Activation { id: String::new(), code: String::new() })
        .await;
    scene.fail("eks", "DeregisterCluster", FaultKind::Reset).await;
    let kubeconfig = scene.lease.kubeconfig().to_str().unwrap().to_owned();
    let there = [&DEREGISTER[..], &["--kubeconfig", &kubeconfig]].concat();
    let run = scene.run(&there).await.expect_error("EKSC0206", 5);
    run.says(&[
        "aws eks deregister-cluster --name onprem1 --region eu-west-1",
        &format!("kubectl --kubeconfig {kubeconfig} delete namespace eks-connector"),
    ]);
    // Impersonation went first.
    assert!(!surplus(&scene).await.contains(&"ClusterRoleBinding /eks-connector-service".to_owned()));
    scene.heal().await;
    scene.run(&DEREGISTER).await.expect(0);
    nothing_left(&scene, &OUR_ROLES).await;
}
