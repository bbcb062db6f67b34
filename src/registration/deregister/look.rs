//! Looks at the account and the cluster before anything is taken away: reads only.

use std::sync::Arc;

use futures::future::try_join_all;
use jiff::Timestamp;

use super::everywhere::everywhere;
use super::request::{DeregisterRequest, GcRequest, Sides};
use super::seen::{AccountSeen, ClusterSeen, LiveNamespace, OwnRole, RolesSeen, Seen};
use crate::error::{Code, Error};
use crate::manifest::{
    self, DEFAULT_NAMESPACE, ObjectKind, ObjectRef, STATE_PREFIX_ANNOTATION, STATEFUL_SET, cluster_wide_name,
};
use crate::ports::{
    Access, Clearing, Cluster, Identity, Inventory, LiveObject, Registrations, RoleRemoval, Roles,
};
use crate::registration::desired::cluster_arn;
use crate::registration::installed::{Connector, Installed};
use crate::registration::observe::{elsewhere, failing, is_ours, mark_of, replicas_of};
use crate::registration::observed::Caller;

/// Name of the constraints that the connector has on OpenShift in the official namespace.
const CONSTRAINTS: &str = "eks-connector";

/// Everything that removing talks to in the account.
#[derive(Clone)]
pub struct AccountPorts {
    /// STS.
    pub identity: Arc<dyn Identity>,
    /// IAM: reading roles.
    pub roles: Arc<dyn Roles>,
    /// IAM: removing them.
    pub role_removal: Arc<dyn RoleRemoval>,
    /// EKS.
    pub registrations: Arc<dyn Registrations>,
    /// EKS, in any Region.
    pub inventory: Arc<dyn Inventory>,
    /// The Region in use.
    pub region: String,
}

/// Everything that removing talks to in the cluster.
#[derive(Clone)]
pub struct ClusterPorts {
    /// Its objects.
    pub cluster: Arc<dyn Cluster>,
    /// Its access rules.
    pub access: Arc<dyn Access>,
    /// What is in it.
    pub clearing: Arc<dyn Clearing>,
}

/// Everything that removing talks to. A side that is not worked on has no ports.
#[derive(Clone)]
pub struct RemovalPorts {
    /// The account.
    pub account: Option<AccountPorts>,
    /// The cluster.
    pub cluster: Option<ClusterPorts>,
}

/// Looks. `role` is the one that an earlier look of this run found.
///
/// # Errors
/// Whatever must be known and could not be read.
pub(super) async fn look(
    ports: &RemovalPorts,
    request: &DeregisterRequest,
    role: Option<&str>,
) -> Result<Seen, Error> {
    let account = ports.account.as_ref().filter(|_| request.sides != Sides::Cluster);
    let cluster = ports.cluster.as_ref().filter(|_| request.sides != Sides::Aws);
    let (caller, cluster_seen) = tokio::try_join!(
        async {
            match account {
                Some(ports) => caller(ports).await.map(Some),
                None => Ok(None),
            }
        },
        async {
            match cluster {
                Some(ports) => look_at_cluster(ports, request.namespace.as_deref()).await.map(Some),
                None => Ok(None),
            }
        },
    )?;
    let account = match (account, caller) {
        (Some(ports), Some(caller)) => {
            Some(look_at_account(ports, request, caller, cluster_seen.as_ref(), role).await?)
        }
        _ => None,
    };
    Ok(Seen { now: Timestamp::now(), account, cluster: cluster_seen })
}

/// Looks for what nobody needs any more.
///
/// # Errors
/// Whatever must be known and could not be read.
pub(super) async fn look_for_garbage(ports: &RemovalPorts, request: &GcRequest) -> Result<Seen, Error> {
    let (account, cluster) = tokio::try_join!(
        async {
            match &ports.account {
                Some(ports) => look_at_account_for_garbage(ports).await.map(Some),
                None => Ok(None),
            }
        },
        async {
            match &ports.cluster {
                Some(ports) => look_at_cluster(ports, request.namespace.as_deref()).await.map(Some),
                None => Ok(None),
            }
        },
    )?;
    Ok(Seen { now: Timestamp::now(), account, cluster })
}

