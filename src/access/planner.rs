//! Decides what granting and revoking have to do. Pure and synchronous: execution decides nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::check::{GrantCheck, reads, unlisted};
use super::desired::Desired;
use super::grants::{Form, Maker, grants};
use super::names::is_impersonation;
use super::objects::{GrantDesign, grant_objects, shared_objects};
use super::observed::{IamState, Looked, Observed, PrincipalSeen};
use super::principal::Principal;
use super::removal;
use super::request::{ImpersonationChoice, RevokeRequest};
use super::step::Step;
use super::{narrow, notes};
use crate::error::{Code, Error};
use crate::manifest::{Object, ObjectKind, ObjectRef, Without, viewer_policy, viewer_policy_without};
use crate::plan::{Plan, StepId};
use crate::registration::observed::{ObjectState, Permissions};

/// What granting or revoking has to do, and what a person should know about why.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccessPlan {
    /// The steps.
    pub plan: Plan<Step>,
    /// Sentences to be said before anything is done.
    pub notes: Vec<String>,
    /// What has to be agreed to first: others than those who were named lose something by it.
    pub question: Option<String>,
    /// Policies that only somebody else can attach.
    pub by_hand: Vec<PolicyByHand>,
}

/// A policy that only somebody else can attach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyByHand {
    /// Whose.
    pub principal: Principal,
    /// Why not we: `it belongs to a permission set of IAM Identity Center`.
    pub because: String,
    /// The policy, as JSON.
    pub document: String,
}

impl AccessPlan {
    /// Whether executing the plan would write something, in AWS or in the cluster.
    pub fn changes_something(&self) -> bool {
        self.plan.iter().any(|(_, planned)| planned.step.is_write())
    }
}

/// Every object that the grants want, those that they share first.
pub fn wanted_objects(desired: &Desired, namespace: &str) -> Vec<Object> {
    let mut wanted: Vec<Object> = Vec::new();
    for object in desired.grants.iter().flat_map(shared_objects) {
        if !wanted.iter().any(|other| other.reference == object.reference) {
            wanted.push(object);
        }
    }
    wanted.extend(desired.grants.iter().flat_map(|design| grant_objects(design, namespace)));
    wanted
}

/// Plans grants.
///
/// # Errors
/// What IAM asks for is to be attached and cannot be.
pub fn plan_grants(desired: &Desired, observed: &Observed) -> Result<AccessPlan, Error> {
    let looked = &observed.looked;
    let namespace = looked.namespace.as_str();
    let mut planned = AccessPlan::default();
    let mut made: BTreeMap<ObjectRef, StepId> = BTreeMap::new();
    let wanted = wanted_objects(desired, namespace);
    for object in wanted.iter().filter(|object| observed.state_of(&object.reference) != ObjectState::Same) {
        apply(object, observed, &mut made, &mut planned.plan);
    }
    // Only once the narrow form is in place: nobody is locked out in between.
    let placed: Vec<StepId> = made.values().copied().collect();
    let principals: Vec<Principal> = desired.grants.iter().map(|design| design.principal.clone()).collect();
    let mut removed = remove_superfluous(&wanted, &principals, looked, &placed, &mut planned.plan);
    let mut held = desired.form == Form::Constrained;
    if held {
        held = tighten(&principals, looked, &placed, &mut removed, &mut planned);
    }
    removed.extend(placed);
    let refused = held.then(|| unlisted(&desired.grants, &looked.rules, namespace)).flatten();
    for design in &desired.grants {
        attach(design, desired.attach_policy, observed, &mut planned)?;
        if removed.is_empty() {
            continue;
        }
        let check = GrantCheck {
            principal: design.principal.clone(),
            form: design.form,
            allowed: reads(design),
            refused: refused.clone(),
            may_fall_back: desired.choice == ImpersonationChoice::Auto,
        };
        planned.plan.add(Step::Verify(Box::new(check)), removed.iter().copied());
    }
    notes::of_grants(desired, observed, &mut planned);
    narrow::check(&planned.plan)?;
    Ok(planned)
}

/// Adds the application of an object; of a binding after the role that it binds.
fn apply(
    object: &Object,
    observed: &Observed,
    made: &mut BTreeMap<ObjectRef, StepId>,
    plan: &mut Plan<Step>,
) {
    let reference = &object.reference;
    let mut needs: Vec<StepId> =
        bound_role(object).and_then(|role| made.get(&role).copied()).into_iter().collect();
    // The role that a binding binds cannot be changed: such a binding is made anew.
    if let Some(uid) = observed.fixed.get(reference) {
        needs = vec![plan.add(Step::Remove { object: reference.clone(), uid: uid.clone() }, needs)];
    }
    made.insert(reference.clone(), plan.add(Step::Apply(object.clone()), needs));
}

fn bound_role(object: &Object) -> Option<ObjectRef> {
    let role = object.body.get("roleRef")?;
    let kind = if role["kind"] == "Role" { ObjectKind::Role } else { ObjectKind::ClusterRole };
    let namespace = object.reference.namespace.as_deref().unwrap_or_default();
    Some(ObjectRef::new(kind, namespace, role["name"].as_str()?))
}

