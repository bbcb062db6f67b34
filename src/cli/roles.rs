//! `eksconnect roles`.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::dry_run::{DiffRun, DryRun};
use super::global::{HOW_LONG, WHERE, duration};
use super::role::DesignArgs;
use crate::error::Error;
use crate::registration::deregister::roles_alone::RolesRequest;
use crate::registration::name::check_role_name;
use crate::registration::request::{DEFAULT_ROLE_NAME, RoleDesign};

const EXAMPLES: &str = "\
Examples:
  # The roles that registering needs, and what uses them
  eksconnect roles show
  # Make them before anybody registers
  eksconnect roles create
  # Delete them once nothing uses them
  eksconnect roles delete";

const SHOW_EXAMPLES: &str = "\
Examples:
  # Both roles, and the registrations of the Region that use them
  eksconnect roles show
  # With those of every public Region
  eksconnect roles show --all-regions
  # Another agent role, as a document
  eksconnect roles show --role-name onprem-agent -o json";

const CREATE_EXAMPLES: &str = "\
Examples:
  # Make both roles, or repair them
  eksconnect roles create
  # Only show what that would change
  eksconnect roles create --dry-run
  # As the rules of the account ask
  eksconnect roles create --role-path /platform/ \\
    --role-permissions-boundary arn:aws:iam::111122223333:policy/bound

register makes them too. Made beforehand, whoever registers needs no right to make roles. Run again it repairs a \
    role of eksconnect's own, and leaves any other as it is.";

const DELETE_EXAMPLES: &str = "\
Examples:
  # Delete the agent role, after asking
  eksconnect roles delete
  # Only show what that would remove
  eksconnect roles delete --dry-run
  # Both roles, in a pipeline
  eksconnect roles delete --delete-service-linked-role --yes

Only a role that eksconnect or eksctl made is deleted, and only if no registration of any Region uses it. It \
    asks first.";

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
    /// Delete the agent role, once no registration of any Region uses it
    Delete(RolesDeleteArgs),
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
    /// Whether to change anything at all.
    #[command(flatten)]
    pub dry: DiffRun,
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

/// Arguments of `roles delete`.
#[derive(Debug, Args)]
#[command(after_help = DELETE_EXAMPLES)]
pub struct RolesDeleteArgs {
    /// Name of the agent role
    #[arg(long, value_name = "NAME", default_value = DEFAULT_ROLE_NAME, help_heading = WHERE)]
    role_name: String,
    /// Delete the account's service-linked role too, if no registration of any Region is left
    #[arg(long, help_heading = WHERE)]
    delete_service_linked_role: bool,
    /// How long to wait until the service-linked role is gone
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

impl RolesDeleteArgs {
    /// The request.
    ///
    /// # Errors
    /// The name cannot be one of a role.
    pub fn request(&self) -> Result<RolesRequest, Error> {
        check_role_name(&self.role_name)?;
        Ok(RolesRequest {
            role: self.role_name.clone(),
            delete_service_linked_role: self.delete_service_linked_role,
            wait: self.wait_timeout,
        })
    }
}
