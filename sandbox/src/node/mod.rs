//! The node: plays the kubelet against a real API server.
//!
//! It registers a Node, renews its Lease, takes the pods that the scheduler binds to it, resolves their volumes and
//! environment as a kubelet does, reports states, conditions and events, serves container logs where the API server
//! looks for them, and finishes deletions. Containers are not processes: [`runtime`] has a table of known images, each
//! with a behaviour that sees nothing but its arguments, environment, mounts and service account.
//!
//! Left out on purpose, because nothing in the sandbox needs it: probes (a running container is ready), resource
//! limits, volumes other than Secret, ConfigMap, projected, downward API and emptyDir, exec, attach, port-forward.

mod container;
mod dispatch;
mod environment;
mod events;
mod expansion;
mod images;
mod lease;
mod logs;
mod pod;
mod registration;
pub mod runtime;
mod server;
mod status;
mod volumes;

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{Pod, Service, Taint};
use kube::{Api, Client, ResourceExt};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::{events::Events, images::ImageStore, logs::LogRegistry, runtime::Surroundings, server::Endpoint};

/// What a node is and where it lives.
#[derive(Clone)]
pub struct Options {
    /// Client of the API server, with the rights of a cluster administrator.
    pub client: Client,
    /// URL of the API server as the node reaches it, such as `https://127.0.0.1:6443`. Pods see the `kubernetes`
    /// Service's address instead; the node carries what they send there to this URL, as kube-proxy does.
    pub api_server: String,
    /// Name of the Node object.
    pub name: String,
    /// Architecture in Go's names: `amd64` or `arm64`.
    pub arch: String,
    /// More labels for the Node, beside those that a kubelet sets.
    pub labels: BTreeMap<String, String>,
    /// Taints of the Node.
    pub taints: Vec<Taint>,
    /// `spec.providerID`, such as `gce://project/zone/instance`.
    pub provider_id: Option<String>,
    /// URL of the AWS emulator, such as `http://127.0.0.1:4566`: what pods send to AWS goes there, with the real `Host`.
    pub aws_endpoint: String,
    /// How much quicker than a kubelet it is.
    pub speed: Speed,
    /// Directory for the pods' files. Made if missing; pods' directories are removed with their pods.
    pub work_dir: PathBuf,
}

/// The kubelet's waiting times, scaled so that tests are quick.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    /// First back-off after a container failed twice, or an image could not be pulled (kubelet: 10 s). It doubles.
    pub back_off: Duration,
    /// Longest back-off (kubelet: 5 min).
    pub back_off_cap: Duration,
    /// How long a refused mount or container configuration waits before it is tried again.
    pub retry: Duration,
    /// How often mounted Secrets, ConfigMaps and tokens are brought up to date (kubelet: about 60 s).
    pub volume_refresh: Duration,
    /// Longest time that a container gets to end by itself, however long its pod's grace period.
    pub grace_cap: Duration,
    /// How often the agent opens its control channel anew.
    pub channel_renewal: Duration,
}

impl Default for Speed {
    fn default() -> Self {
        Self {
            back_off: Duration::from_millis(200),
            back_off_cap: Duration::from_secs(5),
            retry: Duration::from_millis(500),
            volume_refresh: Duration::from_secs(5),
            grace_cap: Duration::from_secs(1),
            channel_renewal: Duration::from_secs(30),
        }
    }
}

/// What every part of the node shares.
struct Kubelet {
    client: Client,
    name: String,
    arch: String,
    speed: Speed,
    work_dir: PathBuf,
    events: Events,
    images: ImageStore,
    logs: LogRegistry,
    surroundings: Arc<Surroundings>,
    addresses: AtomicU32,
}

impl Kubelet {
    /// The next pod address, of this node's own range. Nothing listens there.
    fn next_address(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.addresses.fetch_add(1, Ordering::Relaxed))
    }
}

/// A running node. Its tasks end when it is dropped; the Node object stays, and turns NotReady after a while, as when a
/// machine is switched off.
pub struct Node {
    kubelet: Arc<Kubelet>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    _endpoint: Endpoint,
}

