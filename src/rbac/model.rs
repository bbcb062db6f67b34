//! Roles and bindings as the evaluator needs them, of one kind each: what has no namespace is a ClusterRole or a
//! ClusterRoleBinding.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// All roles and bindings of a cluster at one moment.
///
/// The rules of a ClusterRole that is put together from others (`aggregationRule`) are those that the controller
/// wrote into it: the API server looks at nothing else either. Where no controller has worked, as in objects that were
/// rendered, [`Snapshot::aggregated`] does its work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Roles and ClusterRoles.
    pub roles: Vec<Role>,
    /// RoleBindings and ClusterRoleBindings.
    pub bindings: Vec<Binding>,
}

/// What tells one object from another, and who made it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// `None` for a ClusterRole or a ClusterRoleBinding.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Its UID; empty if it is not from a cluster.
    pub uid: String,
    /// Its version, for a change that must not overwrite another; empty if it is not from a cluster.
    pub resource_version: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

/// A Role or a ClusterRole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Which one.
    pub meta: Meta,
    /// What it allows.
    pub rules: Vec<Rule>,
    /// From which ClusterRoles it is put together; of none if it has rules of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aggregation: Vec<Selector>,
}

/// ClusterRoles by their labels (`LabelSelector`). An empty one means all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selector {
    /// Labels that they must have.
    pub labels: BTreeMap<String, String>,
    /// What else must be true of their labels.
    pub expressions: Vec<Expression>,
}

/// Something that must be true of a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expression {
    /// Its key.
    pub key: String,
    /// What must be true.
    pub operator: Operator,
    /// For which values.
    pub values: Vec<String>,
}

/// What can be said of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operator {
    /// It has one of the values.
    In,
    /// It has none of them, or is not there.
    NotIn,
    /// It is there.
    Exists,
    /// It is not there.
    DoesNotExist,
}

/// A rule. It allows what matches every one of its lists; those for resources and those for paths exclude each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// `get`, or `*`.
    pub verbs: Vec<String>,
    /// API groups; the core's is empty.
    pub api_groups: Vec<String>,
    /// `pods`, `pods/log`, `*/scale` or `*`.
    pub resources: Vec<String>,
    /// Names of objects. None at all means every object, and no name too.
    pub resource_names: Vec<String>,
    /// Paths that are no resources, `*` at the end for all that begin so.
    pub non_resource_urls: Vec<String>,
}

/// A RoleBinding or a ClusterRoleBinding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// Which one.
    pub meta: Meta,
    /// The role that it gives.
    pub role: RoleRef,
    /// To whom.
    pub subjects: Vec<Subject>,
}

/// The role that a binding gives. It need not exist.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RoleRef {
    /// A ClusterRole.
    ClusterRole(String),
    /// A Role in the binding's own namespace.
    Role(String),
}

/// To whom a binding gives its role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subject {
    /// A user by name; for the connector, a principal's ARN.
    User(String),
    /// All in a group.
    Group(String),
    /// A service account.
    ServiceAccount {
        /// Its namespace; without one it is the binding's own.
        namespace: Option<String>,
        /// Its name.
        name: String,
    },
}

impl RoleRef {
    /// `ClusterRole` or `Role`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ClusterRole(_) => "ClusterRole",
            Self::Role(_) => "Role",
        }
    }

    /// The role's name.
    pub fn name(&self) -> &str {
        match self {
            Self::ClusterRole(name) | Self::Role(name) => name,
        }
    }
}

impl Binding {
    /// `ClusterRoleBinding` or `RoleBinding`.
    pub fn kind(&self) -> &'static str {
        if self.meta.namespace.is_none() { "ClusterRoleBinding" } else { "RoleBinding" }
    }
}
