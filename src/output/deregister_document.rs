//! Runs of `deregister`, of `gc` and of `roles delete` as documents (docs/schemas).

use serde_json::{Value, json};

use super::deregister::{Removal, Where};
use super::document::{API_VERSION, reference};
use crate::registration::deregister::{DeregisterPreview, Deregistered};

/// A plan.
pub(super) fn plan(preview: &DeregisterPreview, removal: Removal, place: Option<&Where>) -> Value {
    let kind = match removal {
        Removal::Deregister => "DeregisterPlan",
        Removal::Collect => "GcPlan",
        Removal::Roles => "RolesRemovalPlan",
    };
    let mut document = common(kind, preview, removal, place);
    document["changes"] = json!(preview.changes_something());
    document["steps"] = preview
        .plan
        .plan
        .iter()
        .map(|(_, planned)| {
            let step = &planned.step;
            let mut shown = json!({ "action": step.describe(), "changes": step.is_change() });
            if let Some(object) = step.object() {
                shown["object"] = reference(object);
            }
            shown
        })
        .collect();
    document
}

/// A run that ended well.
pub(super) fn result(ended: &Deregistered, removal: Removal, place: Option<&Where>) -> Value {
    let kind = match removal {
        Removal::Deregister => "DeregisterResult",
        Removal::Collect => "GcResult",
        Removal::Roles => "RolesRemovalResult",
    };
    let mut document = common(kind, &ended.preview, removal, place);
    document["changed"] = json!(ended.changed);
    document["tookSeconds"] = json!(ended.took.as_secs_f64());
    document["done"] = json!(ended.done);
    document
}

/// What both have.
fn common(kind: &str, preview: &DeregisterPreview, removal: Removal, place: Option<&Where>) -> Value {
    let mut document = json!({ "apiVersion": API_VERSION, "kind": kind, "notes": preview.plan.notes });
    match preview.seen.account.as_ref().and_then(|account| account.roles.as_ref()) {
        Some(roles) if removal == Removal::Roles => document["role"] = json!(roles.name),
        _ => {
            let target = preview.plan.target.as_ref();
            document["registration"] = json!({
                "name": target.and_then(|target| target.name.as_ref()),
                "arn": target.and_then(|target| target.arn.as_ref()),
            });
        }
    }
    if let Some(account) = &preview.seen.account {
        document["account"] = json!({ "account": account.caller.account, "region": account.region });
    }
    if let Some(cluster) = &preview.seen.cluster {
        document["cluster"] = json!({
            "context": place.map(|place| &place.context),
            "server": place.map(|place| &place.server),
            "uid": cluster.uid,
            "namespace": cluster.namespace,
        });
    }
    document
}
