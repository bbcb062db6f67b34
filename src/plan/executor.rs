//! Executes a plan: every step in a task of its own, none ever dropped half-way.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Event, Plan, Planned, Reporter, StepId};
use crate::error::{Code, Error};

/// Why no further step is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// A signal asked for it.
    Interrupted,
    /// A step failed.
    Failed,
}

/// Tells steps that merely wait to end. Writes in flight are finished, never dropped.
#[derive(Clone, Debug)]
pub struct Stop {
    sender: Arc<watch::Sender<Option<StopReason>>>,
    at_once: Arc<watch::Sender<bool>>,
}

impl Default for Stop {
    fn default() -> Self {
        Self { sender: Arc::new(watch::Sender::new(None)), at_once: Arc::new(watch::Sender::new(false)) }
    }
}

impl Stop {
    /// Asks for an end. The first reason stays.
    pub fn stop(&self, reason: StopReason) {
        self.sender.send_if_modified(|current| {
            let first = current.is_none();
            current.get_or_insert(reason);
            first
        });
    }

    /// Why to end, if to end.
    pub fn reason(&self) -> Option<StopReason> {
        *self.sender.borrow()
    }

    /// Asks to end at once, whatever is in flight.
    pub fn stop_at_once(&self) {
        self.at_once.send_replace(true);
    }

