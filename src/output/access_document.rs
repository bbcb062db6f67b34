//! Grants and revocations as documents (docs/schemas).

use serde_json::{Value, json};

use super::access::form_word;
use super::document::{API_VERSION, Place, field_changes, reference};
use crate::access::check::{Proof, ProvenHeld};
use crate::access::objects::{GrantRole, GrantScope};
use crate::access::observe::AccessPreview;
use crate::access::observed::IamState;
use crate::access::operation::AccessDone;
use crate::access::planner::PolicyByHand;
use crate::access::principal::Principal;
use crate::ports::Decision;

/// A plan.
pub(super) fn plan(
    preview: &AccessPreview,
    principals: &[Principal],
    place: &Place<'_>,
    diff: bool,
) -> Value {
    let mut plan = common(preview, place);
    plan["kind"] = json!(if preview.desired.is_some() { "GrantViewPlan" } else { "RevokeViewPlan" });
    plan["changes"] = json!(preview.plan.changes_something());
    plan["question"] = json!(preview.plan.question);
    plan["principals"] = principals.iter().map(|principal| of_principal(preview, principal)).collect();
    plan["steps"] = preview
        .plan
        .plan
        .iter()
        .map(|(_, planned)| {
            let mut step = json!({ "action": planned.step.describe(), "changes": planned.step.is_write() });
            if let Some(object) = planned.step.object() {
                step["object"] = reference(object);
                if let Some(changes) = preview.observed.changes.get(object).filter(|_| diff) {
                    step["diff"] = field_changes(changes);
                }
            }
            step
        })
        .collect();
    plan
}

/// A run that ended well.
pub(super) fn result(ended: &AccessDone, principals: &[Principal], place: &Place<'_>) -> Value {
    let preview = &ended.preview;
    let mut result = common(preview, place);
    result["kind"] = json!(if preview.desired.is_some() { "GrantViewResult" } else { "RevokeViewResult" });
    result["changed"] = json!(ended.changed);
    result["tookSeconds"] = json!(ended.took.as_secs_f64());
    result["done"] = json!(ended.done);
    result["principals"] = match &preview.desired {
        Some(_) => views(preview, Some(&ended.proofs)),
        None => principals.iter().map(|principal| of_principal(preview, principal)).collect(),
    };
    result
}

/// Each grant, with its proof where there could be one.
pub(super) fn views(preview: &AccessPreview, proofs: Option<&[Proof]>) -> Value {
    let designs = preview.desired.iter().flat_map(|desired| &desired.grants);
    designs
        .map(|design| {
            let mut shown = of_principal(preview, &design.principal);
            if let Some(proofs) = proofs {
                let proof = proofs.iter().find(|proof| proof.principal == design.principal);
                shown["proof"] = proof.map_or(Value::Null, |proof| {
                    let (held, why) = held(&proof.held);
                    json!({ "held": held, "why": why, "allowed": proof.allowed })
                });
            }
            shown
        })
        .collect()
}

fn common(preview: &AccessPreview, place: &Place<'_>) -> Value {
    let looked = &preview.observed.looked;
    let mut document = json!({
        "apiVersion": API_VERSION,
        "account": looked.caller.account,
        "region": looked.region,
        "context": place.context,
        "server": place.server,
        "version": looked.version,
        "namespace": looked.namespace,
        "registration": looked.cluster_arn,
        "notes": preview.plan.notes,
        "unverified": looked.unverified,
    });
    if let Some(desired) = &preview.desired {
        document["impersonation"] = form_word(desired.form);
        if let Some(design) = desired.grants.first() {
            document["scope"] = match &design.scope {
                GrantScope::Cluster => Value::Null,
                GrantScope::Namespaces(places) => json!(places),
            };
            document["clusterRole"] = match &design.role {
                GrantRole::ConsoleView => Value::Null,
                GrantRole::Given(role) => json!(role.meta.name),
            };
        }
    }
    document
}

fn of_principal(preview: &AccessPreview, principal: &Principal) -> Value {
    let mut shown = json!({ "arn": principal.arn() });
    if preview.desired.is_none() {
        return shown;
    }
    shown["iam"] = match preview.observed.iam.get(principal) {
        None => Value::Null,
        Some(IamState::Allowed) => json!({ "state": "allowed" }),
        Some(IamState::Unknown(why)) => json!({ "state": "unknown", "why": why }),
        Some(IamState::Lacks(actions)) => {
            let lacks: Vec<Value> = actions
                .iter()
                .map(
                    |(action, decision)| json!({ "action": action, "denied": *decision == Decision::Denied }),
                )
                .collect();
            json!({ "state": "lacking", "lacks": lacks })
        }
    };
    let by_hand = preview.plan.by_hand.iter().find(|policy| policy.principal == *principal);
    shown["policyByHand"] = by_hand.map_or(Value::Null, policy);
    shown
}

fn policy(policy: &PolicyByHand) -> Value {
    let document: Value = serde_json::from_str(&policy.document).unwrap_or_default();
    json!({ "because": policy.because, "document": document })
}

fn held(held: &ProvenHeld) -> (&'static str, Option<&str>) {
    match held {
        ProvenHeld::ViewOnly => ("view-only", None),
        ProvenHeld::ToThePrincipal => ("anything", None),
        ProvenHeld::NotShown(why) => ("not-shown", Some(why)),
        ProvenHeld::NotAsked(why) => ("not-asked", Some(why)),
    }
}
