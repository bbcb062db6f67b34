//! What taking things away needs from the cluster and from IAM.

use jiff::Timestamp;

use super::Reply;
use crate::manifest::ObjectRef;
use crate::registration::deregister::seen::{Contents, RolePolicies};

/// The cluster, for taking the connector out of it.
pub trait Clearing: Send + Sync {
    /// Everything in a namespace, of every kind that the API server can list; the metadata alone. A kind that may not be
    /// listed is told, and no failure.
    fn contents<'a>(&'a self, namespace: &'a str) -> Reply<'a, Contents>;
    /// The namespaces in which a run of eksconnect has left its Lease.
    fn lease_namespaces(&self) -> Reply<'_, Vec<String>>;
    /// Deletes an object if it still has that UID, and what belongs to it before it (propagation `Foreground`); one that
    /// is gone already is as good.
    fn delete_whole<'a>(&'a self, object: &'a ObjectRef, uid: &'a str) -> Reply<'a, ()>;
}

/// How the deletion of a service-linked role stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkedDeletion {
    /// IAM still asks the service.
    Going,
    /// It is gone.
    Gone,
    /// The service still needs it; why, and which resources, as IAM says it.
    Refused(String),
}

/// IAM, for taking roles away.
pub trait RoleRemoval: Send + Sync {
    /// The policies of a role; `None` if there is no such role (`iam:ListRolePolicies`, `iam:ListAttachedRolePolicies`).
    fn policies<'a>(&'a self, role: &'a str) -> Reply<'a, Option<RolePolicies>>;
    /// The roles that Systems Manager can assume, as every agent role is: their names, and when they were made
    /// (`iam:ListRoles`).
    fn agent_roles(&self) -> Reply<'_, Vec<(String, Option<Timestamp>)>>;
    /// Deletes an inline policy; one that is gone already is as good (`iam:DeleteRolePolicy`).
    fn delete_role_policy<'a>(&'a self, role: &'a str, policy: &'a str) -> Reply<'a, ()>;
    /// Deletes a role that has no policies any more; one that is gone already is as good (`iam:DeleteRole`).
    fn delete_role<'a>(&'a self, role: &'a str) -> Reply<'a, ()>;
    /// Asks for the deletion of the service-linked role; returns the task, `None` if the role is gone already
    /// (`iam:DeleteServiceLinkedRole`).
    fn delete_service_linked_role(&self) -> Reply<'_, Option<String>>;
    /// How that task stands (`iam:GetServiceLinkedRoleDeletionStatus`).
    fn linked_deletion<'a>(&'a self, task: &'a str) -> Reply<'a, LinkedDeletion>;
}
