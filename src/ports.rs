//! What the engine needs from AWS and from the cluster, as verbs of the domain. The adapters (`aws/`, `kubernetes/`)
//! implement them; SDK and kube types stop there.

mod access;
mod inventory;
mod removal;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use jiff::Timestamp;

pub use access::{Access, Acting, Asked, Decision, PrincipalFacts, Principals};
pub use inventory::{Contexts, Inventory, Survey};
pub use removal::{Clearing, LinkedDeletion, RoleRemoval};

use crate::error::Error;
use crate::manifest::{ApiServer, Object, ObjectRef, PullSecret};
use crate::registration::activation::Activation;
use crate::registration::handed::{FileIntent, Handed};
use crate::registration::installed::Connector;
use crate::registration::observed::{
    ActivationSecretFacts, Caller, Intent, LeaseFacts, NodeFacts, ObjectState, Registration, Role,
};
use crate::registration::provider::Provider;
use crate::registration::request::RoleDesign;
use crate::registration::rights::Right;
use crate::registration::role_drift::RoleChange;

/// What a port answers.
pub type Reply<'a, T> = BoxFuture<'a, Result<T, Failure>>;

/// Which side a failure is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// AWS.
    Aws,
    /// The Kubernetes cluster.
    Cluster,
}

/// What kind of failure it is, as far as a decision can depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// What was asked about does not exist.
    NotFound,
    /// It exists already, or was changed in between.
    Conflict,
    /// The caller may not do that.
    Denied,
    /// No credentials could be found.
    NoCredentials,
    /// The source of credentials that is configured gives none.
    CredentialSource,
    /// The credentials have expired.
    ExpiredCredentials,
    /// The credentials are not accepted.
    RejectedCredentials,
    /// The request is refused as wrong.
    Rejected,
    /// A limit is reached.
    LimitExceeded,
    /// Something that was just made is not visible everywhere yet. Try again.
    NotPropagated,
    /// EKS misses the account's service-linked role.
    ServiceLinkedRoleMissing,
    /// The other side is overloaded or failing. Try again later.
    Unavailable,
    /// No answer: it is unknown whether the request had its effect.
    Unreachable,
    /// The certificate cannot be verified.
    Certificate,
    /// The answer cannot be understood.
    Malformed,
}

/// Why a port could not answer. `Display` is the other side's own message.
#[derive(Debug)]
pub struct Failure {
    /// Which side.
    pub side: Side,
    /// What kind.
    pub kind: FailureKind,
    /// The operation: `eks:RegisterCluster`, `patch statefulsets.apps`.
    pub operation: String,
    /// The other side's message, or what is known instead.
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// What RegisterCluster is asked.
#[derive(Clone, Debug)]
pub struct RegisterCall {
    /// The registration's name.
    pub name: String,
    /// Its provider.
    pub provider: Provider,
    /// The agent role.
    pub role_arn: String,
    /// All tags.
    pub tags: BTreeMap<String, String>,
    /// Makes a repeated call the same call.
    pub request_token: String,
}

/// What RegisterCluster answers.
#[derive(Clone, Debug)]
pub struct Registered {
    /// The registration's ARN.
    pub arn: String,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// Until when the activation can be used.
    pub activation_expiry: Option<Timestamp>,
    /// The activation, given once.
    pub activation: Activation,
}

/// STS: who is calling.
pub trait Identity: Send + Sync {
    /// The caller (`sts:GetCallerIdentity`).
    fn caller(&self) -> Reply<'_, Caller>;
}

/// IAM: the two roles.
pub trait Roles: Send + Sync {
    /// The role of that name, and its inline policy of our name (`iam:GetRole`, `iam:GetRolePolicy`).
    fn role<'a>(&'a self, name: &'a str) -> Reply<'a, Option<Role>>;
    /// Whether the service-linked role exists (`iam:GetRole`).
    fn service_linked_role(&self) -> Reply<'_, bool>;
    /// Makes the agent role; returns its ARN (`iam:CreateRole`, with our tag where `iam:TagRole` allows it).
    fn create_agent_role<'a>(&'a self, design: &'a RoleDesign) -> Reply<'a, String>;
    /// Changes something else of the agent role (`iam:UpdateAssumeRolePolicy`, `iam:PutRolePermissionsBoundary`,
    /// `iam:TagRole`).
    fn change_agent_role<'a>(&'a self, role: &'a str, change: &'a RoleChange) -> Reply<'a, ()>;
    /// Writes the agent role's inline policy (`iam:PutRolePolicy`).
    fn put_agent_policy<'a>(&'a self, role: &'a str) -> Reply<'a, ()>;
    /// Makes the service-linked role (`iam:CreateServiceLinkedRole`); one that exists by now is as good.
    fn create_service_linked_role(&self) -> Reply<'_, ()>;
}

