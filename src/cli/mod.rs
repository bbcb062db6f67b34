//! The command line: arguments in, validated requests out. No SDK, no printing.

mod explain;
mod global;
mod halves;
mod principals;
mod register;
mod render;
mod role;
mod takeover;
mod workload;

use clap::{Parser, Subcommand};

pub use explain::ExplainArgs;
pub use global::{ColorChoice, Format, GlobalArgs};
pub use principals::PrincipalArgs;
pub use register::{RegisterArgs, Request};
pub use render::{RenderArgs, RenderRequest};

/// Connect any conformant Kubernetes cluster to the Amazon EKS console, and prove that it worked
#[derive(Debug, Parser)]
#[command(
    name = "eksconnect",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = EXAMPLES,
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Options of every command.
    #[command(flatten)]
    pub global: GlobalArgs,
}

const EXAMPLES: &str = "\
Examples:
  eksconnect register --name onprem1              connect the current context's cluster
  eksconnect register --name onprem1 --dry-run    only show what that would change
  eksconnect explain EKSC0412                     what an error means and what to do";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Register the cluster of a kubeconfig context with Amazon EKS and wait until it is ACTIVE
    Register(Box<RegisterArgs>),
    /// Render the connector for GitOps, as YAML or for Kustomize; asks nobody
    Render(Box<RenderArgs>),
    /// Explain an error code, offline
    Explain(ExplainArgs),
}