/// Deletes what earlier grants to these principals had and this one has not, bindings first.
fn remove_superfluous(
    wanted: &[Object],
    principals: &[Principal],
    looked: &Looked,
    needs: &[StepId],
    plan: &mut Plan<Step>,
) -> Vec<StepId> {
    let mut superfluous = removal::own(&looked.rules, principals);
    superfluous.retain(|object, _| !wanted.iter().any(|wanted| wanted.reference == *object));
    delete(superfluous, needs, plan)
}

/// Deletes objects of ours, each role after its bindings. Returns the steps.
fn delete(objects: BTreeMap<ObjectRef, String>, needs: &[StepId], plan: &mut Plan<Step>) -> Vec<StepId> {
    let is_role = |object: &ObjectRef| matches!(object.kind, ObjectKind::Role | ObjectKind::ClusterRole);
    let (roles, bindings): (Vec<_>, Vec<_>) = objects.into_iter().partition(|(object, _)| is_role(object));
    let mut removed: Vec<StepId> = bindings
        .into_iter()
        .map(|(object, uid)| plan.add(Step::Remove { object, uid }, needs.iter().copied()))
        .collect();
    let after: Vec<StepId> = if removed.is_empty() { needs.to_vec() } else { removed.clone() };
    for (object, uid) in roles {
        removed.push(plan.add(Step::Remove { object, uid }, after.iter().copied()));
    }
    removed
}

/// Takes away what would undo the constraint. Returns whether nothing stays that does.
fn tighten(
    principals: &[Principal],
    looked: &Looked,
    needs: &[StepId],
    removed: &mut Vec<StepId>,
    planned: &mut AccessPlan,
) -> bool {
    let documented = |form| form == Form::Documented;
    for change in removal::impersonation(&looked.rules, &looked.namespace, principals, documented) {
        removed.push(planned.plan.add(Step::Change(change), needs.iter().copied()));
    }
    let anyone = removal::anyone(&looked.rules, &looked.namespace, documented);
    planned.question = question(&anyone.by_rules, principals, looked);
    planned.notes.extend(anyone.by_everything.iter().map(notes::anything));
    anyone.by_everything.is_empty()
}

/// Whether others may lose by it that the connector may no longer be anyone.
fn question(roles: &[ObjectRef], principals: &[Principal], looked: &Looked) -> Option<String> {
    if roles.is_empty() {
        return None;
    }
    let found = grants(&looked.rules, &looked.namespace);
    let others: Vec<&str> = found
        .principals
        .iter()
        .filter(|grant| grant.impersonation.iter().all(|one| one.anyone))
        .filter(|grant| !principals.iter().any(|principal| removal::names(&grant.name, principal)))
        .map(|grant| grant.name.as_str())
        .collect();
    let roles: Vec<String> = roles.iter().map(ToString::to_string).collect();
    (!others.is_empty()).then(|| {
        format!(
            "{} lets the connector be anyone. Take that away, on which the view of {} rests too?",
            roles.join(", "),
            others.join(", ")
        )
    })
}

/// What IAM asks for, where it is asked for and missing.
fn attach(
    design: &GrantDesign,
    wanted: bool,
    observed: &Observed,
    planned: &mut AccessPlan,
) -> Result<(), Error> {
    let (principal, looked) = (&design.principal, &observed.looked);
    let allowed = observed.iam.get(principal) == Some(&IamState::Allowed);
    if !wanted || allowed {
        return Ok(());
    }
    let Some(cluster_arn) = &looked.cluster_arn else { return Err(unknown_registration("attached")) };
    let by_hand = |because: &str| PolicyByHand {
        principal: principal.clone(),
        because: because.to_owned(),
        document: viewer_policy(None, cluster_arn).unwrap_or_default(),
    };
    if is_of_permission_set(principal, looked) {
        planned.by_hand.push(by_hand("it belongs to a permission set of IAM Identity Center"));
        return Ok(());
    }
    if principal.account() != looked.caller.account {
        planned.by_hand.push(by_hand("it is in another account"));
        return Ok(());
    }
    let PrincipalSeen::Present(facts) = looked.principal(principal) else {
        return Err(unreadable_policy(principal));
    };
    let existing = match &facts.viewer_policy {
        Permissions::Absent => None,
        Permissions::Inline(document) => Some(document.as_str()),
        Permissions::Unreadable => return Err(unreadable_policy(principal)),
    };
    let Some(document) = viewer_policy(existing, cluster_arn) else { return Ok(()) };
    let exists = existing.is_some();
    let attached =
        planned.plan.add(Step::AttachPolicy { principal: principal.clone(), document, exists }, []);
    if matches!(observed.iam.get(principal), Some(IamState::Lacks(_))) {
        let step = Step::AwaitAllowed {
            principal: principal.clone(),
            arn: facts.arn,
            cluster_arn: cluster_arn.clone(),
        };
        planned.plan.add(step, [attached]);
    }
    Ok(())
}

