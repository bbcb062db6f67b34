//! How the agents stand, by watching their StatefulSet and their pods.

use std::collections::BTreeMap;

use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt};

use super::api::refusal;
use super::client::Connected;
use crate::manifest::{STATEFUL_SET, agent_selector, ready_replicas};
use crate::ports::{AgentState, Failure, FailureKind, Side, Unseen};

/// What the two watches tell.
enum Seen {
    Set(Box<Event<StatefulSet>>),
    Pod(Box<Event<Pod>>),
}

/// One of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Watched {
    Set,
    Pods,
}

/// What is known so far.
#[derive(Default)]
struct Known {
    ready: u32,
    pods: BTreeMap<String, Pod>,
    /// The pods of a new list, which replaces the known ones when it is complete.
    listed: BTreeMap<String, Pod>,
    /// The watches that broke off and have told nothing since.
    unseen: BTreeMap<Watched, Unseen>,
}

impl Connected {
    pub(super) fn agent_states(&self, namespace: &str) -> BoxStream<'static, Result<AgentState, Failure>> {
        let failing = |watched: Watched, resource: &'static str| {
            let namespace = namespace.to_owned();
            move |error| (watched, failure(&error, &format!("{resource} in namespace {namespace}")))
        };
        let pods = Api::<Pod>::namespaced(self.client.clone(), namespace);
        let sets = Api::<StatefulSet>::namespaced(self.client.clone(), namespace);
        let of_pods = watcher(pods, watcher::Config::default().labels(agent_selector()))
            .default_backoff()
            .map_ok(|event| Seen::Pod(Box::new(event)))
            .map_err(failing(Watched::Pods, "pods"));
        let of_set =
            watcher(sets, watcher::Config::default().fields(&format!("metadata.name={STATEFUL_SET}")))
                .default_backoff()
                .map_ok(|event| Seen::Set(Box::new(event)))
                .map_err(failing(Watched::Set, "statefulsets.apps"));
        stream::select(of_pods.boxed(), of_set.boxed())
            .scan(Known::default(), |known, seen| {
                let state = match seen {
                    Ok(seen) => {
                        known.take(seen);
                        Ok(known.state())
                    }
                    Err((watched, failure)) => {
                        let (operation, message) = (failure.operation.clone(), failure.message.clone());
                        known.unseen.insert(watched, Unseen { operation, message });
                        Err(failure)
                    }
                };
                futures::future::ready(Some(state))
            })
            .boxed()
    }
}

impl Known {
    fn take(&mut self, seen: Seen) {
        // That one begins anew tells nothing yet.
        match &seen {
            Seen::Set(event) if !matches!(**event, Event::Init) => drop(self.unseen.remove(&Watched::Set)),
            Seen::Pod(event) if !matches!(**event, Event::Init) => drop(self.unseen.remove(&Watched::Pods)),
            Seen::Set(_) | Seen::Pod(_) => {}
        }
        match seen {
            Seen::Set(event) => match *event {
                Event::Apply(set) | Event::InitApply(set) => self.ready = ready_replicas(&set),
                Event::Delete(_) => self.ready = 0,
                Event::Init | Event::InitDone => {}
            },
            Seen::Pod(event) => match *event {
                Event::Apply(pod) => drop(self.pods.insert(pod.name_any(), pod)),
                Event::Delete(pod) => drop(self.pods.remove(&pod.name_any())),
                Event::Init => self.listed.clear(),
                Event::InitApply(pod) => drop(self.listed.insert(pod.name_any(), pod)),
                Event::InitDone => self.pods = std::mem::take(&mut self.listed),
            },
        }
    }

    fn state(&self) -> AgentState {
        let unready = self.pods.values().find(|pod| !is_ready(pod));
        AgentState {
            ready: self.ready,
            doing: unready.map(|pod| format!("{} {}", pod.name_any(), doing(pod))),
            trouble: unready
                .and_then(|pod| trouble(pod).map(|what| format!("pod {}: {what}", pod.name_any()))),
            unseen: self.unseen.values().cloned().collect(),
        }
    }
}

pub(super) fn is_ready(pod: &Pod) -> bool {
    pod.status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten())
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Container statuses in the order in which the containers run, init containers first.
pub(super) fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let init = status.into_iter().flat_map(|status| status.init_container_statuses.iter().flatten());
    let main = status.into_iter().flat_map(|status| status.container_statuses.iter().flatten());
    init.chain(main)
}

/// The scheduler's message on a pod that fits no node.
pub(super) fn unscheduled(pod: &Pod) -> Option<&str> {
    pod.status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten())
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")
        .and_then(|condition| condition.message.as_deref())
}

pub(super) fn doing(pod: &Pod) -> String {
    if unscheduled(pod).is_some() {
        return "finds no node".to_owned();
    }
    for container in containers(pod) {
        let Some(state) = &container.state else { continue };
        if let Some(waiting) = &state.waiting {
            return match waiting.reason.as_deref() {
                Some("PodInitializing" | "ContainerCreating") | None => "starting".to_owned(),
                Some("ErrImagePull" | "ImagePullBackOff") => format!("cannot pull {}", container.image),
                Some("CrashLoopBackOff") => {
                    format!("{} failed {} times", container.name, container.restart_count)
                }
                Some(reason) => format!("{}: {reason}", container.name),
            };
        }
        if state.running.is_some() && !container.ready {
            return format!("running {}", container.name);
        }
        if state.terminated.as_ref().is_some_and(|ended| ended.exit_code != 0) {
            return format!("{} failed", container.name);
        }
    }
    "starting".to_owned()
}

fn trouble(pod: &Pod) -> Option<String> {
    if let Some(message) = unscheduled(pod) {
        return Some(format!("not scheduled: {message}"));
    }
    containers(pod).find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.as_deref()?;
        let message = waiting.message.as_deref().unwrap_or_default();
        (!matches!(reason, "PodInitializing" | "ContainerCreating"))
            .then(|| format!("container {}: {reason}: {message}", container.name))
    })
}

fn failure(error: &watcher::Error, what: &str) -> Failure {
    // A watch begins with a list.
    let verb = if matches!(error, watcher::Error::InitialListFailed(_)) { "list" } else { "watch" };
    let of =
        |kind, message| Failure { side: Side::Cluster, kind, operation: format!("{verb} {what}"), message };
    let status = match error {
        watcher::Error::WatchError(status) => Some(status),
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => Some(status),
        _ => None,
    };
    match status {
        Some(status) => {
            let code = http::StatusCode::from_u16(status.code).unwrap_or(http::StatusCode::BAD_GATEWAY);
            let body = serde_json::json!({ "message": status.message }).to_string();
            let (kind, message) = refusal(code, body.as_bytes());
            of(kind, message)
        }
        None => of(FailureKind::Unreachable, "the watch broke off".to_owned()),
    }
}
