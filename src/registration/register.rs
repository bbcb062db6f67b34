//! Registering a cluster, as an operation of the engine.

use std::sync::Arc;
use std::time::Duration;

use super::desired::Desired;
use super::grants::{Granted, Granting, weave};
use super::observe::{Ports, check_identity, observe};
use super::observed::{Observed, Status};
use super::planner::{RegisterPlan, plan};
use super::refusal::refuse_held_lease;
use super::request::RegisterRequest;
use super::step::Step;
use super::tries::Tries;
use super::worker::RegisterWorker;
use crate::access::observe::AccessPreview;
use crate::access::worker::AccessWorker;
use crate::error::{Error, Remains};
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
    /// What became of the grants, where some were asked for.
    pub granted: Option<Granted>,
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
    /// The grants, where some are asked for. Their steps are in the plan.
    pub granting: Option<AccessPreview>,
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
pub async fn preview(
    ports: &Ports,
    request: &RegisterRequest,
    granting: Option<&Granting>,
) -> Result<Preview, Error> {
    let ((desired, observed), granting) =
        tokio::try_join!(observe(ports, request), look_at_grants(granting, false))?;
    let mut plan = plan(&desired, &observed, &new_token())?;
    if let Some(holder) = observed.lease.as_ref().and_then(|lease| lease.held_by.as_ref()) {
        plan.notes.push(format!("Another run may be changing this just now: {}.", holder.who));
    }
    granting.iter().for_each(|granting| weave(&mut plan, granting));
    Ok(Preview { desired, observed, plan, granting })
}

async fn look_at_grants(granting: Option<&Granting>, refuted: bool) -> Result<Option<AccessPreview>, Error> {
    match granting {
        Some(granting) => granting.look(refuted).await.map(Some),
        None => Ok(None),
    }
}

/// Registers.
///
/// # Errors
/// Every error says what remains.
pub async fn register<C>(
    ports: &Ports,
    request: &RegisterRequest,
    granting: Option<&Granting>,
    show: &Arc<C>,
    stop: &Stop,
) -> Result<Registered, Error>
where
    C: Conversation<Step, Preview> + 'static,
{
    let mut operation =
        Register { ports, request, granting, refuted: false, tries: Tries::new(ports, &request.namespace) };
    match run(&mut operation, show, stop).await {
        Ok((seen, took)) => Ok(operation.registered(seen, took)),
        Err(error) => {
            let grants = operation.left_of_grants();
            let mut error = operation.tries.history.list_remains(error, request, &ports.region);
            error.remains.extend(grants);
            Err(error)
        }
    }
}

/// A run, over all its tries.
struct Register<'a> {
    ports: &'a Ports,
    request: &'a RegisterRequest,
    granting: Option<&'a Granting>,
    /// Whether the API server has shown that it does not constrain impersonation.
    refuted: bool,
    tries: Tries,
}

impl Operation for Register<'_> {
    type Step = Step;
    type Seen = Preview;
    type Worker = RegisterWorker;

    async fn look(&self) -> Result<Preview, Error> {
        let ((desired, mut observed), granting) = tokio::try_join!(
            observe(self.ports, self.request),
            look_at_grants(self.granting, self.refuted),
        )?;
        self.tries.forget_the_dead(observed.lease.as_mut());
        // First of all: what another run is about to change cannot be judged.
        refuse_held_lease(&desired, &observed)?;
        let mut plan = plan(&desired, &observed, &new_token())?;
        granting.iter().for_each(|granting| weave(&mut plan, granting));
        Ok(Preview { desired, observed, plan, granting })
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
        let granting = self.granting.zip(seen.granting.as_ref());
        let granting =
            granting.map(|(granting, seen)| AccessWorker::new(granting.ports.clone(), seen, stop.clone()));
        self.tries.begin(&seen.observed, |ports, made| {
            RegisterWorker::new(ports, seen, made, limit, stop).granting(granting)
        })
    }

    async fn ended(&mut self, worker: &RegisterWorker, execution: &Execution<Step>) {
        self.tries.ended(worker, execution).await;
        self.refuted |= worker.access().is_some_and(AccessWorker::is_refuted);
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
    fn left_of_grants(&self) -> Vec<Remains> {
        let Some(granting) = self.granting else { return Vec::new() };
        let worker = self.tries.worker().and_then(RegisterWorker::access);
        let in_flight = self.tries.history.in_flight.iter().filter_map(|step| match step {
            Step::Access(step) if step.is_write() => Some(step.as_ref().clone()),
            _ => None,
        });
        let in_doubt = worker.map(AccessWorker::in_doubt).into_iter().flatten().chain(in_flight);
        granting.left(&self.tries.history.done, &in_doubt.collect::<Vec<_>>())
    }

    fn registered(self, seen: Preview, took: Duration) -> Registered {
        let proofs = self.tries.worker().and_then(RegisterWorker::access).map(AccessWorker::proofs);
        let granted =
            seen.granting.clone().map(|preview| Granted { preview, proofs: proofs.unwrap_or_default() });
        let status = seen.observed.registration.as_ref().map(|registration| &registration.status);
        let active = self.request.wait.is_some() || status == Some(&Status::Active);
        let (done, changed) = self.tries.history.summary();
        Registered { desired: seen.desired, observed: seen.observed, done, changed, active, took, granted }
    }
}

fn new_token() -> String {
    uuid::Uuid::new_v4().to_string()
}
