//! Upgrading the agents: new images or settings, rolled out with the agents' state kept, and rolled back if they do not
//! work. As an operation of the engine.

mod ending;
mod look;
mod planner;
pub mod request;
mod viewers;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;

use self::ending::{not_rolled_back, rolled_back};
use self::look::{Alone, look};
use self::request::UpgradeRequest;
use super::deregister::look::home;
use super::observe::{Ports, check_identity};
use super::observed::Status;
use super::register::Preview;
use super::step::Step;
use super::undo::Made;
use super::worker::RegisterWorker;
use crate::error::{Code, Error, Kind, Remains};
use crate::manifest::workload::Workload;
use crate::manifest::{self, ObjectKind, ObjectRef, STATEFUL_SET};
use crate::plan::{Conversation, Done, Execution, LeaseSeen, Operation, Plan, Stop, run};
use crate::ports::Access;

/// How a run that ended well ended.
#[derive(Clone, Debug)]
pub struct Upgraded {
    /// What was seen before, and what was done about it.
    pub preview: Preview,
    /// What was done, as short phrases.
    pub done: Vec<String>,
    /// Whether something was changed.
    pub changed: bool,
    /// How many principals can view through the connector as before; why that was not looked at, if so.
    pub viewers: Result<usize, String>,
    /// How long it took.
    pub took: Duration,
}

/// Looks and plans, and changes nothing.
///
/// # Errors
/// What could not be seen, and what cannot be upgraded.
pub async fn preview(ports: &Ports, request: &UpgradeRequest) -> Result<Preview, Error> {
    let mut preview = look(ports, request, None, None).await?.0;
    if let Some(holder) = preview.observed.lease.as_ref().and_then(|lease| lease.held_by.as_ref()) {
        preview.plan.notes.push(format!("Another run may be changing this just now: {}.", holder.who));
    }
    Ok(preview)
}

/// Upgrades.
///
/// # Errors
/// What failed; whether it was rolled back is said.
pub async fn upgrade<C>(
    ports: &Ports,
    access: &Arc<dyn Access>,
    request: &UpgradeRequest,
    show: &Arc<C>,
    stop: &Stop,
) -> Result<Upgraded, Error>
where
    C: Conversation<Step, Preview> + 'static,
{
    let mut operation = Upgrade::new(ports, access, request, None);
    let (error, before) = match run(&mut operation, show, stop).await {
        Ok((preview, took)) => match operation.lost_viewers(&preview).await {
            Ok(viewers) => return Ok(operation.upgraded(preview, took, viewers)),
            Err(error) => {
                let before = operation.before.get().filter(|(_, worked)| *worked);
                let before = before.map(|(workload, _)| workload.clone());
                (error, before)
            }
        },
        Err(error) => {
            let before = operation.to_roll_back_to(&error).await;
            (error, before)
        }
    };
    let Some(before) = before else { return Err(operation.list_remains(error)) };
    show.note("The new agents do not work; going back to the ones before.");
    let mut back = Upgrade::new(ports, access, request, Some(before));
    match run(&mut back, show, stop).await {
        Ok(_) => Err(rolled_back(&operation.name(), error, operation.new_credentials())),
        Err(second) => Err(operation.list_remains(not_rolled_back(&operation.name(), error, &second))),
    }
}

/// A run, over all its tries.
struct Upgrade<'a> {
    ports: &'a Ports,
    access: &'a Arc<dyn Access>,
    request: &'a UpgradeRequest,
    /// What is wanted, where that is not what the request says: going back.
    fixed: Option<Workload>,
    /// What was there before the first try, and whether it worked.
    before: OnceLock<(Workload, bool)>,
    /// Who could view then, as far as that could be found out.
    viewers: OnceLock<Result<Vec<String>, String>>,
    /// Name, namespace and replicas of what the last look found.
    told: Option<(String, String, u32)>,
    done: Vec<(Step, Done)>,
    /// Whether something of what is applied may be so, and something not.
    half_way: bool,
    dead_lease: Option<String>,
}