impl Node {
    /// Registers the node and starts to work for it.
    ///
    /// # Errors
    ///
    /// When the log endpoint cannot be served, the API server refuses the Node, or the `kubernetes` Service does not
    /// appear within half a minute.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tokio::fs::create_dir_all(&options.work_dir)
            .await
            .with_context(|| format!("cannot make the node's directory {}", options.work_dir.display()))?;

        let (service_host, service_port) = kubernetes_service(&options.client).await?;
        let (events, event_writer) = Events::new(options.client.clone(), options.name.clone());
        tasks.spawn(event_writer);
        let kubelet = Arc::new(Kubelet {
            client: options.client.clone(),
            name: options.name.clone(),
            arch: options.arch.clone(),
            speed: options.speed,
            work_dir: options.work_dir.clone(),
            events,
            images: ImageStore::default(),
            logs: LogRegistry::default(),
            surroundings: Arc::new(Surroundings::new(
                &options,
                options.api_server.parse().with_context(|| format!("bad URL {}", options.api_server))?,
                service_host,
                service_port,
            )),
            addresses: AtomicU32::new(pod_range(&options.name)),
        });

        let endpoint = server::serve(kubelet.clone(), &mut tasks).await?;
        let port = endpoint.port;
        registration::register(&options, port).await?;
        tasks.spawn(registration::keep_ready(kubelet.clone(), options.clone(), port));
        tasks.spawn(lease::renew(options.client.clone(), options.name.clone()));
        tasks.spawn(dispatch::run(kubelet.clone(), stop.child_token()));
        Ok(Self { kubelet, stop, tasks, _endpoint: endpoint })
    }

    /// Name of the Node object.
    pub fn name(&self) -> &str {
        &self.kubelet.name
    }

    /// Ends the node's tasks and waits until they are gone. The Node object stays.
    pub async fn stop(mut self) {
        self.stop.cancel();
        self.tasks.shutdown().await;
    }

    /// Asks the connector of a pod on this node as the EKS console does: through the agent's open control channel and
    /// the connector's socket. `pod` is a UID, a name, or `namespace/name`. `identity` is the ARN that EKS puts into
    /// `x-aws-eks-identity-arn`.
    ///
    /// # Errors
    ///
    /// When no such pod is here, its agent holds no control channel, or no connector listens where the agent looks.
    pub async fn ask_connector(
        &self,
        pod: &str,
        identity: Option<&str>,
        method: &str,
        path: &str,
    ) -> anyhow::Result<(u16, String)> {
        self.kubelet.surroundings.channels.ask(pod, identity, method, path).await
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Address and port of the `kubernetes` Service, which pods get as environment. The API server makes it just after it
/// became ready.
async fn kubernetes_service(client: &Client) -> anyhow::Result<(String, u16)> {
    let services: Api<Service> = Api::namespaced(client.clone(), "default");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(service) =
            services.get_opt("kubernetes").await.context("cannot read the kubernetes Service")?
            && let Some(spec) = service.spec
            && let (Some(ip), Some(port)) =
                (spec.cluster_ip, spec.ports.unwrap_or_default().first().map(|p| p.port))
        {
            return Ok((ip, u16::try_from(port).context("bad port of the kubernetes Service")?));
        }
        anyhow::ensure!(tokio::time::Instant::now() < deadline, "the API server made no kubernetes Service");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Start of the node's pod addresses: a /20 below 10.244.0.0 that its name chooses, so that two nodes seldom share one.
fn pod_range(name: &str) -> u32 {
    let slot =
        name.bytes().fold(7_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte))) % 16;
    Ipv4Addr::new(10, 244, 0, 2).to_bits() + (slot << 12)
}

/// `NAME_NAMESPACE(UID)`, as the kubelet writes a pod in its messages.
fn pod_text(pod: &Pod) -> String {
    format!("{}_{}({})", pod.name_any(), pod.namespace().unwrap_or_default(), pod.uid().unwrap_or_default())
}
