//! `eksconnect status`.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::global::{HOW_LONG, WHERE, duration};
use crate::error::Error;
use crate::registration::name::ClusterName;

const EXAMPLES: &str = "\
Examples:
  # Of the current context's cluster
  eksconnect status
  # Of a registration
  eksconnect status --name onprem1
  # Shown anew as it changes
  eksconnect status --name onprem1 --watch
  # Wait for it, in a pipeline
  eksconnect status --name onprem1 --wait-for active --wait-timeout 10m
  # As a document
  eksconnect status -o json";

/// Arguments of `status`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct StatusArgs {
    /// Name of the registration (default: the one that the context's cluster is)
    #[arg(long, value_name = "NAME", help_heading = WHERE)]
    name: Option<String>,
    /// Look again every two seconds, until it is interrupted or what is waited for has come; on a terminal
    #[arg(long, help_heading = HOW_LONG)]
    pub watch: bool,
    /// Wait until the registration is in this state
    #[arg(long, value_enum, value_name = "STATE", help_heading = HOW_LONG)]
    pub wait_for: Option<WaitFor>,
    /// How long to wait for it
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "5m",
        value_parser = duration,
        requires = "wait_for",
        help_heading = HOW_LONG
    )]
    pub wait_timeout: Duration,
}

/// What can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WaitFor {
    /// EKS says that the cluster is connected.
    Active,
}

impl StatusArgs {
    /// The name, if one is asked about.
    ///
    /// # Errors
    /// It cannot be the name of a registration.
    pub fn name(&self) -> Result<Option<ClusterName>, Error> {
        self.name.as_deref().map(ClusterName::parse).transpose()
    }
}
