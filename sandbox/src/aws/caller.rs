//! Who calls: access keys, principals, and what their policies allow.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::policy::{Context, Decision, Kind, Policy};
use super::state::{State, digest_only};
use super::{iam, state};

/// The authenticated caller of an operation.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// The request is not signed.
    Anonymous,
    Principal(Principal),
    /// A managed instance that signed with its own key.
    Instance {
        account: String,
        id: String,
    },
}

impl Caller {
    pub(crate) fn account(&self) -> Option<&str> {
        match self {
            Caller::Anonymous => None,
            Caller::Principal(principal) => Some(&principal.account),
            Caller::Instance { account, .. } => Some(account),
        }
    }

    pub(crate) fn principal(&self) -> Option<&Principal> {
        match self {
            Caller::Principal(principal) => Some(principal),
            Caller::Anonymous | Caller::Instance { .. } => None,
        }
    }
}

/// An access key.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AccessKey {
    #[serde(serialize_with = "digest_only")]
    pub(crate) secret: String,
    /// Token that must come with a temporary key.
    #[serde(skip)]
    pub(crate) session_token: Option<String>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) principal: Principal,
}

/// An IAM user, a role session, a federated user or the root of an account.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Principal {
    pub(crate) account: String,
    /// As GetCallerIdentity shows it.
    pub(crate) arn: String,
    pub(crate) user_id: String,
    pub(crate) permissions: Permissions,
}

/// Where a principal's permissions come from.
#[derive(Clone, Debug, Serialize)]
pub(crate) enum Permissions {
    Everything,
    /// One policy document.
    Policy(String),
    /// The policies of a role of the account, as they are at the time of the call.
    Role(String),
    /// The policies of a user of the account, as they are at the time of the call.
    User(String),
}

impl Principal {
    /// The names by which a trust policy can mean this principal.
    pub(crate) fn trust_names(&self) -> Vec<String> {
        vec![self.arn.clone(), format!("arn:aws:iam::{}:root", self.account)]
    }

    /// What the principal's policies say about an action on a resource.
    pub(crate) fn decide(&self, state: &State, action: &str, resource: &str, context: Context) -> Decision {
        match &self.permissions {
            Permissions::Everything => Decision::Allowed,
            Permissions::Policy(document) => strictest([document.as_str()], action, resource, &context),
            Permissions::Role(name) => {
                let Some(account) = state.accounts.get(&self.account) else { return Decision::ImplicitDeny };
                // The role may have been deleted after the session began.
                let Some(role) = account.role(name) else { return Decision::ImplicitDeny };
                role_decision(account, role, action, resource, &context)
            }
            Permissions::User(name) => {
                let Some(account) = state.accounts.get(&self.account) else { return Decision::ImplicitDeny };
                let Some(user) = account.user(name) else { return Decision::ImplicitDeny };
                let boundary = user.permissions_boundary.as_deref();
                bounded_decision(
                    account,
                    (&user.inline, &user.attached, boundary),
                    action,
                    resource,
                    &context,
                )
            }
        }
    }
}

/// What a role's inline and attached policies say, within its permissions boundary.
pub(crate) fn role_decision(
    account: &state::Account,
    role: &state::Role,
    action: &str,
    resource: &str,
    context: &Context,
) -> Decision {
    let boundary = role.permissions_boundary.as_deref();
    bounded_decision(account, (&role.inline, &role.attached, boundary), action, resource, context)
}

/// What inline and attached policies say, within a permissions boundary.
fn bounded_decision(
    account: &state::Account,
    (inline, attached, boundary): (&BTreeMap<String, String>, &[String], Option<&str>),
    action: &str,
    resource: &str,
    context: &Context,
) -> Decision {
    let attached = attached.iter().filter_map(|arn| iam::managed_policy(account, arn));
    let documents = inline.values().map(String::as_str).chain(attached);
    let decision = strictest(documents, action, resource, context);
    match boundary {
        Some(boundary) if decision == Decision::Allowed => {
            strictest(iam::managed_policy(account, boundary), action, resource, context)
        }
        _ => decision,
    }
}

/// The decision of several identity policies together: a deny wins.
fn strictest<'d>(
    documents: impl IntoIterator<Item = &'d str>,
    action: &str,
    resource: &str,
    context: &Context,
) -> Decision {
    let mut result = Decision::ImplicitDeny;
    for document in documents {
        // Documents were validated when they were given; one that cannot be read allows nothing.
        let decision = Policy::parse(document, Kind::Identity)
            .map_or(Decision::ImplicitDeny, |policy| policy.evaluate(action, resource, context));
        match decision {
            Decision::ExplicitDeny => return Decision::ExplicitDeny,
            Decision::Allowed => result = Decision::Allowed,
            Decision::ImplicitDeny => {}
        }
    }
    result
}
