//! Decides what registering has to do. Pure and synchronous: execution decides nothing.

use super::desired::Desired;
use super::observed::{Intent, ObjectState, Observed, Permissions, Registration, RoleSeen, Status};
use super::proof::{Proof, prove};
use super::request::RoleChoice;
use super::step::{NewRegistration, OnceRegistered, Step};
use crate::error::{Code, Error};
use crate::manifest::{self, Object, ObjectKind, ObjectRef, RegistrationMark};
use crate::plan::{Plan, StepId};

/// What registering has to do, and what a person should know about why.
#[derive(Clone, Debug, PartialEq)]
pub struct RegisterPlan {
    /// The steps.
    pub plan: Plan<Step>,
    /// Sentences to be said before anything is done.
    pub notes: Vec<String>,
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
    refuse_held_lease(desired, observed)?;

    let mut plan = Plan::default();
    let roles = match &situation {
        Situation::Known { registration, .. } if !uses_desired_role(registration, desired) => Vec::new(),
        Situation::Known { .. } | Situation::Fresh { .. } => {
            role_steps(desired, observed, &mut plan, &mut notes)?
        }
    };
    match &situation {
        Situation::Known { registration, activation_id } => {
            converge(desired, observed, registration, activation_id, request_token, &roles, &mut plan);
        }
        Situation::Fresh { discard } => {
            register(desired, observed, request_token, &roles, *discard, &mut plan);
        }
    }
    if let Situation::Known { registration, .. } = &situation {
        note_what_stays(desired, registration, &mut notes);
    }
    Ok(RegisterPlan { plan, notes })
}

fn refuse_obstacles(desired: &Desired, observed: &Observed) -> Result<(), Error> {
    let namespace = &desired.settings.namespace;
    if let Some(facts) = &observed.namespace {
        if facts.terminating {
            return Err(Error::refused(
                Code::NAMESPACE_TERMINATING,
                format!(
                    "namespace {namespace} is being deleted, so {} cannot be registered yet",
                    desired.name
                ),
            )
            .fix(format!(
                "wait until it is gone (kubectl get namespace {namespace}), then run the same command again"
            )));
        }
        if !facts.ours && facts.enforced.as_deref() == Some("restricted") {
            return Err(Error::refused(
                Code::OBJECT_REJECTED,
                format!("namespace {namespace} would reject the agent's pods"),
            )
            .cause("it enforces the Pod Security level restricted; the agent needs the capability DAC_OVERRIDE, which only baseline allows")
            .fix(format!(
                "kubectl label namespace {namespace} --overwrite pod-security.kubernetes.io/enforce=baseline, or choose another --namespace"
            )));
        }
    }
    if observed.foreign_stateful_set {
        return Err(Error::refused(
            Code::FOREIGN_OBJECT,
            format!("StatefulSet {namespace}/{} was not made by eksconnect", manifest::STATEFUL_SET),
        )
        .cause("the official manifest, eksctl or Helm has installed a connector here")
        .fix(format!(
            "remove that installation first (kubectl delete namespace {namespace}), or install beside it with another --namespace"
        )));
    }
    if let Some(nodes) = observed.cluster.nodes.as_ref().filter(|_| desired.wait) {
        let suits = |node: &&super::observed::NodeFacts| {
            node.os == "linux" && node.arch == "amd64" && node.obstacle.is_none()
        };
        if !nodes.iter().any(|node| suits(&node)) {
            let seen: Vec<String> = nodes
                .iter()
                .map(|node| {
                    let obstacle = node.obstacle.as_deref().map(|why| format!(", {why}")).unwrap_or_default();
                    format!("{}: {}/{}{obstacle}", node.name, node.os, node.arch)
                })
                .collect();
            let seen = if seen.is_empty() { "the cluster has no nodes".to_owned() } else { seen.join("; ") };
            return Err(Error::refused(
                Code::NO_SUITABLE_NODE,
                "no node can run the agent, which needs linux/amd64",
            )
            .cause(seen)
            .fix(
                "add a schedulable linux/amd64 node; with --no-wait the cluster is registered all the same",
            ));
        }
    }
    Ok(())
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

fn refuse_second_name(desired: &Desired, observed: &Observed) -> Result<(), Error> {
    let Some(other) = &observed.other_registration else { return Ok(()) };
    Err(Error::refused(
        Code::REGISTERED_ELSEWHERE,
        format!("this cluster is registered already, as {} ({})", other.name, other.status),
    )
    .cause(format!("namespace {} belongs to {}", desired.settings.namespace, other.arn))
    .fix(match &other.status {
        Status::Unknown(_) => format!(
            "use that account and Region, or remove that registration there first: aws eks deregister-cluster --name {}",
            other.name
        ),
        _ => format!(
            "use --name {}, or remove it first: aws eks deregister-cluster --name {} --region {}",
            other.name, other.name, observed.region
        ),
    }))
}

fn name_held(desired: &Desired, registration: &Registration, proof: &Proof) -> Error {
    let cause = match proof {
        Proof::OtherCluster { uid } => {
            format!(
                "its tag names the cluster whose kube-system namespace has the UID {uid}; this is another one"
            )
        }
        Proof::Nothing | Proof::Activation | Proof::UidTag | Proof::Intent => {
            "nothing in this cluster shows that it is the one that was registered".to_owned()
        }
    };
    Error::refused(
        Code::NAME_HELD,
        format!("the name {} is held by another registration ({})", desired.name, registration.status),
    )
    .cause(cause)
    .fix("choose another --name, or check --context: it may be the wrong cluster")
}

/// The activation with which a registration that is not ACTIVE yet can still become so: its code is at hand, or its
/// agents have used it already.
fn usable_activation<'a>(registration: &'a Registration, observed: &Observed) -> Option<&'a str> {
    let id = registration.activation_id.as_deref()?;
    let unexpired = registration.activation_expiry.is_none_or(|expiry| expiry > observed.now);
    let code_at_hand = observed.activation_secret.as_ref().is_some_and(|secret| {
        secret.holds_code && secret.mark.as_ref().is_some_and(|mark| mark.activation_id == id)
    });
    let used = observed.states.values().any(|state| state == id);
    ((code_at_hand && unexpired) || used).then_some(id)
}

