//! `eksconnect deregister`.

use std::time::Duration;

use clap::Args;

use super::dry_run::DryRun;
use super::global::{HOW_LONG, duration};
use crate::error::Error;
use crate::registration::deregister::request::{DeregisterRequest, Sides};
use crate::registration::name::{ClusterName, check_namespace};

const EXAMPLES: &str = "\
Examples:
  # The registration of the current context's cluster
  eksconnect deregister
  # Only show what that would remove
  eksconnect deregister --name onprem1 --dry-run
  # In a pipeline
  eksconnect deregister --name onprem1 --yes --allow-missing
  # With its agent role, if nothing else uses it
  eksconnect deregister --name onprem1 --delete-role
  # The cluster is lost
  eksconnect deregister --name onprem1 --aws-only
  # The account is lost
  eksconnect deregister --cluster-only

It removes the registration, the connector with its namespace, and all grants, whoever made them, and keeps what \
    is not the connector's. It asks first. Run again it finishes what an earlier run began.";

const WHAT: &str = "What";

/// Arguments of `deregister`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DeregisterArgs {
    /// Name of the registration (default: that of the context's cluster, found by its identity)
    #[arg(long, value_name = "NAME", required_if_eq("aws_only", "true"), help_heading = WHAT)]
    name: Option<String>,
    /// Namespace of the connector (default: where one is found)
    #[arg(long, value_name = "NAMESPACE", conflicts_with = "aws_only", help_heading = WHAT)]
    namespace: Option<String>,
    /// Remove only the registration: the cluster is lost, or out of reach
    #[arg(long, conflicts_with = "cluster_only", help_heading = WHAT)]
    aws_only: bool,
    /// Remove only what is in the cluster: the account is lost, or the registration gone
    #[arg(long, conflicts_with_all = ["delete_role", "delete_service_linked_role"], help_heading = WHAT)]
    cluster_only: bool,
    /// Remove its agent role too, if eksconnect or eksctl made it and no registration of any Region uses it
    #[arg(long, help_heading = WHAT)]
    delete_role: bool,
    /// Remove the account's service-linked role too, if no registration of any Region is left
    #[arg(long, help_heading = WHAT)]
    delete_service_linked_role: bool,
    /// End well if there is nothing to remove
    #[arg(long, help_heading = WHAT)]
    allow_missing: bool,
    /// How long to wait until everything is gone
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
    pub dry: DryRun,
}

impl DeregisterArgs {
    /// The request, if it can be one.
    ///
    /// # Errors
    /// What is wrong with it, in the first option that is wrong.
    pub fn request(&self) -> Result<DeregisterRequest, Error> {
        self.namespace.as_deref().map(check_namespace).transpose()?;
        Ok(DeregisterRequest {
            name: self.name.as_deref().map(ClusterName::parse).transpose()?,
            namespace: self.namespace.clone(),
            sides: match (self.aws_only, self.cluster_only) {
                (true, _) => Sides::Aws,
                (_, true) => Sides::Cluster,
                (false, false) => Sides::Both,
            },
            delete_role: self.delete_role,
            delete_service_linked_role: self.delete_service_linked_role,
            allow_missing: self.allow_missing,
            wait: self.wait_timeout,
        })
    }
}
