//! What a user may choose about the agents. Everything has a default, so that each run describes the whole workload.

use std::ops::RangeInclusive;

use super::{Images, NetworkAccess, Placement, Proxy, PullSecret};

/// How many agents there can be. Each is a managed instance of Systems Manager of its own; one is enough to work, and
/// more than a few only add instances.
pub const REPLICAS: RangeInclusive<u32> = 1..=10;

/// Replicas unless the user says otherwise, as of the official manifest.
pub const DEFAULT_REPLICAS: u32 = 2;

/// The choices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// How many agents.
    pub replicas: u32,
    /// Their images.
    pub images: Images,
    /// Where they may run.
    pub placement: Placement,
    /// How they reach AWS.
    pub proxy: Proxy,
    /// What they may connect to, and what to them.
    pub network: NetworkAccess,
    /// Credentials for the images' registry.
    pub pull_secret: Option<PullSecret>,
    /// Whether those that are in the cluster already stay, where no others are given.
    pub keeps_pull_secret: bool,
}

/// Where pods reach the API server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiServer {
    /// The addresses of its Service.
    pub addresses: Vec<String>,
    /// The ports on which it listens, behind that.
    pub ports: Vec<u16>,
}

impl Workload {
    /// Whether the objects depend on where pods reach the API server.
    pub fn needs_api_server(&self) -> bool {
        self.proxy.url.is_some() || self.network == NetworkAccess::LimitEgress
    }
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            replicas: DEFAULT_REPLICAS,
            images: Images::default(),
            placement: Placement::default(),
            proxy: Proxy::default(),
            network: NetworkAccess::default(),
            pull_secret: None,
            keeps_pull_secret: false,
        }
    }
}
