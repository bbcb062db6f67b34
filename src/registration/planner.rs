//! Decides what registering has to do. Pure and synchronous: execution decides nothing.

use super::desired::Desired;
use super::observed::{Intent, ObjectState, Observed, Registration, RoleSeen, Status};
use super::quota::refuse_used_up_quota;
use super::refusal::{or_without_waiting, refuse_agents_without_state, refuse_obstacles};
use super::request::RoleChoice;
use super::rights::{note_what_cannot_be_told, refuse_missing_rights};
use super::roles::{RolesSeen, note_what_stays, role_steps, uses_desired_role};
use super::situation::{Situation, holds_code_of, situation};
use super::step::{NewRegistration, OnceRegistered, Step};
use super::takeover::{adoption_notes, question, refuse_kept_secret, refuse_others, secret_keeper};
use crate::error::Error;
use crate::manifest::{self, Object, ObjectKind, ObjectRef, RegistrationMark};
use crate::plan::{Plan, StepId};

/// What registering has to do, and what a person should know about why.
#[derive(Clone, Debug, PartialEq)]
pub struct RegisterPlan {
    /// The steps.
    pub plan: Plan<Step>,
    /// Sentences to be said before anything is done.
    pub notes: Vec<String>,
    /// What has to be agreed to first: what it would take away cannot be had back.
    pub question: Option<String>,
}

/// Plans.
///
/// `request_token` is the token for a RegisterCluster call, should there be one.
///
/// # Errors
/// A conflict: what was seen must not be changed, or not without being asked. Nothing has been changed then.
pub fn plan(desired: &Desired, observed: &Observed, request_token: &str) -> Result<RegisterPlan, Error> {
    let mut notes = Vec::new();
    refuse_obstacles(desired, observed).map_err(or_without_waiting)?;
    refuse_others(desired, observed)?;
    let situation = situation(desired, observed, &mut notes)?;
    adoption_notes(desired, observed, &mut notes);

    let mut plan = Plan::default();
    let removed = match &situation {
        Situation::Known { registration, activation_id } => {
            refuse_agents_without_state(desired, observed, registration, activation_id)?;
            let roles = if uses_desired_role(registration, desired) {
                role_steps(&RolesSeen::of(desired, observed), &mut plan, &mut notes)?
            } else {
                Vec::new()
            };
            converge(desired, observed, registration, activation_id, request_token, &roles, &mut plan);
            note_what_stays(desired, registration, &mut notes);
            None
        }
        Situation::Fresh { removed } => {
            refuse_kept_secret(desired, observed)?;
            // One that is removed first makes room.
            if removed.is_none() {
                refuse_used_up_quota(desired, observed, &mut notes)?;
            }
            let roles = role_steps(&RolesSeen::of(desired, observed), &mut plan, &mut notes)?;
            register(desired, observed, request_token, &roles, removed.map(|(old, _)| old), &mut plan);
            *removed
        }
    };
    refuse_missing_rights(desired, observed, &plan)?;
    if plan.iter().any(|(_, planned)| matches!(planned.step, Step::AwaitActive { .. })) {
        note_what_cannot_be_told(desired, observed, &mut notes);
    }
    let question = if plan.is_empty() { None } else { question(desired, observed, removed) };
    Ok(RegisterPlan { plan, notes, question })
}

