//! AWS, where it is not asked. The plan of the cluster's half has no step that would; should one come to be there, it
//! fails and says so.

use std::sync::Arc;

use crate::ports::{
    Cluster, Failure, FailureKind, Identity, Quotas, RegisterCall, Registered, Registrations, Reply, Roles,
    Side,
};
use crate::registration::observe::Ports;
use crate::registration::observed::{Caller, Registration, Role};
use crate::registration::request::RoleDesign;
use crate::registration::role_drift::RoleChange;

struct Unasked;

/// The ports of a run that has a cluster and no AWS.
pub(super) fn cluster_alone(cluster: Arc<dyn Cluster>, region: &str) -> Ports {
    Ports {
        identity: Arc::new(Unasked),
        roles: Arc::new(Unasked),
        registrations: Arc::new(Unasked),
        quotas: Arc::new(Unasked),
        cluster,
        region: region.to_owned(),
    }
}

fn unasked<'a, T: 'a>(operation: &str) -> Reply<'a, T> {
    let failure = Failure {
        side: Side::Aws,
        kind: FailureKind::NoCredentials,
        operation: operation.to_owned(),
        message: "AWS is not asked in the cluster's half".to_owned(),
    };
    Box::pin(async move { Err(failure) })
}

impl Identity for Unasked {
    fn caller(&self) -> Reply<'_, Caller> {
        unasked("sts:GetCallerIdentity")
    }
}

impl Roles for Unasked {
    fn role<'a>(&'a self, _: &'a str) -> Reply<'a, Option<Role>> {
        unasked("iam:GetRole")
    }

    fn service_linked_role(&self) -> Reply<'_, bool> {
        unasked("iam:GetRole")
    }

    fn create_agent_role<'a>(&'a self, _: &'a RoleDesign) -> Reply<'a, String> {
        unasked("iam:CreateRole")
    }

    fn put_agent_policy<'a>(&'a self, _: &'a str) -> Reply<'a, ()> {
        unasked("iam:PutRolePolicy")
    }

    fn change_agent_role<'a>(&'a self, _: &'a str, _: &'a RoleChange) -> Reply<'a, ()> {
        unasked("iam:TagRole")
    }

    fn create_service_linked_role(&self) -> Reply<'_, ()> {
        unasked("iam:CreateServiceLinkedRole")
    }
}

impl Quotas for Unasked {
    fn registered_clusters(&self) -> Reply<'_, Option<usize>> {
        unasked("servicequotas:GetServiceQuota")
    }
}

impl Registrations for Unasked {
    fn registration<'a>(&'a self, _: &'a str) -> Reply<'a, Option<Registration>> {
        unasked("eks:DescribeCluster")
    }

    fn count(&self) -> Reply<'_, Option<usize>> {
        unasked("eks:ListClusters")
    }

    fn register<'a>(&'a self, _: &'a RegisterCall) -> Reply<'a, Registered> {
        unasked("eks:RegisterCluster")
    }

    fn deregister<'a>(&'a self, _: &'a str) -> Reply<'a, ()> {
        unasked("eks:DeregisterCluster")
    }
}
