//! What the cluster's adapter promises and no run can be made to show at will: it writes only what it has seen.

use std::time::Duration;

use eksconnect::kubernetes::{ClusterSettings, KubernetesCluster, connect};
use eksconnect::ports::{Cluster, FailureKind};
use eksconnect::registration::observed::Intent;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use crate::support::{NAMESPACE, Scene};

async fn cluster(scene: &Scene) -> KubernetesCluster {
    let settings = ClusterSettings {
        kubeconfig: Some(scene.lease.kubeconfig()),
        from_environment: Vec::new(),
        context: None,
        attempt_timeout: Duration::from_secs(30),
        plugin_timeout: Duration::from_secs(30),
    };
    let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": NAMESPACE } })).unwrap();
    Api::all(scene.client().await).create(&PostParams::default(), &namespace).await.unwrap();
    KubernetesCluster::new(connect(&settings).await.unwrap())
}

#[tokio::test]
async fn a_code_that_comes_in_between_is_not_taken_away() {
    let scene = Scene::new().await;
    let cluster = cluster(&scene).await;
    let secrets: Api<Secret> = Api::namespaced(scene.client().await, NAMESPACE);
    let with = |code: &str| json!({ "stringData": { "code": code } });
    let mut first = with("the-first-code-of-it");
    first["metadata"] = json!({ "name": "eks-connector-activation-config" });
    secrets.create(&PostParams::default(), &serde_json::from_value(first).unwrap()).await.unwrap();
    let seen = cluster.activation_secret(NAMESPACE).await.unwrap().unwrap();
    assert!(seen.holds_code);
    let params = PatchParams::default();
    let second = with("the-code-of-another-run");
    secrets.patch("eks-connector-activation-config", &params, &Patch::Merge(&second)).await.unwrap();

    let failure = cluster.spend_activation(NAMESPACE, &seen.resource_version).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Conflict, "{failure}");
    assert_eq!(scene.activation_value().await.as_deref(), Some("the-code-of-another-run"));
    let seen = cluster.activation_secret(NAMESPACE).await.unwrap().unwrap();
    cluster.spend_activation(NAMESPACE, &seen.resource_version).await.unwrap();
    assert!(!cluster.activation_secret(NAMESPACE).await.unwrap().unwrap().holds_code);
}

#[tokio::test]
async fn a_lease_that_somebody_else_took_is_lost() {
    let scene = Scene::new().await;
    let cluster = cluster(&scene).await;
    let intent = Intent {
        cluster_arn: "arn".into(),
        role: "Agent".into(),
        provider: "OTHER".into(),
        request_token: "token".into(),
        cluster_uid: "uid".into(),
        started_at: Timestamp::now(),
    };
    let held = cluster.hold_lease(NAMESPACE, None, &intent).await.unwrap();
    assert!(held.is_new() && !held.is_lost());
    // Nobody can take it twice, nor as it was seen before somebody else wrote it.
    let seen = cluster.lease(NAMESPACE).await.unwrap().unwrap();
    assert_eq!(seen.intent.as_ref().map(|intent| intent.provider.as_str()), Some("OTHER"));
    let leases: Api<Lease> = Api::namespaced(scene.client().await, NAMESPACE);
    let theirs = json!({ "spec": { "holderIdentity": "build-7/another-boot/4711/1" } });
    leases.patch("eksconnect", &PatchParams::default(), &Patch::Merge(&theirs)).await.unwrap();
    let other = Intent { request_token: "another".into(), ..intent };
    for version in [None, Some(seen.resource_version.as_str())] {
        let refused = cluster.hold_lease(NAMESPACE, version, &other).await.map(drop).unwrap_err();
        assert_eq!(refused.kind, FailureKind::Conflict, "{refused}");
    }
    assert!(held.release().await.is_err(), "it is not ours to give back");
    assert!(held.is_lost());
    let live = leases.get("eksconnect").await.unwrap().spec.unwrap();
    assert_eq!(live.holder_identity.as_deref(), Some("build-7/another-boot/4711/1"));
}
