//! The cluster's half: the connector, with an activation that was handed over. AWS is not asked anything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::cluster_plan::plan;
use super::unasked::cluster_alone;
use crate::error::{Code, Error};
use crate::manifest::workload::Workload;
use crate::plan::{Conversation, Done, Execution, LeaseSeen, Operation, Plan, Stop, run};
use crate::ports::Cluster;
use crate::registration::desired::Desired;
use crate::registration::handed::Handed;
use crate::registration::observe::cluster::{self, AccountSide};
use crate::registration::observe::{Ports, failing, name_all_that_is_denied, refuse_another_cluster};
use crate::registration::observed::{Caller, Observed, Registration, RoleSeen, Status};
use crate::registration::provider::Provider;
use crate::registration::quota::QuotaSeen;
use crate::registration::refusal::refuse_held_lease;
use crate::registration::register::Preview;
use crate::registration::request::{RegisterRequest, RoleChoice};
use crate::registration::step::Step;
use crate::registration::takeover::Takeover;
use crate::registration::tries::Tries;
use crate::registration::worker::RegisterWorker;

/// A request for the cluster's half.
#[derive(Clone, Debug)]
pub struct ClusterRequest {
    /// What was handed over.
    pub handed: Handed,
    /// Sentences about that to be said.
    pub notes: Vec<String>,
    /// Where the connector lives in the cluster.
    pub namespace: String,
    /// What the agents are like.
    pub workload: Workload,
    /// Whether to take over a connector that something else has installed.
    pub adopt: bool,
    /// How long to wait until the agents are ready; `None` not to wait.
    pub wait: Option<Duration>,
}

impl ClusterRequest {
    /// The same as a request for a whole registration.
    fn whole(&self) -> RegisterRequest {
        let arn = self.handed.role_arn.clone().unwrap_or_default();
        let name = arn.rsplit('/').next().unwrap_or_default().to_owned();
        RegisterRequest {
            name: self.handed.name.clone(),
            namespace: self.namespace.clone(),
            // Only RegisterCluster takes it.
            provider: Some(self.provider()),
            role: RoleChoice::Given { arn, name },
            tags: BTreeMap::new(),
            workload: self.workload.clone(),
            takeover: Takeover { adopt: self.adopt, ..Takeover::default() },
            wait: self.wait,
        }
    }

    fn provider(&self) -> Provider {
        self.handed.provider.as_deref().and_then(|provider| provider.parse().ok()).unwrap_or(Provider::Other)
    }

    /// The registration as it was when it was handed over.
    fn registration(&self) -> Registration {
        let handed = &self.handed;
        Registration {
            name: handed.name.to_string(),
            arn: handed.arn.clone(),
            status: Status::Unknown("not asked".to_owned()),
            created_at: Some(handed.registered_at),
            activation_id: Some(handed.activation.id.clone()),
            activation_expiry: Some(handed.expiry),
            role_arn: handed.role_arn.clone(),
            provider: handed.provider.clone(),
            tags: BTreeMap::new(),
        }
    }
}

/// A plan and what it rests on.
#[derive(Clone, Debug)]
pub struct ClusterPreview {
    /// What is wanted, what was seen, what is to be done. What it says of AWS is what was handed over.
    pub preview: Preview,
}

/// How a run that ended well ended.
#[derive(Clone, Debug)]
pub struct ClusterDone {
    /// What was seen before.
    pub preview: Preview,
    /// What was done, as short phrases.
    pub done: Vec<String>,
    /// Whether something was changed.
    pub changed: bool,
    /// Whether the agents were seen to be ready, with their state.
    pub ready: bool,
    /// How long it took.
    pub took: Duration,
}

/// Observes and plans, and changes nothing.
///
/// # Errors
/// What could not be observed, and conflicts.
pub async fn preview(cluster: &Arc<dyn Cluster>, request: &ClusterRequest) -> Result<ClusterPreview, Error> {
    let ports = cluster_alone(Arc::clone(cluster), &request.handed.region);
    let (desired, observed) = observe(&ports, request).await?;
    let mut seen = planned(request, desired, observed)?;
    let holder = seen.preview.observed.lease.as_ref().and_then(|lease| lease.held_by.as_ref());
    if let Some(holder) = holder {
        let note = format!("Another run may be changing this just now: {}.", holder.who);
        seen.preview.plan.notes.push(note);
    }
    Ok(seen)
}

