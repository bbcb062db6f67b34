//! `eksconnect render`.

use std::path::PathBuf;

use clap::Args;

use super::global::OUTPUT;
use super::workload::WorkloadArgs;
use crate::error::{Code, Error};
use crate::manifest::{ApiServer, Inherited, SecretNames, Settings};
use crate::registration::name::check_namespace;

const EXAMPLES: &str = "\
Examples:
  # The objects, for kubectl or a repository
  eksconnect render --activation-id 0b6a8c8e-… \\
    --region eu-west-1 > connector.yaml
  # As a base of Kustomize
  eksconnect render --activation-id 0b6a8c8e-… \\
    --kustomize clusters/onprem1/connector
  # The activation code is in a Secret of another name
  eksconnect render --activation-id 0b6a8c8e-… \\
    --activation-secret onprem1-activation/code

The registration and its activation come from register --aws-only, or from aws eks register-cluster. The Secret \
    with the activation code is never rendered: make it with Sealed Secrets, External Secrets or kubectl, in the \
    same namespace.";

const WHAT: &str = "What";

/// The oldest that `register` supports.
const OLDEST_MINOR: u32 = 22;

/// Arguments of `render`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RenderArgs {
    /// Id of the activation (not a secret)
    #[arg(long, value_name = "ID", value_parser = activation_id, help_heading = WHAT)]
    activation_id: String,
    /// Secret that others manage, and the key in it that has the activation code
    #[arg(
        long,
        value_name = "NAME/KEY",
        default_value = "eks-connector-activation-config/code",
        value_parser = secret_key,
        help_heading = WHAT
    )]
    activation_secret: SecretKey,
    /// Namespace of the connector in the cluster
    #[arg(long, value_name = "NAMESPACE", default_value = "eks-connector", help_heading = WHAT)]
    namespace: String,
    /// Oldest Kubernetes that the objects are for
    #[arg(long, value_name = "1.N", default_value = "1.26", value_parser = minor, help_heading = WHAT)]
    kubernetes_version: u32,
    /// Add what OpenShift needs
    #[arg(long, help_heading = WHAT)]
    openshift: bool,
    /// Port on which the API server listens, for --network-policy egress (repeatable)
    #[arg(long, value_name = "PORT", default_value = "6443", help_heading = WHAT)]
    api_server_port: Vec<u16>,
    /// Secret that others manage, with credentials for the images' registry
    #[arg(long, value_name = "NAME", value_parser = secret_name, conflicts_with = "pull_secret_file", help_heading = WHAT)]
    pull_secret: Option<String>,
    #[command(flatten)]
    workload: WorkloadArgs,
    /// Write a file for each object and a kustomization.yaml into this directory
    #[arg(long, value_name = "DIR", help_heading = OUTPUT)]
    pub kustomize: Option<PathBuf>,
    /// Overwrite files that differ
    #[arg(long, requires = "kustomize", help_heading = OUTPUT)]
    pub force: bool,
}

#[derive(Clone, Debug)]
struct SecretKey {
    name: String,
    key: String,
}

/// What is to be rendered.
#[derive(Clone, Debug)]
pub struct RenderRequest {
    /// What the objects depend on.
    pub settings: Settings,
    /// The activation.
    pub activation_id: String,
}

impl RenderArgs {
    /// The request, for a Region.
    ///
    /// # Errors
    /// What is wrong with it, in the first option that is wrong.
    pub fn request(&self, region: String) -> Result<RenderRequest, Error> {
        check_namespace(&self.namespace)?;
        let workload = self.workload.workload()?;
        if workload.pull_secret.is_some() {
            return Err(Error::usage(Code::COMMAND_LINE, "--pull-secret-file cannot be rendered")
                .cause("its credentials would stand in the files for everybody who may read the repository")
                .fix("make that Secret as you make others, and name it: --pull-secret NAME"));
        }
        Ok(RenderRequest {
            settings: Settings {
                namespace: self.namespace.clone(),
                region,
                server_minor: self.kubernetes_version,
                api_server: ApiServer {
                    // The kubelet puts in the address of the Service; no two clusters need have the same.
                    addresses: vec!["$(KUBERNETES_SERVICE_HOST)".to_owned()],
                    ports: self.api_server_port.clone(),
                },
                workload,
                openshift: self.openshift,
                inherited: Inherited::default(),
                secrets: SecretNames {
                    activation: self.activation_secret.name.clone(),
                    activation_key: self.activation_secret.key.clone(),
                    pull: self.pull_secret.clone(),
                },
            },
            activation_id: self.activation_id.clone(),
        })
    }
}

/// SSM API, `ActivationId`: a UUID.
fn activation_id(text: &str) -> Result<String, String> {
    match uuid::Uuid::parse_str(text) {
        Ok(id) if text.len() == 36 => Ok(id.to_string()),
        Ok(_) | Err(_) => {
            Err("it looks like 0b6a8c8e-3f6e-4c9e-9d55-0f4a3c1f7a10 (aws eks describe-cluster shows it)"
                .to_owned())
        }
    }
}

fn minor(text: &str) -> Result<u32, String> {
    let minor = text.trim_start_matches('v').strip_prefix("1.").and_then(|rest| rest.split('.').next());
    match minor.and_then(|minor| minor.parse().ok()) {
        Some(minor) if minor >= OLDEST_MINOR => Ok(minor),
        Some(_) => Err(format!("Kubernetes 1.{OLDEST_MINOR} is the oldest that can be connected")),
        None => Err("write it as 1.30".to_owned()),
    }
}

fn secret_key(text: &str) -> Result<SecretKey, String> {
    let Some((name, key)) = text.split_once('/') else {
        return Err("write it as NAME/KEY: onprem1-activation/code".to_owned());
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if key.is_empty() || key.len() > 253 || !key.chars().all(allowed) {
        return Err("its key is not 1 to 253 letters, digits and -_.".to_owned());
    }
    Ok(SecretKey { name: secret_name(name)?, key: key.to_owned() })
}

/// RFC 1123 subdomain, as the API server wants it.
fn secret_name(text: &str) -> Result<String, String> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let label = |label: &str| {
        label.starts_with(inner) && label.ends_with(inner) && label.chars().all(|c| inner(c) || c == '-')
    };
    if text.len() > 253 || !text.split('.').all(label) {
        return Err("its name is not 1 to 253 lower-case letters, digits, - and .".to_owned());
    }
    Ok(text.to_owned())
}
