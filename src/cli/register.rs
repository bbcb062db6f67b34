//! `eksconnect register`.

use std::time::Duration;

use clap::Args;

use super::global::{HOW_LONG, OUTPUT, duration};
use super::role::RoleArgs;
use super::takeover::TakeoverArgs;
use super::workload::WorkloadArgs;
use crate::error::Error;
use crate::registration::name::{ClusterName, check_namespace, parse_tags};
use crate::registration::provider::Provider;
use crate::registration::request::RegisterRequest;

const EXAMPLES: &str = "\
Examples:
  eksconnect register --name onprem1
  eksconnect register --name onprem1 --context onprem1-admin --region eu-west-1 --tag team=platform
  eksconnect register --name onprem1 --dry-run -o json
  eksconnect register --name onprem1 --no-wait      (run the same again later to finish)
  eksconnect register --name onprem1 --renew        (the agents' state is lost)
  eksconnect register --name onprem1 --adopt        (eksctl, the console or Helm installed the connector)

Run again it changes nothing, repairs what has drifted, or continues where an earlier run ended.";

const WHAT: &str = "What";

/// Arguments of `register`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RegisterArgs {
    /// Name of the registration: 1 to 100 letters, digits, - and _
    #[arg(long, value_name = "NAME", help_heading = WHAT)]
    name: String,
    /// Namespace of the connector in the cluster
    #[arg(
        long,
        value_name = "NAMESPACE",
        default_value = "eks-connector",
        help_heading = WHAT
    )]
    namespace: String,
    /// Who runs the cluster: auto, EKS_ANYWHERE, ANTHOS, GKE, AKS, OPENSHIFT, TANZU, RANCHER, EC2 or OTHER
    #[arg(
        long,
        value_name = "PROVIDER",
        default_value = "auto",
        value_parser = provider,
        help_heading = WHAT
    )]
    provider: ProviderChoice,
    /// Tag of the registration (repeatable)
    #[arg(long = "tag", value_name = "KEY=VALUE", help_heading = WHAT)]
    tags: Vec<String>,
    #[command(flatten)]
    role: RoleArgs,
    #[command(flatten)]
    workload: WorkloadArgs,
    #[command(flatten)]
    takeover: TakeoverArgs,
    /// Do not wait until ACTIVE
    #[arg(long, conflicts_with = "wait_timeout", help_heading = HOW_LONG)]
    no_wait: bool,
    /// How long to wait until ACTIVE
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "5m",
        value_parser = duration,
        help_heading = HOW_LONG
    )]
    wait_timeout: Duration,
    /// Show what would be changed, and change nothing
    #[arg(long, help_heading = OUTPUT)]
    pub dry_run: bool,
    /// Show in a dry run each field that would change in objects that exist
    #[arg(long, requires = "dry_run", help_heading = OUTPUT)]
    pub diff: bool,
    /// End a dry run with exit code 7 if something would be changed
    #[arg(long, requires = "dry_run", help_heading = OUTPUT)]
    pub detailed_exitcode: bool,
}

#[derive(Clone, Copy, Debug)]
enum ProviderChoice {
    Auto,
    Is(Provider),
}

fn provider(text: &str) -> Result<ProviderChoice, String> {
    if text.eq_ignore_ascii_case("auto") {
        return Ok(ProviderChoice::Auto);
    }
    text.parse().map(ProviderChoice::Is).map_err(|_| {
        let names: Vec<_> = Provider::ALL.iter().map(|provider| provider.as_str()).collect();
        format!("it is none of auto, {}", names.join(", "))
    })
}

impl RegisterArgs {
    /// The request, if it can be one.
    ///
    /// # Errors
    /// What is wrong with it, in the first option that is wrong.
    pub fn request(&self) -> Result<RegisterRequest, Error> {
        check_namespace(&self.namespace)?;
        let role = self.role.role()?;
        Ok(RegisterRequest {
            name: ClusterName::parse(&self.name)?,
            namespace: self.namespace.clone(),
            provider: match self.provider {
                ProviderChoice::Auto => None,
                ProviderChoice::Is(provider) => Some(provider),
            },
            role,
            tags: parse_tags(&self.tags)?,
            workload: self.workload.workload()?,
            takeover: self.takeover.takeover(),
            wait: (!self.no_wait).then_some(self.wait_timeout),
        })
    }
}
