//! What finding and showing registrations needs from AWS and from clusters.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::Reply;
use crate::error::Error;
use crate::inventory::agents::AgentsSeen;
use crate::inventory::identity::ClusterIdentity;
use crate::registration::observed::Registration;

/// EKS in any Region.
pub trait Inventory: Send + Sync {
    /// The Region in use.
    fn here(&self) -> &str;
    /// The public Regions that are known to have connected clusters, and the one in use.
    fn regions(&self) -> Vec<String>;
    /// The names of the registrations of the Region in use (`eks:ListClusters`, page by page).
    fn names(&self) -> Reply<'_, Vec<String>>;
    /// The registrations of a Region in the order of their names: `eks:ListClusters` page by page, `eks:DescribeCluster`
    /// for several at once.
    fn of_region<'a>(&'a self, region: &'a str) -> Reply<'a, Vec<Registration>>;
    /// The registration of that name in a Region (`eks:DescribeCluster`).
    fn one<'a>(&'a self, region: &'a str, name: &'a str) -> Reply<'a, Option<Registration>>;
}

/// A cluster, as far as it tells which registration it is and how its agents stand.
pub trait Survey: Send + Sync {
    /// Its UID and every connector in it.
    fn identity(&self) -> Reply<'_, ClusterIdentity>;
    /// The agents of one connector: its StatefulSet, their pods, the last events of the namespace.
    fn agents<'a>(&'a self, namespace: &'a str, set: &'a str) -> Reply<'a, AgentsSeen>;
}

/// The contexts of the kubeconfig.
pub trait Contexts: Send + Sync {
    /// Their names, in the kubeconfig's order.
    fn names(&self) -> Vec<String>;
    /// The one in use.
    fn current(&self) -> Option<String>;
    /// The cluster of a context, to be asked for a short time.
    fn open<'a>(&'a self, context: &'a str) -> BoxFuture<'a, Result<Arc<dyn Survey>, Error>>;
}
