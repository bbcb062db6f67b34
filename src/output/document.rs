//! Results and errors as documents: `apiVersion: eksconnect/v1` and a `kind`. Fields are only ever added
//! (docs/schemas).

use serde::Serialize;
use serde_json::{Value, json};

use super::access_document::views;
use super::account::{role_fields, role_left_as_it_is};
use crate::error::{Code, Error};
use crate::manifest::{FieldChange, ObjectRef};
use crate::registration::desired::Desired;
use crate::registration::halves::cluster::ClusterDone;
use crate::registration::observed::Observed;
use crate::registration::register::{Preview, Registered};
use crate::registration::role_drift::{RoleDrift, RolePart};
use crate::registration::step::Step;

pub(super) const API_VERSION: &str = "eksconnect/v1";

/// An error.
pub(super) fn error(error: &Error) -> Value {
    let facts: Vec<Value> =
        error.facts.iter().map(|fact| json!({ "label": fact.label, "text": fact.text })).collect();
    let remains: Vec<Value> = error
        .remains
        .iter()
        .map(|remains| json!({ "what": remains.what, "removeWith": remains.remove_with }))
        .collect();
    json!({
        "apiVersion": API_VERSION,
        "kind": "Error",
        "code": error.code.to_string(),
        "message": error.message,
        "exitCode": error.exit_code(),
        "facts": facts,
        "remains": remains,
    })
}

/// The page of an error code.
pub(super) fn page(code: Code) -> Value {
    json!({ "apiVersion": API_VERSION, "kind": "ErrorPage", "code": code.to_string(), "markdown": code.page() })
}

/// Which object of Kubernetes is meant.
pub(super) fn reference(object: &ObjectRef) -> Value {
    json!({
        "kind": object.kind.name(),
        "apiVersion": object.kind.api_version(),
        "namespace": object.namespace,
        "name": object.name,
    })
}

/// Where a command works.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Place<'a> {
    pub(super) context: &'a str,
    pub(super) server: &'a str,
}

/// A registration that was made, continued or found as it should be.
pub(super) fn registered(ended: &Registered, place: &Place<'_>) -> Value {
    let (desired, observed) = (&ended.desired, &ended.observed);
    // A registration keeps the provider that it was made with.
    let registered = observed.registration.as_ref().and_then(|registration| registration.provider.as_deref());
    let provider = registered.unwrap_or(desired.provider.as_str());
    let mut registration = registration_of(desired, observed);
    registration["provider"] = json!(provider);
    let mut document = json!({
        "apiVersion": API_VERSION,
        "kind": "RegisterResult",
        "changed": ended.changed,
        "active": ended.active,
        "tookSeconds": ended.took.as_secs_f64(),
        "done": ended.done,
        "registration": registration,
        "cluster": cluster_of(desired, observed, place),
        "unverified": observed.unverified,
    });
    if let Some(granted) = &ended.granted {
        document["views"] = views(&granted.preview, Some(&granted.proofs));
    }
    document
}

/// The cluster's half, made or found as it should be.
pub(super) fn connected(ended: &ClusterDone, place: &Place<'_>) -> Value {
    let (desired, observed) = (&ended.preview.desired, &ended.preview.observed);
    json!({
        "apiVersion": API_VERSION,
        "kind": "RegisterClusterResult",
        "changed": ended.changed,
        "ready": ended.ready,
        "tookSeconds": ended.took.as_secs_f64(),
        "done": ended.done,
        "registration": registration_of(desired, observed),
        "cluster": cluster_of(desired, observed, place),
        "unverified": observed.unverified,
    })
}

fn registration_of(desired: &Desired, observed: &Observed) -> Value {
    json!({
        "name": desired.name.as_str(),
        "arn": desired.arn,
        "account": observed.caller.account,
        "region": observed.region,
    })
}

fn cluster_of(desired: &Desired, observed: &Observed, place: &Place<'_>) -> Value {
    json!({
        "context": place.context,
        "server": place.server,
        "version": observed.cluster.version,
        "uid": observed.cluster.uid,
        "namespace": desired.settings.namespace,
    })
}

/// A plan.
pub(super) fn plan(preview: &Preview, place: &Place<'_>, diff: bool) -> Value {
    let (desired, observed) = (&preview.desired, &preview.observed);
    let steps: Vec<Value> = preview
        .plan
        .plan
        .iter()
        .map(|(_, planned)| {
            let mut step = json!({
                "action": planned.step.describe(),
                "changes": planned.step.is_write(),
            });
            if let Some(fields) = role_part(&planned.step)
                .map(|part| role_fields(&observed.agent_role, &desired.role, part))
                .filter(|_| diff)
            {
                step["diff"] = field_changes(&fields);
            }
            if let Some(object) = planned.step.object() {
                step["object"] = reference(object);
                if let Some(changes) = observed.changes.get(object).filter(|_| diff) {
                    step["diff"] = field_changes(changes);
                }
            }
            step
        })
        .collect();
    let mut plan = json!({
        "apiVersion": API_VERSION,
        "kind": "RegisterPlan",
        "account": observed.caller.account,
        "region": observed.region,
        "context": place.context,
        "server": place.server,
        "registration": desired.arn,
        "provider": desired.provider.as_str(),
        "changes": preview.changes_something(),
        "steps": steps,
        "notes": preview.plan.notes,
        "unverified": observed.unverified,
    });
    if let Some(granting) = &preview.granting {
        plan["views"] = views(granting, None);
    }
    if diff {
        let left = role_left_as_it_is(&observed.agent_role, &desired.role);
        plan["leftAsItIs"] = left_as_it_is(&left, desired.role.name());
    }
    plan
}

/// The parts of the agent role that differ and stay so.
pub(super) fn left_as_it_is(left: &[RoleDrift], role: &str) -> Value {
    let shown = |drift: &RoleDrift| {
        json!({
            "what": format!("{} of role {role}", drift.part),
            "diff": field_changes(&drift.fields),
        })
    };
    left.iter().map(shown).collect()
}

pub(super) fn field_changes(changes: &[FieldChange]) -> Value {
    changes
        .iter()
        .map(|change| json!({ "field": change.field, "from": change.from, "to": change.to }))
        .collect()
}

/// The part of a role that a step changes.
pub(super) fn role_part(step: &Step) -> Option<RolePart> {
    match step {
        Step::PutAgentPolicy { .. } => Some(RolePart::Permissions),
        Step::ChangeAgentRole { change, .. } => Some(change.part()),
        Step::CreateServiceLinkedRole
        | Step::CreateAgentRole(_)
        | Step::Apply(_)
        | Step::ApplyPullSecret(_)
        | Step::ApplyActivationSecret(_)
        | Step::Replace { .. }
        | Step::Remove { .. }
        | Step::HoldLease { .. }
        | Step::Discard { .. }
        | Step::Register(_)
        | Step::ApplyOnceRegistered(_)
        | Step::AwaitActive { .. }
        | Step::ReserveFile { .. }
        | Step::KeepActivation
        | Step::AwaitAgents { .. }
        | Step::SpendCode { .. }
        | Step::Access(_) => None,
    }
}