impl<'a> Upgrade<'a> {
    fn new(
        ports: &'a Ports,
        access: &'a Arc<dyn Access>,
        request: &'a UpgradeRequest,
        fixed: Option<Workload>,
    ) -> Self {
        Self {
            ports,
            access,
            request,
            fixed,
            before: OnceLock::new(),
            viewers: OnceLock::new(),
            told: None,
            done: Vec::new(),
            half_way: false,
            dead_lease: None,
        }
    }

    fn name(&self) -> String {
        let asked = self.request.name.as_ref().map(ToString::to_string);
        asked
            .or_else(|| self.told.as_ref().map(|(name, ..)| name.clone()))
            .unwrap_or_else(|| "the agents".to_owned())
    }

    fn changed(&self) -> bool {
        self.done
            .iter()
            .any(|(step, done)| step.is_write() && !done.unchanged && !matches!(step, Step::HoldLease { .. }))
    }

    fn upgraded(self, preview: Preview, took: Duration, viewers: Result<usize, String>) -> Upgraded {
        let phrase = |(step, done): &(Step, Done)| format!("{}: {}", step.describe(), done.outcome);
        Upgraded {
            changed: self.changed(),
            done: self.done.iter().map(phrase).collect(),
            preview,
            viewers,
            took,
        }
    }

    /// Makes sure that whoever could view before can do so still; returns how many that are.
    async fn lost_viewers(&self, preview: &Preview) -> Result<Result<usize, String>, Error> {
        let before = match self.viewers.get() {
            None => return Ok(Ok(0)),
            Some(Err(why)) => return Ok(Err(why.clone())),
            Some(Ok(before)) => before,
        };
        let namespace = &preview.desired.settings.namespace;
        match viewers::lost(self.access.as_ref(), namespace, before).await {
            Ok(lost) if lost.is_empty() => Ok(Ok(before.len())),
            Ok(lost) => Err(Error::failed(Code::ROLLED_BACK, "grants do not work any more").cause(format!(
                "through the new agents' service account the API server no longer allows to be {}",
                lost.join(", ")
            ))),
            Err(failure) => Ok(Err(format!("{}: {}", failure.operation, failure.message))),
        }
    }

    /// What to go back to: agents that worked, if the new ones were applied and do not.
    async fn to_roll_back_to(&self, error: &Error) -> Option<Workload> {
        let new_agents = self
            .done
            .iter()
            .any(|(step, _)| step.object().is_some_and(|object| object.kind == ObjectKind::StatefulSet));
        let gave_up = error.code == Code::NOT_ACTIVE && error.kind == Kind::TimedOut;
        let (before, _) = self.before.get().filter(|(_, worked)| *worked && new_agents && gave_up)?;
        let (_, namespace, replicas) = self.told.as_ref()?;
        // Agents that are ready do their part; then it is EKS that cannot be heard. What cannot be seen may work.
        let set = ObjectRef::new(ObjectKind::StatefulSet, namespace, STATEFUL_SET);
        let live: StatefulSet = serde_json::from_value(self.ports.cluster.read(&set).await.ok()??).ok()?;
        (manifest::ready_replicas(&live) < *replicas).then(|| before.clone())
    }

    /// The Secret whose credentials are new ones: what they were before is not known, so they stay.
    fn new_credentials(&self) -> Option<String> {
        let applied = |(step, done): &(Step, Done)| match step {
            Step::ApplyPullSecret(object) if !done.unchanged => Some(object.reference.to_string()),
            _ => None,
        };
        self.done.iter().find_map(applied)
    }

    fn list_remains(&self, mut error: Error) -> Error {
        if self.changed() || self.half_way {
            error.remains.push(Remains {
                what: format!("agents of {} of which some may be as before and some as wanted", self.name()),
                remove_with: "run the same command again: it goes on".to_owned(),
            });
        }
        error
    }
}