/// A registration that exists: bring everything to what it should be, wait if there is something to wait for.
pub(super) fn converge(
    desired: &Desired,
    observed: &Observed,
    registration: &Registration,
    activation_id: &str,
    request_token: &str,
    roles: &[StepId],
    plan: &mut Plan<Step>,
) {
    let mark = RegistrationMark::new(
        &registration.arn,
        activation_id,
        registration.created_at.unwrap_or(observed.now),
    );
    let mut objects = vec![desired.namespace(Some(&mark))];
    objects.extend(desired.base_objects().into_iter().chain(desired.pull_secret()));
    let wrong: Vec<Object> = out_of_shape(objects, observed);
    let agents = out_of_shape(vec![desired.stateful_set(activation_id)], observed);
    let secret = activation_secret_out_of_shape(desired, observed, &mark);
    // A code that becomes ours has to go as well, whosever it was.
    let becomes_ours =
        secret.is_some() && observed.activation_secret.as_ref().is_some_and(|it| it.holds_code);
    let holds_code =
        (becomes_ours || holds_code_of(activation_id, observed)) && secret_keeper(observed).is_none();
    let settled = registration.status == Status::Active
        && agents.is_empty()
        // A run that was stopped may have left some of them as they do not work.
        && observed.installed.as_ref().is_none_or(|installed| installed.rolled_out)
        && (0..desired.replicas())
            .all(|ordinal| observed.states.get(&ordinal).is_some_and(|state| state == activation_id));
    let spend = holds_code && desired.wait;
    let superfluous = superfluous(desired, observed);
    let nothing_to_write = wrong.is_empty()
        && agents.is_empty()
        && secret.is_none()
        && observed.obsolete.is_empty()
        && superfluous.is_none();
    if nothing_to_write && !spend {
        if !settled && desired.wait {
            await_active(desired, roles, plan);
        }
        return;
    }

    let (held, before) = begin(desired, observed, wrong, request_token, plan);
    let mut ready: Vec<StepId> = before.into_iter().chain(roles.iter().copied()).chain([held]).collect();
    if let Some(secret) = secret {
        ready.push(plan.add(Step::ApplyActivationSecret(secret), [held]));
    }
    for object in agents {
        ready = vec![apply_agents(desired, observed, object, activation_id, ready, plan)];
    }
    if desired.wait {
        let active = await_active(desired, &ready, plan);
        if spend {
            plan.add(Step::SpendCode { activation_id: Some(activation_id.to_owned()) }, [active]);
        }
        ready = vec![active];
    }
    remove_obsolete(observed, is_used_by_pods, &ready, plan);
    remove_superfluous(desired, observed, &ready, plan);
}

/// Brings the agents' StatefulSet to what it should be. What another tool made is replaced whole, for applying would
/// leave parts of it in place. One whose agents do not work is made anew: Kubernetes would wait for them.
pub(super) fn apply_agents(
    desired: &Desired,
    observed: &Observed,
    object: Object,
    activation_id: &str,
    needs: Vec<StepId>,
    plan: &mut Plan<Step>,
) -> StepId {
    let Some(installed) = &observed.installed else { return plan.add(Step::Apply(object), needs) };
    if installed.waits_for_broken_agents() || (!installed.ours && !installed.steady) {
        let removed = plan.add(installed.removal(&object.reference), needs);
        return plan.add(Step::Apply(desired.stateful_set_anew(activation_id)), [removed]);
    }
    if installed.ours {
        return plan.add(Step::Apply(object), needs);
    }
    plan.add(Step::Replace { object, seen: installed.resource_version.clone() }, needs)
}

/// The activation Secret, if it has to be made or to become ours. Its code is never compared and never restored; but
/// agents do not start without the Secret.
pub(super) fn activation_secret_out_of_shape(
    desired: &Desired,
    observed: &Observed,
    mark: &RegistrationMark<'_>,
) -> Option<Object> {
    match &observed.activation_secret {
        None => Some(manifest::spent_activation_secret(&desired.settings, mark)),
        Some(secret) if secret.kept_by.is_some() || secret.mark.is_some() => None,
        Some(_) => Some(manifest::activation_secret(&desired.settings, mark)),
    }
}

