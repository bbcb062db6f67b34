//! Which roles of the account go with a registration.

use super::request::DeregisterRequest;
use super::seen::{AccountSeen, RolePolicies, RolesSeen};
use super::step::Step;
use super::target::Target;
use crate::error::{Code, Error};
use crate::plan::{Plan, StepId};
use crate::registration::observed::{Registration, Role};
use crate::registration::request::ROLE_POLICY_NAME;
use crate::registration::step::SERVICE_LINKED_ROLE;

/// The tag with which eksctl marks what it made; its value is the cluster's name (eksctl, `api.ClusterNameTag`).
pub const EKSCTL_TAG: &str = "alpha.eksctl.io/cluster-name";

/// The inline policy of the role that eksctl makes (eksctl, `connectorPolicyName`).
pub const EKSCTL_POLICY: &str = "eks-connector-agent";

/// Whose a role is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// Ours, by its tag.
    Eksconnect,
    /// eksctl's, by its tag and its policy.
    Eksctl,
    /// Somebody else's.
    Other,
}

/// Who made a role.
pub fn maker(role: &Role, policies: &RolePolicies, registration: Option<&str>) -> Maker {
    if role.ours {
        return Maker::Eksconnect;
    }
    let tag = role.tags.get(EKSCTL_TAG);
    let named = tag.is_some_and(|value| registration.is_none_or(|name| name == value));
    if named && policies.inline.iter().any(|name| name == EKSCTL_POLICY) {
        Maker::Eksctl
    } else {
        Maker::Other
    }
}

/// Why a role must not be deleted, if so: it has what others gave it.
pub fn what_others_gave(policies: &RolePolicies) -> Option<String> {
    let known = [ROLE_POLICY_NAME, EKSCTL_POLICY];
    let others = policies.inline.iter().filter(|name| !known.contains(&name.as_str()));
    let others: Vec<&str> = others.chain(&policies.attached).map(String::as_str).collect();
    (!others.is_empty()).then(|| format!("it has policies that others gave it: {}", others.join(", ")))
}

/// Whether two ARNs name the same role. Names are unique in an account, whatever the path.
pub fn is_role(arn: Option<&str>, name: &str) -> bool {
    arn.and_then(|arn| arn.rsplit('/').next()).is_some_and(|last| last.eq_ignore_ascii_case(name))
}

/// Adds the steps that delete roles.
pub(super) fn role_steps(
    request: &DeregisterRequest,
    account: &AccountSeen,
    target: &Target,
    needs: &[StepId],
    plan: &mut Plan<Step>,
    notes: &mut Vec<String>,
) -> Result<Vec<StepId>, Error> {
    let Some(seen) = &account.roles else { return Ok(Vec::new()) };
    let gone = target.registration.as_ref().map(|it| it.arn.as_str());
    let others: Vec<(&str, &Registration)> = seen
        .registrations
        .iter()
        .filter(|(_, it)| Some(it.arn.as_str()) != gone)
        .map(|(region, it)| (region.as_str(), it))
        .collect();
    let mut steps = Vec::new();
    if request.delete_role {
        steps.extend(agent_role(seen, target, &others, needs, plan, notes)?);
    }
    if request.delete_service_linked_role {
        if let Some((region, other)) = others.first() {
            return Err(Error::refused(
                Code::ROLE_STAYS,
                format!("the role {SERVICE_LINKED_ROLE} is still needed"),
            )
            .cause(format!("the registration {} in {region} needs it{}", other.name, and_more(others.len())))
            .fix("leave --delete-service-linked-role out, or deregister those first"));
        }
        if seen.linked {
            steps.push(plan.add(Step::DeleteServiceLinkedRole, needs.iter().copied()));
        }
    }
    Ok(steps)
}

fn agent_role(
    seen: &RolesSeen,
    target: &Target,
    others: &[(&str, &Registration)],
    needs: &[StepId],
    plan: &mut Plan<Step>,
    notes: &mut Vec<String>,
) -> Result<Option<StepId>, Error> {
    let Some(name) = &seen.name else {
        notes.push(
            "Which agent role it had is not known any more; eksconnect gc removes roles that nothing uses."
                .to_owned(),
        );
        return Ok(None);
    };
    let Some((role, policies)) = &seen.agent else { return Ok(None) };
    let refuse = |cause: String, fix: &str| {
        Error::refused(Code::ROLE_STAYS, format!("the role {name} must not be deleted"))
            .cause(cause)
            .fix(format!("leave --delete-role out{fix}"))
    };
    if maker(role, policies, target.name.as_deref()) == Maker::Other {
        return Err(refuse(
            "neither eksconnect nor eksctl made it for this registration (tags eksconnect:managed, \
             alpha.eksctl.io/cluster-name)"
                .to_owned(),
            ", or delete it by hand",
        ));
    }
    let mut users = others.iter().filter(|(_, it)| is_role(it.role_arn.as_deref(), name));
    if let Some((region, user)) = users.next() {
        let count = 1 + users.count();
        return Err(refuse(
            format!("the registration {} in {region} uses it{}", user.name, and_more(count)),
            ": whoever deregisters the last one deletes it",
        ));
    }
    if let Some(why) = what_others_gave(policies) {
        return Err(refuse(why, ", or take them away first"));
    }
    let step = Step::DeleteRole { role: name.clone(), policies: policies.inline.clone() };
    Ok(Some(plan.add(step, needs.iter().copied())))
}

fn and_more(count: usize) -> String {
    match count {
        0 | 1 => String::new(),
        count => format!(", and {} more", count - 1),
    }
}
