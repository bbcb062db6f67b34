//! The world: the AWS emulator, clusters on one etcd, and their nodes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Error, Result, bail};
use futures::future::{self, BoxFuture, FutureExt, select_all};
use k8s_openapi::api::core::v1::{Node as NodeObject, Taint};
use kube::{Api, api::ListParams};
use tokio::time::{Instant, sleep};

use crate::aws::{self, Emulator};
use crate::controlplane::{self, Assets, Cluster, ClusterOptions, Etcd};
use crate::node::{self, Node, Speed};
use crate::progress::Progress;

/// How long nodes may take to be ready. They take a tenth of a second on an idle machine.
const NODES: Duration = Duration::from_secs(60);

/// What a node is to be like. The default is an amd64 node without taints, of no cloud.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSpec {
    /// Its architecture in Go's names: `amd64` or `arm64`.
    pub arch: String,
    /// Labels beside those that a kubelet sets.
    pub labels: BTreeMap<String, String>,
    /// Its taints.
    pub taints: Vec<Taint>,
    /// Its `spec.providerID`, by which the kind of a cluster is told.
    pub provider_id: Option<String>,
}

impl Default for NodeSpec {
    fn default() -> Self {
        Self { arch: "amd64".to_owned(), labels: BTreeMap::new(), taints: Vec::new(), provider_id: None }
    }
}

/// What a cluster of the world is to be like. The default is what Kubernetes has by default, with two nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteSpec {
    /// Feature gates of the API server to set, such as `ConstrainedImpersonation` to false.
    pub feature_gates: BTreeMap<String, bool>,
    /// Further arguments of kube-apiserver.
    pub api_server_arguments: Vec<String>,
    /// Its nodes. They are called `<cluster>-node-1` and so on.
    pub nodes: Vec<NodeSpec>,
}

impl Default for SiteSpec {
    fn default() -> Self {
        Self {
            feature_gates: BTreeMap::new(),
            api_server_arguments: Vec::new(),
            nodes: vec![NodeSpec::default(); 2],
        }
    }
}

/// A cluster as people have it: a control plane and nodes. It ends when dropped.
pub struct Site {
    cluster: Cluster,
    nodes: Vec<Node>,
}

impl Site {
    /// Its control plane.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Its nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Ends it and waits until its processes are gone.
    pub async fn stop(self) {
        // Nodes of a control plane that is gone would only try again and again.
        future::join_all(self.nodes.into_iter().map(Node::stop)).await;
        self.cluster.stop().await;
    }
}

/// What a world is to be like.
pub struct WorldOptions {
    /// Where its files go: logs, kubeconfigs, etcd's data, the pods' volumes. Made if it is missing.
    pub directory: PathBuf,
    /// Its clusters by name.
    pub sites: Vec<(String, SiteSpec)>,
    /// Where it says what takes long.
    pub progress: Progress,
}

/// A running world. It ends when dropped, and with its process however that one ends.
pub struct World {
    assets: Assets,
    emulator: Emulator,
    etcd: Etcd,
    sites: Vec<Site>,
    directory: PathBuf,
}

impl World {
    /// Starts a world, everything in parallel, and waits until all of it is ready. With one cluster it takes about four
    /// seconds on two cores once the control plane is built.
    ///
    /// # Errors
    /// Something in it does not start.
    pub async fn start(options: WorldOptions) -> Result<Self> {
        let WorldOptions { directory, sites, progress } = options;
        let directory = std::path::absolute(directory)?;
        fs::create_dir_all(&directory).with_context(|| format!("could not make {}", directory.display()))?;
        let finding = progress.clone();
        let assets = tokio::task::spawn_blocking(move || Assets::find(&finding)).await??;
        link_kubectl(&assets, &directory.join("bin"))?;

        let clusters = directory.join("clusters");
        let (emulator, etcd) =
            tokio::try_join!(Emulator::start(aws::Options::default()), Etcd::start(&assets, &clusters),)?;
        let mut world = Self { assets, emulator, etcd, sites: Vec::new(), directory };
        let starts = sites.iter().map(|(name, spec)| world.start_site(name, spec));
        let sites = future::try_join_all(starts).await?;
        world.sites = sites;
        Ok(world)
    }

