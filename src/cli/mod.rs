//! The command line: arguments in, validated requests out. No SDK, no printing.

mod command;
mod completions;
mod deregister;
mod dry_run;
mod explain;
mod gc;
mod global;
mod grant_view;
mod halves;
mod iam_policy;
mod list;
mod list_views;
mod principals;
mod register;
mod render;
mod revoke_view;
mod role;
mod roles;
mod status;
mod takeover;
mod upgrade;
mod verify_view;
mod view;
mod viewing;
mod whoami;
mod workload;

use clap::{Parser, Subcommand};

pub use command::{command, parse};
pub use completions::{CompletionsArgs, Live, ManArgs, Shell, answer, page, pages, script};
pub use deregister::DeregisterArgs;
pub use dry_run::{DiffRun, DryRun};
pub use explain::ExplainArgs;
pub use gc::GcArgs;
pub use global::{ColorChoice, Format, GlobalArgs};
pub use grant_view::GrantViewArgs;
pub use iam_policy::{IamPolicyArgs, Language, PolicyRequest};
pub use list::ListArgs;
pub use list_views::ListViewsArgs;
pub use principals::PrincipalArgs;
pub use register::{RegisterArgs, Request};
pub use render::{RenderArgs, RenderRequest};
pub use revoke_view::RevokeViewArgs;
pub use roles::{RolesArgs, RolesCommand, RolesCreateArgs, RolesDeleteArgs, RolesShowArgs};
pub use status::{StatusArgs, WaitFor};
pub use upgrade::UpgradeArgs;
pub use verify_view::VerifyViewArgs;
pub use view::ViewArgs;
pub use whoami::WhoamiArgs;

/// Connect any conformant Kubernetes cluster to the Amazon EKS console, and prove that it worked
#[derive(Debug, Parser)]
#[command(name = "eksconnect", version, arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Options of every command.
    #[command(flatten)]
    pub global: GlobalArgs,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Register a cluster with Amazon EKS and wait until it is ACTIVE
    Register(Box<RegisterArgs>),
    /// Remove a registration from account and cluster, without a trace
    Deregister(DeregisterArgs),
    /// Roll out new images or settings, and back if they do not work
    Upgrade(Box<UpgradeArgs>),
    /// Remove what eksconnect made and nobody needs any more
    Gc(GcArgs),
    /// Let IAM users and roles view the cluster, and prove that they can
    GrantView(Box<GrantViewArgs>),
    /// Let IAM users and roles view the cluster no more
    RevokeView(Box<RevokeViewArgs>),
    /// Show both halves of one registration, and what they come to
    Status(StatusArgs),
    /// List the connected clusters, and which contexts they are
    List(ListArgs),
    /// Tell which registration a context's cluster is, or the reverse
    Whoami(WhoamiArgs),
    /// Show, make or delete the roles that registering needs
    Roles(RolesArgs),
    /// Render the connector for GitOps, as YAML or for Kustomize
    Render(Box<RenderArgs>),
    /// List who can view the cluster, and which part is missing
    ListViews(ListViewsArgs),
    /// Verify what the API server allows a principal; changes nothing
    VerifyView(Box<VerifyViewArgs>),
    /// Show the cluster as a principal sees it, as text or as a page
    View(Box<ViewArgs>),
    /// Explain an error code, offline
    Explain(ExplainArgs),
    /// Print the IAM policy that the caller of some commands needs
    IamPolicy(IamPolicyArgs),
    /// Print what teaches a shell to complete commands and live values
    Completions(CompletionsArgs),
    /// Print a manual page
    Man(ManArgs),
}
