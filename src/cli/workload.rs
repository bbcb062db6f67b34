//! The options of the agents' workload.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::error::{Code, Error};
use crate::manifest::workload::{DEFAULT_REPLICAS, REPLICAS, Workload};
use crate::manifest::{
    Images, NetworkAccess, Placement, Proxy, PullSecret, Toleration, certificates, check_exception,
    check_proxy, check_reference, check_registry,
};

const AGENTS: &str = "Agents (an option that is left out has its default, in later runs too)";

/// Options of the agents' workload.
#[derive(Debug, Args)]
pub(super) struct WorkloadArgs {
    /// How many agents: 1 to 10
    #[arg(
        long,
        value_name = "N",
        default_value_t = DEFAULT_REPLICAS,
        value_parser = clap::value_parser!(u32).range(i64::from(*REPLICAS.start())..=i64::from(*REPLICAS.end())),
        help_heading = AGENTS
    )]
    pub(super) replicas: u32,
    /// Image of the connector, with tag or digest
    #[arg(long, value_name = "REF", conflicts_with = "image_registry", help_heading = AGENTS)]
    pub(super) connector_image: Option<String>,
    /// Image of the Systems Manager agent, with tag or digest
    #[arg(long, value_name = "REF", conflicts_with = "image_registry", help_heading = AGENTS)]
    pub(super) agent_image: Option<String>,
    /// Label that the agents' nodes must have, beside linux and amd64 (repeatable)
    #[arg(long, value_name = "KEY=VALUE", help_heading = AGENTS)]
    pub(super) node_selector: Vec<String>,
    /// Taint that the agents bear (repeatable)
    #[arg(long, value_name = "KEY[=VALUE][:EFFECT]", help_heading = AGENTS)]
    pub(super) toleration: Vec<String>,
    /// Registry that has copies of both images, in place of public.ecr.aws
    #[arg(long, value_name = "HOST[/PATH]", help_heading = AGENTS)]
    pub(super) image_registry: Option<String>,
    /// Proxy through which the agents reach AWS
    #[arg(long, value_name = "URL", help_heading = AGENTS)]
    pub(super) https_proxy: Option<String>,
    /// What the agents reach without the proxy, beside the cluster itself
    #[arg(long, value_name = "LIST", value_delimiter = ',', requires = "https_proxy", help_heading = AGENTS)]
    pub(super) no_proxy: Vec<String>,
    /// Certificates (PEM) that the agents trust beside the usual ones
    #[arg(long, value_name = "FILE", help_heading = AGENTS)]
    pub(super) proxy_ca_file: Option<PathBuf>,
    /// NetworkPolicy: deny incoming connections, allow only needed outgoing ones too, or none at all
    #[arg(long, value_enum, value_name = "WHAT", default_value = "ingress", help_heading = AGENTS)]
    pub(super) network_policy: NetworkPolicyChoice,
    /// Docker configuration (config.json) with credentials for the images' registry
    #[arg(long, value_name = "FILE", help_heading = AGENTS)]
    pub(super) pull_secret_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum NetworkPolicyChoice {
    /// Nothing may connect to the agents
    Ingress,
    /// And the agents only to DNS, HTTPS, the API server and the proxy
    Egress,
    /// No policy
    None,
}

impl From<NetworkPolicyChoice> for NetworkAccess {
    fn from(choice: NetworkPolicyChoice) -> Self {
        match choice {
            NetworkPolicyChoice::Ingress => Self::DenyIngress,
            NetworkPolicyChoice::Egress => Self::LimitEgress,
            NetworkPolicyChoice::None => Self::Unlimited,
        }
    }
}

impl WorkloadArgs {
    /// What they say.
    ///
    /// # Errors
    /// What is wrong, in the first option that is wrong.
    pub(super) fn workload(&self) -> Result<Workload, Error> {
        Ok(Workload {
            replicas: self.replicas,
            images: self.images()?,
            placement: self.placement()?,
            proxy: self.proxy()?,
            network: self.network_policy.into(),
            pull_secret: self.pull_secret_file.as_deref().map(pull_secret).transpose()?,
            keeps_pull_secret: false,
        })
    }

