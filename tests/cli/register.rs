//! Registering, the straight way, again, and against others.

use eksconnect_sandbox::aws::control::SettingsPatch;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;

use crate::support::{NAMESPACE, Scene};

/// Whether a call of AWS only reads.
fn is_read(call: &str) -> bool {
    [":Get", ":Describe", ":List"].iter().any(|verb| call.contains(verb))
}

#[tokio::test]
async fn a_fresh_cluster_becomes_active_and_again_there_is_nothing_to_do() {
    let scene = Scene::new().await;
    let account = scene.lease.account().id.clone();
    let run = scene.register(&["--tag", "team=platform"]).await.expect(0);
    assert!(run.stdout.starts_with("onprem1 is ACTIVE after "), "{}", run.stdout);
    assert!(run.stdout.contains("\n  eksconnect grant-view --principal self\n"), "{}", run.stdout);
    let run =
        run.says(&[&account, "as user/ana", "eu-west-1", "Kubernetes 1.36.3, 2 nodes linux/amd64", "OTHER"]);
    // What will be changed is shown before the first change is reported.
    let place = |word: &str| run.stderr.find(word).unwrap_or_else(|| panic!("{word}: {}", run.stderr));
    assert!(place(&account) < place("✓ Agent role"));

    let registrations = scene.registrations().await;
    assert_eq!(registrations.len(), 1);
    let registration = &registrations["onprem1"];
    assert_eq!(registration["tags"]["team"], "platform");
    assert_eq!(registration["tags"]["eksconnect:managed"], "true");
    let pods: Api<Pod> = Api::namespaced(scene.client().await, NAMESPACE);
    let pods = pods.list(&ListParams::default()).await.unwrap();
    assert_eq!(pods.items.len(), 2);
    // Nobody holds the Lease, its intent can be read, and the code is gone from the cluster.
    let leases: Api<Lease> = Api::namespaced(scene.client().await, NAMESPACE);
    let lease = leases.get("eksconnect").await.unwrap();
    assert_eq!(lease.spec.unwrap().holder_identity.unwrap_or_default(), "");
    assert!(lease.metadata.annotations.unwrap()["eksconnect/cluster-arn"].ends_with(":cluster/onprem1"));
    assert_eq!(scene.activation_value().await.as_deref(), Some("spent"));

    let before = (scene.account().await, scene.last_call().await);
    let again = scene.register(&["--tag", "team=platform"]).await.expect(0);
    assert_eq!(again.stdout, "onprem1 is ACTIVE and everything is as it should be; nothing to do.\n");
    let mut calls = scene.calls_since(before.1).await;
    calls.sort();
    calls.dedup();
    // The quota is asked for beside the rest, before it is known that nobody needs it.
    let reads = [
        "eks:DescribeCluster",
        "eks:ListClusters",
        "iam:GetRole",
        "iam:GetRolePolicy",
        "servicequotas:GetServiceQuota",
        "sts:GetCallerIdentity",
    ];
    assert!(calls.iter().all(|call| reads.contains(&call.as_str())), "{calls:?}");
    for needed in ["eks:DescribeCluster", "iam:GetRole", "iam:GetRolePolicy", "sts:GetCallerIdentity"] {
        assert!(calls.iter().any(|call| call == needed), "no {needed}: {calls:?}");
    }
    assert_eq!(
        scene.registrations().await,
        before.0["accounts"][&account]["regions"]["eu-west-1"]["registrations"].as_object().unwrap().clone()
    );
}

#[tokio::test]
async fn what_was_deleted_or_changed_is_repaired() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let client = scene.client().await;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let patch = json!({ "data": { "seelog.xml": "changed" } });
    maps.patch("eks-connector-agent", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    let roles: Api<ClusterRole> = Api::all(client.clone());
    roles.delete("eks-connector-cluster-meta-access", &DeleteParams::default()).await.unwrap();

    let run = scene.register(&["-o", "json"]).await.expect(0);
    let result = run.json();
    assert_eq!((&result["kind"], &result["changed"]), (&json!("RegisterResult"), &json!(true)));
    let done = result["done"].to_string();
    assert!(done.contains("ConfigMap eks-connector/eks-connector-agent: changed"), "{done}");
    assert!(done.contains("ClusterRole eks-connector-cluster-meta-access: created"), "{done}");
    assert!(maps.get("eks-connector-agent").await.unwrap().data.unwrap()["seelog.xml"].contains("<seelog"));
    roles.get("eks-connector-cluster-meta-access").await.unwrap();
    assert_eq!(scene.register(&["-o", "json"]).await.expect(0).json()["changed"], false);
}

#[tokio::test]
async fn a_name_that_another_cluster_holds_is_refused_and_nothing_is_changed() {
    let [one, mut other] = Scene::two().await;
    one.register(&[]).await.expect(0);
    // The other cluster, with the first one's account.
    for (name, value) in one.lease.env() {
        if name.starts_with("AWS_") {
            other.set(&name, &value);
        }
    }
    let before = (one.account().await, one.last_call().await);
    let run = other.register(&[]).await.expect_error("EKSC0402", 3);
    run.says(&["onprem1 is held by another registration", "kube-system", "--name"]);
    assert_eq!(one.account().await, before.0);
    assert!(!other.namespace_exists().await);
    let written: Vec<String> =
        one.calls_since(before.1).await.into_iter().filter(|call| !is_read(call)).collect();
    assert_eq!(written, Vec::<String>::new());
}

#[tokio::test]
async fn a_second_name_for_the_same_cluster_is_refused() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let run = scene.run(&["register", "--name", "onprem2"]).await.expect_error("EKSC0403", 3);
    run.says(&["registered already, as onprem1"]);
    assert_eq!(scene.registrations().await.len(), 1);
}

