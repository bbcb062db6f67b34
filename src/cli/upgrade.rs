//! `eksconnect upgrade`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::dry_run::DiffRun;
use super::global::{HOW_LONG, duration};
use super::workload::{NetworkPolicyChoice, WorkloadArgs, authorities, pull_secret};
use crate::error::Error;
use crate::manifest::workload::{DEFAULT_REPLICAS, REPLICAS};
use crate::registration::name::{ClusterName, check_namespace};
use crate::registration::upgrade::request::{Change, Changes, PlacementChange, UpgradeRequest};

const EXAMPLES: &str = "\
Examples:
  # To the images that this version knows, from the registry in use
  eksconnect upgrade
  # Only show what that would change
  eksconnect upgrade --dry-run --diff
  # From a registry of one's own
  eksconnect upgrade --image-registry mirror.example.com/aws
  # One agent alone
  eksconnect upgrade --replicas 1
  # Without a proxy
  eksconnect upgrade --https-proxy none

Only what is named changes. The agents keep their state and are replaced one by one; if the new ones do not \
    work, those before are put back. More agents than have their state need a new activation: eksconnect register \
    --renew.";

const WHAT: &str = "What";
const AGENTS: &str = "Agents (an option that is left out leaves things as they are)";

/// What takes a setting away.
const NONE: &str = "none";

/// Arguments of `upgrade`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct UpgradeArgs {
    /// Name of the registration (default: that of the context's cluster)
    #[arg(long, value_name = "NAME", help_heading = WHAT)]
    name: Option<String>,
    /// Namespace of the connector (default: where one is found)
    #[arg(long, value_name = "NAMESPACE", help_heading = WHAT)]
    namespace: Option<String>,
    /// How many agents: 1 to 10
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(i64::from(*REPLICAS.start())..=i64::from(*REPLICAS.end())),
        help_heading = AGENTS
    )]
    replicas: Option<u32>,
    /// Image of the connector, with tag or digest
    #[arg(long, value_name = "REF", conflicts_with = "image_registry", help_heading = AGENTS)]
    connector_image: Option<String>,
    /// Image of the Systems Manager agent, with tag or digest
    #[arg(long, value_name = "REF", conflicts_with = "image_registry", help_heading = AGENTS)]
    agent_image: Option<String>,
    /// Registry that has copies of both images, in place of the one in use
    #[arg(long, value_name = "HOST[/PATH]", help_heading = AGENTS)]
    image_registry: Option<String>,
    /// Labels that the agents' nodes must have, all of them (repeatable), or none
    #[arg(long, value_name = "KEY=VALUE|none", help_heading = AGENTS)]
    node_selector: Vec<String>,
    /// Taints that the agents bear, all of them (repeatable), or none
    #[arg(long, value_name = "KEY[=VALUE][:EFFECT]|none", help_heading = AGENTS)]
    toleration: Vec<String>,
    /// Proxy through which the agents reach AWS, or none
    #[arg(long, value_name = "URL|none", help_heading = AGENTS)]
    https_proxy: Option<String>,
    /// What the agents reach without the proxy, beside the cluster itself, or none
    #[arg(long, value_name = "LIST|none", value_delimiter = ',', help_heading = AGENTS)]
    no_proxy: Vec<String>,
    /// Certificates (PEM) that the agents trust beside the usual ones, or none
    #[arg(long, value_name = "FILE|none", help_heading = AGENTS)]
    proxy_ca_file: Option<PathBuf>,
    /// NetworkPolicy: deny incoming connections, allow only needed outgoing ones too, or none at all
    #[arg(long, value_enum, value_name = "WHAT", help_heading = AGENTS)]
    network_policy: Option<NetworkPolicyChoice>,
    /// Docker configuration (config.json) with credentials for the images' registry
    #[arg(long, value_name = "FILE", help_heading = AGENTS)]
    pull_secret_file: Option<PathBuf>,
    /// How long to wait until the new agents work
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "5m",
        value_parser = duration,
        help_heading = HOW_LONG
    )]
    wait_timeout: Duration,
    /// Whether to change anything at all.
    #[command(flatten)]
    pub dry: DiffRun,
}

fn is_none(list: &[String]) -> bool {
    matches!(list, [one] if one == NONE)
}

fn unless_none(list: &[String]) -> Vec<String> {
    if is_none(list) { Vec::new() } else { list.to_vec() }
}

impl UpgradeArgs {
    /// The request, if it can be one.
    ///
    /// # Errors
    /// What is wrong with it, in the first option that is wrong.
    pub fn request(&self) -> Result<UpgradeRequest, Error> {
        self.namespace.as_deref().map(check_namespace).transpose()?;
        Ok(UpgradeRequest {
            name: self.name.as_deref().map(ClusterName::parse).transpose()?,
            namespace: self.namespace.clone(),
            changes: self.changes()?,
            wait: self.wait_timeout,
        })
    }

    /// The options mean what those of registering mean, and are checked as those are.
    fn changes(&self) -> Result<Changes, Error> {
        let named = WorkloadArgs {
            replicas: self.replicas.unwrap_or(DEFAULT_REPLICAS),
            connector_image: self.connector_image.clone(),
            agent_image: self.agent_image.clone(),
            node_selector: unless_none(&self.node_selector),
            toleration: unless_none(&self.toleration),
            image_registry: self.image_registry.clone(),
            https_proxy: self.https_proxy.clone().filter(|url| url != NONE),
            no_proxy: unless_none(&self.no_proxy),
            proxy_ca_file: None,
            network_policy: NetworkPolicyChoice::Ingress,
            pull_secret_file: None,
        };
        let (placement, proxy) = (named.placement()?, named.proxy()?);
        Ok(Changes {
            replicas: self.replicas,
            images: named.images()?,
            placement: PlacementChange {
                node_selector: (!self.node_selector.is_empty()).then(|| placement.clone()),
                tolerations: (!self.toleration.is_empty()).then_some(placement),
            },
            https_proxy: match (&self.https_proxy, proxy.url) {
                (None, _) => Change::Keep,
                (Some(_), None) => Change::Remove,
                (Some(_), Some(url)) => Change::Set(url),
            },
            no_proxy: match self.no_proxy.as_slice() {
                [] => Change::Keep,
                list if is_none(list) => Change::Remove,
                _ => Change::Set(proxy.exceptions),
            },
            authorities: match &self.proxy_ca_file {
                None => Change::Keep,
                Some(path) if path.as_os_str() == NONE => Change::Remove,
                Some(path) => Change::Set(authorities(path)?),
            },
            network: self.network_policy.map(Into::into),
            pull_secret: self.pull_secret_file.as_deref().map(pull_secret).transpose()?,
        })
    }
}
