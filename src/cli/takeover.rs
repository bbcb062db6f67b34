//! The options about what stood there before.

use clap::Args;

use crate::registration::takeover::Takeover;

const BEFORE: &str = "What stood there before (each asks first)";

/// What may be done about what stood there before.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct TakeoverArgs {
    /// Make the registration of this cluster anew, whatever its status: for agents that have lost their state
    #[arg(long, conflicts_with = "replace", help_heading = BEFORE)]
    renew: bool,
    /// Remove a registration of that name that is another cluster's, and take the name
    #[arg(long, help_heading = BEFORE)]
    replace: bool,
    /// Take over a connector that eksctl, the console, the official manifest or Helm has installed
    #[arg(long, help_heading = BEFORE)]
    adopt: bool,
}

impl TakeoverArgs {
    /// As the engine takes it.
    pub(super) fn takeover(self) -> Takeover {
        Takeover { renew: self.renew, replace: self.replace, adopt: self.adopt }
    }
}
