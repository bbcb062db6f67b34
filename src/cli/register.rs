//! `eksconnect register`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::dry_run::DiffRun;
use super::global::{HOW_LONG, duration};
use super::halves::HalfArgs;
use super::role::RoleArgs;
use super::takeover::TakeoverArgs;
use super::workload::WorkloadArgs;
use crate::access::principal::Choice;
use crate::activation_file::read_handed;
use crate::error::{Code, Error};
use crate::registration::halves::account_plan::AccountRequest;
use crate::registration::halves::cluster::ClusterRequest;
use crate::registration::name::{ClusterName, check_namespace, parse_tags};
use crate::registration::provider::Provider;
use crate::registration::request::RegisterRequest;

const EXAMPLES: &str = "\
Examples:
  # The cluster of the current context
  eksconnect register --name onprem1
  # Another cluster, another Region, with a tag
  eksconnect register --name onprem1 --context onprem1-admin \\
    --region eu-west-1 --tag team=platform
  # And let a role view it
  eksconnect register --name onprem1 \\
    --grant-view arn:aws:iam::111122223333:role/Viewer
  # Only show what that would do, as a document
  eksconnect register --name onprem1 --dry-run -o json
  # Do not wait (run the same again later to finish)
  eksconnect register --name onprem1 --no-wait
  # The agents' state is lost
  eksconnect register --name onprem1 --renew
  # eksctl, the console or Helm installed the connector
  eksconnect register --name onprem1 --adopt
  # Two administrators: the first has the account, the second the cluster
  eksconnect register --name onprem1 --provider OTHER --aws-only \\
    --activation-out onprem1.json
  eksconnect register --cluster-only --activation-file onprem1.json

Run again it changes nothing, repairs what has drifted, or continues where an earlier run ended.";

const WHAT: &str = "What";

/// Arguments of `register`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RegisterArgs {
    /// Name of the registration: 1 to 100 letters, digits, - and _
    #[arg(long, value_name = "NAME", required_unless_present = "cluster_only", help_heading = WHAT)]
    name: Option<String>,
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
    half: HalfArgs,
    #[command(flatten)]
    workload: WorkloadArgs,
    /// Let this IAM user or role view the cluster, self for whoever the AWS credentials are (repeatable)
    #[arg(long = "grant-view", value_name = "ARN|self", help_heading = WHAT)]
    grant_view: Vec<String>,
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
    /// Whether to change anything at all.
    #[command(flatten)]
    pub dry: DiffRun,
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

/// What is to be registered, and which half of it.
#[derive(Debug)]
pub enum Request {
    /// All of it.
    Whole(Box<RegisterRequest>),
    /// The roles and the registration.
    Account {
        /// What.
        request: Box<AccountRequest>,
        /// The file for the activation.
        out: PathBuf,
    },
    /// The cluster.
    Cluster(Box<ClusterRequest>),
}

impl RegisterArgs {
    /// The request, if it can be one. `region` is what the command line names.
    ///
    /// # Errors
    /// What is wrong with it, in the first option that is wrong.
    pub fn request(&self, region: Option<&str>) -> Result<Request, Error> {
        match (&self.half.activation_out, &self.half.activation_file) {
            (Some(out), _) => Ok(Request::Account { request: Box::new(self.account()?), out: out.clone() }),
            (None, Some(file)) => Ok(Request::Cluster(Box::new(self.cluster(file, region)?))),
            (None, None) => Ok(Request::Whole(Box::new(self.whole()?))),
        }
    }

    fn account(&self) -> Result<AccountRequest, Error> {
        let ProviderChoice::Is(provider) = self.provider else {
            return Err(Error::usage(Code::COMMAND_LINE, "--aws-only needs --provider")
                .cause("who runs the cluster is told from the cluster, which is not asked; a registration keeps its provider")
                .fix("name it: --provider OTHER, or one of those in eksconnect register --help"));
        };
        Ok(AccountRequest {
            name: self.name()?,
            provider,
            role: self.role.role()?,
            tags: parse_tags(&self.tags)?,
        })
    }

    fn cluster(&self, file: &Path, region: Option<&str>) -> Result<ClusterRequest, Error> {
        check_namespace(&self.namespace)?;
        let workload = self.workload.workload()?;
        let (handed, notes) = read_handed(file)?;
        let differs = |option: &str, asked: &str, has: &str| {
            Error::usage(
                Code::INVALID_ACTIVATION,
                format!("{} is the activation of another registration", file.display()),
            )
            .cause(format!("{option} says {asked}, the activation is of {has}"))
            .fix(format!("leave {option} out, or give the file of that registration"))
        };
        if let Some(name) = self.name.as_deref().filter(|name| *name != handed.name.as_str()) {
            return Err(differs("--name", name, handed.name.as_str()));
        }
        if let Some(region) = region.filter(|region| *region != handed.region) {
            return Err(differs("--region", region, &handed.region));
        }
        Ok(ClusterRequest {
            handed,
            notes,
            namespace: self.namespace.clone(),
            workload,
            adopt: self.takeover.takeover().adopt,
            wait: (!self.no_wait).then_some(self.wait_timeout),
        })
    }

    /// Whom to let view.
    ///
    /// # Errors
    /// What is wrong with the first that cannot be granted to.
    pub fn viewers(&self) -> Result<Vec<Choice>, Error> {
        self.grant_view.iter().map(|text| Choice::written(text)).collect()
    }

    fn name(&self) -> Result<ClusterName, Error> {
        ClusterName::parse(self.name.as_deref().unwrap_or_default())
    }

    fn whole(&self) -> Result<RegisterRequest, Error> {
        check_namespace(&self.namespace)?;
        let role = self.role.role()?;
        Ok(RegisterRequest {
            name: self.name()?,
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