async fn look_at_account_for_garbage(ports: &AccountPorts) -> Result<AccountSeen, Error> {
    let (caller, registrations, roles) = tokio::try_join!(
        caller(ports),
        failing("read the registrations of every Region", everywhere(ports.inventory.as_ref())),
        failing("list the roles", ports.role_removal.agent_roles()),
    )?;
    let each = roles.into_iter().map(|(name, created_at)| async move {
        let attempting = format!("read the role {name}");
        let Some(role) = failing(attempting.clone(), ports.roles.role(&name)).await?.filter(|role| role.ours)
        else {
            return Ok(None);
        };
        let policies = failing(attempting, ports.role_removal.policies(&name)).await?;
        Ok::<_, Error>(policies.map(|policies| OwnRole { role, policies, created_at }))
    });
    let own = try_join_all(each).await?.into_iter().flatten().collect();
    let here = registrations.iter().filter(|(region, _)| *region == ports.region);
    Ok(AccountSeen {
        caller,
        region: ports.region.clone(),
        named: None,
        all: here.map(|(_, registration)| registration.clone()).collect(),
        roles: Some(RolesSeen { own, registrations, ..RolesSeen::default() }),
    })
}

async fn caller(ports: &AccountPorts) -> Result<Caller, Error> {
    failing("find out who is calling AWS", ports.identity.caller()).await
}

async fn look_at_account(
    ports: &AccountPorts,
    request: &DeregisterRequest,
    caller: Caller,
    cluster: Option<&ClusterSeen>,
    role: Option<&str>,
) -> Result<AccountSeen, Error> {
    let told = || {
        let arn = cluster?.told_arn()?;
        let name = arn.rsplit('/').next()?;
        (arn == cluster_arn(&ports.region, &caller.account, name)).then(|| name.to_owned())
    };
    let name = request.name.as_ref().map(ToString::to_string).or_else(told);
    let (named, all) = match &name {
        Some(name) => {
            let named = ports.registrations.registration(name);
            (failing(format!("read the registration {name}"), named).await?, Vec::new())
        }
        // The cluster may tell of another account or Region, which is refused.
        None if cluster.is_some_and(|cluster| cluster.told_arn().is_some()) => (None, Vec::new()),
        None => (None, failing("read the registrations", ports.inventory.of_region(&ports.region)).await?),
    };
    let mut seen = AccountSeen { caller, region: ports.region.clone(), named, all, roles: None };
    if request.delete_role || request.delete_service_linked_role {
        let role = role_in_question(&seen, cluster).or_else(|| role.map(str::to_owned));
        seen.roles = Some(look_at_roles(ports, request, role).await?);
    }
    Ok(seen)
}

async fn look_at_roles(
    ports: &AccountPorts,
    request: &DeregisterRequest,
    name: Option<String>,
) -> Result<RolesSeen, Error> {
    let (registrations, linked) = tokio::try_join!(
        failing("read the registrations of every Region", everywhere(ports.inventory.as_ref())),
        failing("read the service-linked role", ports.roles.service_linked_role()),
    )?;
    let mut seen = RolesSeen { name, agent: None, linked, own: Vec::new(), registrations };
    if let Some(name) = seen.name.as_deref().filter(|_| request.delete_role) {
        let attempting = format!("read the role {name}");
        let (role, policies) = tokio::try_join!(
            failing(attempting.clone(), ports.roles.role(name)),
            failing(attempting, ports.role_removal.policies(name)),
        )?;
        seen.agent = role.zip(policies);
    }
    Ok(seen)
}

/// Name of the role that the registration has, or had as far as that can be told. It is never guessed: it is deleted.
fn role_in_question(account: &AccountSeen, cluster: Option<&ClusterSeen>) -> Option<String> {
    let last = |arn: &str| arn.rsplit('/').next().map(str::to_owned);
    if let Some(registration) = &account.named {
        return registration.role_arn.as_deref().and_then(last);
    }
    let intent = cluster.and_then(|cluster| cluster.lease.as_ref()?.intent.as_ref());
    let intended = intent.map(|intent| intent.role.clone()).filter(|role| !role.is_empty());
    let found = cluster.and_then(|cluster| {
        let evidence = cluster.evidence();
        account.all.iter().find(|it| crate::registration::proof::prove_by(it, &evidence).is_proven())
    });
    let of_found = found.and_then(|it| it.role_arn.as_deref()).and_then(last);
    // After a run that ended between the two, the one that its Lease tells.
    of_found.or(intended)
}

