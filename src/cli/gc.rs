//! `eksconnect gc`.

use std::time::Duration;

use clap::Args;

use super::dry_run::DryRun;
use super::global::{HOW_LONG, duration};
use crate::error::Error;
use crate::registration::deregister::garbage::USUAL_AGE;
use crate::registration::deregister::request::{GcRequest, Sides};
use crate::registration::name::check_namespace;

const EXAMPLES: &str = "\
Examples:
  # Only show what is of no use any more
  eksconnect gc --dry-run
  # Remove it, after asking
  eksconnect gc
  # Registrations and roles alone; no cluster is needed
  eksconnect gc --aws-only

It removes, of what eksconnect made and nothing else: registrations of the Region that have FAILED or whose \
    activation has expired, agent roles that no registration of any Region uses, and the connector of the context's \
    cluster if its registration is gone. It asks first.";

const WHAT: &str = "What";

/// Arguments of `gc`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct GcArgs {
    /// Namespace of the connector (default: where one is found)
    #[arg(long, value_name = "NAMESPACE", conflicts_with = "aws_only", help_heading = WHAT)]
    namespace: Option<String>,
    /// Look at registrations and roles alone
    #[arg(long, help_heading = WHAT)]
    aws_only: bool,
    /// Leave alone what is younger: unused roles since they were made, registrations since their activation expired
    #[arg(long, value_name = "DURATION", default_value = USUAL_AGE, value_parser = duration, help_heading = WHAT)]
    older_than: Duration,
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

impl GcArgs {
    /// The request, if it can be one, and what it works on.
    ///
    /// # Errors
    /// What is wrong with it, in the first option that is wrong.
    pub fn request(&self) -> Result<(GcRequest, Sides), Error> {
        self.namespace.as_deref().map(check_namespace).transpose()?;
        let sides = if self.aws_only { Sides::Aws } else { Sides::Both };
        Ok((
            GcRequest {
                namespace: self.namespace.clone(),
                older_than: self.older_than,
                wait: self.wait_timeout,
            },
            sides,
        ))
    }
}
