//! Registering a cluster, as an operation of the engine.

use std::sync::Arc;
use std::time::Duration;

use super::desired::Desired;
use super::observe::{Ports, check_identity, observe};
use super::observed::{LeaseFacts, Observed, Status};
use super::planner::{RegisterPlan, plan};
use super::refusal::refuse_held_lease;
use super::remains::History;
use super::request::RegisterRequest;
use super::step::Step;
use super::undo::{undo, undo_later};
use super::worker::RegisterWorker;
use crate::error::Error;
use crate::plan::{Conversation, Done, Execution, LeaseSeen, Operation, Plan, Stop, run};

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

/// A plan and what it rests on.
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
    let mut plan = plan(&desired, &observed, &new_token())?;
    if let Some(holder) = observed.lease.as_ref().and_then(|lease| lease.held_by.as_ref()) {
        plan.notes.push(format!("Another run may be changing this just now: {}.", holder.who));
    }
    Ok(Preview { desired, observed, plan })
}

/// Registers.
///
/// # Errors
/// Every error says what remains.
pub async fn register<C>(
    ports: &Ports,
    request: &RegisterRequest,
    show: &Arc<C>,
    stop: &Stop,
) -> Result<Registered, Error>
where
    C: Conversation<Step, Preview> + 'static,
{
    let mut operation =
        Register { ports, request, history: History::default(), dead_lease: None, current: None };
    match run(&mut operation, show, stop).await {
        Ok((seen, took)) => Ok(operation.registered(seen, took)),
        Err(error) => Err(operation.history.list_remains(error, request, &ports.region)),
    }
}

/// A run, over all its tries.
struct Register<'a> {
    ports: &'a Ports,
    request: &'a RegisterRequest,
    history: History,
    /// The version of a Lease whose holder does not renew it.
    dead_lease: Option<String>,
    /// The worker of the try that is under way or was the last.
    current: Option<Arc<RegisterWorker>>,
}

impl Operation for Register<'_> {
    type Step = Step;
    type Seen = Preview;
    type Worker = RegisterWorker;

    async fn look(&self) -> Result<Preview, Error> {
        let (desired, mut observed) = observe(self.ports, self.request).await?;
        if let Some(lease) = observed.lease.as_mut().filter(|lease| self.is_dead(lease)) {
            lease.held_by = None;
        }
        // First of all: what another run is about to change cannot be judged.
        refuse_held_lease(&desired, &observed)?;
        let plan = plan(&desired, &observed, &new_token())?;
        Ok(Preview { desired, observed, plan })
    }

    fn plan<'a>(&self, seen: &'a Preview) -> &'a Plan<Step> {
        &seen.plan.plan
    }

    fn question(&self, seen: &Preview) -> Option<String> {
        seen.plan.question.clone()
    }

    async fn check_identity(&self, seen: &Preview) -> Result<(), Error> {
        check_identity(self.ports, &seen.observed).await
    }

    async fn lease(&self) -> Option<LeaseSeen> {
        let lease = self.ports.cluster.lease(&self.request.namespace).await.ok().flatten()?;
        let duration = lease.held_by?.duration;
        Some(LeaseSeen { version: lease.resource_version, duration })
    }

    fn presume_dead(&mut self, version: String) {
        self.dead_lease = Some(version);
    }

    fn worker(&mut self, seen: &Preview, stop: Stop) -> Arc<RegisterWorker> {
        self.history.before.get_or_insert_with(|| seen.observed.clone());
        let limit = self.request.wait.unwrap_or_default();
        let worker = RegisterWorker::new(self.ports.clone(), seen, self.history.made.clone(), limit, stop);
        Arc::clone(self.current.insert(Arc::new(worker)))
    }

    async fn ended(&mut self, worker: &RegisterWorker, execution: &Execution<Step>) {
        worker.find_out().await;
        let history = &mut self.history;
        history.done.extend(execution.done.iter().cloned());
        history.made = worker.made();
        history.uncertain |= worker.registration_is_uncertain();
        history.in_doubt.extend(worker.roles_in_doubt());
        history.may_undo = !worker.code_in_cluster();
        if (execution.failure.is_some() || execution.interrupted) && history.may_undo {
            let made = history.made.clone();
            let not_undone = undo(self.ports, &self.request.namespace, made, worker.lease()).await;
            history.was_undone(not_undone);
        }
        if let Err(failure) = worker.release_lease().await {
            // It expires by itself; a run from this host takes it at once.
            tracing::debug!("the Lease could not be released: {failure}");
        }
    }

    async fn abandoned(&mut self) {
        let history = &mut self.history;
        let intent = self.current.as_ref().and_then(|worker| worker.intent());
        let Some(intent) = intent.filter(|_| history.may_undo && !history.made.objects.is_empty()) else {
            return;
        };
        let made = history.made.clone();
        let undone = undo_later(self.ports, &self.request.namespace, made, intent).await;
        if let Some(not_undone) = undone {
            history.was_undone(not_undone);
        }
    }

    fn cut_off(&mut self, done: Vec<(Step, Done)>, in_flight: &[Step]) {
        let history = &mut self.history;
        history.done.extend(done);
        if let Some(worker) = &self.current {
            history.made = worker.made();
            history.uncertain |= worker.registration_is_uncertain();
        }
        history.was_cut_off(in_flight);
    }

    fn describe(&self, step: &Step) -> String {
        step.describe()
    }

    fn doing(&self) -> String {
        format!("registering {}", self.request.name)
    }
}

impl Register<'_> {
    fn is_dead(&self, lease: &LeaseFacts) -> bool {
        self.dead_lease.as_ref() == Some(&lease.resource_version)
    }

    fn registered(self, seen: Preview, took: Duration) -> Registered {
        let status = seen.observed.registration.as_ref().map(|registration| &registration.status);
        let active = self.request.wait.is_some() || status == Some(&Status::Active);
        let changed = self.history.done.iter().any(|(step, done)| step.is_write() && !done.unchanged);
        let phrase = |(step, done): &(Step, Done)| format!("{}: {}", step.describe(), done.outcome);
        let done = self.history.done.iter().map(phrase).collect();
        Registered { desired: seen.desired, observed: seen.observed, done, changed, active, took }
    }
}

fn new_token() -> String {
    uuid::Uuid::new_v4().to_string()
}
