//! What was seen of the account and the cluster before anything is decided. NotFound is an observation.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::installed::{Connector, Installed};
use super::provider::Detected;
use super::quota::QuotaSeen;
use super::rights::Right;
use super::takeover::Foreign;
use crate::manifest::{ApiServer, FieldChange, ObjectKind, ObjectRef, Taint};

/// Who is calling AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The 12-digit account.
    pub account: String,
    /// The caller's ARN as STS says it.
    pub arn: String,
}

/// An IAM role that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its ARN, path included.
    pub arn: String,
    /// Its trust policy, as JSON.
    pub trust: String,
    /// Its inline policy of our name.
    pub permissions: Permissions,
    /// Whether it carries our tag.
    pub ours: bool,
    /// ARN of the policy that bounds its permissions.
    pub boundary: Option<String>,
    /// Its tags, ours included.
    pub tags: BTreeMap<String, String>,
}

/// A role's inline policy of our name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permissions {
    /// There is none.
    Absent,
    /// It is this, as JSON.
    Inline(String),
    /// It may not be read.
    Unreadable,
}

/// A registration's status (EKS API, `ClusterStatus`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Just made.
    Creating,
    /// No agent has connected yet.
    Pending,
    /// Connected.
    Active,
    /// Being changed.
    Updating,
    /// Being removed.
    Deleting,
    /// The activation expired before an agent connected, or worse.
    Failed,
    /// One that this version does not know.
    Unknown(String),
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Creating => "CREATING",
            Self::Pending => "PENDING",
            Self::Active => "ACTIVE",
            Self::Updating => "UPDATING",
            Self::Deleting => "DELETING",
            Self::Failed => "FAILED",
            Self::Unknown(other) => other,
        })
    }
}

/// A registration as DescribeCluster shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Its status.
    pub status: Status,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// Its activation.
    pub activation_id: Option<String>,
    /// Until when the activation can be used.
    pub activation_expiry: Option<Timestamp>,
    /// The agent role. `None`: this is no connected cluster but one that EKS runs itself.
    pub role_arn: Option<String>,
    /// The provider.
    pub provider: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// The cluster itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterFacts {
    /// UID of the kube-system namespace: what makes this cluster this one.
    pub uid: String,
    /// The server's version, `v1.36.3`.
    pub version: String,
    /// Its minor version (1.x).
    pub minor: u32,
    /// Its nodes; `None` where they may not be listed.
    pub nodes: Option<Vec<NodeFacts>>,
    /// Where pods reach the API server; read where the workload depends on it.
    pub api_server: ApiServer,
    /// The provider that its traces tell of.
    pub provider: Detected,
    /// Whether it has OpenShift's API group for what pods may do.
    pub openshift: bool,
}

/// A node, as far as it matters to the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFacts {
    /// Its name.
    pub name: String,
    /// `linux`.
    pub os: String,
    /// `amd64`.
    pub arch: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its taints.
    pub taints: Vec<Taint>,
    /// Whether new pods are kept off it.
    pub cordoned: bool,
}

/// The connector's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceFacts {
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Whether it carries our label.
    pub ours: bool,
    /// Its Pod Security `enforce` label.
    pub enforced: Option<String>,
    /// The registration that it says it belongs to.
    pub mark: Option<Mark>,
    /// How the names of the agents' state Secrets begin, where it says so.
    pub state_prefix: Option<String>,
}

/// The registration that an object says it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The registration's ARN.
    pub cluster_arn: String,
    /// Its activation.
    pub activation_id: String,
}

/// The activation Secret, without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivationSecretFacts {
    /// The registration that it belongs to.
    pub mark: Option<Mark>,
    /// Whether it still holds a code.
    pub holds_code: bool,
    /// What else keeps it as it is, if something says that it does.
    pub kept_by: Option<String>,
    /// For changing it only as it was seen.
    pub resource_version: String,
}

/// What a run intends, kept in the Lease, so that another can finish it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// ARN of the registration that is being made.
    pub cluster_arn: String,
    /// Name of its agent role.
    pub role: String,
    /// Its provider.
    pub provider: String,
    /// The token of the RegisterCluster call.
    pub request_token: String,
    /// UID of kube-system.
    pub cluster_uid: String,
    /// When the Lease was taken for it.
    pub started_at: Timestamp,
}

