//! The options of the agent role.

use clap::Args;

use crate::error::Error;
use crate::registration::name::{
    check_boundary, check_role_name, check_role_path, parse_role_tags, role_name_of,
};
use crate::registration::request::{DEFAULT_ROLE_NAME, RoleChoice, RoleDesign};

const ROLE: &str = "Agent role";

/// Options of the agent role.
#[derive(Debug, Args)]
pub(super) struct RoleArgs {
    /// Name of the agent role; made if it is missing
    #[arg(
        long,
        value_name = "NAME",
        default_value = DEFAULT_ROLE_NAME,
        conflicts_with = "role_arn",
        help_heading = ROLE
    )]
    role_name: String,
    /// Path of the agent role, when it is made: /platform/
    #[arg(long, value_name = "PATH", conflicts_with = "role_arn", help_heading = ROLE)]
    role_path: Option<String>,
    /// ARN of the managed policy that bounds the agent role's permissions
    #[arg(long, value_name = "ARN", conflicts_with = "role_arn", help_heading = ROLE)]
    role_permissions_boundary: Option<String>,
    /// Tag of the agent role (repeatable)
    #[arg(long = "role-tag", value_name = "KEY=VALUE", conflicts_with = "role_arn", help_heading = ROLE)]
    role_tags: Vec<String>,
    /// ARN of an agent role that others manage; used as it is
    #[arg(long, value_name = "ARN", help_heading = ROLE)]
    role_arn: Option<String>,
}

impl RoleArgs {
    /// What they say.
    ///
    /// # Errors
    /// What is wrong, in the first option that is wrong.
    pub(super) fn role(&self) -> Result<RoleChoice, Error> {
        if let Some(arn) = &self.role_arn {
            return Ok(RoleChoice::Given { arn: arn.clone(), name: role_name_of(arn)? });
        }
        check_role_name(&self.role_name)?;
        self.role_path.as_deref().map(check_role_path).transpose()?;
        self.role_permissions_boundary.as_deref().map(check_boundary).transpose()?;
        Ok(RoleChoice::Named(RoleDesign {
            name: self.role_name.clone(),
            path: self.role_path.clone(),
            boundary: self.role_permissions_boundary.clone(),
            tags: parse_role_tags(&self.role_tags)?,
        }))
    }
}
