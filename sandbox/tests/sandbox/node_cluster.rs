//! What the node's tests share: one leased cluster for as long as any of them uses it, and a namespace a test.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};

use eksconnect_sandbox::{
    aws::control::AccountSpec,
    node::{Options, Speed},
    pool::{Lease, LeaseOptions, lease},
};
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Namespace, Pod};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::support::aws_caller::AwsCaller;

/// How long anything may take that the tests wait for. Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(90);

/// The lease that the node's tests share. It is given back with the last of them, so that other tests get their turn.
async fn shared() -> Arc<Lease> {
    static SHARED: Mutex<Weak<Lease>> = Mutex::const_new(Weak::new());
    let mut shared = SHARED.lock().await;
    if let Some(lease) = shared.upgrade() {
        return lease;
    }
    let fresh = Arc::new(lease(LeaseOptions::default()).await.unwrap());
    *shared = Arc::downgrade(&fresh);
    fresh
}

/// A namespace of the shared cluster.
pub(crate) struct Playground {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    lease: Arc<Lease>,
    directory: tempfile::TempDir,
}

impl Playground {
    /// A new namespace with its service account, so that pods can be created.
    pub(crate) async fn new() -> Self {
        Self::with_labels(json!({})).await
    }

    /// A new namespace with labels.
    pub(crate) async fn with_labels(labels: Value) -> Self {
        Self::named(format!("test-{}", Uuid::new_v4().simple()), labels).await
    }

    /// A namespace of a name that no other test uses.
    pub(crate) async fn named(namespace: String, labels: Value) -> Self {
        let lease = shared().await;
        let client = lease.client().await.unwrap();
        let playground = Self { client, namespace, lease, directory: tempfile::tempdir().unwrap() };
        let object: Namespace =
            serde_json::from_value(json!({ "metadata": { "name": playground.namespace, "labels": labels } }))
                .unwrap();
        Api::all(playground.client.clone()).create(&PostParams::default(), &object).await.unwrap();
        let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> = playground.api();
        eventually("the default service account", async || {
            accounts.get_opt("default").await.unwrap().ok_or("none".to_owned())
        })
        .await;
        playground
    }

    /// An API of the namespace.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Creates an object in the namespace.
    pub(crate) async fn create<K>(&self, object: Value) -> K
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + serde::Serialize
            + serde::de::DeserializeOwned,
    {
        let object: K = serde_json::from_value(object).unwrap();
        self.api().create(&PostParams::default(), &object).await.unwrap()
    }

    /// Creates a pod of a name and a spec.
    pub(crate) async fn pod(&self, name: &str, spec: Value) -> Pod {
        self.create(json!({ "metadata": { "name": name }, "spec": spec })).await
    }

    /// Options of a further node of this cluster.
    pub(crate) fn node_options(&self, name: &str) -> Options {
        Options {
            client: self.client.clone(),
            api_server: self.lease.cluster().server().to_owned(),
            name: name.to_owned(),
            arch: "amd64".to_owned(),
            labels: BTreeMap::new(),
            taints: Vec::new(),
            provider_id: None,
            aws_endpoint: self.lease.endpoint().to_owned(),
            speed: Speed::default(),
            work_dir: self.directory.path().join(name),
        }
    }

    /// A caller of a new account of the AWS that the nodes' pods reach.
    pub(crate) async fn aws(&self) -> AwsCaller {
        let account = self.lease.aws().create_account(AccountSpec::default()).await.unwrap();
        AwsCaller {
            endpoint: self.lease.endpoint().to_owned(),
            account: account.id,
            region: self.lease.region().to_owned(),
            access_key_id: account.access_key_id,
            secret_access_key: account.secret_access_key,
            session_token: account.session_token,
            host: None,
        }
    }

    /// Asks the connector of a pod, on whichever node it is.
    pub(crate) async fn ask_connector(&self, pod: &Pod, identity: Option<&str>, path: &str) -> (u16, String) {
        let name = pod.spec.as_ref().unwrap().node_name.as_deref().unwrap();
        let node = self.lease.nodes().iter().find(|node| node.name() == name).unwrap();
        node.ask_connector(&pod.uid().unwrap(), identity, "GET", path).await.unwrap()
    }

    /// Waits until a pod is as wanted.
    pub(crate) async fn pod_until(&self, name: &str, what: &str, wanted: impl Fn(&Pod) -> bool) -> Pod {
        let pods: Api<Pod> = self.api();
        eventually(what, async || match pods.get_opt(name).await.unwrap() {
            Some(pod) if wanted(&pod) => Ok(pod),
            pod => Err(format!("{:#?}", pod.and_then(|pod| pod.status))),
        })
        .await
    }

    /// Waits for a pod's event.
    pub(crate) async fn event(&self, pod: &str, reason: &str, part: &str) -> Event {
        let events: Api<Event> = self.api();
        let of_pod = ListParams::default().fields(&format!("involvedObject.name={pod}"));
        eventually(&format!("event {reason} with {part}"), async || {
            let list = events.list(&of_pod).await.unwrap();
            list.iter()
                .find(|event| {
                    event.reason.as_deref() == Some(reason)
                        && event.message.as_deref().unwrap_or_default().contains(part)
                })
                .cloned()
                .ok_or_else(|| {
                    let seen = list.iter().map(|event| (event.reason.clone(), event.message.clone()));
                    format!("{:#?}", seen.collect::<Vec<_>>())
                })
        })
        .await
    }

    /// A container's log, through the API server.
    pub(crate) async fn logs(&self, pod: &str, container: &str) -> String {
        let parameters = kube::api::LogParams { container: Some(container.to_owned()), ..Default::default() };
        self.api::<Pod>().logs(pod, &parameters).await.unwrap()
    }

    /// Deletes a pod with its own grace period and waits until it is gone.
    pub(crate) async fn delete_pod(&self, name: &str) {
        let pods: Api<Pod> = self.api();
        pods.delete(name, &DeleteParams::default()).await.unwrap();
        eventually("the pod's end", async || match pods.get_opt(name).await.unwrap() {
            None => Ok(()),
            Some(pod) => Err(format!("{pod:#?}")),
        })
        .await;
    }
}

/// Tries until something is there.
///
/// # Panics
///
/// With what was last seen, when it takes too long.
pub(crate) async fn eventually<T>(what: &str, attempt: impl AsyncFn() -> Result<T, String>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(seen) => assert!(tokio::time::Instant::now() < deadline, "no {what}; last seen: {seen}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A pod's phase.
pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// Whether a condition of a pod holds.
pub(crate) fn holds(pod: &Pod, condition: &str) -> bool {
    pod.status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten())
        .any(|present| present.type_ == condition && present.status == "True")
}

/// The status of a container, main or init.
pub(crate) fn container<'a>(pod: &'a Pod, name: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    status
        .init_container_statuses
        .iter()
        .flatten()
        .chain(status.container_statuses.iter().flatten())
        .find(|container| container.name == name)
}

/// Why a container waits.
pub(crate) fn waiting<'a>(pod: &'a Pod, name: &str) -> Option<(&'a str, &'a str)> {
    let waiting = container(pod, name)?.state.as_ref()?.waiting.as_ref()?;
    Some((waiting.reason.as_deref().unwrap_or_default(), waiting.message.as_deref().unwrap_or_default()))
}

/// `NAME_NAMESPACE(UID)`.
pub(crate) fn pod_text(pod: &Pod) -> String {
    format!("{}_{}({})", pod.name_any(), pod.namespace().unwrap(), pod.uid().unwrap())
}
