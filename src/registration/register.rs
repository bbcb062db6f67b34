//! Registering a cluster: observe, plan, execute, report; again from the start where the world changed in between.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::desired::Desired;
use super::observe::{Ports, observe};
use super::observed::{Observed, Status};
use super::planner::{RegisterPlan, plan};
use super::remains::History;
use super::request::RegisterRequest;
use super::step::Step;
use super::worker::RegisterWorker;
use crate::error::{Code, Error, Kind};
use crate::plan::{Done, Execution, Reporter, Stop, execute};

/// How often a run observes and plans before it gives up on a world that keeps changing.
const TRIES: usize = 3;

/// How long a Lease of a holder that may be dead is waited for: its duration, and a little for the clocks.
const LEASE_PATIENCE: Duration = Duration::from_secs(40);

/// How often a held Lease is looked at.
const LEASE_LOOK: Duration = Duration::from_secs(2);

/// Shows a run.
pub trait Show: Reporter<Step> {
    /// What was seen and what will be done about it, before anything is done.
    fn planned(&self, desired: &Desired, observed: &Observed, plan: &RegisterPlan);
    /// Something that a person should know.
    fn note(&self, text: &str);
}

/// How a run that ended well ended.
#[derive(Clone, Debug)]
pub struct Registered {
    /// What was wanted.
    pub desired: Desired,
    /// What was seen before.
    pub observed: Observed,
    /// What was done, as short phrases.
    pub done: Vec<String>,
    /// Whether something was changed.
    pub changed: bool,
    /// Whether ACTIVE was seen.
    pub active: bool,
    /// How long it took.
    pub took: Duration,
}

/// A plan that was not executed.
#[derive(Clone, Debug)]
pub struct Preview {
    /// What is wanted.
    pub desired: Desired,
    /// What was seen.
    pub observed: Observed,
    /// What would be done.
    pub plan: RegisterPlan,
}

impl Preview {
    /// Whether executing the plan would write something, in AWS or in the cluster.
    pub fn changes_something(&self) -> bool {
        self.plan.plan.iter().any(|(_, planned)| planned.step.is_write())
    }
}

/// Observes and plans, and changes nothing.
///
/// # Errors
/// What could not be observed, and the conflicts of [`plan`].
pub async fn preview(ports: &Ports, request: &RegisterRequest) -> Result<Preview, Error> {
    let (desired, observed) = observe(ports, request).await?;
    let plan = plan(&desired, &observed, &new_token())?;
    Ok(Preview { desired, observed, plan })
}

/// Registers.
///
/// # Errors
/// Every error says what remains.
pub async fn register(
    ports: &Ports,
    request: &RegisterRequest,
    show: Arc<dyn Show>,
    stop: &Stop,
) -> Result<Registered, Error> {
    let run = Run { ports, request, show, stop };
    let mut history = History::default();
    match run.until_done(&mut history).await {
        Ok(registered) => Ok(registered),
        Err(error) => Err(history.list_remains(error, request, &ports.region)),
    }
}

/// A run, over all its tries.
struct Run<'a> {
    ports: &'a Ports,
    request: &'a RegisterRequest,
    show: Arc<dyn Show>,
    stop: &'a Stop,
}

