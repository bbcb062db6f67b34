//! `eksconnect list`.

use clap::Args;

use super::global::WHERE;

const EXAMPLES: &str = "\
Examples:
  eksconnect list                      the connected clusters of the Region, and which context each is
  eksconnect list --all-regions
  eksconnect list --no-contexts        without asking any cluster
  eksconnect list -o json";

/// Arguments of `list`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ListArgs {
    /// Look in every public Region
    #[arg(long, help_heading = WHERE)]
    pub all_regions: bool,
    /// Do not ask the contexts of the kubeconfig which cluster they are
    #[arg(long, conflicts_with = "context", help_heading = WHERE)]
    pub no_contexts: bool,
}
