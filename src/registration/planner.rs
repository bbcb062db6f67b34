//! Decides what registering has to do. Pure and synchronous: execution decides nothing.

use super::desired::Desired;
use super::observed::{Intent, ObjectState, Observed, Registration, RoleSeen, Status};
use super::proof::prove;
use super::quota::refuse_used_up_quota;
use super::refusal::{name_held, refuse_agents_without_state, refuse_obstacles, refuse_second_name};
use super::request::RoleChoice;
use super::rights::{note_what_cannot_be_told, refuse_missing_rights};
use super::roles::{RolesSeen, note_what_stays, role_steps, uses_desired_role};
use super::step::{NewRegistration, OnceRegistered, Step};
use crate::error::{Code, Error};
use crate::manifest::{Object, ObjectKind, ObjectRef, RegistrationMark};
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

/// How things stand with the registration.
enum Situation<'a> {
    /// It exists, is ours, and has what it needs to become or stay ACTIVE.
    Known { registration: &'a Registration, activation_id: &'a str },
    /// It has to be made; `discard` an earlier one of ours first.
    Fresh { discard: bool },
}

/// Plans.
///
/// `request_token` is the token for a RegisterCluster call, should there be one.
///
/// # Errors
/// A conflict: what was seen must not be changed, or not without being asked. Nothing has been changed then.
pub fn plan(desired: &Desired, observed: &Observed, request_token: &str) -> Result<RegisterPlan, Error> {
    let mut notes = Vec::new();
    refuse_obstacles(desired, observed)?;
    let situation = situation(desired, observed, &mut notes)?;
    if let Situation::Known { registration, activation_id } = &situation {
        refuse_agents_without_state(desired, observed, registration, activation_id)?;
    }

    let mut plan = Plan::default();
    let roles = match &situation {
        Situation::Known { registration, .. } if !uses_desired_role(registration, desired) => Vec::new(),
        Situation::Known { .. } | Situation::Fresh { .. } => {
            role_steps(&RolesSeen::of(desired, observed), &mut plan, &mut notes)?
        }
    };
    match &situation {
        Situation::Known { registration, activation_id } => {
            converge(desired, observed, registration, activation_id, request_token, &roles, &mut plan);
        }
        Situation::Fresh { discard } => {
            // One that is removed first makes room.
            if !discard {
                refuse_used_up_quota(desired, observed, &mut notes)?;
            }
            register(desired, observed, request_token, &roles, *discard, &mut plan);
        }
    }
    refuse_missing_rights(desired, observed, &plan)?;
    if plan.iter().any(|(_, planned)| matches!(planned.step, Step::AwaitActive { .. })) {
        note_what_cannot_be_told(desired, observed, &mut notes);
    }
    if let Situation::Known { registration, .. } = &situation {
        note_what_stays(desired, registration, &mut notes);
    }
    Ok(RegisterPlan { plan, notes, question: None })
}

fn situation<'a>(
    desired: &Desired,
    observed: &'a Observed,
    notes: &mut Vec<String>,
) -> Result<Situation<'a>, Error> {
    refuse_second_name(desired, observed)?;
    let Some(registration) = &observed.registration else {
        if let Some(mark) = observed.namespace.as_ref().and_then(|namespace| namespace.mark.as_ref()) {
            notes.push(format!(
                "The agent in this cluster belongs to {}, which no longer exists; it is taken over.",
                mark.cluster_arn
            ));
        }
        return Ok(Situation::Fresh { discard: false });
    };
    let name = &desired.name;
    if registration.role_arn.is_none() {
        return Err(Error::refused(
            Code::NAME_HELD,
            format!("{name} is the name of a cluster that EKS runs itself"),
        )
        .fix("choose another --name"));
    }
    let proof = prove(registration, observed);
    if !proof.is_proven() {
        return Err(name_held(desired, registration, &proof));
    }
    let renew = |note: String, notes: &mut Vec<String>| {
        notes.push(note);
        Ok(Situation::Fresh { discard: true })
    };
    match &registration.status {
        Status::Deleting => Err(Error::refused(Code::BEING_DELETED, format!("registration {name} is being deleted"))
            .fix("run the same command again when it is gone")),
        Status::Failed => renew(
            format!("The registration {name} of this cluster has FAILED; it is removed and made anew."),
            notes,
        ),
        Status::Creating | Status::Pending => match usable_activation(registration, observed) {
            Some(activation_id) => Ok(Situation::Known { registration, activation_id }),
            None => renew(
                format!(
                    "The registration {name} of this cluster is {} without a usable activation code; it is removed \
                     and made anew.",
                    registration.status
                ),
                notes,
            ),
        },
        Status::Active | Status::Updating | Status::Unknown(_) => match &registration.activation_id {
            Some(activation_id) if observed.states.values().any(|state| state == activation_id) => {
                Ok(Situation::Known { registration, activation_id })
            }
            _ => Err(Error::refused(
                Code::STATE_LOST,
                format!("registration {name} is {}, but this cluster no longer has the agent's state", registration.status),
            )
            .cause("the namespace or the Secrets eks-connector-state-* were deleted; their activation code cannot be used again")
            .fix(format!(
                "aws eks deregister-cluster --name {name} --region {}, then run the same command again",
                observed.region
            ))),
        },
    }
}

