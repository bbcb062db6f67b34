//! Runs a command that changes something: look, plan, ask, execute; again from the start where the world changed in
//! between.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;

use super::executor::{Execution, Stop, Worker, execute};
use super::journal::Journal;
use super::{Done, Plan, Reporter};
use crate::error::{Code, Error, Kind};

/// How often a run looks and plans before it gives up on a world that keeps changing.
const TRIES: usize = 3;

/// How often a held Lease is looked at.
const LEASE_LOOK: Duration = Duration::from_secs(2);

/// A Lease that another run holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseSeen {
    /// Changes whenever its holder renews it.
    pub version: String,
    /// How long it stands without being renewed.
    pub duration: Duration,
}

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

    /// The Lease, if another run holds it.
    fn lease(&self) -> impl Future<Output = Option<LeaseSeen>> + Send;

    /// From now on [`Self::look`] takes the Lease of this version to be nobody's: its holder has not renewed it for as
    /// long as it stands.
    fn presume_dead(&mut self, version: String);

    /// The worker of one try.
    fn worker(&mut self, seen: &Self::Seen, stop: Stop) -> Arc<Self::Worker>;

    /// Takes note of what a try did, undoes what has to be undone, and gives the Lease back.
    fn ended(
        &mut self,
        worker: &Self::Worker,
        execution: &Execution<Self::Step>,
    ) -> impl Future<Output = ()> + Send;

    /// There will be no further try, though the last one only found the world changed: undoes what has to be undone.
    fn abandoned(&mut self) -> impl Future<Output = ()> + Send;

    /// The run ends at once: takes note of what the try that was under way has done, and of what is in flight.
    fn cut_off(&mut self, done: Vec<(Self::Step, Done)>, in_flight: &[Self::Step]);

    /// A step in a few words.
    fn describe(&self, step: &Self::Step) -> String;

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
    let journal = Arc::new(Journal::new(Arc::clone(show) as _));
    let ended = tokio::select! {
        ended = tries(operation, show, &journal, stop) => Some(ended),
        () = stop.stopped_at_once() => None,
    };
    match ended {
        Some(seen) => Ok((seen?, began.elapsed())),
        None => {
            let (done, in_flight) = journal.take();
            operation.cut_off(done, &in_flight);
            Err(ended_at_once(operation, &in_flight))
        }
    }
}

async fn tries<O, C>(
    operation: &mut O,
    show: &Arc<C>,
    journal: &Arc<Journal<O::Step>>,
    stop: &Stop,
) -> Result<O::Seen, Error>
where
    O: Operation,
    C: Conversation<O::Step, O::Seen> + 'static,
{
    let mut last_change = String::new();
    let mut agreed = None;
    for _ in 0..TRIES {
        let seen = match prepare(operation, show.as_ref(), stop, &mut agreed).await {
            Ok(seen) => seen,
            Err(error) => {
                operation.abandoned().await;
                return Err(error);
            }
        };
        match attempt(operation, &seen, journal, stop).await? {
            None => return Ok(seen),
            Some(what) => {
                show.note(&format!("Something changed in the meantime ({what}); looking again."));
                last_change = what;
            }
        }
    }
    operation.abandoned().await;
    Err(Error::failed(Code::KEPT_CHANGING, format!("{} failed: the world kept changing", operation.doing()))
        .cause(last_change)
        .fix("find out what else is working on this registration, then run the same command again"))
}

/// Looks, shows the plan, and asks what has to be asked.
async fn prepare<O: Operation>(
    operation: &mut O,
    show: &dyn Conversation<O::Step, O::Seen>,
    stop: &Stop,
    agreed: &mut Option<String>,
) -> Result<O::Seen, Error> {
    let seen = look_once_free(operation, show, stop).await?;
    show.planned(&seen);
    agree(operation, &seen, show, stop, agreed).await?;
    Ok(seen)
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

/// Looks; while another run holds the Lease, waits to see whether it renews it. Only what was measured here counts:
/// the times in the Lease are those of another clock.
async fn look_once_free<O: Operation>(
    operation: &mut O,
    show: &dyn Conversation<O::Step, O::Seen>,
    stop: &Stop,
) -> Result<O::Seen, Error> {
    let mut watched: Option<(LeaseSeen, Instant)> = None;
    loop {
        let refused = match operation.look().await {
            Err(error) if error.code == Code::LEASE_HELD => error,
            other => return other,
        };
        let lease = operation.lease().await;
        let mut pause = LEASE_LOOK;
        match (&watched, lease) {
            // Given back a moment ago: the next look tells.
            (_, None) => {}
            (None, Some(lease)) => {
                show.note(&format!("{refused}; waiting to see whether it is still alive."));
                watched = Some((lease, Instant::now()));
            }
            // Renewed since: its holder lives.
            (Some((before, _)), Some(lease)) if *before != lease => return Err(refused),
            (Some((before, since)), Some(_)) => match before.duration.checked_sub(since.elapsed()) {
                Some(left) => pause = pause.min(left),
                None => {
                    operation.presume_dead(before.version.clone());
                    continue;
                }
            },
        }
        tokio::select! {
            _ = stop.stopped() => return Err(interrupted(operation)),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

fn interrupted(operation: &impl Operation) -> Error {
    Error::new(Code::INTERRUPTED, Kind::Interrupted, format!("{} was interrupted", operation.doing()))
        .fix("run the same command again: it continues where this one ended")
}

fn ended_at_once<O: Operation>(operation: &O, in_flight: &[O::Step]) -> Error {
    let in_flight: Vec<String> = in_flight.iter().map(|step| operation.describe(step)).collect();
    let in_flight = if in_flight.is_empty() { "nothing".to_owned() } else { in_flight.join(", ") };
    Error::new(Code::INTERRUPTED, Kind::Interrupted, format!("{} was ended at once", operation.doing()))
        .fact("state", format!("in flight, with an effect that is not known: {in_flight}"))
        .fix("run the same command again: it finds out what was done, and continues")
}

/// One try. Returns what changed in the meantime, if something did.
async fn attempt<O: Operation>(
    operation: &mut O,
    seen: &O::Seen,
    journal: &Arc<Journal<O::Step>>,
    stop: &Stop,
) -> Result<Option<String>, Error> {
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
        Arc::clone(journal) as _,
        &inner,
    )
    .await;
    relay.abort();
    journal.close();
    execution.interrupted &= !execution.not_done.is_empty();
    operation.ended(&worker, &execution).await;
    match execution.failure {
        Some(error) => Err(error),
        None if execution.interrupted => Err(interrupted(operation)),
        None => Ok(execution.stale),
    }
}
