//! The roles of a registration: what has to be done about them, and what a registration keeps as it is.

use super::desired::Desired;
use super::observed::{Caller, Observed, Permissions, Registration, Role, RoleSeen};
use super::request::RoleChoice;
use super::role_drift::{RolePart, drift, is_repaired};
use super::step::Step;
use crate::error::{Code, Error};
use crate::manifest;
use crate::plan::{Plan, StepId};

/// What the account shows of both roles, and which agent role is wanted.
pub(super) struct RolesSeen<'a> {
    /// The choice.
    pub(super) choice: &'a RoleChoice,
    /// Who calls AWS.
    pub(super) caller: &'a Caller,
    /// Whether the service-linked role exists; `None` where it may not be read.
    pub(super) service_linked_role: Option<bool>,
    /// The agent role.
    pub(super) agent_role: &'a RoleSeen,
    /// Whether there is a registration.
    pub(super) registered: bool,
    /// The steps that come before any change of a role.
    pub(super) before: &'a [StepId],
}

impl<'a> RolesSeen<'a> {
    /// As a whole registration sees them.
    pub(super) fn of(desired: &'a Desired, observed: &'a Observed) -> Self {
        Self {
            choice: &desired.role,
            caller: &observed.caller,
            service_linked_role: observed.service_linked_role,
            agent_role: &observed.agent_role,
            registered: observed.registration.is_some(),
            before: &[],
        }
    }
}

/// Both roles as they should be, as far as they are ours to change.
pub(super) fn role_steps(
    seen: &RolesSeen<'_>,
    plan: &mut Plan<Step>,
    notes: &mut Vec<String>,
) -> Result<Vec<StepId>, Error> {
    refuse_foreign_boundary(seen)?;
    let mut steps = Vec::new();
    let missing = match seen.service_linked_role {
        Some(exists) => !exists,
        // One that may not be seen is made too: IAM says so if it is there. With a registration it is.
        None => !seen.registered,
    };
    if missing {
        steps.push(plan.add(Step::CreateServiceLinkedRole, seen.before.iter().copied()));
    }
    match (seen.agent_role, seen.choice) {
        (RoleSeen::Absent, RoleChoice::Given { arn, .. }) => {
            return Err(Error::refused(Code::ROLE_UNUSABLE, format!("the agent role {arn} does not exist"))
                .fix("check --role-arn, or leave it out to have a role made"));
        }
        (RoleSeen::Absent, RoleChoice::Named(design)) => {
            let role = plan.add(Step::CreateAgentRole(design.clone()), seen.before.iter().copied());
            steps.push(plan.add(Step::PutAgentPolicy { role: design.name.clone() }, [role]));
        }
        (RoleSeen::Present(role), RoleChoice::Given { arn, .. }) if role.arn != *arn => {
            return Err(Error::refused(
                Code::ROLE_UNUSABLE,
                format!("the agent role {arn} does not exist in this account"),
            )
            .cause(format!("the role of that name here is {}", role.arn))
            .fix("give its exact ARN, path included, to --role-arn"));
        }
        (RoleSeen::Present(role), choice) => {
            let mendable = is_repaired(role, choice) && manifest::with_ssm_trusted(&role.trust).is_some();
            if !mendable && !manifest::trusts_ssm(&role.trust) {
                return Err(Error::refused(
                    Code::ROLE_UNUSABLE,
                    format!("the agent role {} cannot be used by the agent", role.arn),
                )
                .cause("its trust policy does not let ssm.amazonaws.com assume it (sts:AssumeRole)")
                .fix(
                    "add that service to the role's trust policy, or choose another role with --role-name",
                ));
            }
            if is_repaired(role, choice) {
                steps.extend(repair(role, seen, plan));
            } else {
                note_drift(role, choice, notes);
            }
            note_path(role, choice, notes);
        }
        (RoleSeen::Unreadable, _) => {}
    }
    Ok(steps)
}