/// The activation with which a registration that is not ACTIVE yet can still become so: its code is at hand, or its
/// agents have used it already.
fn usable_activation<'a>(registration: &'a Registration, observed: &Observed) -> Option<&'a str> {
    let id = registration.activation_id.as_deref()?;
    let used = observed.states.values().any(|state| state == id);
    (code_at_hand(registration, observed) || used).then_some(id)
}

/// Whether an agent could still register with the registration's own code.
pub(super) fn code_at_hand(registration: &Registration, observed: &Observed) -> bool {
    let unexpired = registration.activation_expiry.is_none_or(|expiry| expiry > observed.now);
    let kept = observed.activation_secret.as_ref().filter(|secret| secret.holds_code);
    let id = kept.and_then(|secret| secret.mark.as_ref()).map(|mark| &mark.activation_id);
    unexpired && id.is_some() && id == registration.activation_id.as_ref()
}

/// A registration that exists: bring everything to what it should be, wait if there is something to wait for.
fn converge(
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
    let holds_code = observed.activation_secret.as_ref().is_some_and(|secret| {
        secret.holds_code && secret.mark.as_ref().is_some_and(|mark| mark.activation_id == activation_id)
    });
    let settled = registration.status == Status::Active
        && agents.is_empty()
        && (0..desired.replicas())
            .all(|ordinal| observed.states.get(&ordinal).is_some_and(|state| state == activation_id));
    let spend = holds_code && desired.wait;
    if wrong.is_empty() && agents.is_empty() && observed.obsolete.is_empty() && !spend {
        if !settled && desired.wait {
            await_active(desired, roles, plan);
        }
        return;
    }

    let (held, before) = begin(desired, observed, wrong, request_token, plan);
    let mut ready: Vec<StepId> = before.into_iter().chain(roles.iter().copied()).chain([held]).collect();
    for object in agents {
        ready = vec![plan.add(Step::Apply(object), ready)];
    }
    if desired.wait {
        let active = await_active(desired, &ready, plan);
        if spend {
            plan.add(Step::SpendCode { activation_id: Some(activation_id.to_owned()) }, [active]);
        }
        ready = vec![active];
    }
    remove_obsolete(observed, is_used_by_pods, &ready, plan);
}

/// A registration that has to be made.
fn register(
    desired: &Desired,
    observed: &Observed,
    request_token: &str,
    roles: &[StepId],
    discard: bool,
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
    let free = discard.then(|| plan.add(Step::Discard { name: desired.name.to_string() }, [held]));
    let registered = plan.add(Step::Register(new), roles.iter().copied().chain([free.unwrap_or(held)]));
    plan.add(Step::ApplyOnceRegistered(OnceRegistered::Namespace), [registered]);
    let agents = plan
        .add(Step::ApplyOnceRegistered(OnceRegistered::StatefulSet), before.into_iter().chain([registered]));
    let mut ready = agents;
    if desired.wait {
        ready = await_active(desired, &[agents], plan);
        plan.add(Step::SpendCode { activation_id: None }, [ready]);
    }
    remove_obsolete(observed, is_used_by_pods, &[ready], plan);
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
