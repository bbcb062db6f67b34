//! Taking the roles away once nothing uses them: what is looked at, and what follows. The plan is pure.

use std::time::Duration;

use super::everywhere::everywhere;
use super::look::AccountPorts;
use super::planner::DeregisterPlan;
use super::roles::{and_more, why_it_stays};
use super::seen::{AccountSeen, RolesSeen};
use super::step::Step;
use crate::error::{Code, Error};
use crate::plan::Plan;
use crate::registration::observe::failing;
use crate::registration::step::SERVICE_LINKED_ROLE;

/// A request to take the roles away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolesRequest {
    /// Name of the agent role.
    pub role: String,
    /// Whether the account's service-linked role goes too.
    pub delete_service_linked_role: bool,
    /// How long to wait until everything is gone.
    pub wait: Duration,
}

/// Looks at the roles, and at every registration of every Region.
///
/// # Errors
/// Any of it cannot be read: what is not seen may use the role.
pub(super) async fn look_at_roles(
    ports: &AccountPorts,
    request: &RolesRequest,
) -> Result<AccountSeen, Error> {
    let name = &request.role;
    let (caller, registrations, linked, role, policies) = tokio::try_join!(
        failing("find out who is calling AWS", ports.identity.caller()),
        failing("read the registrations of every Region", everywhere(ports.inventory.as_ref())),
        async {
            if request.delete_service_linked_role {
                failing("read the service-linked role", ports.roles.service_linked_role()).await
            } else {
                Ok(false)
            }
        },
        failing(format!("read the role {name}"), ports.roles.role(name)),
        failing(format!("read the role {name}"), ports.role_removal.policies(name)),
    )?;
    let agent = role.zip(policies);
    let roles = RolesSeen { name: Some(name.clone()), agent, linked, own: Vec::new(), registrations };
    Ok(AccountSeen { caller, region: ports.region.clone(), named: None, all: Vec::new(), roles: Some(roles) })
}

/// Plans.
///
/// # Errors
/// A role is used, or is not ours to delete.
pub(super) fn plan(request: &RolesRequest, account: Option<&AccountSeen>) -> Result<DeregisterPlan, Error> {
    let mut plan = Plan::default();
    let Some(seen) = account.and_then(|account| account.roles.as_ref()) else {
        return Ok(DeregisterPlan { target: None, plan, notes: Vec::new(), question: None });
    };
    let users: Vec<_> =
        seen.registrations.iter().map(|(region, registration)| (region.as_str(), registration)).collect();
    let mut needs = Vec::new();
    if let Some((role, policies)) = &seen.agent {
        let name = &request.role;
        if let Some((cause, otherwise)) = why_it_stays(name, role, policies, None, &users) {
            return Err(Error::refused(Code::ROLE_STAYS, format!("the role {name} must not be deleted"))
                .cause(cause)
                .fix(otherwise.unwrap_or("delete it by hand if you are sure that nothing needs it")));
        }
        needs.push(plan.add(Step::DeleteRole { role: name.clone(), policies: policies.inline.clone() }, []));
    }
    if request.delete_service_linked_role {
        if let Some((region, other)) = users.first() {
            return Err(Error::refused(
                Code::ROLE_STAYS,
                format!("the role {SERVICE_LINKED_ROLE} is still needed"),
            )
            .cause(format!("the registration {} in {region} needs it{}", other.name, and_more(users.len())))
            .fix(format!(
                "deregister that first: eksconnect deregister --name {} --region {region}",
                other.name
            )));
        }
        if seen.linked {
            plan.add(Step::DeleteServiceLinkedRole, needs);
        }
    }
    let question = (!plan.is_empty()).then(|| "Nothing uses them. Delete them?".to_owned());
    Ok(DeregisterPlan { target: None, plan, notes: Vec::new(), question })
}
