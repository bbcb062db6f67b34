//! What is to be taken away.

use std::time::Duration;

use crate::registration::name::ClusterName;

/// Which sides are to be worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sides {
    /// The account and the cluster.
    Both,
    /// The account alone: the cluster is lost.
    Aws,
    /// The cluster alone: the account is lost.
    Cluster,
}

/// A request to deregister.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeregisterRequest {
    /// The registration; `None` for that of the cluster.
    pub name: Option<ClusterName>,
    /// Where the connector lives; `None` to find it.
    pub namespace: Option<String>,
    /// Which sides.
    pub sides: Sides,
    /// Whether its agent role goes too.
    pub delete_role: bool,
    /// Whether the account's service-linked role goes too.
    pub delete_service_linked_role: bool,
    /// Whether it is as good if there is nothing to be removed.
    pub allow_missing: bool,
    /// How long to wait until everything is gone.
    pub wait: Duration,
}

/// A request to collect what nobody needs any more. Which sides are worked on, the ports say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GcRequest {
    /// Where the connector lives; `None` to find it.
    pub namespace: Option<String>,
    /// How old something has to be: somebody may be about to use it.
    pub older_than: Duration,
    /// How long to wait until everything is gone.
    pub wait: Duration,
}