/// Whether AWS keeps the role, so that nobody may change it: the path says so, or the name where the path is not known.
pub(super) fn is_of_permission_set(principal: &Principal, looked: &Looked) -> bool {
    match looked.principal(principal) {
        PrincipalSeen::Present(facts) => facts.arn.contains(":role/aws-reserved/"),
        PrincipalSeen::Absent | PrincipalSeen::Unknown(_) => principal.name().starts_with("AWSReservedSSO_"),
    }
}

fn unknown_registration(done: &str) -> Error {
    Error::refused(
        Code::POLICY_UNKNOWN,
        format!(
            "the policy of a viewer cannot be {done}: it is not known which registration this cluster is"
        ),
    )
    .cause("the connector was not installed by eksconnect, so that its namespace does not say so")
    .fix("name the registration with --name")
}

fn unreadable_policy(principal: &Principal) -> Error {
    let kind = principal.short().split('/').next().unwrap_or_default().to_owned();
    let kind = if kind == "user" { "User" } else { "Role" };
    Error::refused(
        Code::POLICY_UNKNOWN,
        format!("the policy of {} cannot be changed: it may not be read", principal.short()),
    )
    .cause("it may name other clusters, whose view would be lost")
    .fix(format!(
        "allow iam:Get{kind} and iam:Get{kind}Policy to the caller, then run the same command again"
    ))
}

/// Plans revoking.
///
/// # Errors
/// The connector may be anyone by a role that is not ours to change, or the policy of a viewer is to be detached and cannot be.
pub fn plan_revoking(request: &RevokeRequest, looked: &Looked) -> Result<AccessPlan, Error> {
    let (principals, namespace) = (&request.principals, looked.namespace.as_str());
    let mut planned = AccessPlan::default();
    let anyone = removal::anyone(&looked.rules, namespace, |_| true);
    if let Some(role) = anyone.by_everything.first() {
        return Err(not_ours(role));
    }
    planned.question = question(&anyone.by_rules, principals, looked);
    let own = removal::own(&looked.rules, principals);
    let (first, rest): (BTreeMap<_, _>, BTreeMap<_, _>) =
        own.into_iter().partition(|(object, _)| is_impersonation(&object.name));
    // Nobody may be asked for first, then nobody has rights: a failure in between leaves no way in.
    let mut closed = delete(first, &[], &mut planned.plan);
    for change in removal::impersonation(&looked.rules, namespace, principals, |_| true) {
        closed.push(planned.plan.add(Step::Change(change), []));
    }
    let mut removed = delete(rest, &closed, &mut planned.plan);
    for change in removal::views(&looked.rules, principals) {
        removed.push(planned.plan.add(Step::Change(change), closed.iter().copied()));
    }
    removed.extend(closed);
    for principal in principals {
        if !removed.is_empty() {
            let step = Step::VerifyRevoked { principal: principal.clone() };
            planned.plan.add(step, removed.iter().copied());
        }
        if request.detach_policy {
            detach(principal, looked, &mut planned)?;
        }
    }
    notes::of_revoking(principals, looked, &mut planned);
    narrow::check(&planned.plan)?;
    Ok(planned)
}

fn not_ours(role: &ObjectRef) -> Error {
    Error::refused(
        Code::ANYONE,
        "nobody can be kept from viewing: the connector may be anyone and do everything",
    )
    .cause(format!("{role} is bound to its service account and gives that among other rights"))
    .fix(format!("find who bound it and why, take the binding away, then run the same command again: kubectl describe {} {}",
        role.kind.name().to_lowercase(), role.name))
}

fn detach(principal: &Principal, looked: &Looked, planned: &mut AccessPlan) -> Result<(), Error> {
    let facts = match looked.principal(principal) {
        PrincipalSeen::Absent => return Ok(()),
        PrincipalSeen::Unknown(_) => return Err(unreadable_policy(principal)),
        PrincipalSeen::Present(facts) => facts,
    };
    let existing = match facts.viewer_policy {
        Permissions::Absent => return Ok(()),
        Permissions::Unreadable => return Err(unreadable_policy(principal)),
        Permissions::Inline(document) => document,
    };
    let Some(cluster_arn) = &looked.cluster_arn else { return Err(unknown_registration("detached")) };
    let principal = principal.clone();
    let step = match viewer_policy_without(&existing, cluster_arn) {
        Without::Same => return Ok(()),
        Without::Nothing => Step::DetachPolicy { principal },
        Without::Document(document) => Step::AttachPolicy { principal, document, exists: true },
    };
    planned.plan.add(step, []);
    Ok(())
}

/// The bindings of these principals that stay, for they are not for viewing.
pub(super) fn left_bindings(principals: &[Principal], looked: &Looked) -> BTreeSet<String> {
    let found = grants(&looked.rules, &looked.namespace);
    let mine = found
        .principals
        .iter()
        .filter(|grant| principals.iter().any(|principal| removal::names(&grant.name, principal)));
    let rights = mine.flat_map(|grant| &grant.rights).filter(|rights| rights.maker == Maker::Other);
    rights.map(|rights| format!("{} ({})", rights.binding, rights.role.name())).collect()
}

#[cfg(test)]
#[path = "planner_testing.rs"]
mod testing;
#[cfg(test)]
#[path = "planner_tests.rs"]
mod tests;
