//! Registering a cluster, as an operation of the engine.

use std::sync::Arc;
use std::time::Duration;

use super::desired::Desired;
use super::observe::{Ports, check_identity, observe};
use super::observed::{Observed, Status};
use super::planner::{RegisterPlan, plan};
use super::refusal::refuse_held_lease;
use super::request::RegisterRequest;
use super::step::Step;
use super::tries::Tries;
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
    let mut operation = Register { ports, request, tries: Tries::new(ports, &request.namespace) };
    match run(&mut operation, show, stop).await {
        Ok((seen, took)) => Ok(operation.registered(seen, took)),
        Err(error) => Err(operation.tries.history.list_remains(error, request, &ports.region)),
    }
}

/// A run, over all its tries.
struct Register<'a> {
    ports: &'a Ports,
    request: &'a RegisterRequest,
    tries: Tries,
}

impl Operation for Register<'_> {
    type Step = Step;
    type Seen = Preview;
    type Worker = RegisterWorker;

    async fn look(&self) -> Result<Preview, Error> {
        let (desired, mut observed) = observe(self.ports, self.request).await?;
        self.tries.forget_the_dead(observed.lease.as_mut());
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
        self.tries.lease().await
    }

    fn presume_dead(&mut self, version: String) {
        self.tries.presume_dead(version);
    }

    fn worker(&mut self, seen: &Preview, stop: Stop) -> Arc<RegisterWorker> {
        let limit = self.request.wait.unwrap_or_default();
        self.tries.begin(&seen.observed, |ports, made| RegisterWorker::new(ports, seen, made, limit, stop))
    }

    async fn ended(&mut self, worker: &RegisterWorker, execution: &Execution<Step>) {
        self.tries.ended(worker, execution).await;
    }

    async fn abandoned(&mut self) {
        self.tries.abandoned().await;
    }

    fn cut_off(&mut self, done: Vec<(Step, Done)>, in_flight: &[Step]) {
        self.tries.cut_off(done, in_flight);
    }

    fn describe(&self, step: &Step) -> String {
        step.describe()
    }

    fn doing(&self) -> String {
        format!("registering {}", self.request.name)
    }
}

impl Register<'_> {
    fn registered(self, seen: Preview, took: Duration) -> Registered {
        let status = seen.observed.registration.as_ref().map(|registration| &registration.status);
        let active = self.request.wait.is_some() || status == Some(&Status::Active);
        let (done, changed) = self.tries.history.summary();
        Registered { desired: seen.desired, observed: seen.observed, done, changed, active, took }
    }
}

fn new_token() -> String {
    uuid::Uuid::new_v4().to_string()
}
