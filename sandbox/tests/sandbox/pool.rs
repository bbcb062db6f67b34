//! The pool: whoever leases a cluster finds it as if it were new.

use std::time::Duration;

use eksconnect_sandbox::pool::{CLUSTERS, Lease, LeaseOptions, lease, lease_together};
use eksconnect_sandbox::world::{NodeSpec, SiteSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod};
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::timeout;

async fn create<K>(api: Api<K>, object: serde_json::Value)
where
    K: Resource + Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    let object = serde_json::from_value(object).unwrap();
    api.create(&PostParams::default(), &object).await.unwrap();
}

async fn names<K>(api: Api<K>) -> Vec<String>
where
    K: Resource + Clone + std::fmt::Debug + DeserializeOwned,
{
    api.list(&ListParams::default()).await.unwrap().iter().map(ResourceExt::name_any).collect()
}

/// Everything that a test may leave behind, in a way that does not go away by being deleted once.
async fn make_a_mess(client: &Client) {
    create(Api::<Namespace>::all(client.clone()), json!({ "metadata": { "name": "left-behind" } })).await;
    let inside = |client: &Client| Api::<ConfigMap>::namespaced(client.clone(), "left-behind");
    let held = json!({ "metadata": { "name": "held", "finalizers": ["example.com/nobody-acts-on-this"] } });
    create(inside(client), held).await;
    for namespace in ["left-behind", "default"] {
        let api = Api::<k8s_openapi::api::apps::v1::StatefulSet>::namespaced(client.clone(), namespace);
        let labels = json!({ "app": "left" });
        let container = json!({ "name": "main", "image": "registry.k8s.io/pause:3.10" });
        let set = json!({
            "metadata": { "name": "left" },
            "spec": {
                "replicas": 2,
                "serviceName": "left",
                "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels }, "spec": { "containers": [container] } },
            },
        });
        create(api, set).await;
    }
    // Only with pods that are bound to nodes is the mess complete.
    let pods: Api<Pod> = Api::all(client.clone());
    let bound = async {
        loop {
            let list = pods.list(&ListParams::default()).await.unwrap();
            let bound = list.iter().filter(|pod| pod.spec.as_ref().unwrap().node_name.is_some());
            if bound.count() >= 2 {
                break;
            }
        }
    };
    timeout(Duration::from_secs(60), bound).await.expect("pods are scheduled");

    create(Api::<ClusterRole>::all(client.clone()), json!({ "metadata": { "name": "left-behind" } })).await;
    let definition = json!({
        "metadata": { "name": "lefts.example.com" },
        "spec": {
            "group": "example.com",
            "names": { "plural": "lefts", "kind": "Left" },
            "scope": "Cluster",
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object" } },
            }],
        },
    });
    create(Api::<CustomResourceDefinition>::all(client.clone()), definition).await;
    // Objects of the system that a test changes.
    let roles: Api<ClusterRole> = Api::all(client.clone());
    let none = json!({ "rules": [] });
    roles.patch("system:node", &PatchParams::default(), &Patch::Merge(none)).await.unwrap();
    let nodes: Api<Node> = Api::all(client.clone());
    let node = names(nodes.clone()).await.remove(0);
    let taint = json!({ "spec": { "taints": [{ "key": "left", "effect": "NoSchedule" }] } });
    nodes.patch(&node, &PatchParams::default(), &Patch::Merge(taint)).await.unwrap();
    // Refuses every change of any namespace, so also that it is deleted.
    let webhook = json!({
        "metadata": { "name": "left-behind" },
        "webhooks": [{
            "name": "refuses.example.com",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "clientConfig": { "url": "https://127.0.0.1:1/" },
            "rules": [{ "apiGroups": [""], "apiVersions": ["*"], "resources": ["namespaces"], "operations": ["*"] }],
        }],
    });
    let webhooks: Api<k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration> =
        Api::all(client.clone());
    create(webhooks, webhook).await;
}

async fn assert_like_new(lease: &Lease) {
    let client = lease.client().await.unwrap();
    let mut namespaces = names(Api::<Namespace>::all(client.clone())).await;
    namespaces.sort();
    assert_eq!(namespaces, ["default", "kube-node-lease", "kube-public", "kube-system"]);
    assert_eq!(names(Api::<Pod>::all(client.clone())).await, [""; 0]);
    assert_eq!(names(Api::<CustomResourceDefinition>::all(client.clone())).await, [""; 0]);
    assert!(names(Api::<ConfigMap>::all(client.clone())).await.iter().all(|name| name != "held"));
    let roles: Api<ClusterRole> = Api::all(client.clone());
    assert!(roles.get_opt("left-behind").await.unwrap().is_none());
    assert!(!roles.get("system:node").await.unwrap().rules.unwrap().is_empty());
    for node in Api::<Node>::all(client).list(&ListParams::default()).await.unwrap() {
        assert_eq!(node.spec.unwrap().taints.unwrap_or_default(), []);
    }
}