fn refuse_held_lease(desired: &Desired, observed: &Observed) -> Result<(), Error> {
    let Some(holder) = observed.lease.as_ref().and_then(|lease| lease.held_by.as_ref()) else {
        return Ok(());
    };
    Err(Error::refused(
        Code::LEASE_HELD,
        format!("another run of eksconnect is working on this cluster: {}", holder.who),
    )
    .cause(format!(
        "it holds the Lease {}/eksconnect until {} and renews it while it lives",
        desired.settings.namespace, holder.until
    ))
    .fix("wait until it ends, then run the same command again"))
}

fn role_steps(
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
    objects.extend(desired.base_objects());
    let wrong: Vec<Object> = out_of_shape(objects, observed);
    let agents = out_of_shape(vec![desired.stateful_set(activation_id)], observed);
    let holds_code = observed.activation_secret.as_ref().is_some_and(|secret| secret.holds_code);
    let settled = registration.status == Status::Active
        && agents.is_empty()
        && observed.states.len() >= usize::try_from(desired.settings.replicas).unwrap_or(usize::MAX);
    let spend = holds_code && desired.wait;
    if wrong.is_empty() && agents.is_empty() && !spend {
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
    }
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
    let objects = namespace.into_iter().chain(out_of_shape(desired.base_objects(), observed)).collect();
    let (held, before) = begin(desired, observed, objects, request_token, plan);
    let role_arn = match (&observed.agent_role, &desired.role) {
        (RoleSeen::Present(role), _) => Some(role.arn.clone()),
        (_, RoleChoice::Given { arn, .. }) => Some(arn.clone()),
        (RoleSeen::Unreadable, RoleChoice::Named(name)) => {
            let partition = super::name::partition(&observed.region);
            Some(format!("arn:{partition}:iam::{}:role/{name}", observed.caller.account))
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
    if desired.wait {
        let active = await_active(desired, &[agents], plan);
        plan.add(Step::SpendCode { activation_id: None }, [active]);
    }
}

/// The namespace, then the Lease, then the rest. Returns the Lease's step and those of the rest.
fn begin(
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
        applied.push((reference, plan.add(Step::Apply(object), [held])));
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
    (held, applied.into_iter().map(|(_, id)| id).collect())
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
        | ObjectKind::Lease => return None,
    };
    Some(ObjectRef { kind, ..binding.clone() })
}

/// Whether a registration uses the role that is asked for. A registration keeps the role that it was made with.
fn uses_desired_role(registration: &Registration, desired: &Desired) -> bool {
    match (&registration.role_arn, &desired.role) {
        (Some(has), RoleChoice::Given { arn, .. }) => has == arn,
        (Some(has), RoleChoice::Named(name)) => has.rsplit('/').next() == Some(name.as_str()),
        (None, _) => false,
    }
}

/// What was asked for and a registration keeps otherwise, to be said.
fn note_what_stays(desired: &Desired, registration: &Registration, notes: &mut Vec<String>) {
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

fn await_active(desired: &Desired, needs: &[StepId], plan: &mut Plan<Step>) -> StepId {
    let step = Step::AwaitActive { name: desired.name.to_string(), replicas: desired.settings.replicas };
    plan.add(step, needs.iter().copied())
}

fn out_of_shape(objects: Vec<Object>, observed: &Observed) -> Vec<Object> {
    objects.into_iter().filter(|object| observed.state_of(&object.reference) != ObjectState::Same).collect()
}

#[cfg(test)]
#[path = "planner_tests.rs"]
mod tests;
