//! The cluster as one principal would see it: what was taken from the API server's answers. Pure; taking it is
//! [`take`].

pub mod facts;
pub mod quantity;
pub mod take;

use jiff::Timestamp;

use super::principal::Principal;
use super::scope::Scope;
use super::verification::Verdict;

/// The picture.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Whose.
    pub principal: Principal,
    /// Namespace of the connector.
    pub namespace: String,
    /// In which namespaces.
    pub scope: Scope,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// What the API server tells about itself.
    pub server: Part<ServerRow>,
    /// The nodes.
    pub nodes: Part<NodeRow>,
    /// The namespaces.
    pub namespaces: Part<NamespaceRow>,
    /// Workloads, by kind.
    pub workloads: Vec<(WorkloadKind, Part<WorkloadRow>)>,
    /// The pods.
    pub pods: Part<PodRow>,
    /// What happened last, the newest first.
    pub events: Part<EventRow>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

/// What can be seen of something, and what not.
#[derive(Clone, Debug)]
pub struct Part<T> {
    /// What is shown.
    pub rows: Vec<T>,
    /// How many there are beside it, as far as the API server says.
    pub more: u64,
    /// How many of all are not as they should be.
    pub unwell: u64,
    /// What was refused.
    pub refusals: Vec<Refusal>,
}

/// Something that cannot be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Where; `None` for the whole cluster.
    pub namespace: Option<String>,
    /// Who refuses it.
    pub by: Verdict,
    /// In whose words.
    pub message: String,
}

/// A row of a part.
pub trait Row {
    /// Whether it is as it should be.
    fn is_well(&self) -> bool;
}

impl<T> Default for Part<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), more: 0, unwell: 0, refusals: Vec::new() }
    }
}

impl<T: Row> Part<T> {
    /// How many there are.
    pub fn total(&self) -> u64 {
        self.rows.len() as u64 + self.more
    }

    /// Whether nothing of it may be seen at all.
    pub fn is_forbidden(&self) -> bool {
        self.rows.is_empty() && self.more == 0 && !self.refusals.is_empty()
    }

    /// Keeps so many rows. Where some have to go, those that are not well stay first of all.
    pub fn bound(&mut self, limit: Option<usize>) {
        let Some(limit) = limit.filter(|limit| *limit < self.rows.len()) else { return };
        self.rows.sort_by_key(Row::is_well);
        self.more += (self.rows.len() - limit) as u64;
        self.rows.truncate(limit);
    }
}

/// What the API server tells about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerRow {
    /// `v1.36.3`.
    pub version: String,
    /// `linux/amd64`.
    pub platform: String,
    /// Whether it says that it is ready; `None` if it does not say it to this principal.
    pub ready: Option<bool>,
}

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeRow {
    /// Its name.
    pub name: String,
    /// Whether it is ready.
    pub ready: bool,
    /// What else is true of it: conditions that should not be, cordoned.
    pub conditions: Vec<String>,
    /// Its roles, from its labels.
    pub roles: Vec<String>,
    /// Version of its kubelet.
    pub version: String,
    /// `linux/amd64`.
    pub platform: String,
    /// What it has of each of a few resources.
    pub capacity: Resources,
    /// What of it is for pods.
    pub allocatable: Resources,
    /// Since when it exists.
    pub created: Option<Timestamp>,
}

/// Amounts of resources.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Resources {
    /// Cores.
    pub cpu: f64,
    /// Memory in bytes.
    pub memory: f64,
    /// Pods.
    pub pods: f64,
}

/// A namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceRow {
    /// Its name.
    pub name: String,
    /// `Active` or `Terminating`.
    pub phase: String,
    /// Since when it exists.
    pub created: Option<Timestamp>,
}

/// The kinds of workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WorkloadKind {
    /// Deployments.
    Deployment,
    /// DaemonSets.
    DaemonSet,
    /// StatefulSets.
    StatefulSet,
    /// ReplicaSets that no Deployment has made.
    ReplicaSet,
    /// Jobs.
    Job,
    /// CronJobs.
    CronJob,
}

/// A workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadRow {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// How many pods are ready; of a Job, how many have succeeded; of a CronJob, how many of its Jobs run.
    pub ready: u64,
    /// How many should be; a CronJob has no such number.
    pub wanted: Option<u64>,
    /// In a few words: `available`, `failed`, a CronJob's schedule.
    pub state: String,
    /// Whether it is as it should be.
    pub well: bool,
    /// Since when it exists.
    pub created: Option<Timestamp>,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRow {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Containers that are ready.
    pub ready: u64,
    /// Containers.
    pub containers: u64,
    /// As kubectl shows it: `Running`, `CrashLoopBackOff`.
    pub status: String,
    /// Restarts of all its containers.
    pub restarts: u64,
    /// Its node, if it has one.
    pub node: Option<String>,
    /// Whether it is as it should be.
    pub well: bool,
    /// Since when it exists.
    pub created: Option<Timestamp>,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// When it happened last.
    pub at: Option<Timestamp>,
    /// Whether it is a warning.
    pub warning: bool,
    /// In one word.
    pub reason: String,
    /// `Pod web/shop-0`.
    pub object: String,
    /// In a sentence.
    pub message: String,
    /// How often.
    pub count: u64,
}

impl WorkloadKind {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 6] =
        [Self::Deployment, Self::DaemonSet, Self::StatefulSet, Self::ReplicaSet, Self::Job, Self::CronJob];

    /// API group and resource.
    pub fn resource(self) -> (&'static str, &'static str) {
        match self {
            Self::Deployment => ("apps", "deployments"),
            Self::DaemonSet => ("apps", "daemonsets"),
            Self::StatefulSet => ("apps", "statefulsets"),
            Self::ReplicaSet => ("apps", "replicasets"),
            Self::Job => ("batch", "jobs"),
            Self::CronJob => ("batch", "cronjobs"),
        }
    }

    /// The kind as manifests write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::DaemonSet => "DaemonSet",
            Self::StatefulSet => "StatefulSet",
            Self::ReplicaSet => "ReplicaSet",
            Self::Job => "Job",
            Self::CronJob => "CronJob",
        }
    }
}

impl Row for ServerRow {
    fn is_well(&self) -> bool {
        self.ready != Some(false)
    }
}

impl Row for NodeRow {
    fn is_well(&self) -> bool {
        self.ready && self.conditions.is_empty()
    }
}

impl Row for NamespaceRow {
    fn is_well(&self) -> bool {
        self.phase == "Active"
    }
}

impl Row for WorkloadRow {
    fn is_well(&self) -> bool {
        self.well
    }
}

impl Row for PodRow {
    fn is_well(&self) -> bool {
        self.well
    }
}

/// Events are kept by their age and by nothing else.
impl Row for EventRow {
    fn is_well(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_well_is_the_last_to_be_left_out() {
        let namespace = |name: &str, phase: &str| NamespaceRow {
            name: name.to_owned(),
            phase: phase.to_owned(),
            created: None,
        };
        let rows = vec![namespace("a", "Active"), namespace("b", "Active"), namespace("c", "Terminating")];
        let mut part = Part { rows, more: 7, unwell: 1, ..Part::default() };
        part.bound(Some(3));
        assert_eq!((part.rows[0].name.as_str(), part.more), ("a", 7), "nothing has to go");
        part.bound(Some(2));
        let names: Vec<&str> = part.rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!((names, part.more, part.total()), (vec!["c", "a"], 8, 10));
    }
}
