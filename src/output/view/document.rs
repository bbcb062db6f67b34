//! The picture as a document.

use std::path::Path;

use serde_json::{Value, json};

use crate::access::picture::{
    EventRow, NamespaceRow, NodeRow, Part, Picture, PodRow, Refusal, Resources, Row, WorkloadRow,
};
use crate::access::scope::Scope;
use crate::access::verification::Verdict;
use crate::output::document::{API_VERSION, Place};

/// The document.
pub(super) fn document(picture: &Picture, place: &Place<'_>, page: Option<&Path>) -> Value {
    let server = picture.server.rows.first();
    let mut workloads = serde_json::Map::new();
    for (kind, found) in &picture.workloads {
        workloads.insert(kind.resource().1.to_owned(), part(found, workload));
    }
    json!({
        "apiVersion": API_VERSION,
        "kind": "View",
        "principal": picture.principal.arn(),
        "context": place.context,
        "server": place.server,
        "namespace": picture.namespace,
        "namespaces": match &picture.scope {
            Scope::Cluster => Value::Null,
            Scope::Namespaces(names) => json!(names),
        },
        "takenAt": picture.taken_at.to_string(),
        "page": page.map(|page| page.display().to_string()),
        "status": {
            "version": server.map(|server| &server.version),
            "platform": server.map(|server| &server.platform),
            "ready": server.and_then(|server| server.ready),
            "refused": refused(&picture.server.refusals),
        },
        "parts": {
            "nodes": part(&picture.nodes, node),
            "namespaces": part(&picture.namespaces, namespace),
            "workloads": workloads,
            "pods": part(&picture.pods, pod),
            "events": part(&picture.events, event),
        },
        "notes": picture.notes,
    })
}

fn part<T: Row>(part: &Part<T>, item: impl Fn(&T) -> Value) -> Value {
    json!({
        "items": part.rows.iter().map(item).collect::<Vec<_>>(),
        "more": part.more,
        "unwell": part.unwell,
        "refused": refused(&part.refusals),
    })
}

fn refused(refusals: &[Refusal]) -> Value {
    let shown = |refusal: &Refusal| {
        json!({
            "namespace": refusal.namespace,
            "by": match refusal.by {
                Verdict::RefusedByImpersonation => "impersonation",
                Verdict::RefusedByRbac => "rbac",
                Verdict::Allowed | Verdict::Unknown => "failure",
            },
            "message": refusal.message,
        })
    };
    refusals.iter().map(shown).collect()
}

fn node(node: &NodeRow) -> Value {
    json!({
        "name": node.name,
        "ready": node.ready,
        "conditions": node.conditions,
        "roles": node.roles,
        "kubeletVersion": node.version,
        "platform": node.platform,
        "capacity": resources(node.capacity),
        "allocatable": resources(node.allocatable),
        "createdAt": node.created.map(|at| at.to_string()),
    })
}

fn resources(of: Resources) -> Value {
    json!({ "cpu": of.cpu, "memoryBytes": of.memory, "pods": of.pods })
}

fn namespace(namespace: &NamespaceRow) -> Value {
    json!({
        "name": namespace.name,
        "phase": namespace.phase,
        "createdAt": namespace.created.map(|at| at.to_string()),
    })
}

fn workload(row: &WorkloadRow) -> Value {
    json!({
        "namespace": row.namespace,
        "name": row.name,
        "ready": row.ready,
        "wanted": row.wanted,
        "state": row.state,
        "well": row.well,
        "createdAt": row.created.map(|at| at.to_string()),
    })
}

fn pod(pod: &PodRow) -> Value {
    json!({
        "namespace": pod.namespace,
        "name": pod.name,
        "ready": pod.ready,
        "containers": pod.containers,
        "status": pod.status,
        "restarts": pod.restarts,
        "node": pod.node,
        "well": pod.well,
        "createdAt": pod.created.map(|at| at.to_string()),
    })
}

fn event(event: &EventRow) -> Value {
    json!({
        "at": event.at.map(|at| at.to_string()),
        "warning": event.warning,
        "reason": event.reason,
        "object": event.object,
        "message": event.message,
        "count": event.count,
    })
}