/// The Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseFacts {
    /// For the compare-and-swap that takes it.
    pub resource_version: String,
    /// Who holds it; `None` if it is free to take. Whether a holder on another host still lives, only watching it tells.
    pub held_by: Option<Holder>,
    /// What its last holder intended.
    pub intent: Option<Intent>,
    /// When it was last written, by its holder's clock.
    pub renewed_at: Option<Timestamp>,
}

/// A holder of the Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// `host build-7, process 4711`.
    pub who: String,
    /// How long the Lease stands without being renewed.
    pub duration: Duration,
}

/// How an object stands to what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectState {
    /// It does not exist.
    Absent,
    /// Applying it would change nothing.
    Same,
    /// Applying it would change it.
    Differs,
}

impl ObjectState {
    /// Compares a live object with what applying would make of it.
    pub fn of(live: Option<Value>, applied: Option<Value>) -> Self {
        match (live.map(settled), applied.map(settled)) {
            (None, _) => Self::Absent,
            (live, applied) if live == applied => Self::Same,
            (Some(_), _) => Self::Differs,
        }
    }
}

/// An object without what every write changes.
pub(super) fn settled(mut object: Value) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in ["managedFields", "resourceVersion", "generation"] {
            metadata.remove(field);
        }
    }
    object
}

/// All that was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// When.
    pub now: Timestamp,
    /// The Region in use.
    pub region: String,
    /// Who calls AWS.
    pub caller: Caller,
    /// The service-linked role's presence; `None` where it may not be read.
    pub service_linked_role: Option<bool>,
    /// The agent role.
    pub agent_role: RoleSeen,
    /// The registration of the requested name.
    pub registration: Option<Registration>,
    /// The registration that the namespace names, if it is another one and in this account and Region.
    pub other_registration: Option<Registration>,
    /// The cluster.
    pub cluster: ClusterFacts,
    /// The connector's namespace.
    pub namespace: Option<NamespaceFacts>,
    /// The activation Secret.
    pub activation_secret: Option<ActivationSecretFacts>,
    /// The activation that each replica's state belongs to, by ordinal.
    pub states: BTreeMap<u32, String>,
    /// The StatefulSet that stands where ours would.
    pub installed: Option<Installed>,
    /// Other StatefulSets of the cluster that run a connector.
    pub elsewhere: Vec<Connector>,
    /// Objects of other owners where ours would be. Neither the namespace nor the StatefulSet.
    pub foreign: Vec<Foreign>,
    /// Objects that differ in what cannot be changed, each with its UID: they have to be made anew.
    pub fixed: BTreeMap<ObjectRef, String>,
    /// What an adopted connector leaves behind without use, with its UID.
    pub superfluous: Option<(ObjectRef, String)>,
    /// The Lease.
    pub lease: Option<LeaseFacts>,
    /// How each desired object stands. Those of an unknown activation are not in it.
    pub objects: BTreeMap<ObjectRef, ObjectState>,
    /// What applying would change in the objects that differ. Never those of a Secret.
    pub changes: BTreeMap<ObjectRef, Vec<FieldChange>>,
    /// Objects of ours that are no longer wanted, each with its UID.
    pub obsolete: Vec<(ObjectRef, String)>,
    /// The quota of registered clusters.
    pub quota: QuotaSeen,
    /// Rights of which the API server says that the caller does not have them. Not everything is asked about.
    pub denied_rights: BTreeSet<Right>,
    /// What could not be verified, to be said.
    pub unverified: Vec<String>,
}

/// What is known of the agent role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleSeen {
    /// It does not exist.
    Absent,
    /// It exists.
    Present(Role),
    /// It may not be read.
    Unreadable,
}

impl Observed {
    /// How `object` stands; what was not looked at counts as absent.
    pub fn state_of(&self, object: &ObjectRef) -> ObjectState {
        self.objects.get(object).cloned().unwrap_or(ObjectState::Absent)
    }

    /// Whether the StatefulSet exists.
    pub fn has_agents(&self) -> bool {
        self.objects
            .iter()
            .any(|(object, state)| object.kind == ObjectKind::StatefulSet && *state != ObjectState::Absent)
    }
}
