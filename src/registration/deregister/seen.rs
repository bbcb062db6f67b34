//! What was seen of the account and of the cluster before anything is taken away.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use crate::manifest::STATE_PREFIX;
use crate::rbac::Snapshot;
use crate::registration::installed::{Connector, Installed};
use crate::registration::observed::{Caller, LeaseFacts, Mark, Registration, Role};
use crate::registration::proof::Evidence;

/// All that was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When.
    pub now: Timestamp,
    /// The account; `None` if it is not worked on.
    pub account: Option<AccountSeen>,
    /// The cluster; `None` if it is not worked on.
    pub cluster: Option<ClusterSeen>,
}

/// What was seen of the account.
#[derive(Clone, Debug)]
pub struct AccountSeen {
    /// Who calls.
    pub caller: Caller,
    /// The Region in use.
    pub region: String,
    /// The registration of the requested name, or of the name that the cluster tells.
    pub named: Option<Registration>,
    /// All registrations of the Region; looked at only where no name is known.
    pub all: Vec<Registration>,
    /// What there is to know for removing roles, if that was asked for.
    pub roles: Option<RolesSeen>,
}

/// What there is to know for removing roles.
#[derive(Clone, Debug, Default)]
pub struct RolesSeen {
    /// Name of the agent role in question; `None` if it is not known.
    pub name: Option<String>,
    /// That role, if it exists.
    pub agent: Option<(Role, RolePolicies)>,
    /// Whether the service-linked role exists.
    pub linked: bool,
    /// The roles of ours; looked at only for collecting garbage.
    pub own: Vec<OwnRole>,
    /// Every registration of the account, each with its Region.
    pub registrations: Vec<(String, Registration)>,
}

/// A role that carries our tag.
#[derive(Clone, Debug)]
pub struct OwnRole {
    /// The role.
    pub role: Role,
    /// Its policies.
    pub policies: RolePolicies,
    /// When it was made.
    pub created_at: Option<Timestamp>,
}

/// What was seen of the cluster.
#[derive(Clone, Debug)]
pub struct ClusterSeen {
    /// UID of kube-system.
    pub uid: String,
    /// Where the connector lives, or would.
    pub namespace: String,
    /// That namespace, if it exists.
    pub live: Option<LiveNamespace>,
    /// The StatefulSet of the connector.
    pub installed: Option<Installed>,
    /// The registration that the activation Secret names.
    pub secret_mark: Option<Mark>,
    /// The activation that each replica's state belongs to, by ordinal.
    pub states: BTreeMap<u32, String>,
    /// The Lease.
    pub lease: Option<LeaseFacts>,
    /// All roles and bindings.
    pub rules: Snapshot,
    /// SecurityContextConstraints of ours, by name and UID.
    pub constraints: Option<(String, String)>,
    /// What is in the namespace.
    pub contents: Contents,
    /// Other StatefulSets of the cluster that run a connector.
    pub elsewhere: Vec<Connector>,
}

/// A namespace that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveNamespace {
    /// Its UID.
    pub uid: String,
    /// Whether it carries our label.
    pub ours: bool,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// The registration that it says it belongs to.
    pub mark: Option<Mark>,
    /// How the names of the agents' state Secrets begin, where it says so.
    pub state_prefix: Option<String>,
    /// Whether something of it is applied by us.
    pub marked: bool,
}

impl ClusterSeen {
    /// The namespaces of the other connectors of this cluster.
    pub fn namespaces_elsewhere(&self) -> String {
        let mut namespaces: Vec<&str> = self.elsewhere.iter().map(|it| it.namespace.as_str()).collect();
        namespaces.dedup();
        namespaces.join(", ")
    }

    /// What can prove whose the cluster is.
    pub fn evidence(&self) -> Evidence<'_> {
        Evidence {
            uid: &self.uid,
            namespace: self.live.as_ref().and_then(|live| live.mark.as_ref()),
            secret: self.secret_mark.as_ref(),
            agents: self.installed.as_ref().and_then(|installed| installed.activation_id.as_deref()),
            states: &self.states,
            lease: self.lease.as_ref(),
        }
    }

    /// ARN of the registration that the cluster says it has: by its namespace, its Secret, or what a run intended.
    pub fn told_arn(&self) -> Option<&str> {
        let intent = || self.lease.as_ref().and_then(|lease| lease.intent.as_ref());
        let mark = self.live.as_ref().and_then(|live| live.mark.as_ref()).or(self.secret_mark.as_ref());
        let intended = || intent().map(|intent| intent.cluster_arn.as_str()).filter(|arn| !arn.is_empty());
        mark.map(|mark| mark.cluster_arn.as_str()).or_else(intended)
    }

    /// The activation that the cluster says it has.
    pub fn told_activation(&self) -> Option<&str> {
        let mark = self.live.as_ref().and_then(|live| live.mark.as_ref());
        let agents = self.installed.as_ref().and_then(|installed| installed.activation_id.as_deref());
        agents
            .or(mark.map(|mark| mark.activation_id.as_str()))
            .or_else(|| self.states.values().next().map(String::as_str))
    }

    /// How the names of the Secrets with the agents' state begin.
    pub fn state_prefix(&self) -> &str {
        let installed =
            self.installed.as_ref().and_then(|installed| installed.inherited.state_prefix.as_deref());
        let told = self.live.as_ref().and_then(|live| live.state_prefix.as_deref());
        installed.or(told).unwrap_or(STATE_PREFIX)
    }
}

/// Something in a namespace, of whatever kind: all but what is in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    /// `v1`, `apps/v1`.
    pub api_version: String,
    /// `ConfigMap`.
    pub kind: String,
    /// Its metadata.
    pub metadata: Value,
}

impl Content {
    /// Its name.
    pub fn name(&self) -> &str {
        self.metadata["name"].as_str().unwrap_or_default()
    }

    /// Its UID.
    pub fn uid(&self) -> &str {
        self.metadata["uid"].as_str().unwrap_or_default()
    }
}

/// What is in a namespace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    /// All that could be listed.
    pub objects: Vec<Content>,
    /// The kinds that could not be listed, each with the reason.
    pub unreadable: Vec<String>,
}

/// The policies of a role, by name and by ARN.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RolePolicies {
    /// Names of the inline ones.
    pub inline: Vec<String>,
    /// ARNs of those that are attached.
    pub attached: Vec<String>,
}
