//! The cluster's half: the connector, with an activation that was handed over. AWS is not asked anything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::cluster_plan::plan;
use super::unasked::cluster_alone;
use crate::error::{Code, Error};
use crate::manifest::workload::Workload;
use crate::manifest::{self, ObjectKind, ObjectRef, STATE_PREFIX};
use crate::plan::{Conversation, Done, Execution, LeaseSeen, Operation, Plan, Stop, run};
use crate::ports::Cluster;
use crate::registration::desired::Desired;
use crate::registration::handed::Handed;
use crate::registration::installed::Installed;
use crate::registration::observe::{
    Ports, aid, all_states, api_server, cluster_facts, elsewhere, failing, foreign_secret, is_ours,
    name_all_that_is_denied, namespace_facts, object_states, obsolete, refuse_old, superfluous,
};
use crate::registration::observed::{Caller, ClusterFacts, Observed, Registration, RoleSeen, Status};
use crate::registration::provider::Provider;
use crate::registration::quota::QuotaSeen;
use crate::registration::refusal::refuse_held_lease;
use crate::registration::register::Preview;
use crate::registration::remains::History;
use crate::registration::request::{RegisterRequest, RoleChoice};
use crate::registration::rights;
use crate::registration::step::Step;
use crate::registration::takeover::Takeover;
use crate::registration::undo::{undo, undo_later};
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
    let namespace = request.namespace.as_str();
    let cluster = ports.cluster.as_ref();
    let namespace_ref = ObjectRef::new(ObjectKind::Namespace, namespace, namespace);
    let set_ref = ObjectRef::new(ObjectKind::StatefulSet, namespace, manifest::STATEFUL_SET);
    let mut unverified = Vec::new();
    let server = async {
        tokio::try_join!(
            failing("read the version of the API server", cluster.version()),
            failing("read the namespace kube-system", cluster.uid()),
            async { Ok(cluster.nodes().await) },
            async { Ok(cluster.api_groups().await) },
            api_server(ports, &whole),
        )
    };
    let changes = rights::of_changes(&whole);
    let connector = async {
        tokio::try_join!(
            failing(format!("read the namespace {namespace}"), cluster.read(&namespace_ref)),
            failing(format!("read {set_ref}"), cluster.read(&set_ref)),
            failing("read the activation Secret", cluster.activation_secret(namespace)),
            failing(
                "read the agents' state Secrets",
                cluster.states(namespace, STATE_PREFIX, 0..request.workload.replicas)
            ),
            failing("read the Lease of eksconnect", cluster.lease(namespace)),
            async { Ok(cluster.connectors().await) },
            async { Ok(cluster.denied(&changes).await) },
        )
    };
    let (
        (version, uid, nodes, groups, api_server),
        (live_namespace, live_set, activation_secret, states, lease, connectors, denied_rights),
    ) = tokio::try_join!(server, connector)?;
    refuse_old(&version)?;
    let nodes = aid(nodes, "list the nodes", &mut unverified)?;
    let groups = aid(groups, "list the API groups", &mut unverified)?.unwrap_or_default();
    let facts = ClusterFacts { api_server, ..cluster_facts(version, uid, nodes, groups) };
    let namespace_facts = live_namespace.as_ref().map(namespace_facts);
    let caller = Caller { account: request.handed.account.clone(), arn: String::new() };
    let installed = live_set.as_ref().map(|set| Installed::of(set, is_ours(set)));
    let connectors = aid(connectors, "search other namespaces for a connector", &mut unverified)?;
    let seen = (namespace_facts.as_ref(), installed.as_ref());
    let desired = Desired::new(&whole, &caller, &ports.region, &facts, seen.0, seen.1);
    let registration = request.registration();
    let (mut objects, obsolete, states, superfluous) = tokio::try_join!(
        object_states(ports, &desired, Some(&registration), seen.1, seen.0),
        obsolete(ports, &desired),
        all_states(ports, &desired, states, live_set.as_ref()),
        superfluous(ports, &desired),
    )?;
    objects.foreign.extend(foreign_secret(namespace, activation_secret.as_ref(), installed.as_ref()));
    let observed = Observed {
        now: Timestamp::now(),
        region: ports.region.clone(),
        caller,
        service_linked_role: None,
        agent_role: RoleSeen::Unreadable,
        registration: Some(registration),
        other_registration: None,
        cluster: facts,
        namespace: namespace_facts,
        activation_secret,
        states,
        installed,
        elsewhere: elsewhere(connectors.unwrap_or_default(), &set_ref),
        foreign: objects.foreign,
        fixed: objects.fixed,
        superfluous,
        lease,
        objects: objects.states,
        changes: objects.changes,
        obsolete,
        quota: QuotaSeen::Unknown,
        denied_rights: aid(denied_rights, "check the rights in the cluster", &mut unverified)?
            .unwrap_or_default(),
        unverified,
    };
    Ok((desired, observed))
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
    let mut half =
        ClusterHalf { ports, request, history: History::default(), dead_lease: None, current: None };
    match run(&mut half, show, stop).await {
        Ok((seen, took)) => Ok(half.ended_well(seen.preview, took)),
        Err(error) => Err(half.history.list_objects(error)),
    }
}

