//! Does the steps of deregistering.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use futures::future::BoxFuture;
use tokio::time::{Instant, sleep, sleep_until};

use super::look::{AccountPorts, ClusterPorts, RemovalPorts};
use super::step::{Part, Step};
use super::stuck::what_holds;
use crate::error::{Code, Error, Kind};
use crate::manifest::{ObjectKind, ObjectRef};
use crate::plan::{Done, StepFailure, Stop, Worker};
use crate::ports::{Failure, FailureKind, HeldLease, LinkedDeletion};
use crate::registration::step::SERVICE_LINKED_ROLE;
use crate::registration::wait::tolerate;
use crate::registration::worker::{Progress, discard, may_have_had_effect, stale_or};

/// How often it is looked whether something is gone.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// How often IAM is asked at most whether the service-linked role is gone.
const ASK_IAM_AGAIN: Duration = Duration::from_secs(5);

/// The worker of one try.
pub(super) struct RemovalWorker {
    ports: RemovalPorts,
    limit: Duration,
    stop: Stop,
    /// The Lease, while it is held.
    lease: Mutex<Option<Arc<dyn HeldLease>>>,
    /// The steps of which it is not known whether they had their effect, or that had a part of it.
    doubtful: Mutex<Vec<Step>>,
}

impl Worker<Step> for RemovalWorker {
    fn work(
        self: Arc<Self>,
        step: Step,
        progress: Progress,
    ) -> BoxFuture<'static, Result<Done, StepFailure>> {
        Box::pin(async move {
            if step.is_change() && self.lease().is_some_and(|lease| lease.is_lost()) {
                return Err(StepFailure::Stale("the Lease of eksconnect was taken over".to_owned()));
            }
            match &step {
                Step::HoldLease { namespace, seen, intent } => {
                    let cluster = &self.cluster()?.cluster;
                    let lease = cluster.hold_lease(namespace, seen.as_deref(), intent).await;
                    let lease =
                        lease.map_err(|failure| stale_or_gone(failure, "take the Lease of eksconnect"))?;
                    *self.lease.lock().unwrap_or_else(PoisonError::into_inner) = Some(lease);
                    Ok(Done::new("held"))
                }
                Step::Delete { object, uid, part } => {
                    let answer = self.cluster()?.cluster.delete(object, uid).await;
                    self.settled(&step, answer, &format!("delete {object}"))?;
                    if *part == Part::Namespace {
                        // It goes with the namespace, and need not be renewed any more.
                        self.lease.lock().unwrap_or_else(PoisonError::into_inner).take();
                    }
                    Ok(Done::new("removed"))
                }
                Step::StopAgents { object, uid } => self.stop_agents(&step, object, uid, &progress).await,
                Step::Unmark(object) => {
                    let answer = self.cluster()?.cluster.apply(object).await.map(drop);
                    self.settled(&step, answer, &format!("apply {}", object.reference))?;
                    Ok(Done::new("unmarked"))
                }
                Step::Deregister { name, status, activation_id } => {
                    let registrations = self.account()?.registrations.as_ref();
                    let done = discard(registrations, name, status, activation_id.as_ref()).await;
                    // Its answer may be lost; reading it again tells.
                    if matches!(&done, Err(StepFailure::Failed(_)))
                        && !matches!(registrations.registration(name).await, Ok(Some(_)))
                    {
                        self.doubt(step.clone());
                    }
                    done
                }
                Step::DeleteRole { role, policies } => self.delete_role(&step, role, policies).await,
                Step::DeleteServiceLinkedRole => self.delete_linked(&step, &progress).await,
                Step::AwaitNamespace { namespace } => self.until_gone(namespace, None, &progress).await,
            }
        })
    }
}

impl RemovalWorker {
    /// For one try; `limit` bounds each wait.
    pub(super) fn new(ports: RemovalPorts, limit: Duration, stop: Stop) -> Self {
        Self { ports, limit, stop, lease: Mutex::default(), doubtful: Mutex::default() }
    }

    fn cluster(&self) -> Result<&ClusterPorts, Error> {
        let missing = || Error::failed(Code::INTERNAL, "the cluster is not worked on");
        self.ports.cluster.as_ref().ok_or_else(missing)
    }