    pub(super) fn images(&self) -> Result<Images, Error> {
        if let Some(registry) = &self.image_registry {
            check_registry(registry).map_err(|why| {
                Error::usage(Code::INVALID_IMAGE, format!("{registry:?} cannot be a registry of images"))
                    .cause(why)
                    .fix("give its host, and a path if there is one: --image-registry mirror.example.com/aws")
            })?;
            return Ok(Images::Mirrored(registry.clone()));
        }
        for reference in self.connector_image.iter().chain(&self.agent_image) {
            check_reference(reference).map_err(|why| {
                Error::usage(
                    Code::INVALID_IMAGE,
                    format!("{reference:?} cannot be the reference of an image"),
                )
                .cause(why)
                .fix("write all of it: mirror.example.com/eks-connector/eks-connector:0.0.11")
            })?;
        }
        Ok(Images::Named { connector: self.connector_image.clone(), agent: self.agent_image.clone() })
    }

    pub(super) fn placement(&self) -> Result<Placement, Error> {
        let mut placement = Placement::default();
        for text in &self.node_selector {
            placement.select(text).map_err(|why| {
                Error::usage(Code::INVALID_PLACEMENT, format!("{text:?} cannot be a node selector"))
                    .cause(why)
                    .fix("name a label of nodes: --node-selector pool=edge (kubectl get nodes --show-labels)")
            })?;
        }
        for text in &self.toleration {
            placement.tolerations.push(Toleration::parse(text).map_err(|why| {
                Error::usage(Code::INVALID_PLACEMENT, format!("{text:?} cannot be a toleration"))
                    .cause(why)
                    .fix("write it as kubectl taint writes taints: --toleration dedicated=connect:NoSchedule")
            })?);
        }
        Ok(placement)
    }

    pub(super) fn proxy(&self) -> Result<Proxy, Error> {
        if let Some(url) = &self.https_proxy {
            // Not its value: it may have a password in it.
            check_proxy(url).map_err(|why| {
                Error::usage(Code::INVALID_PROXY, "the value of --https-proxy cannot be used")
                    .cause(why)
                    .fix("name scheme, host and port: --https-proxy http://proxy.example.com:3128")
            })?;
        }
        let exceptions: Vec<String> = self.no_proxy.iter().map(|one| one.trim().to_owned()).collect();
        for one in &exceptions {
            check_exception(one).map_err(|why| {
                Error::usage(Code::INVALID_PROXY, "the value of --no-proxy cannot be used")
                    .cause(why)
                    .fix("name domains, addresses or networks: --no-proxy .corp.example.com,10.0.0.0/8")
            })?;
        }
        let authorities = self.proxy_ca_file.as_deref().map(authorities).transpose()?;
        Ok(Proxy { url: self.https_proxy.clone(), exceptions, authorities })
    }
}

pub(super) fn authorities(path: &Path) -> Result<String, Error> {
    let refuse = |why: String| {
        let what = format!("{} cannot be used as certificates to be trusted", path.display());
        Error::usage(Code::INVALID_FILE, what).cause(why).fix("give a PEM file with the certificates alone")
    };
    certificates(&read(path).map_err(refuse)?).map_err(refuse)
}

pub(super) fn pull_secret(path: &Path) -> Result<PullSecret, Error> {
    let refuse = |why: String| {
        Error::usage(
            Code::INVALID_FILE,
            format!("{} cannot be used as a pull secret", path.display()),
        )
        .cause(why)
        .fix("give a Docker configuration with credentials: kubectl create secret docker-registry x --dry-run=client \
              -o jsonpath='{.data.\\.dockerconfigjson}' … | base64 -d makes one")
    };
    PullSecret::parse(&read(path).map_err(refuse)?).map_err(refuse)
}

/// No Secret and no ConfigMap may be larger (Kubernetes API, `MaxSecretSize`: 1 MiB).
const LARGEST_FILE: u64 = 1024 * 1024;

fn read(path: &Path) -> Result<String, String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if metadata.len() > LARGEST_FILE {
        return Err("it is larger than 1 MiB, and Kubernetes would not take it".to_owned());
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}