#[tokio::test]
async fn what_a_lease_leaves_is_gone_for_the_next_one() {
    let mut lease = lease(LeaseOptions::default()).await.unwrap();
    assert_like_new(&lease).await;
    make_a_mess(&lease.client().await.unwrap()).await;
    let (server, account) = (lease.cluster().server().to_owned(), lease.account().id.clone());
    // What happens when it is dropped, with the certainty that it is the same cluster afterwards.
    lease.start_over().await.unwrap();
    assert_like_new(&lease).await;
    assert_eq!(lease.cluster().server(), server);
    assert_ne!(lease.account().id, account);
}

#[tokio::test]
async fn a_panicking_test_gives_its_lease_back() {
    // One more than there are: if none came back the last would wait for ever.
    for _ in 0..=CLUSTERS {
        let held = timeout(Duration::from_secs(120), lease(LeaseOptions::default())).await.unwrap().unwrap();
        let panicking = tokio::spawn(async move {
            let _held = held;
            panic!("on purpose");
        });
        panicking.await.unwrap_err();
    }
}

/// Three tests that want two of three clusters each: with one cluster each they would wait for ever.
#[tokio::test]
async fn several_clusters_are_leased_at_once() {
    let both = || async {
        let two = lease_together(vec![LeaseOptions::default(); 2]).await.unwrap();
        assert_ne!(two[0].cluster().name(), two[1].cluster().name());
        assert_ne!(two[0].account().id, two[1].account().id);
        tokio::task::yield_now().await;
    };
    timeout(Duration::from_secs(180), async { tokio::join!(both(), both(), both()) })
        .await
        .expect("all are served");
    lease_together(vec![LeaseOptions::default(); CLUSTERS + 1]).await.err().unwrap();
}

#[tokio::test]
async fn a_broken_cluster_is_replaced() {
    let broken = lease(LeaseOptions::default()).await.unwrap();
    let name = broken.cluster().name().to_owned();
    for process in broken.cluster().processes() {
        let killed = std::process::Command::new("/bin/sh")
            .args(["-c", "kill -9 \"$1\"", "sh", &process.pid.to_string()])
            .status();
        assert!(killed.unwrap().success());
    }
    timeout(Duration::from_secs(60), broken.cluster().failed()).await.unwrap();
    drop(broken);
    for _ in 0..=CLUSTERS {
        let next = timeout(Duration::from_secs(120), lease(LeaseOptions::default())).await.unwrap().unwrap();
        assert_ne!(next.cluster().name(), name);
        assert_like_new(&next).await;
    }
}

#[tokio::test]
async fn a_cluster_may_be_of_another_kind() {
    let mut site =
        SiteSpec { nodes: vec![NodeSpec { arch: "arm64".to_owned(), ..<_>::default() }], ..<_>::default() };
    site.feature_gates.insert("ConstrainedImpersonation".to_owned(), false);
    let lease = lease(LeaseOptions { site, ..LeaseOptions::default() }).await.unwrap();
    let nodes: Api<Node> = Api::all(lease.client().await.unwrap());
    let nodes = nodes.list(&ListParams::default()).await.unwrap().items;
    assert_eq!(nodes.len(), 1);
    assert_eq!(nodes[0].labels()["kubernetes.io/arch"], "arm64");
}

#[tokio::test]
async fn leases_at_the_same_time_are_apart_and_all_are_served() {
    let served = (0..=CLUSTERS).map(|number| async move {
        let lease = lease(LeaseOptions::default()).await.unwrap();
        let maps: Api<ConfigMap> = Api::default_namespaced(lease.client().await.unwrap());
        let name = format!("of-{number}");
        let map = ConfigMap {
            metadata: ObjectMeta { name: Some(name.clone()), ..<_>::default() },
            ..<_>::default()
        };
        maps.create(&PostParams::default(), &map).await.unwrap();
        let mut seen = names(maps).await;
        seen.retain(|name| name != "kube-root-ca.crt");
        assert_eq!(seen, [name]);
    });
    timeout(Duration::from_secs(180), futures::future::join_all(served)).await.expect("all are served");
}
