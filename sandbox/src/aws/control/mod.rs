//! The control endpoint, `/_sandbox/` of the emulator: making accounts and callers, knobs, the log of calls, a dump.
//!
//! It needs no signature. [`Client`] is the typed client of the command line and of tests; everything that it sends
//! and receives is JSON of the types here.

mod client;
mod routes;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use client::Client;
pub(crate) use routes::routes;

pub use super::faults::{ActiveFault, Fault, FaultKind, Latency, Selector, When};
pub use super::log::Entry;
pub use super::settings::{MissingServiceLinkedRole, RepeatToken, SettingsPatch};

/// An account to make.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountSpec {
    /// 12 digits; chosen if `None`.
    pub id: Option<String>,
}

/// A new account with its first caller, the IAM user `ana`, who may do everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// 12 digits.
    pub id: String,
    /// Name of the IAM user.
    pub user: String,
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: String,
    /// Session token, if the key is temporary.
    pub session_token: Option<String>,
}

/// Who a caller is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Identity {
    /// An IAM user. It is made if the account has none of that name.
    User {
        /// Name of the user.
        name: String,
        /// Path with slashes at both ends.
        #[serde(default = "slash")]
        path: String,
    },
    /// A session of a role. The role is made if the account has none of that name.
    Role {
        /// Name of the role.
        name: String,
        /// Path with slashes at both ends; the ARN of the session does not show it.
        #[serde(default = "slash")]
        path: String,
        /// Name of the session.
        session: String,
    },
    /// The root user of the account.
    Root,
    /// A federated user.
    Federated {
        /// Name of the user.
        name: String,
    },
}

fn slash() -> String {
    "/".to_owned()
}

/// A caller to add to an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallerSpec {
    /// Who it is.
    pub identity: Identity,
    /// The policy that it gets and no other; `None` lets it do everything. For a role or a user that exists already,
    /// `None` leaves its own policies in force.
    #[serde(default)]
    pub policy: Option<Value>,
    /// Makes the key temporary, with a session token. Role sessions and federated users always have one.
    #[serde(default)]
    pub session_token: bool,
    /// Makes the key temporary and expired.
    #[serde(default)]
    pub expired: bool,
}

impl CallerSpec {
    /// An IAM user of this name with just this policy.
    #[must_use]
    pub fn user(name: &str, policy: Option<Value>) -> CallerSpec {
        let identity = Identity::User { name: name.to_owned(), path: slash() };
        CallerSpec { identity, policy, session_token: false, expired: false }
    }

    /// A session of a role with just this policy.
    #[must_use]
    pub fn role(name: &str, session: &str, policy: Option<Value>) -> CallerSpec {
        let identity = Identity::Role { name: name.to_owned(), path: slash(), session: session.to_owned() };
        CallerSpec { identity, policy, session_token: true, expired: false }
    }
}

/// Credentials of a caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// ARN as GetCallerIdentity shows it.
    pub arn: String,
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: String,
    /// Session token, if the key is temporary.
    pub session_token: Option<String>,
}

/// A managed instance and what is known of its agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectedInstance {
    /// Account.
    pub account: String,
    /// Region.
    pub region: String,
    /// Managed instance id, `eks_c:CLUSTER_…`.
    pub id: String,
    /// Name of the connected cluster.
    pub cluster: String,
    /// The activation that it registered with.
    pub activation_id: String,
    /// When it last opened its control channel, on the emulator's clock (RFC 3339); `None` if it never did.
    pub last_channel_at: Option<String>,
    /// How often it did.
    pub channels_opened: u64,
}

/// A patch of settings and where it holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SettingsChange {
    /// Only this account; otherwise all, and those made later.
    pub account: Option<String>,
    /// Only this Region.
    pub region: Option<String>,
    /// What is set.
    pub settings: SettingsPatch,
}

/// The clock's time, and by how much to move it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Move {
    seconds: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Now {
    now: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FaultId {
    id: u64,
}

/// What restricts a listing or a clearing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Filter {
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
}

/// Something that an account is given past the wire protocols.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Gift {
    /// A cluster that EKS runs itself.
    Cluster { region: String, name: String },
    /// Registrations without agents, however small the quota is.
    Registrations { region: String, count: u32 },
    /// A customer-managed policy.
    Policy { name: String, document: Value },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Given {
    arn: String,
}

/// An error of the control endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Refused {
    error: String,
}

/// Accounts by id with the number of their roles, for an overview.
type Overview = BTreeMap<String, usize>;
