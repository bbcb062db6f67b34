//! The steps of deregistering.

use crate::manifest::{Object, ObjectRef};
use crate::registration::observed::{Intent, Status};
use crate::registration::step::SERVICE_LINKED_ROLE;

/// One step. Match it without `_`: a new step has to be described and executed.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Take the Lease and say in it what is being removed.
    HoldLease {
        /// Where it lives.
        namespace: String,
        /// The version that was seen; `None` if there was none.
        seen: Option<String>,
        /// What this run is going to do.
        intent: Intent,
    },
    /// Delete an object.
    Delete {
        /// Which.
        object: ObjectRef,
        /// The one that was seen.
        uid: String,
        /// What it is to a person.
        part: Part,
    },
    /// Deregister.
    Deregister {
        /// The name.
        name: String,
        /// The status that was seen.
        status: Status,
        /// The activation that was seen.
        activation_id: Option<String>,
    },
    /// Delete the agents, and wait until their pods are gone: their Secrets go after that.
    StopAgents {
        /// Their StatefulSet.
        object: ObjectRef,
        /// The one that was seen.
        uid: String,
    },
    /// Take off a namespace that stays what we have written on it.
    Unmark(Object),
    /// Delete an agent role, its policies first.
    DeleteRole {
        /// Its name.
        role: String,
        /// Its inline policies.
        policies: Vec<String>,
    },
    /// Delete the service-linked role, and wait for the end of that.
    DeleteServiceLinkedRole,
    /// Wait until the namespace is gone.
    AwaitNamespace {
        /// Which.
        namespace: ObjectRef,
    },
}

/// What an object is to a person. Each is a line on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// It lets the connector act as others, or others see.
    Access,
    /// It is one of the connector's own.
    Objects,
    /// The namespace itself.
    Namespace,
}

/// The parts of a removal that a person thinks in. Each is a line on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// Who may look into the cluster.
    Access,
    /// The registration.
    Registration,
    /// The objects in the cluster.
    Objects,
    /// The agent role.
    AgentRole,
    /// The account's service-linked role.
    ServiceLinkedRole,
    /// The namespace.
    Namespace,
}

impl Topic {
    /// Every topic, in the order of its lines.
    pub const ALL: [Self; 6] = [
        Self::Access,
        Self::Registration,
        Self::Objects,
        Self::AgentRole,
        Self::ServiceLinkedRole,
        Self::Namespace,
    ];

    /// As it is shown.
    pub fn title(self) -> &'static str {
        match self {
            Self::Access => "Access",
            Self::Registration => "Registration",
            Self::Objects => "Objects",
            Self::AgentRole => "Agent role",
            Self::ServiceLinkedRole => "Service-linked role",
            Self::Namespace => "Namespace",
        }
    }
}

impl Step {
    /// The line that it belongs to; `None` for what is not worth a person's attention.
    pub fn topic(&self) -> Option<Topic> {
        match self {
            Self::HoldLease { .. } => None,
            Self::Delete { part: Part::Access, .. } => Some(Topic::Access),
            Self::Delete { part: Part::Objects, .. } | Self::StopAgents { .. } | Self::Unmark(_) => {
                Some(Topic::Objects)
            }
            Self::Delete { part: Part::Namespace, .. } | Self::AwaitNamespace { .. } => {
                Some(Topic::Namespace)
            }
            Self::Deregister { .. } => Some(Topic::Registration),
            Self::DeleteRole { .. } => Some(Topic::AgentRole),
            Self::DeleteServiceLinkedRole => Some(Topic::ServiceLinkedRole),
        }
    }

    /// What it does, in a few words, for plans and documents.
    pub fn describe(&self) -> String {
        match self {
            Self::HoldLease { namespace, .. } => format!("hold Lease {namespace}/eksconnect"),
            Self::Delete { object, .. } => format!("delete {object}"),
            Self::StopAgents { object, .. } => format!("delete {object} and wait for its pods"),
            Self::Unmark(object) => format!("take eksconnect's marks off {}", object.reference),
            Self::Deregister { name, .. } => format!("deregister {name}"),
            Self::DeleteRole { role, .. } => format!("delete role {role}"),
            Self::DeleteServiceLinkedRole => format!("delete role {SERVICE_LINKED_ROLE}"),
            Self::AwaitNamespace { namespace } => format!("wait until {namespace} is gone"),
        }
    }

    /// Whether it changes something that a person would call a change.
    pub fn is_change(&self) -> bool {
        !matches!(self, Self::HoldLease { .. } | Self::AwaitNamespace { .. })
    }

    /// The object that it deletes or changes, if it is one.
    pub fn object(&self) -> Option<&ObjectRef> {
        match self {
            Self::Delete { object, .. } | Self::StopAgents { object, .. } => Some(object),
            Self::Unmark(object) => Some(&object.reference),
            Self::HoldLease { .. }
            | Self::Deregister { .. }
            | Self::DeleteRole { .. }
            | Self::DeleteServiceLinkedRole
            | Self::AwaitNamespace { .. } => None,
        }
    }
}
