//! What was seen of the cluster and of IAM before anything is decided about access.

use std::collections::{BTreeMap, BTreeSet};

use super::principal::Principal;
use crate::manifest::{FieldChange, ObjectRef};
pub use crate::ports::Decision;
use crate::ports::PrincipalFacts;
use crate::rbac::Snapshot;
use crate::registration::observed::{Caller, ObjectState};

/// What the API server says of constrained impersonation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constrains {
    /// It has it.
    Yes,
    /// It does not have it.
    No,
    /// It does not say. Of its version it would be expected, and a grant shows.
    Perhaps,
}

/// What can be known before it is known what is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Looked {
    /// Who calls AWS.
    pub caller: Caller,
    /// The Region in use.
    pub region: String,
    /// UID of the kube-system namespace.
    pub cluster_uid: String,
    /// The server's version, `v1.36.3`.
    pub version: String,
    /// Where the connector was looked for.
    pub namespace: String,
    /// Whether it is there.
    pub connector: bool,
    /// Other namespaces that have one; looked for where it is not there.
    pub elsewhere: Vec<String>,
    /// The registration's ARN, if the cluster or the user says it.
    pub cluster_arn: Option<String>,
    /// All roles and bindings.
    pub rules: Snapshot,
    /// Whether the API server constrains impersonation.
    pub constrains: Constrains,
    /// The namespaces of the request that do not exist.
    pub absent_namespaces: BTreeSet<String>,
    /// The principals as IAM knows them.
    pub principals: BTreeMap<Principal, PrincipalSeen>,
    /// What may not be as it was meant, to be said.
    pub warnings: Vec<String>,
    /// What could not be found out, to be said.
    pub unverified: Vec<String>,
}

/// A principal as IAM knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrincipalSeen {
    /// It does not exist.
    Absent,
    /// It exists.
    Present(PrincipalFacts),
    /// That could not be found out, and why.
    Unknown(String),
}

/// What IAM allows a viewer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IamState {
    /// All that the console asks for.
    Allowed,
    /// Not these.
    Lacks(Vec<(String, Decision)>),
    /// That could not be found out, and why.
    Unknown(String),
}

/// All that was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// What was seen first.
    pub looked: Looked,
    /// How each object of the grants stands.
    pub objects: BTreeMap<ObjectRef, ObjectState>,
    /// What applying would change in those that differ.
    pub changes: BTreeMap<ObjectRef, Vec<FieldChange>>,
    /// Objects that differ in what cannot be changed, each with its UID: they have to be made anew.
    pub fixed: BTreeMap<ObjectRef, String>,
    /// What IAM allows each principal.
    pub iam: BTreeMap<Principal, IamState>,
}

impl Observed {
    /// What was seen first, and nothing else.
    pub fn of(looked: Looked) -> Self {
        let (objects, changes, fixed) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { looked, objects, changes, fixed, iam: BTreeMap::new() }
    }

    /// How `object` stands; what was not looked at counts as absent.
    pub fn state_of(&self, object: &ObjectRef) -> ObjectState {
        self.objects.get(object).cloned().unwrap_or(ObjectState::Absent)
    }
}

impl Looked {
    /// What is known of a principal.
    pub fn principal(&self, principal: &Principal) -> PrincipalSeen {
        let unasked = || PrincipalSeen::Unknown("IAM was not asked".to_owned());
        self.principals.get(principal).cloned().unwrap_or_else(unasked)
    }
}
