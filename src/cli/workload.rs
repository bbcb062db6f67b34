//! The options of the agents' workload.

use clap::Args;

use crate::error::Error;
use crate::manifest::workload::{DEFAULT_REPLICAS, REPLICAS, Workload};

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
    replicas: u32,
}

impl WorkloadArgs {
    /// What they say.
    ///
    /// # Errors
    /// What is wrong, in the first option that is wrong.
    pub(super) fn workload(&self) -> Result<Workload, Error> {
        Ok(Workload { replicas: self.replicas })
    }
}
