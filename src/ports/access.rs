//! What granting and verifying access needs from the cluster and from IAM.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::Reply;
use crate::access::principal::Principal;
use crate::manifest::ObjectRef;
use crate::rbac::{Request, Snapshot, Who};
use crate::registration::observed::Permissions;

/// The answer to a request that was made as the connector makes them.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The HTTP status: 200, 403.
    pub status: u16,
    /// Where it is not 2xx, what the API server says.
    pub message: String,
    /// Where it is 2xx and JSON, the answer.
    pub body: Value,
}

impl Asked {
    /// Whether the request was allowed and answered.
    pub fn is_ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether the impersonation was refused, and not what the impersonated principal asked for
    /// (`… cannot impersonate resource "users"`, `… cannot impersonate-on:user-info:list resource "namespaces"`).
    pub fn is_refused_impersonation(&self) -> bool {
        self.status == 403 && self.message.contains("cannot impersonate")
    }
}

/// The access rules of the cluster, and acting as its connector does.
pub trait Access: Send + Sync {
    /// All roles and bindings.
    fn rules(&self) -> Reply<'_, Snapshot>;
    /// Becomes the connector of that namespace: a token of its service account that is valid for ten minutes
    /// (`create serviceaccounts/token`). It cannot be had where the service account does not exist (`NotFound`).
    fn act_as_connector<'a>(&'a self, namespace: &'a str) -> Reply<'a, Arc<dyn Acting>>;
    /// Whether `who` may do each of these (`create subjectaccessreviews`).
    fn review<'a>(&'a self, who: &'a Who, requests: &'a [Request]) -> Reply<'a, Vec<bool>>;
    /// Whether the API server says that it has constrained impersonation
    /// (`kubernetes_feature_enabled{name="ConstrainedImpersonation"}` in `/metrics`); `None` if it does not say.
    fn constrains_impersonation(&self) -> Reply<'_, Option<bool>>;
    /// Changes those fields of an object of others (a merge patch), as it was seen (`resourceVersion`); a change in between is a
    /// `Conflict`.
    fn amend<'a>(&'a self, object: &'a ObjectRef, seen: &'a str, change: &'a Value) -> Reply<'a, ()>;
}

/// The connector, as the console reaches it: with its own token, naming a principal.
pub trait Acting: Send + Sync {
    /// A read of that path, query included, in the name of `principal` (`Impersonate-User`). A refusal is an answer; no
    /// answer at all is a failure.
    fn ask<'a>(&'a self, principal: &'a str, path: &'a str) -> Reply<'a, Asked>;
    /// As [`Self::ask`], to delete what is at that path; a dry run, so that nothing is deleted, whatever is allowed.
    fn ask_to_delete<'a>(&'a self, principal: &'a str, path: &'a str) -> Reply<'a, Asked>;
}

/// A principal as IAM knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrincipalFacts {
    /// Its ARN, path included.
    pub arn: String,
    /// The inline policy of ours that lets it reach connected clusters.
    pub viewer_policy: Permissions,
}

/// What IAM decides (`iam:SimulatePrincipalPolicy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Allowed.
    Allowed,
    /// No policy allows it.
    NotAllowed,
    /// A policy denies it.
    Denied,
}

/// IAM: the principals that view.
pub trait Principals: Send + Sync {
    /// The principal, if it exists (`iam:GetUser`, `iam:GetRole`, and `iam:GetUserPolicy` or `iam:GetRolePolicy`).
    fn principal<'a>(&'a self, principal: &'a Principal) -> Reply<'a, Option<PrincipalFacts>>;
    /// The ARNs of the roles whose path begins so (`iam:ListRoles`).
    fn roles_below<'a>(&'a self, path: &'a str) -> Reply<'a, Vec<String>>;
    /// What IAM decides about each action on a resource; `arn` with its path (`iam:SimulatePrincipalPolicy`). Policies of the
    /// organization that bound the account are not always known to it.
    fn simulate<'a>(
        &'a self,
        arn: &'a str,
        actions: &'a [&'a str],
        resource: &'a str,
    ) -> Reply<'a, BTreeMap<String, Decision>>;
    /// Writes our inline policy (`iam:PutUserPolicy`, `iam:PutRolePolicy`).
    fn attach_viewer_policy<'a>(&'a self, principal: &'a Principal, document: &'a str) -> Reply<'a, ()>;
    /// Deletes our inline policy; one that is gone already is as good (`iam:DeleteUserPolicy`, `iam:DeleteRolePolicy`).
    fn detach_viewer_policy<'a>(&'a self, principal: &'a Principal) -> Reply<'a, ()>;
}