/// A registration that has to be made.
fn register(
    desired: &Desired,
    observed: &Observed,
    request_token: &str,
    roles: &[StepId],
    discarded: Option<&Registration>,
    plan: &mut Plan<Step>,
) {
    let namespace = observed.namespace.is_none().then(|| desired.namespace(None));
    let base = desired.base_objects().into_iter().chain(desired.pull_secret()).collect();
    let objects = namespace.into_iter().chain(out_of_shape(base, observed)).collect();
    let (held, before) = begin(desired, observed, objects, request_token, plan);
    let role_arn = match (&observed.agent_role, &desired.role) {
        (RoleSeen::Present(role), _) => Some(role.arn.clone()),
        (_, RoleChoice::Given { arn, .. }) => Some(arn.clone()),
        (RoleSeen::Unreadable, RoleChoice::Named(design)) => {
            Some(design.arn(super::name::partition(&observed.region), &observed.caller.account))
        }
        (RoleSeen::Absent, RoleChoice::Named(_)) => None,
    };
    let new = NewRegistration {
        name: desired.name.to_string(),
        provider: desired.provider,
        role_arn,
        user_tags: desired.user_tags.clone(),
        own_tags: desired.own_tags.clone(),
        request_token: request_token.to_owned(),
    };
    // Under the Lease: without it, a second run could remove what a first one has just made.
    let free = discarded.map(|old| {
        let (status, activation_id) = (old.status.clone(), old.activation_id.clone());
        plan.add(Step::Discard { name: old.name.clone(), status, activation_id }, [held])
    });
    let registered = plan.add(Step::Register(new), roles.iter().copied().chain([free.unwrap_or(held)]));
    plan.add(Step::ApplyOnceRegistered(OnceRegistered::Namespace), [registered]);
    let mut needs: Vec<StepId> = before.into_iter().chain([registered]).collect();
    // Agents of an earlier activation are of no use any more, so nothing is lost with what cannot be changed in place.
    if let Some(installed) = observed.installed.as_ref().filter(|it| !it.ours || it.inherited.fixed.is_some())
    {
        let set =
            ObjectRef::new(ObjectKind::StatefulSet, &desired.settings.namespace, manifest::STATEFUL_SET);
        needs = vec![plan.add(installed.removal(&set), needs)];
    }
    let agents = plan.add(Step::ApplyOnceRegistered(OnceRegistered::StatefulSet), needs);
    let mut ready = agents;
    if desired.wait {
        ready = await_active(desired, &[agents], plan);
        plan.add(Step::SpendCode { activation_id: None }, [ready]);
    }
    remove_obsolete(observed, is_used_by_pods, &[ready], plan);
    remove_superfluous(desired, observed, &[ready], plan);
}

/// The namespace, then the Lease, then the rest. Returns the Lease's step and those of the rest.
pub(super) fn begin(
    desired: &Desired,
    observed: &Observed,
    objects: Vec<Object>,
    request_token: &str,
    plan: &mut Plan<Step>,
) -> (StepId, Vec<StepId>) {
    let (namespaces, rest): (Vec<_>, Vec<_>) = objects
        .into_iter()
        .partition(|object| object.reference.kind == ObjectKind::Namespace && observed.namespace.is_none());
    let placed: Vec<StepId> =
        namespaces.into_iter().map(|namespace| plan.add(Step::Apply(namespace), [])).collect();
    let intent = Intent {
        cluster_arn: desired.arn.clone(),
        role: desired.role.name().to_owned(),
        provider: desired.provider.as_str().to_owned(),
        request_token: request_token.to_owned(),
        cluster_uid: observed.cluster.uid.clone(),
        started_at: observed.now,
    };
    let held = plan.add(
        Step::HoldLease {
            namespace: desired.settings.namespace.clone(),
            seen: observed.lease.as_ref().map(|lease| lease.resource_version.clone()),
            intent,
        },
        placed,
    );
    // A caller without the right to bind may bind what it has itself, which the API server sees from the role.
    let (bindings, rest): (Vec<_>, Vec<_>) =
        rest.into_iter().partition(|object| bound_role(&object.reference).is_some());
    let mut applied: Vec<(ObjectRef, StepId)> = Vec::new();
    for object in rest {
        let reference = object.reference.clone();
        let step = match object.reference.kind {
            ObjectKind::Secret => Step::ApplyPullSecret(object),
            _ => Step::Apply(object),
        };
        applied.push((reference, plan.add(step, [held])));
    }
    for object in bindings {
        let role = bound_role(&object.reference);
        let needed = applied
            .iter()
            .find(|(reference, _)| Some(reference) == role.as_ref())
            .map_or(held, |(_, id)| *id);
        let reference = object.reference.clone();
        // The role that a binding binds cannot be changed: such a binding is made anew.
        let needed = match observed.fixed.get(&reference) {
            Some(uid) => plan.add(Step::Remove { object: reference.clone(), uid: uid.clone() }, [needed]),
            None => needed,
        };
        applied.push((reference, plan.add(Step::Apply(object), [needed])));
    }
    let mut placed: Vec<StepId> = applied.into_iter().map(|(_, id)| id).collect();
    placed.extend(remove_obsolete(observed, |kind| !is_used_by_pods(kind), &[held], plan));
    (held, placed)
}

