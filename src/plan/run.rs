//! Runs a command that changes something: look, plan, ask, execute; again from the start where the world changed in
//! between.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;

use super::executor::{Execution, Stop, Worker, execute};
use super::{Plan, Reporter};
use crate::error::{Code, Error, Kind};

/// How often a run looks and plans before it gives up on a world that keeps changing.
const TRIES: usize = 3;

/// How long a Lease of a holder that may be dead is waited for: its duration, and a little for the clocks.
const LEASE_PATIENCE: Duration = Duration::from_secs(40);

/// How often a held Lease is looked at.
const LEASE_LOOK: Duration = Duration::from_secs(2);

/// A command that changes something, as the engine needs to know it.
pub trait Operation: Sync {
    /// Its steps.
    type Step: Clone + Send + 'static;
    /// What it saw, what it wants, and the plan that follows.
    type Seen: Send + Sync;
    /// What does the steps of one try.
    type Worker: Worker<Self::Step>;

    /// Looks and plans, and changes nothing.
    fn look(&self) -> impl Future<Output = Result<Self::Seen, Error>> + Send;

    /// The plan of what was seen.
    fn plan<'a>(&self, seen: &'a Self::Seen) -> &'a Plan<Self::Step>;

    /// What has to be agreed to before the plan is executed, as a question to a person.
    fn question(&self, _seen: &Self::Seen) -> Option<String> {
        None
    }

    /// Makes sure, after a question, that this still is the account and the cluster that the question was about.
    fn check_identity(&self, seen: &Self::Seen) -> impl Future<Output = Result<(), Error>> + Send;

    /// The version of the Lease that another run holds, to see whether it is still renewed.
    fn lease_version(&self) -> impl Future<Output = Option<String>> + Send;

    /// The worker of one try.
    fn worker(&mut self, seen: &Self::Seen, stop: Stop) -> Arc<Self::Worker>;

    /// Takes note of what a try did, undoes what has to be undone, and gives the Lease back.
    fn ended(
        &mut self,
        worker: &Self::Worker,
        execution: &Execution<Self::Step>,
    ) -> impl Future<Output = ()> + Send;

    /// What the run is about, for `registering onprem1 was interrupted`.
    fn doing(&self) -> String;
}

/// Shows a run, and asks.
pub trait Conversation<Step, Seen>: Reporter<Step> {
    /// What was seen and what will be done about it, before anything is done.
    fn planned(&self, seen: &Seen);
    /// Something that a person should know.
    fn note(&self, text: &str);
    /// Asks for agreement. Anything but an agreement is an error.
    fn ask<'a>(&'a self, question: &'a str) -> BoxFuture<'a, Result<(), Error>>;
}

/// Runs `operation` until its plan is done; returns what was seen before the try that did it, and how long it all took.
///
/// # Errors
/// The first failure; what it leaves behind is known to `operation`.
pub async fn run<O, C>(operation: &mut O, show: &Arc<C>, stop: &Stop) -> Result<(O::Seen, Duration), Error>
where
    O: Operation,
    C: Conversation<O::Step, O::Seen> + 'static,
{
    let began = Instant::now();
    let mut last_change = String::new();
    let mut agreed = None;
    for _ in 0..TRIES {
        let seen = look_once_free(operation, show.as_ref(), stop).await?;
        show.planned(&seen);
        agree(operation, &seen, show.as_ref(), stop, &mut agreed).await?;
        match attempt(operation, &seen, show, stop).await? {
            None => return Ok((seen, began.elapsed())),
            Some(what) => {
                show.note(&format!("Something changed in the meantime ({what}); looking again."));
                last_change = what;
            }
        }
    }
    Err(Error::failed(Code::KEPT_CHANGING, format!("{} failed: the world kept changing", operation.doing()))
        .cause(last_change)
        .fix("find out what else is working on this registration, then run the same command again"))
}

/// Asks what has to be asked; the same question only once.
async fn agree<O: Operation>(
    operation: &O,
    seen: &O::Seen,
    show: &dyn Conversation<O::Step, O::Seen>,
    stop: &Stop,
    agreed: &mut Option<String>,
) -> Result<(), Error> {
    let Some(question) = operation.question(seen) else { return Ok(()) };
    if agreed.as_ref() == Some(&question) {
        return Ok(());
    }
    tokio::select! {
        _ = stop.stopped() => return Err(interrupted(operation)),
        answer = show.ask(&question) => answer?,
    }
    operation.check_identity(seen).await?;
    *agreed = Some(question);
    Ok(())
}

/// Looks; while the Lease is held by somebody who may be dead, waits for it to expire.
async fn look_once_free<O: Operation>(
    operation: &O,
    show: &dyn Conversation<O::Step, O::Seen>,
    stop: &Stop,
) -> Result<O::Seen, Error> {
    let began = Instant::now();
    let mut seen: Option<String> = None;
    loop {
        let refused = match operation.look().await {
            Err(error) if error.code == Code::LEASE_HELD => error,
            other => return other,
        };
        let version = operation.lease_version().await;
        match &seen {
            None => show.note(&format!("{refused}; waiting to see whether it is still alive.")),
            // Renewed since: its holder lives.
            Some(before) if version.as_ref() != Some(before) => return Err(refused),
            Some(_) => {}
        }
        seen = version;
        if began.elapsed() > LEASE_PATIENCE {
            return Err(refused);
        }
        tokio::select! {
            _ = stop.stopped() => return Err(interrupted(operation)),
            () = tokio::time::sleep(LEASE_LOOK) => {}
        }
    }
}

fn interrupted(operation: &impl Operation) -> Error {
    Error::new(Code::INTERRUPTED, Kind::Interrupted, format!("{} was interrupted", operation.doing()))
        .fix("run the same command again: it continues where this one ended")
}

/// One try. Returns what changed in the meantime, if something did.
async fn attempt<O, C>(
    operation: &mut O,
    seen: &O::Seen,
    show: &Arc<C>,
    stop: &Stop,
) -> Result<Option<String>, Error>
where
    O: Operation,
    C: Conversation<O::Step, O::Seen> + 'static,
{
    let inner = Stop::default();
    if let Some(reason) = stop.reason() {
        inner.stop(reason);
    }
    let relay = tokio::spawn({
        let (outer, inner) = (stop.clone(), inner.clone());
        async move { inner.stop(outer.stopped().await) }
    });
    let worker = operation.worker(seen, inner.clone());
    let mut execution = execute(
        operation.plan(seen),
        Arc::clone(&worker) as Arc<dyn Worker<O::Step>>,
        Arc::clone(show) as _,
        &inner,
    )
    .await;
    relay.abort();
    execution.interrupted &= !execution.not_done.is_empty();
    operation.ended(&worker, &execution).await;
    match execution.failure {
        Some(error) => Err(error),
        None if execution.interrupted => Err(interrupted(operation)),
        None => Ok(execution.stale),
    }
}
