//! The steps of registering.

use std::collections::BTreeMap;

use super::observed::{Intent, Status};
use super::provider::Provider;
use super::request::RoleDesign;
use super::role_drift::RoleChange;
use crate::access;
use crate::manifest::{Object, ObjectRef};

/// One step. Match it without `_`: a new step has to be described, executed and undone.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Make the account's service-linked role.
    CreateServiceLinkedRole,
    /// Make the agent role.
    CreateAgentRole(RoleDesign),
    /// Write the agent role's inline policy.
    PutAgentPolicy {
        /// The role's name.
        role: String,
    },
    /// Bring something else of the agent role to what it should be.
    ChangeAgentRole {
        /// The role's name.
        role: String,
        /// What.
        change: RoleChange,
    },
    /// Apply an object that is wholly known.
    Apply(Object),
    /// Apply the Secret with the credentials for the images' registry; the object is that Secret without them.
    ApplyPullSecret(Object),
    /// Apply the activation Secret without touching a code in it.
    ApplyActivationSecret(Object),
    /// Replace an object of another owner whole, as it was seen.
    Replace {
        /// What it becomes.
        object: Object,
        /// The version that was seen.
        seen: String,
    },
    /// Delete an object that is no longer wanted, or cannot be changed.
    Remove {
        /// Which.
        object: ObjectRef,
        /// The one that was seen.
        uid: String,
    },
    /// Take the Lease and write the intent into it.
    HoldLease {
        /// Where it lives.
        namespace: String,
        /// The version that was seen; `None` if there was none.
        seen: Option<String>,
        /// What this run is going to do.
        intent: Intent,
    },
    /// Make the file that the activation is to be written to, or take it over from a run that died.
    ReserveFile {
        /// Where it is.
        path: String,
    },
    /// Keep an activation that was handed over in the cluster.
    KeepActivation,
    /// Deregister a registration whose name is needed, as it was seen.
    Discard {
        /// Its name.
        name: String,
        /// The status that was seen.
        status: Status,
        /// The activation that was seen.
        activation_id: Option<String>,
    },
    /// Register, and keep the activation in the cluster at once.
    Register(NewRegistration),
    /// Apply the object that names the activation, which is known only then.
    ApplyOnceRegistered(OnceRegistered),
    /// Wait until every replica is ready and EKS says ACTIVE.
    AwaitActive {
        /// The registration's name.
        name: String,
        /// How many replicas there are to be.
        replicas: u32,
    },
    /// Wait until every replica is ready and has its state; what EKS says is not asked.
    AwaitAgents {
        /// How many replicas there are to be.
        replicas: u32,
    },
    /// Take the used code out of the activation Secret.
    SpendCode {
        /// The activation, if it is known already.
        activation_id: Option<String>,
    },
    /// Let somebody view: a step of granting.
    Access(Box<access::step::Step>),
}

/// A registration to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRegistration {
    /// Its name.
    pub name: String,
    /// Its provider.
    pub provider: Provider,
    /// The agent role if it exists already; else the one that the plan makes.
    pub role_arn: Option<String>,
    /// The user's tags: never left out.
    pub user_tags: BTreeMap<String, String>,
    /// Our tags: left out where tagging is refused.
    pub own_tags: BTreeMap<String, String>,
    /// Makes a repeated call the same call.
    pub request_token: String,
}

/// The objects that name the activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnceRegistered {
    /// The namespace's annotations.
    Namespace,
    /// The agents.
    StatefulSet,
}

/// The parts of a registration that a person thinks in. Each is a line on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// The account's service-linked role.
    ServiceLinkedRole,
    /// The agent role.
    AgentRole,
    /// The registration.
    Registration,
    /// The objects in the cluster.
    Objects,
    /// The agents, until ACTIVE.
    Agent,
    /// Who may view.
    Views,
}

impl Topic {
    /// Every topic, in the order of its lines.
    pub const ALL: [Self; 6] = [
        Self::ServiceLinkedRole,
        Self::AgentRole,
        Self::Registration,
        Self::Objects,
        Self::Agent,
        Self::Views,
    ];

    /// As it is shown.
    pub fn title(self) -> &'static str {
        match self {
            Self::ServiceLinkedRole => "Service-linked role",
            Self::AgentRole => "Agent role",
            Self::Registration => "Registration",
            Self::Objects => "Objects",
            Self::Agent => "Agent",
            Self::Views => "Views",
        }
    }
}