/// Deletes the objects that are no longer wanted, of the kinds that `which` says.
pub(super) fn remove_obsolete(
    observed: &Observed,
    which: fn(ObjectKind) -> bool,
    needs: &[StepId],
    plan: &mut Plan<Step>,
) -> Vec<StepId> {
    let obsolete = observed.obsolete.iter().filter(|(object, _)| which(object.kind));
    let steps = obsolete.map(|(object, uid)| Step::Remove { object: object.clone(), uid: uid.clone() });
    steps.map(|step| plan.add(step, needs.iter().copied())).collect()
}

/// Deletes what an adopted connector needed and ours does not, once no pod uses it any more.
pub(super) fn remove_superfluous(
    desired: &Desired,
    observed: &Observed,
    needs: &[StepId],
    plan: &mut Plan<Step>,
) {
    if let Some((object, uid)) = superfluous(desired, observed) {
        plan.add(Step::Remove { object: object.clone(), uid: uid.clone() }, needs.iter().copied());
    }
}

/// What only the agents of an adopted connector need, if this run will see them gone.
pub(super) fn superfluous<'a>(desired: &Desired, observed: &'a Observed) -> Option<&'a (ObjectRef, String)> {
    observed.superfluous.as_ref().filter(|_| desired.takeover.adopt && desired.wait)
}

/// Whether pods of an older template still need an object of that kind: it goes once those of the new one work.
pub(super) fn is_used_by_pods(kind: ObjectKind) -> bool {
    matches!(kind, ObjectKind::ConfigMap | ObjectKind::Secret)
}

/// The role that a binding of ours binds: it has the same name.
fn bound_role(binding: &ObjectRef) -> Option<ObjectRef> {
    let kind = match binding.kind {
        ObjectKind::RoleBinding => ObjectKind::Role,
        ObjectKind::ClusterRoleBinding => ObjectKind::ClusterRole,
        ObjectKind::Namespace
        | ObjectKind::ServiceAccount
        | ObjectKind::ConfigMap
        | ObjectKind::Secret
        | ObjectKind::Role
        | ObjectKind::ClusterRole
        | ObjectKind::NetworkPolicy
        | ObjectKind::PodDisruptionBudget
        | ObjectKind::StatefulSet
        | ObjectKind::Lease
        | ObjectKind::SecurityContextConstraints => return None,
    };
    Some(ObjectRef { kind, ..binding.clone() })
}

fn await_active(desired: &Desired, needs: &[StepId], plan: &mut Plan<Step>) -> StepId {
    let step = Step::AwaitActive { name: desired.name.to_string(), replicas: desired.replicas() };
    plan.add(step, needs.iter().copied())
}

pub(super) fn out_of_shape(objects: Vec<Object>, observed: &Observed) -> Vec<Object> {
    objects.into_iter().filter(|object| observed.state_of(&object.reference) != ObjectState::Same).collect()
}

#[cfg(test)]
#[path = "planner_tests.rs"]
mod tests;