/// Brings a role of ours back.
fn repair(role: &Role, seen: &RolesSeen<'_>, plan: &mut Plan<Step>) -> Vec<StepId> {
    let name = seen.choice.name();
    let step = |change| match change {
        Some(change) => Step::ChangeAgentRole { role: name.to_owned(), change },
        None => Step::PutAgentPolicy { role: name.to_owned() },
    };
    let drift = drift(role, seen.choice).into_iter();
    drift.map(|drift| plan.add(step(drift.change), seen.before.iter().copied())).collect()
}

/// Says how a role that is not ours to change differs.
fn note_drift(role: &Role, choice: &RoleChoice, notes: &mut Vec<String>) {
    let name = choice.name();
    let whose = if role.ours { "is used as it is" } else { "was not made by eksconnect" };
    for drift in drift(role, choice) {
        notes.push(match (drift.part, &role.permissions) {
            (RolePart::Permissions, Permissions::Absent) if role.ours => continue,
            (RolePart::Permissions, Permissions::Absent) => format!(
                "The agent role {name} was not made by eksconnect; its permissions are used as they are."
            ),
            (part, _) => format!(
                "The agent role {name} {whose}; its {part} differs and is left (--dry-run --diff shows it)."
            ),
        });
    }
}

fn note_path(role: &Role, choice: &RoleChoice, notes: &mut Vec<String>) {
    let RoleChoice::Named(design) = choice else { return };
    let Some(path) = &design.path else { return };
    if !role.arn.ends_with(&format!(":role{path}{}", design.name)) {
        notes.push(format!(
            "The agent role {} exists already, as {}; a role keeps its path.",
            design.name, role.arn
        ));
    }
}

/// A boundary is a policy of the role's own account, or one of AWS (IAM user guide, "Permissions boundaries").
fn refuse_foreign_boundary(seen: &RolesSeen<'_>) -> Result<(), Error> {
    let RoleChoice::Named(design) = seen.choice else { return Ok(()) };
    let Some(boundary) = &design.boundary else { return Ok(()) };
    let owner = boundary.split(':').nth(4).unwrap_or_default();
    if owner == "aws" || owner == seen.caller.account {
        return Ok(());
    }
    Err(Error::refused(
        Code::INVALID_ROLE_OPTION,
        format!("{boundary} cannot bound the permissions of a role in account {}", seen.caller.account),
    )
    .cause(format!("it is a policy of account {owner}"))
    .fix("name a policy of the role's own account with --role-permissions-boundary, or use that account's credentials"))
}

/// Whether a registration uses the role that is asked for. A registration keeps the role that it was made with.
pub(super) fn uses_desired_role(registration: &Registration, desired: &Desired) -> bool {
    uses_role(registration, &desired.role)
}

/// Whether a registration uses the role of that choice.
pub(super) fn uses_role(registration: &Registration, choice: &RoleChoice) -> bool {
    match (&registration.role_arn, choice) {
        (Some(has), RoleChoice::Given { arn, .. }) => has == arn,
        (Some(has), RoleChoice::Named(design)) => has.rsplit('/').next() == Some(design.name.as_str()),
        (None, _) => false,
    }
}

/// What was asked for and a registration keeps otherwise, to be said.
pub(super) fn note_what_stays(desired: &Desired, registration: &Registration, notes: &mut Vec<String>) {
    let name = &desired.name;
    if let Some(role) = registration.role_arn.as_ref().filter(|_| !uses_desired_role(registration, desired)) {
        notes.push(format!("{name} is registered with the role {role}; a registration keeps its role."));
    }
    if let Some(provider) = registration.provider.as_ref().filter(|has| *has != desired.provider.as_str()) {
        notes.push(format!(
            "{name} is registered with the provider {provider}; a registration keeps its provider."
        ));
    }
    let missing: Vec<&str> = desired
        .user_tags
        .iter()
        .filter(|(key, value)| registration.tags.get(*key) != Some(value))
        .map(|(key, _)| key.as_str())
        .collect();
    if !missing.is_empty() {
        notes.push(format!(
            "Tags are set when a cluster is registered; {name} stays without: {}.",
            missing.join(", ")
        ));
    }
}