#[tokio::test]
async fn a_dry_run_shows_the_plan_and_changes_nothing() {
    let scene = Scene::new().await;
    let before = scene.account().await;
    let run = scene.register(&["--dry-run"]).await.expect(0);
    for line in [
        "+ role         AWSServiceRoleForAmazonEKSConnector",
        "+ role         AmazonEKSConnectorAgentRole",
        "+ registration onprem1 (OTHER)",
        "+ StatefulSet eks-connector/eks-connector",
        "Nothing was changed.",
    ] {
        assert!(run.stdout.contains(line), "{line}:\n{}", run.stdout);
    }
    let plan = scene.register(&["--dry-run", "-o", "json"]).await.expect(0).json();
    assert_eq!((&plan["kind"], &plan["changes"]), (&json!("RegisterPlan"), &json!(true)));
    assert!(plan["steps"].as_array().unwrap().iter().any(|step| step["action"] == "register onprem1"));
    assert_eq!(scene.account().await, before);
    assert!(!scene.namespace_exists().await);

    scene.register(&[]).await.expect(0);
    let run = scene.register(&["--dry-run"]).await.expect(0);
    assert_eq!(run.stdout, "onprem1 is as it should be; nothing would change.\n");
}

#[tokio::test]
async fn without_waiting_the_next_run_finishes() {
    let scene = Scene::new().await;
    let run = scene.register(&["--no-wait"]).await.expect(0);
    assert!(run.stdout.contains("its agents are starting"), "{}", run.stdout);
    assert_ne!(scene.activation_value().await.as_deref(), Some("spent"));
    let run = scene.register(&[]).await.expect(0);
    assert!(run.stdout.contains("ACTIVE"), "{}", run.stdout);
    assert_eq!(scene.activation_value().await.as_deref(), Some("spent"));
    assert_eq!(scene.registrations().await.len(), 1);
}

#[tokio::test]
async fn options_change_what_they_should() {
    let scene = Scene::new().await;
    let options =
        ["--provider", "gke", "--role-name", "OurAgent", "--namespace", "connect", "--tag", "a=b=c"];
    scene.register(&options).await.expect(0);
    let registration = &scene.registrations().await["onprem1"];
    assert_eq!(registration["provider"], "GKE");
    assert!(registration["role_arn"].as_str().unwrap().ends_with(":role/OurAgent"), "{registration}");
    assert_eq!(registration["tags"]["a"], "b=c");
    let client = scene.client().await;
    Api::<StatefulSet>::namespaced(client.clone(), "connect").get("eks-connector").await.unwrap();
    assert!(Api::<Namespace>::all(client).get_opt(NAMESPACE).await.unwrap().is_none());
    let again = scene.register(&options).await.expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
}

#[tokio::test]
async fn a_given_role_is_used_as_it_is_and_a_missing_one_refused() {
    let scene = Scene::new().await;
    let arn = format!("arn:aws:iam::{}:role/AmazonEKSConnectorAgentRole", scene.lease.account().id);
    scene.register(&["--role-arn", &arn]).await.expect_error("EKSC0405", 3).says(&["does not exist"]);
    scene.register(&[]).await.expect(0);
    let before = scene.last_call().await;
    scene.register(&["--role-arn", &arn]).await.expect(0);
    let calls = scene.calls_since(before).await;
    assert!(calls.iter().all(|call| is_read(call)), "{calls:?}");
}

#[tokio::test]
async fn a_new_role_is_waited_for_until_eks_can_see_it() {
    let scene = Scene::new().await;
    let settings = SettingsPatch {
        iam_propagation_ms: Some(1_500),
        service_linked_role_propagation_ms: Some(1_000),
        ..SettingsPatch::default()
    };
    scene.settings(settings).await;
    let run = scene.register(&[]).await.expect(0);
    let said = run.stderr.matches("waiting until EKS can see the agent role").count();
    assert_eq!(said, 1, "{}", run.stderr);
    let refused: Vec<_> = scene
        .calls()
        .await
        .into_iter()
        .filter(|call| call.operation == "RegisterCluster" && call.status >= 400)
        .filter_map(|call| call.error)
        .collect();
    assert!(!refused.is_empty(), "EKS saw the roles at once: nothing was waited for");
    assert_eq!(scene.registrations().await.len(), 1);
}

#[tokio::test]
async fn a_used_up_quota_is_found_before_any_change() {
    let scene = Scene::new().await;
    let settings = |limit| SettingsPatch { registered_clusters: Some(limit), ..SettingsPatch::default() };
    scene.settings(settings(0)).await;
    let run = scene.register(&[]).await.expect_error("EKSC0404", 3);
    run.says(&["0 clusters are registered in eu-west-1, of 0 that may be", "L-FDFA5F81"]);
    let calls = scene.calls().await;
    assert!(
        !calls.iter().any(|call| call.operation.starts_with("Create") || call.operation == "RegisterCluster")
    );
    assert!(!scene.namespace_exists().await);

    // Where it may not be looked at, EKS says it.
    let message = "is not authorized to perform: servicequotas:GetServiceQuota";
    scene.refuse("servicequotas", "GetServiceQuota", 403, "AccessDeniedException", message).await;
    let run = scene.register(&[]).await.expect_error("EKSC0404", 5);
    run.says(&["L-FDFA5F81", "used up is not known: servicequotas:GetServiceQuota is denied"]);
    scene.heal().await;

    // Clusters that EKS runs itself have a quota of their own; one that is registered already needs no more room.
    scene.lease.aws().add_cluster(&scene.lease.account().id, "eu-west-1", "native").await.unwrap();
    scene.settings(settings(1)).await;
    scene.register(&[]).await.expect(0);
    let again = scene.register(&[]).await.expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
}