/// EKS: registrations.
pub trait Registrations: Send + Sync {
    /// The registration of that name (`eks:DescribeCluster`).
    fn registration<'a>(&'a self, name: &'a str) -> Reply<'a, Option<Registration>>;
    /// How many connected clusters there are, in one round trip (`eks:ListClusters`): at least so many where there are
    /// very many, `None` where that cannot be told.
    fn count(&self) -> Reply<'_, Option<usize>>;
    /// Registers, once: no retry of any kind (`eks:RegisterCluster`).
    fn register<'a>(&'a self, call: &'a RegisterCall) -> Reply<'a, Registered>;
    /// Deregisters; one that is gone already is as good (`eks:DeregisterCluster`).
    fn deregister<'a>(&'a self, name: &'a str) -> Reply<'a, ()>;
}

/// Service Quotas.
pub trait Quotas: Send + Sync {
    /// How many clusters may be registered in this Region (`servicequotas:GetServiceQuota`); `None` if it does not say.
    fn registered_clusters(&self) -> Reply<'_, Option<usize>>;
}

/// What stands in the file that an activation is to be written to.
#[derive(Clone, Debug)]
pub enum FileSeen {
    /// There is no file.
    Absent,
    /// A run began and did not end.
    Intent(FileIntent),
    /// An activation.
    Activation(Box<Handed>),
}

/// The file in which an activation is handed to another administrator. Its calls are short and do not wait.
pub trait ActivationFile: Send + Sync {
    /// Where it is.
    fn path(&self) -> String;
    /// What stands in it.
    ///
    /// # Errors
    /// It is something else, cannot be read, or another run works on it.
    fn look(&self) -> Result<FileSeen, Error>;
    /// Makes it with the intent in it, or takes it over where it `exists`; holds it until the end of the run. `false` if
    /// it is not as it was seen.
    ///
    /// # Errors
    /// It cannot be written, or another run works on it.
    fn reserve(&self, intent: &FileIntent, exists: bool) -> Result<bool, Error>;
    /// Puts the activation in place of the intent, so that a crash of the machine does not lose it.
    ///
    /// # Errors
    /// It could not be written.
    fn keep(&self, handed: &Handed) -> Result<(), Error>;
    /// Removes what this run reserved.
    ///
    /// # Errors
    /// It could not be removed.
    fn give_up(&self) -> Result<(), Error>;
}

/// What the server tells about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerVersion {
    /// `v1.36.3`.
    pub text: String,
    /// 36.
    pub minor: u32,
}

/// What applying an object did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Whether it did not exist before.
    pub created: bool,
    /// Whether an earlier attempt got no answer, or none that could be understood: that one may have made it.
    pub repeated: bool,
    /// Its UID.
    pub uid: String,
}

/// A live object, or a dry run's result, as JSON.
pub type LiveObject = serde_json::Value;

/// How the agents stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentState {
    /// How many replicas are ready.
    pub ready: u32,
    /// What the first one that is not ready is doing: `eks-connector-1 pulling images`.
    pub doing: Option<String>,
    /// What is wrong with it, if something is.
    pub trouble: Option<String>,
    /// The watches that broke off and have told nothing since: what they would show is not known.
    pub unseen: Vec<Unseen>,
}

/// A watch that broke off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// The operation: `watch pods in namespace eks-connector`.
    pub operation: String,
    /// The server's message, or what is known instead.
    pub message: String,
}