impl Step {
    /// The line that it belongs to; `None` for what is not worth a person's attention.
    pub fn topic(&self) -> Option<Topic> {
        match self {
            Self::CreateServiceLinkedRole => Some(Topic::ServiceLinkedRole),
            Self::CreateAgentRole(_) | Self::PutAgentPolicy { .. } | Self::ChangeAgentRole { .. } => {
                Some(Topic::AgentRole)
            }
            Self::Discard { .. } | Self::Register(_) => Some(Topic::Registration),
            Self::Apply(_)
            | Self::ApplyPullSecret(_)
            | Self::ApplyActivationSecret(_)
            | Self::Replace { .. }
            | Self::Remove { .. }
            | Self::ApplyOnceRegistered(_) => Some(Topic::Objects),
            Self::KeepActivation => Some(Topic::Objects),
            Self::AwaitActive { .. } | Self::AwaitAgents { .. } => Some(Topic::Agent),
            Self::Access(_) => Some(Topic::Views),
            Self::HoldLease { .. } | Self::ReserveFile { .. } | Self::SpendCode { .. } => None,
        }
    }

    /// What it does, in a few words, for plans and documents.
    pub fn describe(&self) -> String {
        match self {
            Self::CreateServiceLinkedRole => format!("create role {SERVICE_LINKED_ROLE}"),
            Self::CreateAgentRole(design) => format!("create role {}", design.name),
            Self::PutAgentPolicy { role } => format!("put inline policy of role {role}"),
            Self::ChangeAgentRole { role, change } => format!("put {} of role {role}", change.part()),
            Self::Apply(object) | Self::ApplyPullSecret(object) | Self::ApplyActivationSecret(object) => {
                format!("apply {}", object.reference)
            }
            Self::Replace { object, .. } => format!("replace {}", object.reference),
            Self::Remove { object, .. } => format!("delete {object}"),
            Self::HoldLease { namespace, .. } => format!("hold Lease {namespace}/eksconnect"),
            Self::Discard { name, .. } => format!("deregister {name}"),
            Self::Register(new) => format!("register {}", new.name),
            Self::ApplyOnceRegistered(OnceRegistered::Namespace) => "annotate the namespace".to_owned(),
            Self::ApplyOnceRegistered(OnceRegistered::StatefulSet) => {
                "apply the agents' StatefulSet".to_owned()
            }
            Self::AwaitActive { name, .. } => format!("wait for {name} to become ACTIVE"),
            Self::ReserveFile { path } => format!("reserve {path}"),
            Self::KeepActivation => "keep the activation in the cluster".to_owned(),
            Self::AwaitAgents { .. } => "wait until the agents are ready".to_owned(),
            Self::SpendCode { .. } => "remove the used activation code".to_owned(),
            Self::Access(step) => step.describe(),
        }
    }

    /// Whether it changes something, in AWS or in the cluster.
    pub fn is_write(&self) -> bool {
        match self {
            Self::Access(step) => step.is_write(),
            _ => !matches!(self, Self::AwaitActive { .. } | Self::AwaitAgents { .. }),
        }
    }

    /// The object that it applies or deletes, if that is known.
    pub fn object(&self) -> Option<&ObjectRef> {
        match self {
            Self::Apply(object)
            | Self::ApplyPullSecret(object)
            | Self::ApplyActivationSecret(object)
            | Self::Replace { object, .. } => Some(&object.reference),
            Self::Remove { object, .. } => Some(object),
            Self::Access(step) => step.object(),
            Self::CreateServiceLinkedRole
            | Self::CreateAgentRole(_)
            | Self::PutAgentPolicy { .. }
            | Self::ChangeAgentRole { .. }
            | Self::HoldLease { .. }
            | Self::Discard { .. }
            | Self::Register(_)
            | Self::ApplyOnceRegistered(_)
            | Self::AwaitActive { .. }
            | Self::ReserveFile { .. }
            | Self::KeepActivation
            | Self::AwaitAgents { .. }
            | Self::SpendCode { .. } => None,
        }
    }
}

/// The account's service-linked role (EKS user guide, "Using roles to connect a Kubernetes cluster to Amazon EKS").
pub const SERVICE_LINKED_ROLE: &str = "AWSServiceRoleForAmazonEKSConnector";