    /// Resolves as soon as an end at once is asked for.
    pub async fn stopped_at_once(&self) {
        // `self` holds the sender, so this cannot fail.
        if self.at_once.subscribe().wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Resolves as soon as an end is asked for.
    pub async fn stopped(&self) -> StopReason {
        let mut receiver = self.sender.subscribe();
        loop {
            if let Some(reason) = *receiver.borrow_and_update() {
                return reason;
            }
            if receiver.changed().await.is_err() {
                // Cannot happen while `self` holds the sender; never resolving is what "no end was asked for" means.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// How a step ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// A short phrase for people: `created`, `11 applied`.
    pub outcome: String,
    /// Whether it turned out that there was nothing to change.
    pub unchanged: bool,
}

impl Done {
    /// Done, with a short phrase.
    pub fn new(outcome: impl Into<String>) -> Self {
        Self { outcome: outcome.into(), unchanged: false }
    }

    /// Done, and nothing was changed.
    pub fn unchanged(outcome: impl Into<String>) -> Self {
        Self { outcome: outcome.into(), unchanged: true }
    }
}

/// How a step did not end well.
#[derive(Debug)]
pub enum StepFailure {
    /// It failed.
    Failed(Box<Error>),
    /// It found another world than the plan saw: observe and plan again.
    Stale(String),
    /// It ended early because it was asked to.
    Stopped,
}

impl From<Error> for StepFailure {
    fn from(error: Error) -> Self {
        Self::Failed(Box::new(error))
    }
}

/// Says what a step does; the executor says when.
pub trait Worker<S>: Send + Sync + 'static {
    /// Does one step. `progress` shows where a long one stands.
    fn work(
        self: Arc<Self>,
        step: S,
        progress: Box<dyn Fn(String) + Send + Sync>,
    ) -> BoxFuture<'static, Result<Done, StepFailure>>;
}

/// What became of a plan.
#[derive(Debug)]
pub struct Execution<S> {
    /// The steps that were done, in the order in which they ended.
    pub done: Vec<(S, Done)>,
    /// The first failure.
    pub failure: Option<Error>,
    /// What a step found changed, if one did and none failed.
    pub stale: Option<String>,
    /// Whether a signal ended it.
    pub interrupted: bool,
    /// The steps that were not done.
    pub not_done: Vec<S>,
}

/// Executes `plan`. Starts each step as soon as its needs are done; after a failure or a stop it starts none and waits
/// for those in flight.
pub async fn execute<S>(
    plan: &Plan<S>,
    worker: Arc<dyn Worker<S>>,
    reporter: Arc<dyn Reporter<S>>,
    stop: &Stop,
) -> Execution<S>
where
    S: Clone + Send + 'static,
{
    let mut waiting: BTreeMap<StepId, &Planned<S>> = plan.iter().collect();
    let mut finished: Vec<StepId> = Vec::new();
    let mut running: JoinSet<(StepId, Result<Done, StepFailure>)> = JoinSet::new();
    let mut tasks: BTreeMap<tokio::task::Id, StepId> = BTreeMap::new();
    let mut execution =
        Execution { done: Vec::new(), failure: None, stale: None, interrupted: false, not_done: Vec::new() };
    let steps: BTreeMap<StepId, &S> = plan.iter().map(|(id, planned)| (id, &planned.step)).collect();

    loop {
        if stop.reason().is_none() {
            let ready: Vec<StepId> = waiting
                .iter()
                .filter(|(_, planned)| planned.needs.iter().all(|need| finished.contains(need)))
                .map(|(id, _)| *id)
                .collect();
            for id in ready {
                if let Some(planned) = waiting.remove(&id) {
                    let task = start(id, planned.step.clone(), &worker, &reporter);
                    tasks.insert(running.spawn(task).id(), id);
                }
            }
        }
        let (id, result) = match running.join_next().await {
            None => break,
            Some(Ok(ended)) => ended,
            Some(Err(join)) => {
                // A panic in a step must not lose what the others did.
                let Some(id) = tasks.get(&join.id()).copied() else { break };
                let error =
                    Error::failed(Code::INTERNAL, "a step ended with an internal error").with_source(join);
                (id, Err(error.into()))
            }
        };
        let Some(step) = steps.get(&id).map(|step| (*step).clone()) else { continue };
        match result {
            Ok(done) => {
                finished.push(id);
                execution.done.push((step, done));
            }
            Err(failure) => {
                execution.not_done.push(step);
                match failure {
                    StepFailure::Failed(error) => {
                        execution.failure.get_or_insert(*error);
                        stop.stop(StopReason::Failed);
                    }
                    StepFailure::Stale(what) => {
                        execution.stale.get_or_insert(what);
                        stop.stop(StopReason::Failed);
                    }
                    StepFailure::Stopped => {}
                }
            }
        }
    }
    execution.interrupted = stop.reason() == Some(StopReason::Interrupted);
    execution.not_done.extend(waiting.into_values().map(|planned| planned.step.clone()));
    execution
}

fn start<S: Clone + Send + 'static>(
    id: StepId,
    step: S,
    worker: &Arc<dyn Worker<S>>,
    reporter: &Arc<dyn Reporter<S>>,
) -> impl Future<Output = (StepId, Result<Done, StepFailure>)> + Send + use<S> {
    let worker = Arc::clone(worker);
    let reporter = Arc::clone(reporter);
    async move {
        reporter.event(Event::Started { id, step: step.clone() });
        let progress = {
            let reporter = Arc::clone(&reporter);
            Box::new(move |text| reporter.event(Event::Progress { id, text }))
        };
        let result = worker.work(step, progress).await;
        reporter.event(match &result {
            Ok(done) => Event::Finished { id, outcome: done.outcome.clone(), unchanged: done.unchanged },
            Err(_) => Event::Failed { id },
        });
        (id, result)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::sync::Barrier;

    use super::*;

    struct Silent;
    impl Reporter<&'static str> for Silent {
        fn event(&self, _: Event<&'static str>) {}
    }

    /// Does steps by their names: `fail…`, `panic…`, `stale…`, `wait…` (until stopped), `meet…` (two at once).
    struct Scripted {
        stop: Stop,
        meeting: Barrier,
        order: Mutex<Vec<&'static str>>,
    }

    impl Worker<&'static str> for Scripted {
        fn work(
            self: Arc<Self>,
            step: &'static str,
            _: Box<dyn Fn(String) + Send + Sync>,
        ) -> BoxFuture<'static, Result<Done, StepFailure>> {
            Box::pin(async move {
                self.order.lock().unwrap().push(step);
                match step.split(' ').next().unwrap() {
                    "fail" => return Err(Error::failed(Code::AWS_UNEXPECTED, step).into()),
                    "stale" => return Err(StepFailure::Stale(step.into())),
                    "panic" => panic!("{step}"),
                    "wait" => {
                        self.stop.stopped().await;
                        return Err(StepFailure::Stopped);
                    }
                    "meet" => {
                        self.meeting.wait().await;
                    }
                    "interrupt" => self.stop.stop(StopReason::Interrupted),
                    _ => {}
                }
                Ok(Done::new(step))
            })
        }
    }

    async fn run(plan: &Plan<&'static str>) -> (Execution<&'static str>, Vec<&'static str>) {
        let stop = Stop::default();
        let worker = Arc::new(Scripted {
            stop: stop.clone(),
            meeting: Barrier::new(2),
            order: Mutex::new(Vec::new()),
        });
        let execution =
            execute(plan, Arc::clone(&worker) as Arc<dyn Worker<_>>, Arc::new(Silent), &stop).await;
        let order = worker.order.lock().unwrap().clone();
        (execution, order)
    }

    #[tokio::test]
    async fn a_step_starts_after_its_needs_and_independent_ones_overlap() {
        let mut plan = Plan::default();
        let first = plan.add("first", []);
        let left = plan.add("meet left", [first]);
        let right = plan.add("meet right", [first]);
        plan.add("last", [left, right]);
        let (execution, order) = run(&plan).await;
        assert_eq!((order[0], order[3]), ("first", "last"));
        assert_eq!(execution.done.len(), 4);
        assert!(execution.failure.is_none() && execution.not_done.is_empty());
    }

    #[tokio::test]
    async fn after_a_failure_nothing_starts_and_waits_end() {
        let mut plan = Plan::default();
        plan.add("wait", []);
        let bad = plan.add("fail here", []);
        plan.add("never", [bad]);
        let (execution, order) = run(&plan).await;
        assert!(!order.contains(&"never"));
        assert_eq!(execution.failure.unwrap().message, "fail here");
        let mut not_done = execution.not_done;
        not_done.sort_unstable();
        assert_eq!(not_done, ["fail here", "never", "wait"]);
    }

    #[tokio::test]
    async fn a_panic_is_a_failure_of_its_step() {
        let mut plan = Plan::default();
        plan.add("good", []);
        plan.add("panic", []);
        let (execution, _) = run(&plan).await;
        assert!(execution.failure.is_some());
        assert_eq!(execution.done.len(), 1);
    }

    #[tokio::test]
    async fn a_changed_world_is_told_apart_from_a_failure() {
        let mut plan = Plan::default();
        plan.add("stale name taken", []);
        let (execution, _) = run(&plan).await;
        assert!(execution.failure.is_none());
        assert_eq!(execution.stale.as_deref(), Some("stale name taken"));
    }

    #[tokio::test]
    async fn an_interrupt_finishes_what_is_in_flight_and_starts_no_more() {
        let mut plan = Plan::default();
        let first = plan.add("interrupt", []);
        plan.add("never", [first]);
        let (execution, order) = run(&plan).await;
        assert_eq!(order, ["interrupt"]);
        assert!(execution.interrupted && execution.failure.is_none());
        assert_eq!(execution.done.len(), 1);
    }
}
