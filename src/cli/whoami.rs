//! `eksconnect whoami`.

use clap::Args;

use super::global::WHERE;
use crate::error::Error;
use crate::registration::name::ClusterName;

const EXAMPLES: &str = "\
Examples:
  # Which registration the current context's cluster is
  eksconnect whoami
  # Of another context
  eksconnect whoami --context onprem1-admin
  # The other way round: which context is that registration's cluster
  eksconnect whoami --name onprem1";

/// Arguments of `whoami`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct WhoamiArgs {
    /// The other way round: find the context of the registration of this name
    #[arg(long, value_name = "NAME", conflicts_with = "context", help_heading = WHERE)]
    name: Option<String>,
}

impl WhoamiArgs {
    /// The name, if one is asked about.
    ///
    /// # Errors
    /// It cannot be the name of a registration.
    pub fn name(&self) -> Result<Option<ClusterName>, Error> {
        self.name.as_deref().map(ClusterName::parse).transpose()
    }
}
