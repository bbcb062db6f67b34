//! What runs in containers: a table of known images ([`table`]), each with a behaviour, an async task that sees nothing
//! but its arguments, environment, mounts and service account.
//!
//! To add an image: write its behaviour (a function from [`Process`] to an exit code) and one entry of
//! [`table::IMAGES`].

mod agent;
mod aws;
mod channels;
mod cluster;
mod connector;
mod files;
mod key;
mod pause;
mod proxy;
mod shell;
pub mod table;

use std::{collections::BTreeMap, sync::Arc};

use futures::future::BoxFuture;
use http::Uri;
use tokio_util::sync::CancellationToken;

pub use self::{
    channels::Channels,
    files::{Files, Mount},
};
pub use super::logs::Log;
use super::{Options, Speed};

/// Runs until the process ends by itself or is told to; gives its exit code.
pub type Behaviour = fn(Process) -> BoxFuture<'static, i32>;

/// One run of a container, as its program sees it.
pub struct Process {
    /// Version of the program: the tag of its image.
    pub version: &'static str,
    /// Arguments, without the program's own name.
    pub arguments: Vec<String>,
    /// Environment, complete.
    pub environment: BTreeMap<String, String>,
    /// File system: the mounts over the image's own (empty) root.
    pub files: Files,
    /// Standard output and error.
    pub log: Log,
    /// SIGTERM: cancelled when the container shall end. One that does not end is killed after its grace period.
    pub stop: CancellationToken,
    /// UID, namespace and name of the pod. Only for what a real process would have by being in the pod's namespaces.
    pub pod: PodIdentity,
    /// The network as seen from the node.
    pub surroundings: Arc<Surroundings>,
}

impl Process {
    /// An environment variable; an empty one counts as not set, as the connector and Go's proxy settings treat it.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// Which pod a process runs in.
#[derive(Clone, Debug)]
pub struct PodIdentity {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

/// The network as seen from the node: where the API server and AWS really are, and who listens in pods.
pub struct Surroundings {
    /// URL of the AWS emulator.
    aws_endpoint: String,
    /// URL of the API server.
    api_server: Uri,
    /// Address of the `kubernetes` Service, which pods see.
    pub(super) service_host: String,
    /// Port of the `kubernetes` Service.
    pub(super) service_port: u16,
    /// The kubelet's scaled waiting times; programs scale theirs likewise.
    speed: Speed,
    /// Sockets and control channels of the node's pods.
    pub(super) channels: Channels,
}

impl Surroundings {
    pub(super) fn new(options: &Options, api_server: Uri, service_host: String, service_port: u16) -> Self {
        Self {
            aws_endpoint: options.aws_endpoint.clone(),
            api_server,
            service_host,
            service_port,
            speed: options.speed,
            channels: Channels::default(),
        }
    }

    /// Where a connection to `host:port` really goes: Services are virtual, and the only one with somebody behind it is
    /// `kubernetes`. None: there is no such host.
    fn api_server_behind(&self, host: &str, port: u16) -> Option<&Uri> {
        let names = ["kubernetes.default.svc", "kubernetes.default", "kubernetes.default.svc.cluster.local"];
        let known = host == self.service_host || names.contains(&host);
        (known && port == self.service_port).then_some(&self.api_server)
    }
}
