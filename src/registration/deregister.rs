//! Deregistering: taking a registration away from both sides, without a trace. As an operation of the engine.

pub mod belongs;
mod everywhere;
pub mod garbage;
pub mod look;
pub mod planner;
mod remains;
pub mod request;
pub mod roles;
pub mod roles_alone;
pub mod seen;
pub mod step;
mod stuck;
pub mod target;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use self::look::{RemovalPorts, look, look_for_garbage};
use self::planner::{DeregisterPlan, plan};
use self::remains::History;
use self::request::{DeregisterRequest, GcRequest};
use self::roles_alone::{RolesRequest, look_at_roles};
use self::seen::Seen;
use self::step::Step;
use self::worker::RemovalWorker;
use super::observe::{failing, identity_changed};
use crate::error::Error;
use crate::plan::{Conversation, Done, Execution, LeaseSeen, Operation, Plan, Stop, run};

/// A plan and what it rests on.
#[derive(Clone, Debug)]
pub struct DeregisterPreview {
    /// What was seen.
    pub seen: Seen,
    /// What would be done.
    pub plan: DeregisterPlan,
}

impl DeregisterPreview {
    /// Whether executing the plan would remove something.
    pub fn changes_something(&self) -> bool {
        self.plan.plan.iter().any(|(_, planned)| planned.step.is_change())
    }
}

/// How a run that ended well ended.
#[derive(Clone, Debug)]
pub struct Deregistered {
    /// What was seen before, and what was done about it.
    pub preview: DeregisterPreview,
    /// What was done, as short phrases.
    pub done: Vec<String>,
    /// Whether something was removed.
    pub changed: bool,
    /// How long it took.
    pub took: Duration,
}

/// What is to be removed.
#[derive(Clone, Copy, Debug)]
pub enum Job<'a> {
    /// A registration, with all that belongs to it.
    Deregister(&'a DeregisterRequest),
    /// What nobody needs any more.
    Collect(&'a GcRequest),
    /// The roles, once nothing uses them.
    Roles(&'a RolesRequest),
}

impl Job<'_> {
    /// Looks. `role` is the one that an earlier look of this run found.
    async fn look(self, ports: &RemovalPorts, role: Option<&str>) -> Result<Seen, Error> {
        match self {
            Self::Deregister(request) => look(ports, request, role).await,
            Self::Collect(request) => look_for_garbage(ports, request).await,
            Self::Roles(request) => {
                let account = match &ports.account {
                    Some(ports) => Some(look_at_roles(ports, request).await?),
                    None => None,
                };
                Ok(Seen { now: Timestamp::now(), account, cluster: None })
            }
        }
    }

    /// Plans; `begun`: this run has removed something already, which is then not missing.
    fn plan(self, seen: &Seen, begun: bool) -> Result<DeregisterPlan, Error> {
        let token = uuid::Uuid::new_v4().to_string();
        match self {
            Self::Deregister(request) if begun => {
                plan(&DeregisterRequest { allow_missing: true, ..request.clone() }, seen, &token)
            }
            Self::Deregister(request) => plan(request, seen, &token),
            Self::Collect(request) => Ok(garbage::plan(request, seen, &token)),
            Self::Roles(request) => roles_alone::plan(request, seen.account.as_ref()),
        }
    }

    fn wait(self) -> Duration {
        match self {
            Self::Deregister(request) => request.wait,
            Self::Collect(request) => request.wait,
            Self::Roles(request) => request.wait,
        }
    }

    fn namespace(self) -> Option<String> {
        match self {
            Self::Deregister(request) => request.namespace.clone(),
            Self::Collect(request) => request.namespace.clone(),
            Self::Roles(_) => None,
        }
    }
}

/// Looks and plans, and changes nothing.
///
/// # Errors
/// What could not be seen, and the refusals of the planner.
pub async fn preview(ports: &RemovalPorts, job: Job<'_>) -> Result<DeregisterPreview, Error> {
    let seen = job.look(ports, None).await?;
    let mut plan = job.plan(&seen, false)?;
    let lease = seen.cluster.as_ref().and_then(|cluster| cluster.lease.as_ref());
    if let Some(holder) = lease.and_then(|lease| lease.held_by.as_ref()) {
        plan.notes.push(format!("Another run may be changing this just now: {}.", holder.who));
    }
    Ok(DeregisterPreview { seen, plan })
}

/// Removes.
///
/// # Errors
/// Every error says what remains.
pub async fn remove<C>(
    ports: &RemovalPorts,
    job: Job<'_>,
    show: &Arc<C>,
    stop: &Stop,
) -> Result<Deregistered, Error>
where
    C: Conversation<Step, DeregisterPreview> + 'static,
{
    let mut operation = Removing {
        ports,
        job,
        history: History::default(),
        dead_lease: None,
        current: None,
        told: None,
        role: None,
    };
    match run(&mut operation, show, stop).await {
        Ok((preview, took)) => {
            let done = &operation.history.done;
            let phrase = |(step, done): &(Step, Done)| format!("{}: {}", step.describe(), done.outcome);
            Ok(Deregistered {
                changed: operation.history.changed(),
                done: done.iter().map(phrase).collect(),
                preview,
                took,
            })
        }
        Err(error) => {
            let region = ports.account.as_ref().map(|account| account.region.as_str()).unwrap_or_default();
            Err(operation.history.list_remains(error, region))
        }
    }
}

/// A run, over all its tries.
struct Removing<'a> {
    ports: &'a RemovalPorts,
    job: Job<'a>,
    history: History,
    /// The version of a Lease whose holder does not renew it.
    dead_lease: Option<String>,
    /// The worker of the try that is under way or was the last.
    current: Option<Arc<RemovalWorker>>,
    /// Name of what the last look found.
    told: Option<String>,
    /// The agent role that a look found: once its registration is gone, nothing may tell it any more.
    role: Option<String>,
}