struct ClusterHalf<'a> {
    ports: Ports,
    request: &'a ClusterRequest,
    history: History,
    /// The version of a Lease whose holder does not renew it.
    dead_lease: Option<String>,
    /// The worker of the try that is under way or was the last.
    current: Option<Arc<RegisterWorker>>,
}

impl Operation for ClusterHalf<'_> {
    type Step = Step;
    type Seen = ClusterPreview;
    type Worker = RegisterWorker;

    async fn look(&self) -> Result<ClusterPreview, Error> {
        let (desired, mut observed) = observe(&self.ports, self.request).await?;
        if let Some(lease) = observed.lease.as_mut()
            && self.dead_lease.as_ref() == Some(&lease.resource_version)
        {
            lease.held_by = None;
        }
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
        crate::registration::observe::refuse_another_cluster(&seen.preview.observed, &uid)
    }

    async fn lease(&self) -> Option<LeaseSeen> {
        let lease = self.ports.cluster.lease(&self.request.namespace).await.ok().flatten()?;
        let duration = lease.held_by?.duration;
        Some(LeaseSeen { version: lease.resource_version, duration })
    }

    fn presume_dead(&mut self, version: String) {
        self.dead_lease = Some(version);
    }

    fn worker(&mut self, seen: &ClusterPreview, stop: Stop) -> Arc<RegisterWorker> {
        self.history.before.get_or_insert_with(|| seen.preview.observed.clone());
        let limit = self.request.wait.unwrap_or_default();
        let (ports, made) = (self.ports.clone(), self.history.made.clone());
        let worker =
            RegisterWorker::of_cluster(ports, &seen.preview, &self.request.handed, made, limit, stop);
        Arc::clone(self.current.insert(Arc::new(worker)))
    }

    async fn ended(&mut self, worker: &RegisterWorker, execution: &Execution<Step>) {
        worker.find_out().await;
        let history = &mut self.history;
        history.done.extend(execution.done.iter().cloned());
        history.made = worker.made();
        history.may_undo = !worker.code_in_cluster();
        if (execution.failure.is_some() || execution.interrupted) && history.may_undo {
            let made = history.made.clone();
            let not_undone = undo(&self.ports, &self.request.namespace, made, worker.lease()).await;
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
        let undone = undo_later(&self.ports, &self.request.namespace, made, intent).await;
        if let Some(not_undone) = undone {
            history.was_undone(not_undone);
        }
    }

    fn cut_off(&mut self, done: Vec<(Step, Done)>, in_flight: &[Step]) {
        self.history.done.extend(done);
        if let Some(worker) = &self.current {
            self.history.made = worker.made();
        }
        self.history.was_cut_off(in_flight);
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
        let changed = self.history.done.iter().any(|(step, done)| step.is_write() && !done.unchanged);
        let phrase = |(step, done): &(Step, Done)| format!("{}: {}", step.describe(), done.outcome);
        let done = self.history.done.iter().map(phrase).collect();
        let ready = self.request.wait.is_some() || (had_state && !changed);
        ClusterDone { preview, done, changed, ready, took }
    }
}
