//! `eksconnect list`.

use clap::Args;

use super::global::WHERE;

const EXAMPLES: &str = "\
Examples:
  # The connected clusters of the Region, and which context each is
  eksconnect list
  # Of every public Region
  eksconnect list --all-regions
  # Without asking any cluster
  eksconnect list --no-contexts
  # As a document
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