impl Operation for Removing<'_> {
    type Step = Step;
    type Seen = DeregisterPreview;
    type Worker = RemovalWorker;

    async fn look(&self) -> Result<DeregisterPreview, Error> {
        let mut seen = self.job.look(self.ports, self.role.as_deref()).await?;
        if let Some(cluster) = &mut seen.cluster {
            let namespace = cluster.namespace.clone();
            if let Some(lease) = &mut cluster.lease {
                if self.dead_lease.as_ref() == Some(&lease.resource_version) {
                    lease.held_by = None;
                }
                // First of all: what another run is about to change cannot be judged.
                super::refusal::refuse_holder(&namespace, lease.held_by.as_ref())?;
            }
        }
        let plan = self.job.plan(&seen, self.history.changed())?;
        Ok(DeregisterPreview { seen, plan })
    }

    fn plan<'a>(&self, seen: &'a DeregisterPreview) -> &'a Plan<Step> {
        &seen.plan.plan
    }

    fn question(&self, seen: &DeregisterPreview) -> Option<String> {
        // What is left of what was agreed to is not asked about again.
        if self.history.changed() { None } else { seen.plan.question.clone() }
    }

    async fn check_identity(&self, seen: &DeregisterPreview) -> Result<(), Error> {
        let same = |what: &str, was: &str, is: &str| {
            if was == is {
                Ok(())
            } else {
                Err(identity_changed(format!("the {what} was {was} and is {is}")))
            }
        };
        if let (Some(ports), Some(account)) = (&self.ports.account, &seen.seen.account) {
            let now = failing("find out who is calling AWS", ports.identity.caller()).await?;
            same("AWS account", &account.caller.account, &now.account)?;
        }
        if let (Some(ports), Some(cluster)) = (&self.ports.cluster, &seen.seen.cluster) {
            let now = failing("read the namespace kube-system", ports.cluster.uid()).await?;
            same("cluster's UID", &cluster.uid, &now)?;
        }
        Ok(())
    }

    async fn lease(&self) -> Option<LeaseSeen> {
        let ports = self.ports.cluster.as_ref()?;
        let namespace = match self.job.namespace() {
            Some(namespace) => namespace,
            None => ports.clearing.lease_namespaces().await.ok()?.into_iter().next()?,
        };
        let lease = ports.cluster.lease(&namespace).await.ok().flatten()?;
        let duration = lease.held_by?.duration;
        Some(LeaseSeen { version: lease.resource_version, duration })
    }

    fn presume_dead(&mut self, version: String) {
        self.dead_lease = Some(version);
    }

    fn worker(&mut self, seen: &DeregisterPreview, stop: Stop) -> Arc<RemovalWorker> {
        let roles = seen.seen.account.as_ref().and_then(|account| account.roles.as_ref());
        self.role = roles.and_then(|roles| roles.name.clone()).or_else(|| self.role.take());
        self.told = seen.plan.target.as_ref().and_then(|target| target.name.clone());
        let worker = Arc::new(RemovalWorker::new(self.ports.clone(), self.job.wait(), stop));
        Arc::clone(self.current.insert(worker))
    }

    async fn ended(&mut self, worker: &RemovalWorker, execution: &Execution<Step>) {
        let history = &mut self.history;
        history.done.extend(execution.done.iter().cloned());
        history.left = execution.not_done.clone();
        history.doubtful.extend(worker.doubtful());
        let Some(lease) = worker.lease() else { return };
        let all_done = execution.not_done.is_empty();
        let nothing_done = !history.changed();
        let given_back = if all_done || (nothing_done && lease.is_new()) {
            lease.discard().await
        } else {
            lease.release().await
        };
        if let Err(failure) = given_back {
            // It expires by itself; a run from this host takes it at once.
            tracing::debug!("the Lease could not be given back: {failure}");
        }
    }

    async fn abandoned(&mut self) {
        // What was removed is not made again, and the Lease was given back.
    }

    fn cut_off(&mut self, done: Vec<(Step, Done)>, in_flight: &[Step]) {
        self.history.done.extend(done);
        self.history.left = in_flight.to_vec();
        self.history.doubtful.extend(in_flight.iter().filter(|step| step.is_change()).cloned());
    }

    fn describe(&self, step: &Step) -> String {
        step.describe()
    }

    fn doing(&self) -> String {
        match self.job {
            Job::Deregister(request) => {
                let named = request.name.as_ref().map(ToString::to_string);
                let name = named.or_else(|| self.told.clone());
                format!("deregistering {}", name.unwrap_or_else(|| "the cluster".to_owned()))
            }
            Job::Collect(_) => "collecting garbage".to_owned(),
            Job::Roles(request) => format!("deleting the role {}", request.role),
        }
    }
}
