//! How the agents of a connector stand.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// How the agents of a connector stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentsSeen {
    /// How many there are to be.
    pub replicas: u32,
    /// How many are ready.
    pub ready: u32,
    /// The image of each container, by the container's name.
    pub images: BTreeMap<String, String>,
    /// Their pods, by name.
    pub pods: Vec<PodSeen>,
    /// The last events of the namespace, the newest first.
    pub events: Vec<EventSeen>,
    /// What of that could not be seen.
    pub unverified: Vec<String>,
}

/// The agents of a connector, if there are any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Agents {
    /// There are.
    Seen(AgentsSeen),
    /// There are none.
    Absent,
    /// They could not be looked at.
    Unknown,
}

impl Agents {
    /// Those that are seen.
    pub fn seen(&self) -> Option<&AgentsSeen> {
        match self {
            Self::Seen(agents) => Some(agents),
            Self::Absent | Self::Unknown => None,
        }
    }
}

/// A pod of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSeen {
    /// Its name.
    pub name: String,
    /// Whether it is ready.
    pub ready: bool,
    /// What it is doing if it is not ready: `pulling images`.
    pub doing: Option<String>,
    /// How often its containers were restarted, all together.
    pub restarts: u32,
    /// The node that it runs on.
    pub node: Option<String>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
}

/// An event of the namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSeen {
    /// When it was last seen.
    pub at: Option<Timestamp>,
    /// Whether it is a warning.
    pub warning: bool,
    /// `Pod/eks-connector-0`.
    pub object: String,
    /// `FailedScheduling`.
    pub reason: String,
    /// What it says.
    pub message: String,
    /// How often it was seen.
    pub count: u32,
}
