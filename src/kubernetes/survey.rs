//! What a cluster tells about which registration it is, and how its agents stand.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Namespace, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use serde_json::Value;

use super::agents::{containers, doing, is_ready};
use super::api::operation;
use super::client::Connected;
use super::diagnose::encode;
use super::port::KubernetesCluster;
use crate::inventory::agents::{AgentsSeen, EventSeen, PodSeen};
use crate::inventory::identity::{ClusterIdentity, ConnectorSeen};
use crate::manifest::{DEFAULT_NAMESPACE, ObjectKind, ObjectRef, STATEFUL_SET, agent_selector};
use crate::ports::{Cluster, Failure, FailureKind, Reply, Survey};
use crate::registration::installed::runs_connector;
use crate::registration::observe::{is_ours, mark_of};
use crate::registration::observed::Mark;

/// How many of the last events are told.
const LAST_EVENTS: usize = 5;

impl Survey for KubernetesCluster {
    fn identity(&self) -> Reply<'_, ClusterIdentity> {
        Box::pin(async {
            let (uid, sets, marked) =
                tokio::join!(self.uid(), self.connected.connector_sets(), self.connected.marked());
            let uid = uid?;
            let (sets, unverified) = match sets {
                Ok(sets) => (sets, None),
                Err(failure) if failure.kind == FailureKind::Denied => {
                    let why = format!(
                        "could not search every namespace for a connector, so only {DEFAULT_NAMESPACE} was looked at: {}",
                        failure.message
                    );
                    (self.connected.usual_set().await?, Some(why))
                }
                Err(failure) => return Err(failure),
            };
            let connectors = self.connected.with_marks(sets, marked?).await?;
            Ok(ClusterIdentity { uid, connectors, unverified })
        })
    }

    fn agents<'a>(&'a self, namespace: &'a str, set: &'a str) -> Reply<'a, AgentsSeen> {
        Box::pin(self.connected.look_at_agents(namespace, set))
    }
}

impl Connected {
    /// The StatefulSet where it usually is, if it runs a connector.
    async fn usual_set(&self) -> Result<Vec<Value>, Failure> {
        let set = ObjectRef::new(ObjectKind::StatefulSet, DEFAULT_NAMESPACE, STATEFUL_SET);
        let live = self.live(&set).await?;
        Ok(live.into_iter().filter(runs_connector).collect())
    }

    async fn live(&self, object: &ObjectRef) -> Result<Option<Value>, Failure> {
        self.get(&operation("get", object), &object.path()).await?.map(|answer| answer.json()).transpose()
    }

    /// Namespaces that eksconnect made for a connector, each with its mark; who may not list them looks where one usually is.
    async fn marked(&self) -> Result<BTreeMap<String, Option<Mark>>, Failure> {
        let ours = encode("app.kubernetes.io/managed-by=eksconnect");
        let path = format!("/api/v1/namespaces?labelSelector={ours}");
        let namespaces = match self.list::<Namespace>("list namespaces", &path).await {
            Ok(namespaces) => namespaces,
            Err(failure) if failure.kind == FailureKind::Denied => Vec::new(),
            Err(failure) => return Err(failure),
        };
        let named = |namespace: &Namespace| {
            let metadata = serde_json::to_value(&namespace.metadata).unwrap_or_default();
            (namespace.name_any(), mark_of(&metadata))
        };
        Ok(namespaces.iter().map(named).collect())
    }

    /// The connectors of these StatefulSets, and those namespaces that were made for one and have none.
    async fn with_marks(
        &self,
        sets: Vec<Value>,
        mut marks: BTreeMap<String, Option<Mark>>,
    ) -> Result<Vec<ConnectorSeen>, Failure> {
        let mut unknown: BTreeSet<String> = sets.iter().map(namespace_of).collect();
        unknown.insert(DEFAULT_NAMESPACE.to_owned());
        unknown.retain(|namespace| !marks.contains_key(namespace));
        let read = unknown.into_iter().map(|namespace| async move {
            let live = self.live(&ObjectRef::new(ObjectKind::Namespace, &namespace, &namespace)).await?;
            Ok::<_, Failure>((namespace, live.and_then(|live| mark_of(&live["metadata"]))))
        });
        marks.extend(try_join_all(read).await?);
        let connector = |set: &Value| {
            let mark = marks.remove(&namespace_of(set)).flatten();
            ConnectorSeen::of(set, is_ours(set), mark)
        };
        let mut connectors: Vec<ConnectorSeen> = sets.iter().map(connector).collect();
        let empty = marks.into_iter().filter_map(|(namespace, mark)| Some((namespace, mark?)));
        connectors.extend(empty.map(|(namespace, mark)| ConnectorSeen::of_namespace(&namespace, mark)));
        Ok(connectors)
    }