impl Run<'_> {
    async fn until_done(&self, history: &mut History) -> Result<Registered, Error> {
        let began = Instant::now();
        let mut last_change = String::new();
        for _ in 0..TRIES {
            let seen = self.preview_once_free().await?;
            self.show.planned(&seen.desired, &seen.observed, &seen.plan);
            history.before.get_or_insert_with(|| seen.observed.clone());
            match self.attempt(&seen, history).await? {
                None => return Ok(self.registered(seen, history, began.elapsed())),
                Some(what) => {
                    self.show.note(&format!("Something changed in the meantime ({what}); looking again."));
                    last_change = what;
                }
            }
        }
        let message = format!("{} could not be registered: the world kept changing", self.request.name);
        Err(Error::failed(Code::KEPT_CHANGING, message)
            .cause(last_change)
            .fix("find out what else is working on this registration, then run the same command again"))
    }

    fn registered(&self, seen: Preview, history: &History, took: Duration) -> Registered {
        let status = seen.observed.registration.as_ref().map(|registration| &registration.status);
        let active = self.request.wait.is_some() || status == Some(&Status::Active);
        let changed = history.done.iter().any(|(step, done)| step.is_write() && !done.unchanged);
        let phrase = |(step, done): &(Step, Done)| format!("{}: {}", step.describe(), done.outcome);
        let done = history.done.iter().map(phrase).collect();
        Registered { desired: seen.desired, observed: seen.observed, done, changed, active, took }
    }

    /// Observes and plans; while the Lease is held by somebody who may be dead, waits for it to expire.
    async fn preview_once_free(&self) -> Result<Preview, Error> {
        let began = Instant::now();
        let mut seen: Option<String> = None;
        loop {
            let refused = match preview(self.ports, self.request).await {
                Err(error) if error.code == Code::LEASE_HELD => error,
                other => return other,
            };
            let lease = self.ports.cluster.lease(&self.request.namespace).await;
            let version = lease.ok().flatten().map(|lease| lease.resource_version);
            match &seen {
                None => self.show.note(&format!("{refused}; waiting to see whether it is still alive.")),
                // Renewed since: its holder lives.
                Some(before) if version.as_ref() != Some(before) => return Err(refused),
                Some(_) => {}
            }
            seen = version;
            if began.elapsed() > LEASE_PATIENCE {
                return Err(refused);
            }
            tokio::select! {
                _ = self.stop.stopped() => return Err(self.interrupted()),
                () = tokio::time::sleep(LEASE_LOOK) => {}
            }
        }
    }

    fn interrupted(&self) -> Error {
        let message = format!("registering {} was interrupted", self.request.name);
        Error::new(Code::INTERRUPTED, Kind::Interrupted, message)
            .fix("run the same command again: it continues where this one ended")
    }

    /// One try. Returns what changed in the meantime, if something did.
    async fn attempt(&self, seen: &Preview, history: &mut History) -> Result<Option<String>, Error> {
        let stop = Stop::default();
        if let Some(reason) = self.stop.reason() {
            stop.stop(reason);
        }
        let relay = tokio::spawn({
            let (outer, inner) = (self.stop.clone(), stop.clone());
            async move { inner.stop(outer.stopped().await) }
        });
        let limit = self.request.wait.unwrap_or_default();
        let worker = RegisterWorker::new(self.ports.clone(), seen, history.made.clone(), limit, stop.clone());
        let worker = Arc::new(worker);
        let reporter = Arc::new(Relay(Arc::clone(&self.show)));
        let execution = execute(&seen.plan.plan, Arc::clone(&worker) as _, reporter, &stop).await;
        relay.abort();

        let Execution { done, failure, stale, interrupted, not_done } = execution;
        let interrupted = interrupted && !not_done.is_empty();
        history.done.extend(done);
        history.made = worker.made();
        history.uncertain |= worker.registration_is_uncertain();
        if (failure.is_some() || interrupted) && !worker.code_in_cluster() {
            history.not_undone = worker.undo().await;
            history.undone = true;
        }
        if let Err(failure) = worker.release_lease().await {
            // It expires by itself; a run from this host takes it at once.
            tracing::debug!("the Lease could not be released: {failure}");
        }
        match failure {
            Some(error) => Err(error),
            None if interrupted => Err(self.interrupted()),
            None => Ok(stale),
        }
    }
}

/// The reporter of an attempt is the shower of the run.
struct Relay(Arc<dyn Show>);

impl Reporter<Step> for Relay {
    fn event(&self, event: crate::plan::Event<Step>) {
        self.0.event(event);
    }
}

fn new_token() -> String {
    uuid::Uuid::new_v4().to_string()
}