    /// Starts one more cluster with its nodes. It belongs to the caller.
    ///
    /// # Errors
    /// Something of it does not start.
    pub async fn start_site(&self, name: &str, spec: &SiteSpec) -> Result<Site> {
        let options = ClusterOptions {
            name: name.to_owned(),
            feature_gates: spec.feature_gates.clone(),
            api_server_arguments: spec.api_server_arguments.clone(),
        };
        let cluster = Cluster::start(&self.assets, &self.etcd, options).await?;
        let client = cluster.client().await?;
        let starts = spec.nodes.iter().zip(1..).map(|(spec, number)| {
            let name = format!("{name}-node-{number}");
            Node::start(node::Options {
                client: client.clone(),
                api_server: cluster.server().to_owned(),
                arch: spec.arch.clone(),
                labels: spec.labels.clone(),
                taints: spec.taints.clone(),
                provider_id: spec.provider_id.clone(),
                aws_endpoint: self.emulator.endpoint().to_owned(),
                speed: Speed::default(),
                work_dir: self.directory.join("nodes").join(&name),
                name,
            })
        });
        let nodes = future::try_join_all(starts).await?;
        let site = Site { cluster, nodes };
        site.nodes_ready(&Api::all(client)).await?;
        Ok(site)
    }

    /// The programs that it runs.
    pub fn assets(&self) -> &Assets {
        &self.assets
    }

    /// Its AWS.
    pub fn emulator(&self) -> &Emulator {
        &self.emulator
    }

    /// The clusters that it was started with, in that order.
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// A directory with a `kubectl` in it, to put on the PATH.
    pub fn bin(&self) -> PathBuf {
        self.directory.join("bin")
    }

    /// The processes of what it was started with.
    pub fn processes(&self) -> Vec<controlplane::Process> {
        let clusters = self.sites.iter().flat_map(|site| site.cluster.processes());
        std::iter::once(self.etcd.process().clone()).chain(clusters).collect()
    }

    /// Waits until something that it was started with ended without being asked, and says why.
    pub async fn failed(&self) -> Error {
        let etcd: BoxFuture<'_, Error> = self.etcd.failed().boxed();
        let clusters = self.sites.iter().map(|site| site.cluster.failed().boxed());
        select_all(std::iter::once(etcd).chain(clusters)).await.0
    }

    /// Ends it and waits until its processes are gone. Its files stay.
    pub async fn stop(self) {
        future::join_all(self.sites.into_iter().map(Site::stop)).await;
        self.etcd.stop().await;
    }
}

impl Site {
    /// Waits until every node is ready and has just its own taints: a new one is tainted until the controllers saw it.
    async fn nodes_ready(&self, objects: &Api<NodeObject>) -> Result<()> {
        let deadline = Instant::now() + NODES;
        loop {
            if let Some(failure) = self.cluster.failure() {
                return Err(failure);
            }
            let list = objects.list(&ListParams::default()).await.context("could not list the nodes")?;
            let ready = list.items.iter().filter(|object| is_ready(object));
            if ready.count() == self.nodes.len() {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("the nodes of {} are not ready after {} s", self.cluster.name(), NODES.as_secs());
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

fn is_ready(object: &NodeObject) -> bool {
    let conditions = object.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut taints = object.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
        && !taints.any(|taint| taint.key == "node.kubernetes.io/not-ready")
}

/// Makes a directory whose `kubectl` is the one of the same build as the clusters.
fn link_kubectl(assets: &Assets, bin: &Path) -> Result<()> {
    fs::create_dir_all(bin).with_context(|| format!("could not make {}", bin.display()))?;
    let link = bin.join("kubectl");
    if link.is_symlink() {
        fs::remove_file(&link).with_context(|| format!("could not replace {}", link.display()))?;
    }
    std::os::unix::fs::symlink(assets.kubectl_target(), &link)
        .with_context(|| format!("could not make {}", link.display()))
}
