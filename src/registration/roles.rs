//! The roles of a registration: what has to be done about them, and what a registration keeps as it is.

use super::desired::Desired;
use super::observed::{Observed, Permissions, Registration, RoleSeen};
use super::request::RoleChoice;
use super::step::Step;
use crate::error::{Code, Error};
use crate::manifest;
use crate::plan::{Plan, StepId};

/// Both roles as they should be, as far as they are ours to change.
pub(super) fn role_steps(
    desired: &Desired,
    observed: &Observed,
    plan: &mut Plan<Step>,
    notes: &mut Vec<String>,
) -> Result<Vec<StepId>, Error> {
    let mut steps = Vec::new();
    let missing = match observed.service_linked_role {
        Some(exists) => !exists,
        // One that may not be seen is made too: IAM says so if it is there. With a registration it is.
        None => observed.registration.is_none(),
    };
    if missing {
        steps.push(plan.add(Step::CreateServiceLinkedRole, []));
    }
    let name = desired.role.name().to_owned();
    match (&observed.agent_role, &desired.role) {
        (RoleSeen::Absent, RoleChoice::Given { arn, .. }) => {
            return Err(Error::refused(Code::ROLE_UNUSABLE, format!("the agent role {arn} does not exist"))
                .fix("check --role-arn, or leave it out to have a role made"));
        }
        (RoleSeen::Absent, RoleChoice::Named(_)) => {
            let role = plan.add(Step::CreateAgentRole { name: name.clone() }, []);
            steps.push(plan.add(Step::PutAgentPolicy { role: name }, [role]));
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
            if !manifest::trusts_ssm(&role.trust) {
                return Err(Error::refused(
                    Code::ROLE_UNUSABLE,
                    format!("the agent role {} cannot be used by the agent", role.arn),
                )
                .cause("its trust policy does not let ssm.amazonaws.com assume it (sts:AssumeRole)")
                .fix(
                    "add that service to the role's trust policy, or choose another role with --role-name",
                ));
            }
            let wrong = match &role.permissions {
                Permissions::Absent => true,
                Permissions::Inline(policy) => !manifest::equivalent(policy, manifest::AGENT_PERMISSIONS),
                Permissions::Unreadable => false,
            };
            if wrong && role.ours && matches!(choice, RoleChoice::Named(_)) {
                steps.push(plan.add(Step::PutAgentPolicy { role: name }, []));
            } else if role.permissions == Permissions::Absent && !role.ours {
                notes.push(format!(
                    "The agent role {name} was not made by eksconnect; its permissions are used as they are."
                ));
            }
        }
        (RoleSeen::Unreadable, _) => {}
    }
    Ok(steps)
}

/// Whether a registration uses the role that is asked for. A registration keeps the role that it was made with.
pub(super) fn uses_desired_role(registration: &Registration, desired: &Desired) -> bool {
    match (&registration.role_arn, &desired.role) {
        (Some(has), RoleChoice::Given { arn, .. }) => has == arn,
        (Some(has), RoleChoice::Named(name)) => has.rsplit('/').next() == Some(name.as_str()),
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
