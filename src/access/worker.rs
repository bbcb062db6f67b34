//! Does the steps of granting and revoking.

mod verifying;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;

use super::check::Proof;
use super::observe::{AccessPorts, AccessPreview};
use super::removal::Removal;
use super::step::Step;
use crate::plan::{Done, StepFailure, Stop, Worker};
use crate::ports::{Acting, Failure, FailureKind};
use crate::registration::worker::{may_have_had_effect, stale_or};

/// The worker of one try.
pub struct AccessWorker {
    ports: AccessPorts,
    namespace: String,
    /// The server's version, for people.
    version: String,
    acting: tokio::sync::Mutex<Option<Arc<dyn Acting>>>,
    stop: Stop,
    proofs: Mutex<Vec<Proof>>,
    refuted: AtomicBool,
    /// What may have been done: the answers were lost.
    in_doubt: Mutex<Vec<Step>>,
}

/// How an object ended that was not there before.
pub(super) const CREATED: &str = "created";

pub(super) type Progress = Box<dyn Fn(String) + Send + Sync>;

impl Worker<Step> for AccessWorker {
    fn work(
        self: Arc<Self>,
        step: Step,
        progress: Progress,
    ) -> BoxFuture<'static, Result<Done, StepFailure>> {
        Box::pin(async move { self.step(step, &progress).await })
    }
}

impl AccessWorker {
    /// For one try on what was seen.
    pub fn new(ports: AccessPorts, seen: &AccessPreview, stop: Stop) -> Self {
        let looked = &seen.observed.looked;
        Self {
            ports,
            namespace: looked.namespace.clone(),
            version: looked.version.clone(),
            acting: tokio::sync::Mutex::new(seen.acting.clone()),
            stop,
            proofs: Mutex::default(),
            refuted: AtomicBool::new(false),
            in_doubt: Mutex::default(),
        }
    }

    /// Does one step.
    ///
    /// # Errors
    /// It failed, or found another world than the plan saw.
    pub async fn step(&self, step: Step, progress: &Progress) -> Result<Done, StepFailure> {
        let attempted = step.is_write().then(|| step.clone());
        let doubt = |failure: &Failure| {
            let lost = may_have_had_effect(failure.kind);
            if let Some(step) = attempted.as_ref().filter(|_| lost) {
                self.doubt(step.clone());
            }
        };
        match step {
            Step::Apply(object) => {
                let answer = self.ports.cluster.apply(&object).await.inspect_err(doubt);
                let applied =
                    answer.map_err(|failure| stale_or(failure, &format!("apply {}", object.reference)))?;
                if applied.repeated && !applied.created {
                    // The attempt that got no answer may have made it.
                    self.doubt(Step::Apply(object));
                }
                Ok(Done::new(if applied.created { CREATED } else { "changed" }))
            }
            Step::Remove { object, uid } | Step::Change(Removal::Delete { object, uid }) => {
                let answer = self.ports.cluster.delete(&object, &uid).await.inspect_err(doubt);
                answer.map_err(|failure| stale_or(failure, &format!("delete {object}")))?;
                Ok(Done::new("deleted"))
            }
            Step::Change(Removal::Amend { object, seen, change, what: _ }) => {
                let answer = self.ports.access.amend(&object, &seen, &change).await.inspect_err(doubt);
                answer.map_err(|failure| gone_or_stale(failure, &format!("change {object}")))?;
                Ok(Done::new("changed"))
            }
            Step::AttachPolicy { principal, document, exists } => {
                let answer = self.ports.principals.attach_viewer_policy(&principal, &document).await;
                let attempting = format!("put the inline policy of {}", principal.short());
                answer.inspect_err(doubt).map_err(|failure| stale_or(failure, &attempting))?;
                Ok(Done::new(if exists { "changed" } else { "attached" }))
            }
            Step::DetachPolicy { principal } => {
                let answer = self.ports.principals.detach_viewer_policy(&principal).await;
                let attempting = format!("delete the inline policy of {}", principal.short());
                answer.inspect_err(doubt).map_err(|failure| stale_or(failure, &attempting))?;
                Ok(Done::new("detached"))
            }
            Step::AwaitAllowed { principal, arn, cluster_arn } => {
                self.await_allowed(&principal, &arn, &cluster_arn, progress).await
            }
            Step::Verify(check) => self.verify(*check, progress).await,
            Step::VerifyRevoked { principal } => self.verify_revoked(&principal, progress).await,
        }
    }

    /// What was found out about the grants.
    pub fn proofs(&self) -> Vec<Proof> {
        self.proofs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the API server has shown that it does not constrain impersonation.
    pub fn is_refuted(&self) -> bool {
        self.refuted.load(Ordering::Acquire)
    }

    /// The steps that may have been done though the answer was lost.
    pub fn in_doubt(&self) -> Vec<Step> {
        self.in_doubt.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn doubt(&self, step: Step) {
        self.in_doubt.lock().unwrap_or_else(PoisonError::into_inner).push(step);
    }

    fn prove(&self, proof: Proof) {
        self.proofs.lock().unwrap_or_else(PoisonError::into_inner).push(proof);
    }

    /// The connector. What has been installed only by this plan could not be acted as before.
    async fn acting(&self) -> Result<Arc<dyn Acting>, Failure> {
        let mut acting = self.acting.lock().await;
        if let Some(acting) = acting.as_ref() {
            return Ok(Arc::clone(acting));
        }
        let own = self.ports.access.act_as_connector(&self.namespace).await?;
        Ok(Arc::clone(acting.insert(own)))
    }
}

/// An object that is gone was seen by the plan.
fn gone_or_stale(failure: Failure, attempting: &str) -> StepFailure {
    if failure.kind == FailureKind::NotFound {
        return StepFailure::Stale(format!("{}: {}", failure.operation, failure.message));
    }
    stale_or(failure, attempting)
}