    async fn look_at_agents(&self, namespace: &str, set: &str) -> Result<AgentsSeen, Failure> {
        let core = format!("/api/v1/namespaces/{namespace}");
        let pods = format!("{core}/pods?labelSelector={}", encode(agent_selector()));
        let events = format!("{core}/events");
        let set = ObjectRef::new(ObjectKind::StatefulSet, namespace, set);
        let (set, pods, events) = tokio::join!(
            self.live(&set),
            self.list::<Pod>("list pods", &pods),
            self.list::<Event>("list events", &events),
        );
        let set = set?.unwrap_or_default();
        // They say more of the agents; who may not see them still learns how many are ready.
        let mut unverified = Vec::new();
        let mut missing = |failure: Failure| {
            unverified.push(format!(
                "could not look closer at the agents: {}: {}",
                failure.operation, failure.message
            ));
        };
        let pods = pods.map_err(&mut missing).unwrap_or_default();
        let events = events.map_err(&mut missing).unwrap_or_default();
        let count = |value: &Value| value.as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
        let mut pods: Vec<PodSeen> = pods.iter().map(pod_seen).collect();
        pods.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(AgentsSeen {
            replicas: count(&set["spec"]["replicas"]),
            ready: count(&set["status"]["readyReplicas"]),
            images: images(&set),
            pods,
            events: last(events),
            unverified,
        })
    }
}

fn namespace_of(set: &Value) -> String {
    set["metadata"]["namespace"].as_str().unwrap_or_default().to_owned()
}

fn images(set: &Value) -> BTreeMap<String, String> {
    let spec = &set["spec"]["template"]["spec"];
    let all = ["initContainers", "containers"].into_iter();
    let all = all.flat_map(|field| spec[field].as_array().into_iter().flatten());
    let image = |container: &Value| {
        Some((container["name"].as_str()?.to_owned(), container["image"].as_str()?.to_owned()))
    };
    all.filter_map(image).collect()
}

fn pod_seen(pod: &Pod) -> PodSeen {
    let ready = is_ready(pod);
    let restarts: i32 = containers(pod).map(|container| container.restart_count).sum();
    PodSeen {
        name: pod.name_any(),
        ready,
        doing: (!ready).then(|| doing(pod)),
        restarts: u32::try_from(restarts).unwrap_or(0),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        created_at: pod.metadata.creation_timestamp.as_ref().map(|time| time.0),
    }
}

/// The last events, the newest first.
fn last(events: Vec<Event>) -> Vec<EventSeen> {
    let mut seen: Vec<EventSeen> = events.into_iter().map(event_seen).collect();
    seen.sort_by_key(|event| std::cmp::Reverse(event.at));
    seen.truncate(LAST_EVENTS);
    seen
}

fn event_seen(event: Event) -> EventSeen {
    let series = event.series.as_ref();
    let micro = series.and_then(|series| series.last_observed_time.as_ref()).or(event.event_time.as_ref());
    let at: Option<Timestamp> =
        event.last_timestamp.as_ref().map(|Time(time)| *time).or_else(|| micro.map(|time| time.0));
    let count = series.and_then(|series| series.count).or(event.count).unwrap_or(1);
    let object = &event.involved_object;
    EventSeen {
        at,
        warning: event.type_.as_deref() == Some("Warning"),
        object: format!(
            "{}/{}",
            object.kind.as_deref().unwrap_or_default(),
            object.name.as_deref().unwrap_or_default()
        ),
        reason: event.reason.unwrap_or_default(),
        message: event.message.unwrap_or_default(),
        count: u32::try_from(count).unwrap_or(1),
    }
}
