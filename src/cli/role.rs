//! The options of the agent role.

use clap::Args;

use crate::error::Error;
use crate::registration::name::{
    check_boundary, check_role_name, check_role_path, parse_role_tags, role_name_of,
};
use crate::registration::request::{DEFAULT_ROLE_NAME, RoleChoice, RoleDesign};

const ROLE: &str = "Agent role";

/// How the agent role is made.
#[derive(Debug, Args)]
pub(super) struct DesignArgs {
    /// Name of the agent role; made if it is missing
    #[arg(long, value_name = "NAME", default_value = DEFAULT_ROLE_NAME, help_heading = ROLE)]
    role_name: String,
    /// Path of the agent role, when it is made: /platform/
    #[arg(long, value_name = "PATH", help_heading = ROLE)]
    role_path: Option<String>,
    /// ARN of the managed policy that bounds the agent role's permissions
    #[arg(long, value_name = "ARN", help_heading = ROLE)]
    role_permissions_boundary: Option<String>,
    /// Tag of the agent role (repeatable)
    #[arg(long = "role-tag", value_name = "KEY=VALUE", help_heading = ROLE)]
    role_tags: Vec<String>,
}

impl DesignArgs {
    /// What they say.
    ///
    /// # Errors
    /// What is wrong, in the first option that is wrong.
    pub(super) fn design(&self) -> Result<RoleDesign, Error> {
        check_role_name(&self.role_name)?;
        self.role_path.as_deref().map(check_role_path).transpose()?;
        self.role_permissions_boundary.as_deref().map(check_boundary).transpose()?;
        Ok(RoleDesign {
            name: self.role_name.clone(),
            path: self.role_path.clone(),
            boundary: self.role_permissions_boundary.clone(),
            tags: parse_role_tags(&self.role_tags)?,
        })
    }
}

/// Which agent role.
#[derive(Debug, Args)]
pub(super) struct RoleArgs {
    #[command(flatten)]
    design: DesignArgs,
    /// ARN of an agent role that others manage; used as it is
    #[arg(
        long,
        value_name = "ARN",
        conflicts_with_all = ["role_name", "role_path", "role_permissions_boundary", "role_tags"],
        help_heading = ROLE
    )]
    role_arn: Option<String>,
}

impl RoleArgs {
    /// What they say.
    ///
    /// # Errors
    /// What is wrong, in the first option that is wrong.
    pub(super) fn role(&self) -> Result<RoleChoice, Error> {
        match &self.role_arn {
            Some(arn) => Ok(RoleChoice::Given { arn: arn.clone(), name: role_name_of(arn)? }),
            None => Ok(RoleChoice::Named(self.design.design()?)),
        }
    }
}
