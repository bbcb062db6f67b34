//! Registering a cluster, as an operation of the engine.

use std::sync::Arc;
use std::time::Duration;

use super::desired::Desired;
use super::observe::{Ports, check_identity, observe};
use super::observed::{Observed, Status};
use super::planner::{RegisterPlan, plan};
use super::remains::History;
use super::request::RegisterRequest;
use super::step::Step;
use super::worker::RegisterWorker;
use crate::error::Error;
use crate::plan::{Conversation, Done, Execution, Operation, Plan, Stop, run};

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
    let plan = plan(&desired, &observed, &new_token())?;
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
    let mut operation = Register { ports, request, history: History::default() };
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
}

impl Operation for Register<'_> {
    type Step = Step;
    type Seen = Preview;
    type Worker = RegisterWorker;

    async fn look(&self) -> Result<Preview, Error> {
        preview(self.ports, self.request).await
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

    async fn lease_version(&self) -> Option<String> {
        let lease = self.ports.cluster.lease(&self.request.namespace).await;
        lease.ok().flatten().map(|lease| lease.resource_version)
    }

    fn worker(&mut self, seen: &Preview, stop: Stop) -> Arc<RegisterWorker> {
        self.history.before.get_or_insert_with(|| seen.observed.clone());
        let limit = self.request.wait.unwrap_or_default();
        Arc::new(RegisterWorker::new(self.ports.clone(), seen, self.history.made.clone(), limit, stop))
    }

    async fn ended(&mut self, worker: &RegisterWorker, execution: &Execution<Step>) {
        worker.find_out().await;
        let history = &mut self.history;
        history.done.extend(execution.done.iter().cloned());
        history.made = worker.made();
        history.uncertain |= worker.registration_is_uncertain();
        if (execution.failure.is_some() || execution.interrupted) && !worker.code_in_cluster() {
            history.not_undone = worker.undo().await;
            history.undone = true;
        }
        history.not_undone.extend(worker.in_doubt());
        if let Err(failure) = worker.release_lease().await {
            // It expires by itself; a run from this host takes it at once.
            tracing::debug!("the Lease could not be released: {failure}");
        }
    }

    fn doing(&self) -> String {
        format!("registering {}", self.request.name)
    }
}

impl Register<'_> {
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
