//! What registering does in the cluster, as RBAC asks for it. The rights are made from the objects and from the plan's
//! steps, so that they cannot drift from what is really done.

use std::collections::BTreeSet;

use serde_json::Value;

use super::desired::Desired;
use super::observed::{ObjectState, Observed};
use super::request::RegisterRequest;
use super::step::{OnceRegistered, Step};
use crate::error::{Code, Error};
use crate::manifest::{
    self, ApiServer, Inherited, Object, ObjectKind, ObjectRef, STATE_PREFIX, Settings, TOKEN_SECRET,
};
use crate::plan::Plan;

mod rules;
use rules::{rules, words};

/// One right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// Where; `None` for the whole cluster.
    pub namespace: Option<String>,
    /// The API group; empty for the core group.
    pub group: String,
    /// The resource, with its subresource: `pods/log`.
    pub resource: String,
    /// The object; `None` for any.
    pub name: Option<String>,
    /// The verb.
    pub verb: String,
}

impl Right {
    fn new(verb: &str, group: &str, resource: &str, namespace: &str) -> Self {
        Self {
            namespace: Some(namespace.to_owned()),
            group: group.to_owned(),
            resource: resource.to_owned(),
            name: None,
            verb: verb.to_owned(),
        }
    }

    fn on(verb: &str, object: &ObjectRef) -> Self {
        Self {
            namespace: object.namespace.clone(),
            group: object.kind.group().to_owned(),
            resource: object.kind.plural().to_owned(),
            name: Some(object.name.clone()),
            verb: verb.to_owned(),
        }
    }

    /// On any object of that kind in that place: creating names none.
    fn on_any(verb: &str, object: &ObjectRef) -> Self {
        Self { name: None, ..Self::on(verb, object) }
    }
}

/// A right that is needed, and the one with which it is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) right: Right,
    pub(super) unless: Option<Right>,
}

impl From<Right> for Need {
    fn from(right: Right) -> Self {
        Self { right, unless: None }
    }
}

/// Every right that a plan of registering may need, and those that only help. Whether it is OpenShift is asked at the
/// same time; what is needed there alone is asked for everywhere, and missed only where a step needs it.
pub fn of_changes(request: &RegisterRequest) -> Vec<Right> {
    of_changes_to(request, &objects_on(request, true))
}

fn of_changes_to(request: &RegisterRequest, objects: &[Object]) -> Vec<Right> {
    let namespace = &request.namespace;
    let mut needs: Vec<Need> = Vec::new();
    for object in objects {
        needs.extend(to_apply(&object.reference, true).map(Need::from));
        needs.extend(to_give_away(object, objects));
    }
    for object in [secret(namespace, manifest::ACTIVATION_SECRET), set(namespace)] {
        needs.extend(to_apply(&object, true).map(Need::from));
    }
    if request.workload.pull_secret.is_some() {
        needs.extend(
            to_apply(&manifest::pull_secret(&settings(request, false)).reference, true).map(Need::from),
        );
    }
    needs.extend(to_remove(request).into_iter().map(Need::from));
    if request.takeover.adopt {
        needs.extend(to_adopt(namespace).map(Need::from));
    }
    needs.extend(to_hold_lease(namespace, true).map(Need::from));
    needs.extend(to_await(namespace).map(Need::from));
    let mut rights: Vec<Right> =
        needs.into_iter().flat_map(|need| [Some(need.right), need.unless]).flatten().collect();
    rights.extend(to_diagnose(namespace));
    rights.sort_unstable();
    rights.dedup();
    rights
}

