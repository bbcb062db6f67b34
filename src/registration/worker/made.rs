//! What a run has made in the cluster: as the answers say, or found out where answers were lost.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use futures::future::join_all;

use super::{RegisterWorker, kubectl_delete};
use crate::error::Remains;
use crate::manifest::{ACTIVATION_SECRET, ObjectKind, ObjectRef};
use crate::ports::{Applied, Failure, FailureKind};
use crate::registration::observed::{ObjectState, Observed};

/// The objects that were seen to exist: who applies another one and gets no answer may have made it.
pub(super) fn existing(observed: &Observed, namespace: &str) -> BTreeSet<ObjectRef> {
    let compared = observed.objects.iter().filter(|(_, state)| **state != ObjectState::Absent);
    let mut existing: BTreeSet<ObjectRef> = compared.map(|(object, _)| object.clone()).collect();
    if observed.namespace.is_some() {
        existing.insert(ObjectRef::new(ObjectKind::Namespace, namespace, namespace));
    }
    if observed.activation_secret.is_some() {
        existing.insert(ObjectRef::new(ObjectKind::Secret, namespace, ACTIVATION_SECRET));
    }
    existing
}

impl RegisterWorker {
    /// Takes note of what applying an object did.
    pub(super) fn note_applied(&self, object: &ObjectRef, answer: &Result<Applied, Failure>) {
        let is_new = || !self.existing.contains(object);
        match answer {
            // After an attempt whose answer was lost, the next one finds what that one made.
            Ok(applied) if applied.created || (applied.repeated && is_new()) => {
                self.note_made(object, applied.uid.clone());
            }
            Ok(_) => {}
            Err(failure) if may_have_had_effect(failure.kind) && is_new() => {
                self.context.doubtful.lock().unwrap_or_else(PoisonError::into_inner).push(object.clone());
            }
            Err(_) => {}
        }
    }

    fn note_made(&self, object: &ObjectRef, uid: String) {
        self.context.made.lock().unwrap_or_else(PoisonError::into_inner).push((object.clone(), uid));
    }

    /// What this run, over all its tries, has made in the cluster.
    pub(in crate::registration) fn made(&self) -> Vec<(ObjectRef, String)> {
        self.context.made.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks for the objects of which it is not known whether this run made them. What cannot be looked at stays in doubt.
    pub(in crate::registration) async fn find_out(&self) {
        let doubtful = std::mem::take(&mut *self.doubtful());
        let looks = join_all(doubtful.iter().map(|object| async move {
            match object.kind {
                ObjectKind::Secret => self.ports.cluster.secret_metadata(object).await,
                _ => self.ports.cluster.read(object).await,
            }
        }));
        for (object, found) in doubtful.iter().zip(looks.await) {
            match found {
                Ok(Some(live))
                    if live["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "eksconnect" =>
                {
                    let uid = live["metadata"]["uid"].as_str().unwrap_or_default();
                    self.note_made(object, uid.to_owned());
                }
                Ok(_) => {}
                Err(failure) => {
                    tracing::debug!("it is not known whether {object} was made: {failure}");
                    self.doubtful().push(object.clone());
                }
            }
        }
    }

    /// What may have been made, but could not be looked at.
    pub(in crate::registration) fn in_doubt(&self) -> Vec<Remains> {
        let doubtful = self.doubtful().clone();
        let in_doubt = doubtful.into_iter().map(|object| Remains {
            what: format!("{object} (it may have been made)"),
            remove_with: kubectl_delete(&object),
        });
        in_doubt.collect()
    }

    fn doubtful(&self) -> std::sync::MutexGuard<'_, Vec<ObjectRef>> {
        self.context.doubtful.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a request that failed so may have been done all the same.
fn may_have_had_effect(kind: FailureKind) -> bool {
    match kind {
        FailureKind::Unreachable | FailureKind::Unavailable | FailureKind::Malformed => true,
        FailureKind::NotFound
        | FailureKind::Conflict
        | FailureKind::Denied
        | FailureKind::NoCredentials
        | FailureKind::ExpiredCredentials
        | FailureKind::RejectedCredentials
        | FailureKind::Rejected
        | FailureKind::LimitExceeded
        | FailureKind::NotPropagated
        | FailureKind::ServiceLinkedRoleMissing
        | FailureKind::Certificate => false,
    }
}
