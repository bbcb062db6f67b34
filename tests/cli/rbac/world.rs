//! Random rules in a real cluster, and what the product reads of them, once the API server decides by them.

use std::time::Duration;

use eksconnect::kubernetes::{ClusterSettings, KubernetesCluster, connect};
use eksconnect::ports::Access;
use eksconnect::rbac::{Role, Rule, Snapshot};
use futures::stream::{self, StreamExt, TryStreamExt};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, RoleBinding};
use kube::api::PostParams;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::objects::{NAMESPACES, Objects};
use crate::support::{Scene, until};

/// How many requests run at once.
pub(super) const AT_ONCE: usize = 16;

/// Who is allowed something only by what is made last.
const SENTINEL: &str = "sentinel";

/// What the product reads in that cluster.
pub(super) async fn snapshot(scene: &Scene) -> Snapshot {
    let settings = ClusterSettings {
        kubeconfig: Some(scene.lease.kubeconfig()),
        from_environment: Vec::new(),
        context: None,
        attempt_timeout: Duration::from_secs(30),
        plugin_timeout: Duration::from_secs(30),
    };
    KubernetesCluster::new(connect(&settings).await.unwrap()).rules().await.unwrap()
}

/// Makes the objects and waits until the API server decides by all of them.
pub(super) async fn load(scene: &Scene, client: &Client, objects: &Objects) {
    let namespaces = NAMESPACES
        .map(|name| serde_json::from_value::<Namespace>(json!({ "metadata": { "name": name } })).unwrap());
    create(namespaces.iter().map(|object| (Api::all(client.clone()), object))).await;
    create(objects.cluster_roles.iter().map(|object| (Api::all(client.clone()), object))).await;
    create(objects.roles.iter().map(|object| (namespaced(client, object), object))).await;
    create(objects.cluster_bindings.iter().map(|object| (Api::all(client.clone()), object))).await;
    create(objects.bindings.iter().map(|object| (namespaced(client, object), object))).await;
    until("the controller has put roles together", async || {
        let live = snapshot(scene).await;
        live.aggregated().roles.iter().zip(&live.roles).all(|(whole, live)| same_rules(whole, live))
    })
    .await;
    authorizer_has_seen_all(client).await;
}

fn namespaced<K>(client: &Client, object: &K) -> Api<K>
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope>,
    K::DynamicType: Default,
{
    Api::namespaced(client.clone(), object.meta().namespace.as_deref().unwrap())
}

async fn create<'a, K>(objects: impl Iterator<Item = (Api<K>, &'a K)>)
where
    K: Resource + Clone + Serialize + DeserializeOwned + std::fmt::Debug + 'a,
{
    stream::iter(objects)
        .map(async |(api, object)| api.create(&PostParams::default(), object).await.map(drop))
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await
        .unwrap();
}

/// The controller's order depends on when it ran; what a role allows does not depend on the order.
fn same_rules(one: &Role, other: &Role) -> bool {
    let covers = |one: &[Rule], other: &[Rule]| other.iter().all(|rule| one.contains(rule));
    covers(&one.rules, &other.rules) && covers(&other.rules, &one.rules)
}

/// The authorizer watches each of the four kinds by itself and sees the objects of a kind in order: once it has seen
/// the last one of each, it has seen all.
async fn authorizer_has_seen_all(client: &Client) {
    let rule = json!([{ "verbs": ["get"], "apiGroups": ["sentinel.example.com"], "resources": ["cluster", "local"] }]);
    let object = |namespace: Option<&str>, content: Value| {
        let mut object = content;
        object["metadata"] = json!({ "name": SENTINEL, "namespace": namespace });
        object
    };
    let bound = |kind: &str| {
        json!({
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": SENTINEL },
            "subjects": [{ "kind": "User", "name": SENTINEL, "apiGroup": "rbac.authorization.k8s.io" }],
        })
    };
    let role: ClusterRole = serde_json::from_value(object(None, json!({ "rules": rule }))).unwrap();
    create([(Api::all(client.clone()), &role)].into_iter()).await;
    let binding: ClusterRoleBinding = serde_json::from_value(object(None, bound("ClusterRole"))).unwrap();
    create([(Api::all(client.clone()), &binding)].into_iter()).await;
    until("the authorizer has seen what is of the whole cluster", async || {
        asked(client, "cluster", None).await
    })
    .await;
    let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
    bindings.delete(SENTINEL, &kube::api::DeleteParams::default()).await.unwrap();
    until("the authorizer has seen that it is gone", async || !asked(client, "cluster", None).await).await;

    let role: k8s_openapi::api::rbac::v1::Role =
        serde_json::from_value(object(Some("web"), json!({ "rules": rule }))).unwrap();
    create([(namespaced(client, &role), &role)].into_iter()).await;
    let binding: RoleBinding = serde_json::from_value(object(Some("web"), bound("Role"))).unwrap();
    create([(namespaced(client, &binding), &binding)].into_iter()).await;
    until("the authorizer has seen what is in namespaces", async || {
        asked(client, "local", Some("web")).await
    })
    .await;
}

async fn asked(client: &Client, resource: &str, namespace: Option<&str>) -> bool {
    let attributes = json!({
        "verb": "get", "group": "sentinel.example.com", "resource": resource, "namespace": namespace,
    });
    reviewed(client, json!({ "user": SENTINEL, "resourceAttributes": attributes })).await.0
}

/// Whether the API server allows that, and why.
pub(super) async fn reviewed(client: &Client, spec: Value) -> (bool, String) {
    let review: SubjectAccessReview = serde_json::from_value(json!({ "spec": spec })).unwrap();
    let api: Api<SubjectAccessReview> = Api::all(client.clone());
    let status = api.create(&PostParams::default(), &review).await.unwrap().status.unwrap();
    (status.allowed, status.reason.unwrap_or_default())
}
