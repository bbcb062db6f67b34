//! The options of the agents' workload: what each changes in the live objects, and in what the agents do.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::Role;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};

use crate::support::{NAMESPACE, Scene, until};

async fn stateful_set(scene: &Scene) -> StatefulSet {
    Api::namespaced(scene.client().await, NAMESPACE).get("eks-connector").await.expect("the StatefulSet")
}

async fn pods(scene: &Scene) -> Vec<Pod> {
    let pods: Api<Pod> = Api::namespaced(scene.client().await, NAMESPACE);
    pods.list(&ListParams::default()).await.expect("the pods").items
}

#[tokio::test]
async fn replicas_may_only_be_as_many_as_can_register() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(client.clone(), NAMESPACE);
    scene.register(&["--replicas", "0"]).await.expect(2).says(&["1..=10"]);
    scene.register(&["--replicas", "11"]).await.expect(2);

    scene.register(&["--replicas", "3"]).await.expect(0);
    assert_eq!(pods(&scene).await.len(), 3);
    secrets.get("eks-connector-state-2").await.unwrap();
    let roles: Api<Role> = Api::namespaced(client.clone(), NAMESPACE);
    let rules = roles.get("eks-connector-secret-access").await.unwrap().rules.unwrap();
    assert_eq!(rules[0].resource_names.as_ref().unwrap().len(), 3);
    assert_eq!(scene.activation_value().await.as_deref(), Some("spent"));
    let again = scene.register(&["--replicas", "3"]).await.expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);

    // Fewer, and the budget that would then protect nothing goes too.
    budgets.get("eks-connector").await.unwrap();
    let fewer = scene.register(&["--replicas", "1", "-o", "json"]).await.expect(0).json();
    let done = fewer["done"].to_string();
    assert!(done.contains("delete PodDisruptionBudget eks-connector/eks-connector: deleted"), "{done}");
    assert!(budgets.get_opt("eks-connector").await.unwrap().is_none());
    until("one pod is left", async || pods(&scene).await.len() == 1).await;
    let again = scene.register(&["--replicas", "1"]).await.expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);

    // As many as have their state come back without a code; one more cannot.
    scene.register(&["--replicas", "3"]).await.expect(0);
    let run = scene.register(&["--replicas", "4"]).await.expect_error("EKSC0416", 3);
    run.says(&["eks-connector-state-3", "use --replicas 3"]);
    secrets.delete("eks-connector-state-1", &DeleteParams::default()).await.unwrap();
    scene.register(&["--replicas", "3"]).await.expect_error("EKSC0416", 3).says(&["use --replicas 1"]);
    assert_eq!(stateful_set(&scene).await.spec.unwrap().replicas, Some(3), "nothing was changed");
    assert_eq!(pods(&scene).await.iter().map(ResourceExt::name_any).count(), 3);
}