impl Operation for Upgrade<'_> {
    type Step = Step;
    type Seen = Preview;
    type Worker = RegisterWorker;

    async fn look(&self) -> Result<Preview, Error> {
        let alone = Alone(self.dead_lease.as_ref());
        let (preview, current) = look(self.ports, self.request, self.fixed.as_ref(), Some(alone)).await?;
        let observed = &preview.observed;
        let worked = observed.installed.as_ref().is_some_and(|installed| installed.rolled_out);
        let active = observed.registration.as_ref().is_some_and(|it| it.status == Status::Active);
        if !preview.plan.plan.is_empty() && self.viewers.get().is_none() {
            let namespace = &preview.desired.settings.namespace;
            let found = viewers::viewers(self.access.as_ref(), namespace).await;
            let found = found.map_err(|failure| format!("{}: {}", failure.operation, failure.message));
            self.viewers.get_or_init(|| found);
        }
        // Of several looks the first saw what was there before.
        self.before.get_or_init(|| (current, worked && active));
        Ok(preview)
    }

    fn plan<'a>(&self, seen: &'a Preview) -> &'a Plan<Step> {
        &seen.plan.plan
    }

    async fn check_identity(&self, seen: &Preview) -> Result<(), Error> {
        check_identity(self.ports, &seen.observed).await
    }

    async fn lease(&self) -> Option<LeaseSeen> {
        let namespace = match (&self.request.namespace, &self.told) {
            (Some(namespace), _) | (None, Some((_, namespace, _))) => namespace.clone(),
            (None, None) => {
                let connectors = self.ports.cluster.connectors().await.ok()?;
                home(&connectors, Vec::new()).ok()?
            }
        };
        let lease = self.ports.cluster.lease(&namespace).await.ok().flatten()?;
        let duration = lease.held_by?.duration;
        Some(LeaseSeen { version: lease.resource_version, duration })
    }

    fn presume_dead(&mut self, version: String) {
        self.dead_lease = Some(version);
    }

    fn worker(&mut self, seen: &Preview, stop: Stop) -> Arc<RegisterWorker> {
        let desired = &seen.desired;
        self.told = Some((
            desired.name.to_string(),
            desired.settings.namespace.clone(),
            desired.settings.workload.replicas,
        ));
        let worker = RegisterWorker::new(self.ports.clone(), seen, Made::default(), self.request.wait, stop);
        Arc::new(worker)
    }

    async fn ended(&mut self, worker: &RegisterWorker, execution: &Execution<Step>) {
        self.done.extend(execution.done.iter().cloned());
        // Nothing is applied before the Lease is held.
        let held = !execution.not_done.iter().any(|step| matches!(step, Step::HoldLease { .. }));
        let wrote = held && execution.not_done.iter().any(|step| step.is_write() && step.object().is_some());
        // A write whose answer was lost may have had its effect.
        let in_doubt = |error: &Error| {
            [Code::CLUSTER_UNREACHABLE, Code::CLUSTER_UNAVAILABLE, Code::CLUSTER_UNEXPECTED]
                .contains(&error.code)
        };
        self.half_way |= wrote && execution.failure.as_ref().is_some_and(|it| self.changed() || in_doubt(it));
        if let Err(failure) = worker.release_lease().await {
            // It expires by itself; a run from this host takes it at once.
            tracing::debug!("the Lease could not be released: {failure}");
        }
    }

    async fn abandoned(&mut self) {
        // What was applied is as it is wanted.
    }

    fn cut_off(&mut self, done: Vec<(Step, Done)>, in_flight: &[Step]) {
        self.done.extend(done);
        self.half_way |= in_flight.iter().any(|step| step.object().is_some());
    }

    fn describe(&self, step: &Step) -> String {
        step.describe()
    }

    fn doing(&self) -> String {
        format!("upgrading {}", self.name())
    }
}
