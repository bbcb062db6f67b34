//! The roles that registering needs, as they are, and which registrations use the agent role.

use std::sync::Arc;

use futures::future::join_all;

use super::list::why;
use crate::error::Error;
use crate::manifest;
use crate::ports::{Failure, FailureKind, Identity, Inventory, Roles};
use crate::registration::deregister::roles::is_role;
use crate::registration::observe::failing;
use crate::registration::observed::{Caller, Permissions, Registration, Role};
use crate::registration::request::{RoleChoice, RoleDesign};
use crate::registration::role_drift::{RolePart, drift};

/// Everything that showing the roles talks to.
#[derive(Clone)]
pub struct RolePorts {
    /// STS.
    pub identity: Arc<dyn Identity>,
    /// IAM.
    pub roles: Arc<dyn Roles>,
    /// EKS.
    pub inventory: Arc<dyn Inventory>,
}

/// Both roles.
#[derive(Clone, Debug)]
pub struct RolesSeen {
    /// Who asked.
    pub caller: Caller,
    /// Name of the agent role.
    pub name: String,
    /// The agent role; `None` if it does not exist.
    pub agent: Option<Role>,
    /// Whether the service-linked role exists; `None` where it may not be read.
    pub service_linked: Option<bool>,
    /// The Regions that were searched for registrations.
    pub regions: Vec<String>,
    /// Those of them that could not be read: they may have registrations that use the agent role.
    pub unread: Vec<String>,
    /// The registrations that use the agent role, by its name, each with its Region. They may do so though it is gone, or
    /// was made anew with another path.
    pub used_by: Vec<(String, Registration)>,
    /// What could not be read.
    pub unverified: Vec<String>,
}

/// Looks at both roles, and at who uses the agent role: in the Region in use, or everywhere.
///
/// # Errors
/// AWS cannot be asked who is calling, or for the agent role.
pub async fn look_at_roles(ports: &RolePorts, name: &str, everywhere: bool) -> Result<RolesSeen, Error> {
    let here = || vec![ports.inventory.here().to_owned()];
    let regions = if everywhere { ports.inventory.regions() } else { here() };
    let reading = join_all(regions.iter().map(|region| ports.inventory.of_region(region)));
    let (strict, linked, found) = tokio::join!(
        async {
            tokio::try_join!(
                failing("find out who is calling AWS", ports.identity.caller()),
                failing(format!("read the role {name}"), ports.roles.role(name)),
            )
        },
        ports.roles.service_linked_role(),
        reading,
    );
    let (caller, agent) = strict?;
    let mut unverified = Vec::new();
    let service_linked = match linked {
        Ok(exists) => Some(exists),
        Err(failure) => {
            unverified.push(format!("could not read the service-linked role: {}", told(&failure)));
            None
        }
    };
    let (mut used_by, mut unread) = (Vec::new(), Vec::new());
    for (region, answer) in regions.iter().zip(found) {
        match answer {
            Ok(all) => {
                let users = all.into_iter().filter(|it| is_role(it.role_arn.as_deref(), name));
                used_by.extend(users.map(|it| (region.clone(), it)));
            }
            // Nothing can be registered in a Region that the account has not enabled.
            Err(failure) if everywhere && failure.kind == FailureKind::RejectedCredentials => {}
            Err(failure) => {
                unread.push(region.clone());
                unverified
                    .push(format!("could not list the connected clusters of {region}: {}", why(&failure)));
            }
        }
    }
    if matches!(&agent, Some(Role { permissions: Permissions::Unreadable, .. })) {
        unverified.push(format!("could not read the inline policy of the role {name} (iam:GetRolePolicy)"));
    }
    let name = name.to_owned();
    Ok(RolesSeen { caller, name, agent, service_linked, regions, unread, used_by, unverified })
}

fn told(failure: &Failure) -> String {
    format!("{}: {}", failure.operation, failure.message)
}

/// Whether clusters can be registered with these roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usable {
    /// They can.
    Yes,
    /// They can once the role or the service-linked role is made, which registering does too.
    OnceMade,
    /// The agent cannot assume the role.
    NotTrusted,
    /// The inline policy is missing or another one. What else lets the agent in is not looked at.
    OtherPermissions,
}

impl RolesSeen {
    /// Whether clusters can be registered with them.
    pub fn usable(&self) -> Usable {
        let Some(role) = &self.agent else { return Usable::OnceMade };
        if !manifest::trusts_ssm(&role.trust) {
            return Usable::NotTrusted;
        }
        if self.parts_that_differ().contains(&RolePart::Permissions) {
            return Usable::OtherPermissions;
        }
        if self.service_linked == Some(false) { Usable::OnceMade } else { Usable::Yes }
    }

    /// What of the agent role is not as eksconnect makes it.
    pub fn parts_that_differ(&self) -> Vec<RolePart> {
        let choice = RoleChoice::Named(RoleDesign::named(&self.name));
        let drift = self.agent.iter().flat_map(|role| drift(role, &choice));
        drift.map(|drift| drift.part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{AGENT_PERMISSIONS, AGENT_TRUST};

    fn seen(agent: Option<(&str, Permissions)>, service_linked: Option<bool>) -> Usable {
        let agent = agent.map(|(trust, permissions)| Role {
            arn: "arn:aws:iam::111122223333:role/Agent".into(),
            trust: trust.into(),
            permissions,
            ours: false,
            boundary: None,
            tags: [].into(),
        });
        RolesSeen {
            caller: Caller {
                account: "111122223333".into(),
                arn: "arn:aws:iam::111122223333:user/ana".into(),
            },
            name: "Agent".into(),
            agent,
            service_linked,
            regions: vec!["eu-west-1".into()],
            unread: Vec::new(),
            used_by: Vec::new(),
            unverified: Vec::new(),
        }
        .usable()
    }

    #[test]
    fn the_first_thing_in_the_way_counts() {
        let right = || Permissions::Inline(AGENT_PERMISSIONS.to_owned());
        let nobody = r#"{"Version":"2012-10-17","Statement":[]}"#;
        assert_eq!(seen(Some((AGENT_TRUST, right())), Some(true)), Usable::Yes);
        assert_eq!(seen(Some((AGENT_TRUST, right())), None), Usable::Yes);
        assert_eq!(seen(Some((AGENT_TRUST, Permissions::Unreadable)), Some(true)), Usable::Yes);
        assert_eq!(seen(Some((AGENT_TRUST, right())), Some(false)), Usable::OnceMade);
        assert_eq!(seen(None, Some(true)), Usable::OnceMade);
        assert_eq!(seen(Some((nobody, right())), Some(true)), Usable::NotTrusted);
        assert_eq!(seen(Some((AGENT_TRUST, Permissions::Absent)), Some(true)), Usable::OtherPermissions);
    }
}