/// The rights that looking needs; `of_changes` has those of the dry runs.
fn of_looking(request: &RegisterRequest) -> Vec<Right> {
    let namespace = &request.namespace;
    let mut objects: Vec<ObjectRef> = objects(request).into_iter().map(|object| object.reference).collect();
    objects.extend(manifest::optional_objects(namespace));
    objects.push(set(namespace));
    objects.push(lease(namespace));
    objects.push(secret(namespace, manifest::ACTIVATION_SECRET));
    let states = (0..request.workload.replicas)
        .map(|ordinal| secret(namespace, &manifest::state_secret(STATE_PREFIX, ordinal)));
    objects.extend(states);
    objects.push(ObjectRef::new(ObjectKind::Namespace, "", "kube-system"));
    let mut rights: Vec<Right> = objects.iter().map(|object| Right::on("get", object)).collect();
    if request.workload.needs_api_server() {
        let service = Right::new("get", "", "services", "default");
        rights.push(Right { name: Some("kubernetes".to_owned()), ..service });
    }
    rights
}

/// Everything that a user should have who was refused something while looking, but for making what is there already.
pub fn of_everything(request: &RegisterRequest, there: &[ObjectRef]) -> Vec<Right> {
    let helps: Vec<Right> = to_diagnose(&request.namespace).into();
    let made: Vec<Right> = there.iter().map(|object| Right::on("create", object)).collect();
    let removed = to_remove(request);
    let goes = |right: &Right| removed.contains(right);
    let mut rights = of_looking(request);
    rights.extend(of_changes_to(request, &objects(request)).into_iter().filter(|right| {
        let instead = matches!(right.verb.as_str(), "bind" | "escalate");
        !instead && !goes(right) && !helps.contains(right) && !made.contains(right)
    }));
    rights.sort_unstable();
    rights.dedup();
    rights
}

/// The objects of a request that can be read and applied whole.
pub fn objects(request: &RegisterRequest) -> Vec<Object> {
    objects_on(request, false)
}

fn objects_on(request: &RegisterRequest, openshift: bool) -> Vec<Object> {
    let settings = settings(request, openshift);
    let mut objects = vec![manifest::namespace(&settings, None)];
    objects.extend(manifest::base_objects(&settings));
    objects
}

/// Which objects there are depends on the choices alone; what is in them, on the server too.
fn settings(request: &RegisterRequest, openshift: bool) -> Settings {
    Settings {
        namespace: request.namespace.clone(),
        region: String::new(),
        server_minor: u32::MAX,
        api_server: ApiServer::default(),
        openshift,
        workload: request.workload.clone(),
        inherited: Inherited::default(),
        secrets: manifest::SecretNames::default(),
    }
}

/// Refuses a plan that the caller may not carry out, naming all that is missing at once.
///
/// # Errors
/// `EKSC0312`.
pub(super) fn refuse_missing_rights(
    desired: &Desired,
    observed: &Observed,
    plan: &Plan<Step>,
) -> Result<(), Error> {
    let denied = |right: &Right| observed.denied_rights.contains(right);
    let missing: BTreeSet<Right> = needed(desired, observed, plan)
        .into_iter()
        .filter(|need| denied(&need.right) && need.unless.as_ref().is_none_or(denied))
        .map(|need| need.right)
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(lacking(desired.name.as_str(), &missing)) }
}

/// What a plan needs.
pub(super) fn needed(desired: &Desired, observed: &Observed, plan: &Plan<Step>) -> Vec<Need> {
    plan.iter().flat_map(|(_, planned)| of_step(&planned.step, desired, observed)).collect()
}

/// What a wait could not find out, if the caller may not look.
pub(super) fn note_what_cannot_be_told(desired: &Desired, observed: &Observed, notes: &mut Vec<String>) {
    let namespace = &desired.settings.namespace;
    let denied: BTreeSet<Right> =
        to_diagnose(namespace).into_iter().filter(|right| observed.denied_rights.contains(right)).collect();
    if !denied.is_empty() {
        notes.push(format!(
            "Should the agents not start, the cause may not be told: this user may not {}.",
            words(&denied).join(", nor ")
        ));
    }
}

