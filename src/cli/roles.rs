//! `eksconnect roles`.

use clap::{Args, Subcommand};

use super::global::{OUTPUT, WHERE};
use super::role::DesignArgs;
use crate::error::Error;
use crate::registration::name::check_role_name;
use crate::registration::request::{DEFAULT_ROLE_NAME, RoleDesign};

const EXAMPLES: &str = "\
Examples:
  eksconnect roles show       the roles that registering needs, and what uses them
  eksconnect roles create     make them before anybody registers";

const SHOW_EXAMPLES: &str = "\
Examples:
  eksconnect roles show
  eksconnect roles show --all-regions                  with every registration that uses the agent role
  eksconnect roles show --role-name onprem-agent -o json";

const CREATE_EXAMPLES: &str = "\
Examples:
  eksconnect roles create
  eksconnect roles create --dry-run
  eksconnect roles create --role-path /platform/ --role-permissions-boundary arn:aws:iam::111122223333:policy/bound

register makes them too. Made beforehand, whoever registers needs no right to make roles. Run again it repairs a role of
eksconnect's own, and leaves any other as it is.";

/// Arguments of `roles`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub struct RolesArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub command: RolesCommand,
}

/// What can be done with the roles.
#[derive(Debug, Subcommand)]
pub enum RolesCommand {
    /// Show the agent role and the service-linked role, and which registrations use them
    Show(RolesShowArgs),
    /// Make the agent role and the service-linked role, or repair them
    Create(RolesCreateArgs),
}

/// Arguments of `roles show`.
#[derive(Debug, Args)]
#[command(after_help = SHOW_EXAMPLES)]
pub struct RolesShowArgs {
    /// Name of the agent role
    #[arg(long, value_name = "NAME", default_value = DEFAULT_ROLE_NAME, help_heading = WHERE)]
    role_name: String,
    /// Look for registrations in every public Region
    #[arg(long, help_heading = WHERE)]
    pub all_regions: bool,
}

impl RolesShowArgs {
    /// The name of the agent role.
    ///
    /// # Errors
    /// It cannot be one.
    pub fn role(&self) -> Result<&str, Error> {
        check_role_name(&self.role_name)?;
        Ok(&self.role_name)
    }
}

/// Arguments of `roles create`.
#[derive(Debug, Args)]
#[command(after_help = CREATE_EXAMPLES)]
pub struct RolesCreateArgs {
    #[command(flatten)]
    design: DesignArgs,
    /// Show what would be changed, and change nothing
    #[arg(long, help_heading = OUTPUT)]
    pub dry_run: bool,
    /// Show in a dry run each field that would change in a role that exists
    #[arg(long, requires = "dry_run", help_heading = OUTPUT)]
    pub diff: bool,
    /// End a dry run with exit code 7 if something would be changed
    #[arg(long, requires = "dry_run", help_heading = OUTPUT)]
    pub detailed_exitcode: bool,
}

impl RolesCreateArgs {
    /// The role that is wanted.
    ///
    /// # Errors
    /// What is wrong, in the first option that is wrong.
    pub fn design(&self) -> Result<RoleDesign, Error> {
        self.design.design()
    }
}