    fn account(&self) -> Result<&AccountPorts, Error> {
        let missing = || Error::failed(Code::INTERNAL, "the account is not worked on");
        self.ports.account.as_ref().ok_or_else(missing)
    }

    fn doubt(&self, step: Step) {
        self.doubtful.lock().unwrap_or_else(PoisonError::into_inner).push(step);
    }

    /// Keeps in mind that nobody could see whether a namespace that is going is gone.
    fn unseen(&self, object: &ObjectRef) {
        if object.kind == ObjectKind::Namespace {
            self.doubt(Step::AwaitNamespace { namespace: object.clone() });
        }
    }

    /// The steps of which it is not known whether they had their effect, or that had a part of it.
    pub(super) fn doubtful(&self) -> Vec<Step> {
        self.doubtful.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The Lease that this try holds, if it got that far and no namespace has taken it along.
    pub(super) fn lease(&self) -> Option<Arc<dyn HeldLease>> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The answer of a step's write; where it is lost, that is kept in mind.
    fn settled(&self, step: &Step, answer: Result<(), Failure>, attempting: &str) -> Result<(), StepFailure> {
        answer.map_err(|failure| {
            if may_have_had_effect(failure.kind) {
                self.doubt(step.clone());
            }
            stale_or(failure, attempting)
        })
    }

    async fn stop_agents(
        &self,
        step: &Step,
        object: &ObjectRef,
        uid: &str,
        progress: &Progress,
    ) -> Result<Done, StepFailure> {
        let answer = self.cluster()?.clearing.delete_whole(object, uid).await;
        self.settled(step, answer, &format!("delete {object}"))?;
        self.until_gone(object, Some(uid), progress).await?;
        Ok(Done::new("removed"))
    }

    async fn delete_role(&self, step: &Step, role: &str, policies: &[String]) -> Result<Done, StepFailure> {
        let removal = &self.account()?.role_removal;
        let attempting = format!("delete the role {role}");
        for (gone, policy) in policies.iter().enumerate() {
            let answer = removal.delete_role_policy(role, policy).await;
            self.settled(step, answer, &attempting).inspect_err(|_| self.partly(role, policies, gone))?;
        }
        let answer = removal.delete_role(role).await;
        self.settled(step, answer, &attempting)
            .inspect_err(|_| self.partly(role, policies, policies.len()))?;
        Ok(Done::new("removed"))
    }

    /// Keeps in mind that the first `gone` of the policies of a role that stays are gone, which is a change too. What is
    /// left to do is another step than the planned one, so that the role itself is not taken to be in doubt.
    fn partly(&self, role: &str, policies: &[String], gone: usize) {
        if gone > 0 {
            let policies = policies.iter().skip(gone).cloned().collect();
            self.doubt(Step::DeleteRole { role: role.to_owned(), policies });
        }
    }

    /// IAM asks the service whether it still needs the role, which takes its time.
    async fn delete_linked(&self, step: &Step, progress: &Progress) -> Result<Done, StepFailure> {
        let removal = &self.account()?.role_removal;
        let attempting = format!("delete the role {SERVICE_LINKED_ROLE}");
        let asked = removal.delete_service_linked_role().await;
        let asked = asked.map_err(|failure| {
            if may_have_had_effect(failure.kind) {
                self.doubt(step.clone());
            }
            stale_or(failure, &attempting)
        })?;
        let Some(task) = asked else { return Ok(Done::unchanged("gone already")) };
        let deadline = Instant::now() + self.limit;
        let mut delays = ExponentialBuilder::default()
            .with_min_delay(LOOK_AGAIN)
            .with_max_delay(ASK_IAM_AGAIN)
            .without_max_times()
            .build();
        let mut trouble = None;
        loop {
            match removal.linked_deletion(&task).await {
                Ok(LinkedDeletion::Gone) => return Ok(Done::new("removed")),
                Ok(LinkedDeletion::Refused(why)) => {
                    return Err(Error::failed(
                        Code::ROLE_STAYS,
                        format!("the role {SERVICE_LINKED_ROLE} stays"),
                    )
                    .cause(why)
                    .fix("deregister what still needs it, then run the same command again")
                    .into());
                }
                Ok(LinkedDeletion::Going) => {
                    progress("asking the service whether it is still needed".to_owned());
                }
                Err(failure) => trouble = Some(tolerate(failure, "ask how the deletion stands")?),
            }
            let delay = delays.next().unwrap_or(ASK_IAM_AGAIN);
            tokio::select! {
                _ = self.stop.stopped() => return Err(StepFailure::Stopped),
                () = sleep_until(deadline) => {
                    let error = Error::new(
                        Code::ROLE_STAYS,
                        Kind::TimedOut,
                        format!("the role {SERVICE_LINKED_ROLE} is not gone within {:#}", limit(self.limit)),
                    );
                    let error = error.cause(trouble.unwrap_or_else(|| "IAM still asks the service".to_owned()));
                    return Err(error.fix("run the same command again").into());
                }
                () = sleep(delay) => {}
            }
        }
    }

    /// Waits until an object is gone, or another one of that name is there.
    async fn until_gone(
        &self,
        object: &ObjectRef,
        uid: Option<&str>,
        progress: &Progress,
    ) -> Result<Done, StepFailure> {
        let ports = self.cluster()?;
        let began = Instant::now();
        let deadline = began + self.limit;
        loop {
            let trouble = match ports.cluster.read(object).await {
                Ok(None) => return Ok(Done::new("gone")),
                Ok(Some(live)) if uid.is_some_and(|uid| live["metadata"]["uid"] != uid) => {
                    return Ok(Done::new("gone"));
                }
                Ok(Some(live))
                    if object.kind == ObjectKind::Namespace
                        && live["metadata"].get("deletionTimestamp").is_none() =>
                {
                    // Somebody has made it anew.
                    return Ok(Done::new("gone"));
                }
                Ok(Some(live)) => {
                    if let Some(condition) = super::stuck::first_condition(&live) {
                        progress(condition);
                    }
                    None
                }
                Err(failure) => {
                    let looking = tolerate(failure, &format!("look whether {object} is gone"));
                    Some(looking.inspect_err(|_| self.unseen(object))?)
                }
            };
            tokio::select! {
                _ = self.stop.stopped() => return Err(StepFailure::Stopped),
                () = sleep_until(deadline) => {
                    if trouble.is_some() {
                        self.unseen(object);
                    }
                    return Err(self.stuck(object, trouble).await?.into());
                }
                () = sleep(LOOK_AGAIN) => {}
            }
        }
    }

    /// Why something is not gone.
    async fn stuck(&self, object: &ObjectRef, trouble: Option<String>) -> Result<Error, Error> {
        let ports = self.cluster()?;
        let error = Error::new(
            Code::NAMESPACE_STUCK,
            Kind::TimedOut,
            format!("{object} is not gone within {:#}", limit(self.limit)),
        );
        let live = ports.cluster.read(object).await.ok().flatten().unwrap_or_default();
        let contents = match object.kind {
            ObjectKind::Namespace => ports.clearing.contents(&object.name).await.ok(),
            _ => None,
        };
        let held = what_holds(&live, contents.as_ref());
        let error = match (held.is_empty(), trouble) {
            (false, _) => error.cause(held.join("\n")),
            (true, Some(trouble)) => error.cause(trouble),
            (true, None) => error.cause("nothing that holds it can be seen"),
        };
        Ok(error.fix(
            "let whatever set those finalizers do its work, or take them off (kubectl edit); then run the same command again",
        ))
    }
}

fn limit(limit: Duration) -> jiff::SignedDuration {
    jiff::SignedDuration::try_from(limit).unwrap_or(jiff::SignedDuration::MAX)
}

/// A namespace that goes in the meantime takes no Lease: look again.
fn stale_or_gone(failure: Failure, attempting: &str) -> StepFailure {
    let going = failure.message.contains("is being terminated") || failure.kind == FailureKind::NotFound;
    if going {
        return StepFailure::Stale(format!("{}: {}", failure.operation, failure.message));
    }
    stale_or(failure, attempting)
}
