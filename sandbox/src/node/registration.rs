//! The Node object and its heartbeat.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::Context as _;
use k8s_openapi::{
    api::core::v1::{
        DaemonEndpoint, Node, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeSpec, NodeStatus,
        NodeSystemInfo,
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{ObjectMeta, Time},
    },
    jiff::Timestamp,
};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use uuid::Uuid;

use super::{Kubelet, Options};

/// Makes or takes over the Node object and reports it ready.
pub(super) async fn register(options: &Options, port: u16) -> anyhow::Result<()> {
    let nodes: Api<Node> = Api::all(options.client.clone());
    let version = options.client.apiserver_version().await.context("cannot read the API server's version")?;
    let labels: BTreeMap<String, String> = [
        ("kubernetes.io/hostname", options.name.as_str()),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", &options.arch),
        ("beta.kubernetes.io/os", "linux"),
        ("beta.kubernetes.io/arch", &options.arch),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .chain(options.labels.clone())
    .collect();
    let node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": ObjectMeta { name: Some(options.name.clone()), labels: Some(labels), ..Default::default() },
        "spec": NodeSpec {
            provider_id: options.provider_id.clone(),
            taints: (!options.taints.is_empty()).then(|| options.taints.clone()),
            ..Default::default()
        },
    });
    nodes
        .patch(&options.name, &PatchParams::apply("kubelet").force(), &Patch::Apply(&node))
        .await
        .with_context(|| format!("cannot register the node {}", options.name))?;

    let resources: BTreeMap<String, Quantity> =
        [("cpu", "8"), ("memory", "32Gi"), ("ephemeral-storage", "100Gi"), ("pods", "110")]
            .into_iter()
            .map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned())))
            .collect();
    let machine = Uuid::new_v4();
    let status = NodeStatus {
        // A Hostname address would be asked for logs first, and no resolver knows it.
        addresses: Some(vec![NodeAddress { type_: "InternalIP".into(), address: "127.0.0.1".into() }]),
        capacity: Some(resources.clone()),
        allocatable: Some(resources),
        conditions: Some(conditions(Some(Time(Timestamp::now())))),
        daemon_endpoints: Some(NodeDaemonEndpoints {
            kubelet_endpoint: Some(DaemonEndpoint { port: i32::from(port) }),
        }),

        node_info: Some(NodeSystemInfo {
            architecture: options.arch.clone(),
            boot_id: Uuid::new_v4().to_string(),
            container_runtime_version: "containerd://2.1.4".into(),
            kernel_version: "6.12.0-sandbox".into(),
            kube_proxy_version: String::new(),
            kubelet_version: version.git_version,
            machine_id: machine.simple().to_string(),
            operating_system: "linux".into(),
            os_image: "eksconnect sandbox".into(),
            system_uuid: machine.to_string(),
            ..Default::default()
        }),
        ..Default::default()
    };
    report(&nodes, &options.name, &status).await
}

/// Reports the node ready every ten seconds, and registers it again when somebody deleted it. A kubelet does the
/// former only; the sandbox also the latter, so that a test that deletes a Node does not spoil the world for the next.
pub(super) async fn keep_ready(kubelet: Arc<Kubelet>, options: Options, port: u16) {
    let nodes: Api<Node> = Api::all(kubelet.client.clone());
    loop {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let status = NodeStatus { conditions: Some(conditions(None)), ..Default::default() };
        let reported = match nodes.get_opt(&kubelet.name).await {
            Ok(None) => register(&options, port).await,
            Ok(Some(_)) => report(&nodes, &kubelet.name, &status).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = reported {
            tracing::debug!(%error, node = kubelet.name, "node status not reported");
        }
    }
}

async fn report(nodes: &Api<Node>, name: &str, status: &NodeStatus) -> anyhow::Result<()> {
    nodes
        .patch_status(name, &PatchParams::default(), &Patch::Strategic(json!({ "status": status })))
        .await
        .with_context(|| format!("cannot report the status of the node {name}"))?;
    Ok(())
}

/// The node's conditions. Without a time of change the one that was reported stays.
fn conditions(since: Option<Time>) -> Vec<NodeCondition> {
    [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ]
    .into_iter()
    .map(|(type_, status, reason, message)| NodeCondition {
        type_: type_.into(),
        status: status.into(),
        reason: Some(reason.into()),
        message: Some(message.into()),
        last_heartbeat_time: Some(Time(Timestamp::now())),
        last_transition_time: since.clone(),
    })
    .collect()
}
