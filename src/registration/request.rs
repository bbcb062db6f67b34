//! What the user asked for, validated without any network.

use std::collections::BTreeMap;
use std::time::Duration;

use super::name::ClusterName;
use super::provider::Provider;
use super::takeover::Takeover;
use crate::manifest::workload::Workload;

/// The agent role's name unless the user says otherwise.
pub const DEFAULT_ROLE_NAME: &str = "AmazonEKSConnectorAgentRole";

/// The agent role's inline policy.
pub const ROLE_POLICY_NAME: &str = "AmazonEKSConnectorAgentPolicy";

/// The tag that marks a role or a registration as made by eksconnect.
pub const MANAGED_TAG: &str = "eksconnect:managed";

/// The tag that holds the UID of the cluster's kube-system namespace.
pub const CLUSTER_UID_TAG: &str = "eksconnect:cluster-uid";

/// The tag that ties a registration, made without its cluster, to the run that made it.
pub const INTENT_TAG: &str = "eksconnect:intent";

/// Which agent role to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleChoice {
    /// The role of this name in the caller's account; made if it is missing.
    Named(RoleDesign),
    /// This very role, which others manage.
    Given {
        /// Its ARN.
        arn: String,
        /// The name in that ARN.
        name: String,
    },
}

impl RoleChoice {
    /// The role's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Named(design) => &design.name,
            Self::Given { name, .. } => name,
        }
    }
}

/// An agent role as the account's rules want it made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleDesign {
    /// Its name.
    pub name: String,
    /// Its path, with a slash at either end; `None` if any will do.
    pub path: Option<String>,
    /// ARN of the policy that bounds its permissions; `None` if any will do, none included.
    pub boundary: Option<String>,
    /// Tags that it must have, beside ours and others.
    pub tags: BTreeMap<String, String>,
}

impl RoleDesign {
    /// The role of that name, whatever the rest is.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// The ARN that it gets, or has if it exists and may not be read.
    pub fn arn(&self, partition: &str, account: &str) -> String {
        format!("arn:{partition}:iam::{account}:role{}{}", self.path.as_deref().unwrap_or("/"), self.name)
    }
}

/// A request to register a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterRequest {
    /// The registration's name.
    pub name: ClusterName,
    /// Where the connector lives in the cluster.
    pub namespace: String,
    /// The provider; `None` to tell it from the cluster.
    pub provider: Option<Provider>,
    /// The agent role.
    pub role: RoleChoice,
    /// The user's tags for the registration.
    pub tags: BTreeMap<String, String>,
    /// What the agents are like.
    pub workload: Workload,
    /// What may be done about what stood there before.
    pub takeover: Takeover,
    /// How long to wait until ACTIVE; `None` not to wait.
    pub wait: Option<Duration>,
}