/// The error for a caller who lacks rights.
pub fn lacking(name: &str, missing: &BTreeSet<Right>) -> Error {
    Error::refused(
        Code::RIGHTS_MISSING,
        format!("{name} cannot be registered: this user of the cluster lacks rights that it takes"),
    )
    .cause(format!("not allowed: {}", words(missing).join("\n")))
    .fix(format!(
        "have these rules given to this user, then run the same command again:\n{}",
        rules(missing).join("\n")
    ))
}

/// What a step needs. Whether something is applied or made depends on whether it is there.
fn of_step(step: &Step, desired: &Desired, observed: &Observed) -> Vec<Need> {
    let namespace = &desired.settings.namespace;
    let plain = |rights: Vec<Right>| rights.into_iter().map(Need::from).collect();
    let absent = |object: &ObjectRef| match object.kind {
        ObjectKind::Namespace => observed.namespace.is_none(),
        _ => observed.state_of(object) == ObjectState::Absent,
    };
    match step {
        Step::Apply(object) => {
            let mut needs: Vec<Need> =
                plain(to_apply(&object.reference, absent(&object.reference)).collect());
            // In a namespace that exists the dry run has found it out.
            if observed.namespace.is_none() {
                needs.extend(to_give_away(object, &desired.base_objects()));
            }
            needs
        }
        Step::ApplyPullSecret(object) => {
            plain(to_apply(&object.reference, absent(&object.reference)).collect())
        }
        Step::ApplyActivationSecret(object) => {
            plain(to_apply(&object.reference, observed.activation_secret.is_none()).collect())
        }
        Step::Replace { object, .. } => {
            plain(vec![Right::on("update", &object.reference), Right::on("patch", &object.reference)])
        }
        Step::Remove { object, .. } => {
            let made_again = matches!(
                object.kind,
                ObjectKind::StatefulSet | ObjectKind::RoleBinding | ObjectKind::ClusterRoleBinding
            );
            let create = made_again.then(|| Right::on("create", object));
            plain([Right::on("delete", object)].into_iter().chain(create).collect())
        }
        Step::HoldLease { seen, .. } => plain(to_hold_lease(namespace, seen.is_none()).collect()),
        // With either the code comes into the cluster.
        Step::Register(_) | Step::KeepActivation => {
            let made = observed.activation_secret.is_none();
            plain(to_apply(&secret(namespace, manifest::ACTIVATION_SECRET), made).collect())
        }
        Step::ApplyOnceRegistered(OnceRegistered::Namespace) => {
            plain(vec![Right::on("patch", &ObjectRef::new(ObjectKind::Namespace, "", namespace))])
        }
        Step::ApplyOnceRegistered(OnceRegistered::StatefulSet) => {
            let set = set(namespace);
            plain(to_apply(&set, absent(&set)).collect())
        }
        Step::AwaitActive { .. } | Step::AwaitAgents { .. } => plain(to_await(namespace).into()),
        Step::SpendCode { .. } => {
            plain(vec![Right::on("patch", &secret(namespace, manifest::ACTIVATION_SECRET))])
        }
        Step::CreateServiceLinkedRole
        | Step::CreateAgentRole(_)
        | Step::PutAgentPolicy { .. }
        | Step::ChangeAgentRole { .. }
        | Step::ReserveFile { .. }
        | Step::Discard { .. }
        // A dry run of each of its objects tells.
        | Step::Access(_) => Vec::new(),
    }
}

/// What only some clusters need: removing what other options had asked for, and what cannot be changed in place.
fn to_remove(request: &RegisterRequest) -> Vec<Right> {
    let namespace = &request.namespace;
    let bindings = objects(request)
        .into_iter()
        .map(|object| object.reference)
        .filter(|object| matches!(object.kind, ObjectKind::RoleBinding | ObjectKind::ClusterRoleBinding));
    let removed = manifest::optional_objects(namespace).into_iter().chain(bindings).chain([set(namespace)]);
    removed.map(|object| Right::on("delete", &object)).collect()
}

/// Taking over a connector that something else has installed.
fn to_adopt(namespace: &str) -> [Right; 2] {
    let token = ObjectRef::new(ObjectKind::Secret, namespace, TOKEN_SECRET);
    [Right::on("update", &set(namespace)), Right::on("delete", &token)]
}

