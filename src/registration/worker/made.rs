//! What a run has made in the cluster: as the answers say, or found out where answers were lost.

use std::collections::BTreeSet;

use futures::future::join_all;

use super::RegisterWorker;
use crate::manifest::{ACTIVATION_SECRET, ObjectKind, ObjectRef};
use crate::ports::{Applied, Failure, FailureKind};
use crate::registration::observed::{ObjectState, Observed};
use crate::registration::undo::Made;

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
                self.context.made().doubtful.push(object.clone());
            }
            Err(_) => {}
        }
    }

    fn note_made(&self, object: &ObjectRef, uid: String) {
        self.context.made().objects.push((object.clone(), uid));
    }

    /// What this run, over all its tries, has made in the cluster.
    pub(in crate::registration) fn made(&self) -> Made {
        self.context.made().clone()
    }

    /// Looks for the objects of which it is not known whether this run made them. What cannot be looked at stays in doubt.
    pub(in crate::registration) async fn find_out(&self) {
        let doubtful = std::mem::take(&mut self.context.made().doubtful);
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
                    self.context.made().doubtful.push(object.clone());
                }
            }
        }
    }
}

/// Whether a request that failed so may have been done all the same.
pub(crate) fn may_have_had_effect(kind: FailureKind) -> bool {
    match kind {
        FailureKind::Unreachable | FailureKind::Unavailable | FailureKind::Malformed => true,
        FailureKind::NotFound
        | FailureKind::Conflict
        | FailureKind::Denied
        | FailureKind::NoCredentials
        | FailureKind::CredentialSource
        | FailureKind::ExpiredCredentials
        | FailureKind::RejectedCredentials
        | FailureKind::Rejected
        | FailureKind::LimitExceeded
        | FailureKind::NotPropagated
        | FailureKind::ServiceLinkedRoleMissing
        | FailureKind::Certificate => false,
    }
}