async fn look_at_cluster(ports: &ClusterPorts, namespace: Option<&str>) -> Result<ClusterSeen, Error> {
    let (uid, connectors, leases) = tokio::try_join!(
        failing("read the namespace kube-system", ports.cluster.uid()),
        failing("find the connector", ports.cluster.connectors()),
        failing("find the Lease of eksconnect", ports.clearing.lease_namespaces()),
    )?;
    let namespace = match namespace {
        Some(namespace) => namespace.to_owned(),
        None => home(&connectors, leases)?,
    };
    let set_ref = ObjectRef::new(ObjectKind::StatefulSet, &namespace, STATEFUL_SET);
    let namespace_ref = ObjectRef::new(ObjectKind::Namespace, &namespace, &namespace);
    let constraints_ref = ObjectRef::new(
        ObjectKind::SecurityContextConstraints,
        "",
        &cluster_wide_name(CONSTRAINTS, &namespace),
    );
    let (live, set, secret, lease, rules, contents, constraints) = tokio::try_join!(
        failing(format!("read the namespace {namespace}"), ports.cluster.read(&namespace_ref)),
        failing(format!("read {set_ref}"), ports.cluster.read(&set_ref)),
        failing("read the activation Secret", ports.cluster.activation_secret(&namespace)),
        failing("read the Lease of eksconnect", ports.cluster.lease(&namespace)),
        failing("read the access rules", ports.access.rules()),
        failing(format!("list what is in namespace {namespace}"), ports.clearing.contents(&namespace)),
        failing(format!("read {constraints_ref}"), ports.cluster.read(&constraints_ref)),
    )?;
    let installed = set.as_ref().map(|set| Installed::of(set, is_ours(set)));
    let mut seen = ClusterSeen {
        uid,
        live: live.as_ref().map(live_namespace),
        installed,
        secret_mark: secret.and_then(|secret| secret.mark),
        states: std::collections::BTreeMap::new(),
        lease,
        rules,
        constraints: constraints.filter(is_ours).map(|live| (constraints_ref.name.clone(), uid_of(&live))),
        contents,
        elsewhere: elsewhere(connectors, &set_ref),
        namespace,
    };
    // Who has neither namespace, nor Secret, nor agents may still have their state.
    let ordinals = 0..set.as_ref().map_or(0, replicas_of).max(manifest::workload::DEFAULT_REPLICAS);
    let states = ports.cluster.states(&seen.namespace, seen.state_prefix(), ordinals);
    seen.states = failing("read the agents' state Secrets", states).await?;
    Ok(seen)
}

/// The namespace of the connector: where one stands, or a run of ours has been.
pub(in crate::registration) fn home(connectors: &[Connector], leases: Vec<String>) -> Result<String, Error> {
    let mut homes: Vec<String> = connectors.iter().map(|connector| connector.namespace.clone()).collect();
    if homes.is_empty() {
        homes = leases;
    }
    homes.sort_unstable();
    homes.dedup();
    match homes.as_slice() {
        [] => Ok(DEFAULT_NAMESPACE.to_owned()),
        [one] => Ok(one.clone()),
        several => {
            Err(Error::refused(Code::SEVERAL_CONNECTORS, "this cluster has connectors in several namespaces")
                .cause(several.join(", "))
                .fix("name the one that you mean with --namespace"))
        }
    }
}

fn uid_of(live: &LiveObject) -> String {
    live["metadata"]["uid"].as_str().unwrap_or_default().to_owned()
}

fn live_namespace(live: &LiveObject) -> LiveNamespace {
    let metadata = &live["metadata"];
    LiveNamespace {
        uid: uid_of(live),
        ours: metadata["labels"]["app.kubernetes.io/managed-by"] == "eksconnect",
        terminating: metadata.get("deletionTimestamp").is_some(),
        mark: mark_of(metadata),
        state_prefix: metadata["annotations"][STATE_PREFIX_ANNOTATION].as_str().map(str::to_owned),
        marked: is_ours(live),
    }
}
