//! Undoes what a run made in the cluster. Deletes carry the UID of what was made, and nothing is undone while another
//! run may have gone on with it.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ConstantBuilder};

use super::observe::Ports;
use super::observed::Intent;
use super::worker::kubectl_delete;
use crate::error::Remains;
use crate::manifest::{ObjectKind, ObjectRef};
use crate::ports::HeldLease;

/// How long a namespace that is undone is waited for. It holds nothing that takes time to end.
const NAMESPACE_GOES_WITHIN: Duration = Duration::from_secs(30);

/// What a run made in the cluster, over all its tries.
#[derive(Clone, Debug, Default)]
pub(super) struct Made {
    /// The objects, each with its UID, in order.
    pub(super) objects: Vec<(ObjectRef, String)>,
    /// Those of which that is not known: the answers were lost, and they could not be looked at.
    pub(super) doubtful: Vec<ObjectRef>,
    /// Whether the Lease is one of them.
    pub(super) lease: bool,
}

/// Undoes, the last first; returns what could not be undone. `lease` is the one that this run holds, if it got that far.
pub(super) async fn undo(
    ports: &Ports,
    namespace: &str,
    made: Made,
    lease: Option<&Arc<dyn HeldLease>>,
) -> Vec<Remains> {
    let mut objects = made.objects;
    // What is in a namespace that goes, goes with it; the namespace itself goes last.
    let namespace_goes = objects.iter().any(|(object, _)| object.kind == ObjectKind::Namespace);
    objects.retain(|(object, _)| !namespace_goes || object.kind.is_cluster_scoped());
    objects.sort_by_key(|(object, _)| object.kind == ObjectKind::Namespace);
    if !may_undo(ports, namespace, lease).await {
        tracing::debug!("somebody else may be working here: nothing is undone");
        return objects.iter().map(|(object, _)| left(object)).collect();
    }
    let mut remains = Vec::new();
    for (object, uid) in objects.iter().filter(|(object, _)| object.kind != ObjectKind::Namespace) {
        if ports.cluster.delete(object, uid).await.is_err() {
            remains.push(left(object));
        }
    }
    // Only now: what is deleted after the Lease could be in another run's way.
    if let Some(lease) = lease.filter(|_| !namespace_goes) {
        let given_back = if made.lease { lease.discard().await } else { lease.release().await };
        if let Err(failure) = given_back {
            tracing::debug!("the Lease could not be given back: {failure}");
        }
    }
    if let Some((namespace, uid)) = objects.last().filter(|_| namespace_goes) {
        let deleted = ports.cluster.delete(namespace, uid).await;
        if deleted.is_err() || !is_gone(ports, namespace).await {
            remains.push(left(namespace));
        }
    }
    remains
}

/// Undoes what earlier tries made, whose Lease was given back: takes it again, as it was for `intent`. `None` if it
/// belongs to another run by now, or if one has gone on with what was made: then nothing is undone.
pub(super) async fn undo_later(
    ports: &Ports,
    namespace: &str,
    made: Made,
    intent: &Intent,
) -> Option<Vec<Remains>> {
    let seen = ports.cluster.lease(namespace).await.ok()?;
    if seen.as_ref().is_some_and(|lease| lease.held_by.is_some()) {
        return None;
    }
    let version = seen.map(|lease| lease.resource_version);
    let lease = ports.cluster.hold_lease(namespace, version.as_deref(), intent).await.ok()?;
    // Another run may have come and gone in between, and have left a connector that works with these objects.
    if !matches!(ports.cluster.activation_secret(namespace).await, Ok(None)) {
        if let Err(failure) = lease.release().await {
            tracing::debug!("the Lease could not be given back: {failure}");
        }
        return None;
    }
    Some(undo(ports, namespace, made, Some(&lease)).await)
}

fn left(object: &ObjectRef) -> Remains {
    Remains { what: object.to_string(), remove_with: kubectl_delete(object) }
}

/// Whether what this run made is still its own business: without the Lease, another run may have gone on with it.
async fn may_undo(ports: &Ports, namespace: &str, lease: Option<&Arc<dyn HeldLease>>) -> bool {
    match lease {
        Some(lease) => !lease.is_lost(),
        None => match ports.cluster.lease(namespace).await {
            Ok(lease) => lease.is_none_or(|lease| lease.held_by.is_none()),
            Err(_) => false,
        },
    }
}

/// A namespace goes when all that is in it is gone. The next run would be refused until then.
async fn is_gone(ports: &Ports, namespace: &ObjectRef) -> bool {
    let look_again = ConstantBuilder::default()
        .with_delay(Duration::from_millis(250))
        .with_max_times(usize::try_from(NAMESPACE_GOES_WITHIN.as_millis() / 250).unwrap_or(1));
    for delay in look_again.build() {
        match ports.cluster.read(namespace).await {
            Ok(None) => return true,
            Ok(Some(_)) | Err(_) => tokio::time::sleep(delay).await,
        }
    }
    false
}