fn planned(request: &ClusterRequest, desired: Desired, observed: Observed) -> Result<ClusterPreview, Error> {
    let token = uuid::Uuid::new_v4().to_string();
    let mut plan = plan(&desired, &observed, &request.handed, &token)?;
    plan.notes.splice(0..0, request.notes.iter().cloned());
    Ok(ClusterPreview { preview: Preview { desired, observed, plan, granting: None } })
}

async fn observe(ports: &Ports, request: &ClusterRequest) -> Result<(Desired, Observed), Error> {
    match observe_cluster(ports, request).await {
        Err(error) if error.code == Code::CLUSTER_DENIED => {
            Err(name_all_that_is_denied(ports, &request.whole(), error).await)
        }
        ended => ended,
    }
}

async fn observe_cluster(ports: &Ports, request: &ClusterRequest) -> Result<(Desired, Observed), Error> {
    let whole = request.whole();
    let mut unverified = Vec::new();
    let seen = cluster::ask(ports, &whole).await?.read(&whole, &mut unverified)?;
    let account = AccountSide {
        caller: Caller { account: request.handed.account.clone(), arn: String::new() },
        service_linked_role: None,
        agent_role: RoleSeen::Unreadable,
        registration: Some(request.registration()),
        other_registration: None,
        quota: QuotaSeen::Unknown,
    };
    let desired = seen.desired(ports, &whole, &account.caller);
    let compared = seen.compared(ports, &desired, account.registration.as_ref()).await?;
    Ok((desired, cluster::observed(&ports.region, account, seen, compared, unverified)))
}

/// Makes the cluster's half.
///
/// # Errors
/// Every error says what remains in the cluster.
pub async fn register_cluster<C>(
    cluster: &Arc<dyn Cluster>,
    request: &ClusterRequest,
    show: &Arc<C>,
    stop: &Stop,
) -> Result<ClusterDone, Error>
where
    C: Conversation<Step, ClusterPreview> + 'static,
{
    let ports = cluster_alone(Arc::clone(cluster), &request.handed.region);
    let tries = Tries::new(&ports, &request.namespace);
    let mut half = ClusterHalf { ports, request, tries };
    match run(&mut half, show, stop).await {
        Ok((seen, took)) => Ok(half.ended_well(seen.preview, took)),
        Err(error) => Err(half.tries.history.list_objects(error)),
    }
}

struct ClusterHalf<'a> {
    ports: Ports,
    request: &'a ClusterRequest,
    tries: Tries,
}

impl Operation for ClusterHalf<'_> {
    type Step = Step;
    type Seen = ClusterPreview;
    type Worker = RegisterWorker;

    async fn look(&self) -> Result<ClusterPreview, Error> {
        let (desired, mut observed) = observe(&self.ports, self.request).await?;
        self.tries.forget_the_dead(observed.lease.as_mut());
        // First of all: what another run is about to change cannot be judged.
        refuse_held_lease(&desired, &observed)?;
        planned(self.request, desired, observed)
    }

    fn plan<'a>(&self, seen: &'a ClusterPreview) -> &'a Plan<Step> {
        &seen.preview.plan.plan
    }

    fn question(&self, seen: &ClusterPreview) -> Option<String> {
        seen.preview.plan.question.clone()
    }

    async fn check_identity(&self, seen: &ClusterPreview) -> Result<(), Error> {
        let uid = failing("read the namespace kube-system", self.ports.cluster.uid()).await?;
        refuse_another_cluster(&seen.preview.observed, &uid)
    }

    async fn lease(&self) -> Option<LeaseSeen> {
        self.tries.lease().await
    }

    fn presume_dead(&mut self, version: String) {
        self.tries.presume_dead(version);
    }

    fn worker(&mut self, seen: &ClusterPreview, stop: Stop) -> Arc<RegisterWorker> {
        let limit = self.request.wait.unwrap_or_default();
        let handed = &self.request.handed;
        self.tries.begin(&seen.preview.observed, |ports, made| {
            RegisterWorker::of_cluster(ports, &seen.preview, handed, made, limit, stop)
        })
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
        format!("connecting {}", self.request.handed.name)
    }
}

impl ClusterHalf<'_> {
    fn ended_well(self, preview: Preview, took: Duration) -> ClusterDone {
        let id = &self.request.handed.activation.id;
        let had_state =
            (0..preview.desired.replicas()).all(|ordinal| preview.observed.states.get(&ordinal) == Some(id));
        let (done, changed) = self.tries.history.summary();
        let ready = self.request.wait.is_some() || (had_state && !changed);
        ClusterDone { preview, done, changed, ready, took }
    }
}