/// Server-side apply is a patch, and of what does not exist yet a creation too, of that name.
fn to_apply(object: &ObjectRef, made: bool) -> impl Iterator<Item = Right> {
    let create = made.then(|| Right::on("create", object));
    [Right::on("patch", object)].into_iter().chain(create)
}

fn to_hold_lease(namespace: &str, made: bool) -> impl Iterator<Item = Right> {
    let lease = lease(namespace);
    let create = made.then(|| Right::on_any("create", &lease));
    [Right::on("update", &lease)].into_iter().chain(create)
}

fn to_await(namespace: &str) -> [Right; 4] {
    let set = set(namespace);
    [
        Right::on("list", &set),
        Right::on("watch", &set),
        Right::new("list", "", "pods", namespace),
        Right::new("watch", "", "pods", namespace),
    ]
}

/// What only helps: finding out why the agents do not start.
fn to_diagnose(namespace: &str) -> [Right; 2] {
    [Right::new("get", "", "pods/log", namespace), Right::new("list", "", "events", namespace)]
}

/// Kubernetes lets nobody give away what they do not have, unless they may escalate or bind. Roles of the whole cluster
/// are left out: for them the dry run says so.
fn to_give_away(object: &Object, all: &[Object]) -> Vec<Need> {
    let (verb, role) = match object.reference.kind {
        ObjectKind::Role => ("escalate", Some(object)),
        ObjectKind::RoleBinding => {
            let name = object.body["roleRef"]["name"].as_str().unwrap_or_default();
            let bound = |one: &&Object| one.reference.kind == ObjectKind::Role && one.reference.name == name;
            ("bind", all.iter().find(bound))
        }
        ObjectKind::Namespace
        | ObjectKind::ServiceAccount
        | ObjectKind::ConfigMap
        | ObjectKind::Secret
        | ObjectKind::ClusterRole
        | ObjectKind::ClusterRoleBinding
        | ObjectKind::NetworkPolicy
        | ObjectKind::PodDisruptionBudget
        | ObjectKind::StatefulSet
        | ObjectKind::Lease
        | ObjectKind::SecurityContextConstraints => return Vec::new(),
    };
    let Some(role) = role else { return Vec::new() };
    let unless = Right::on(verb, &role.reference);
    let given = role.body["rules"].as_array().into_iter().flatten().flat_map(|rule| of_rule(rule, role));
    given.map(|right| Need { right, unless: Some(unless.clone()) }).collect()
}

/// The rights that a rule of a role gives.
fn of_rule(rule: &Value, role: &Object) -> Vec<Right> {
    let texts = |field: &str| -> Vec<String> {
        rule[field]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|text| text.as_str().map(str::to_owned))
            .collect()
    };
    let named: Vec<Option<String>> = texts("resourceNames").into_iter().map(Some).collect();
    let names = if named.is_empty() { vec![None] } else { named };
    let mut rights = Vec::new();
    for group in texts("apiGroups") {
        for resource in texts("resources") {
            for verb in texts("verbs") {
                rights.extend(names.iter().map(|name| Right {
                    namespace: role.reference.namespace.clone(),
                    group: group.clone(),
                    resource: resource.clone(),
                    name: name.clone(),
                    verb: verb.clone(),
                }));
            }
        }
    }
    rights
}

fn secret(namespace: &str, name: &str) -> ObjectRef {
    ObjectRef::new(ObjectKind::Secret, namespace, name)
}

fn set(namespace: &str) -> ObjectRef {
    ObjectRef::new(ObjectKind::StatefulSet, namespace, manifest::STATEFUL_SET)
}

fn lease(namespace: &str) -> ObjectRef {
    ObjectRef::new(ObjectKind::Lease, namespace, manifest::LEASE)
}

#[cfg(test)]
#[path = "rights_tests.rs"]
mod tests;