/// The cluster.
pub trait Cluster: Send + Sync {
    /// The server's version.
    fn version(&self) -> Reply<'_, ServerVersion>;
    /// UID of the kube-system namespace.
    fn uid(&self) -> Reply<'_, String>;
    /// The nodes, their provider IDs and the keys of their labels.
    fn nodes(&self) -> Reply<'_, Nodes>;
    /// The names of the API groups.
    fn api_groups(&self) -> Reply<'_, Vec<String>>;
    /// Where pods reach the API server (the Service `kubernetes`).
    fn api_server(&self) -> Reply<'_, ApiServer>;
    /// Those of the rights that the caller does not have (SelfSubjectAccessReview, one for each).
    fn denied<'a>(&'a self, rights: &'a [Right]) -> Reply<'a, BTreeSet<Right>>;
    /// A live object. Not for Secrets.
    fn read<'a>(&'a self, object: &'a ObjectRef) -> Reply<'a, Option<LiveObject>>;
    /// What the object would be after applying it; `None` if its namespace does not exist.
    fn dry_run<'a>(&'a self, object: &'a Object) -> Reply<'a, Option<LiveObject>>;
    /// Applies an object (forced server-side apply).
    fn apply<'a>(&'a self, object: &'a Object) -> Reply<'a, Applied>;
    /// Replaces an object whole as it was seen (`resourceVersion`), so that it is as if only we had ever written it;
    /// a change in between is a `Conflict`.
    fn replace<'a>(&'a self, object: &'a Object, seen: &'a str) -> Reply<'a, Applied>;
    /// Deletes an object if it still has that UID; one that is gone already is as good.
    fn delete<'a>(&'a self, object: &'a ObjectRef, uid: &'a str) -> Reply<'a, ()>;
    /// The activation Secret, without its value.
    fn activation_secret<'a>(&'a self, namespace: &'a str) -> Reply<'a, Option<ActivationSecretFacts>>;
    /// Keeps an activation's code in its Secret, `object` being that Secret without its value.
    fn keep_activation<'a>(&'a self, object: &'a Object, activation: &'a Activation) -> Reply<'a, Applied>;
    /// Applies the activation Secret without an activation: what it says of a code in it stays.
    fn mark_activation<'a>(&'a self, object: &'a Object) -> Reply<'a, Applied>;
    /// Puts a mark in place of the code, in the Secret as it was seen; a change in between is a `Conflict`.
    fn spend_activation<'a>(&'a self, namespace: &'a str, seen: &'a str) -> Reply<'a, ()>;
    /// How the Secret with credentials for a registry stands, `object` being that Secret without them.
    fn pull_secret_state<'a>(&'a self, object: &'a Object, secret: &'a PullSecret) -> Reply<'a, ObjectState>;
    /// Applies the Secret with credentials for a registry.
    fn keep_pull_secret<'a>(&'a self, object: &'a Object, secret: &'a PullSecret) -> Reply<'a, Applied>;
    /// The metadata of a Secret, as an object that has nothing else.
    fn secret_metadata<'a>(&'a self, object: &'a ObjectRef) -> Reply<'a, Option<LiveObject>>;
    /// The activation that the state of each of these replicas belongs to, by ordinal; the names of their Secrets begin
    /// with `prefix`. Reads nothing else of them.
    fn states<'a>(
        &'a self,
        namespace: &'a str,
        prefix: &'a str,
        ordinals: Range<u32>,
    ) -> Reply<'a, BTreeMap<u32, String>>;
    /// Every StatefulSet of the cluster that runs a connector.
    fn connectors(&self) -> Reply<'_, Vec<Connector>>;
    /// The Lease.
    fn lease<'a>(&'a self, namespace: &'a str) -> Reply<'a, Option<LeaseFacts>>;
    /// Takes the Lease as it was seen and keeps renewing it; somebody else's change in between is a `Conflict`.
    fn hold_lease<'a>(
        &'a self,
        namespace: &'a str,
        seen: Option<&'a str>,
        intent: &'a Intent,
    ) -> Reply<'a, Arc<dyn HeldLease>>;
    /// Watches the agents until the stream is dropped. The first item is how they stand now.
    fn watch_agents<'a>(&'a self, namespace: &'a str) -> BoxStream<'a, Result<AgentState, Failure>>;
    /// Why the agents are not ready, from their states, events and logs: the first visible cause.
    fn diagnose<'a>(&'a self, namespace: &'a str) -> Reply<'a, Option<String>>;
}

/// The nodes of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nodes {
    /// One by one.
    pub nodes: Vec<NodeFacts>,
    /// `spec.providerID` of those that have one.
    pub provider_ids: Vec<String>,
    /// The keys of their labels.
    pub label_keys: Vec<String>,
}

/// A Lease that this run holds.
pub trait HeldLease: Send + Sync {
    /// Gives it back. The intent stays readable.
    fn release(&self) -> Reply<'_, ()>;
    /// Whether somebody else may hold it by now: it was taken over, or could not be renewed for too long.
    fn is_lost(&self) -> bool;
    /// Whether it did not exist before.
    fn is_new(&self) -> bool;
    /// Gives it back by deleting it.
    fn discard(&self) -> Reply<'_, ()>;
}
