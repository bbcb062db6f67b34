//! Looks at the account and the cluster: reads only, all at once, but for those that depend on an answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::Value;

use super::desired::{Desired, cluster_arn};
use super::installed::{Connector, Installed};
use super::observed::{
    ActivationSecretFacts, Caller, ClusterFacts, Mark, NamespaceFacts, Observed, Permissions, Registration,
    Role, RoleSeen, Status,
};
use super::provider::{self, Traces};
use super::quota::{self, QuotaSeen};
use super::request::RegisterRequest;
use super::rights;
use super::takeover::Foreign;
use crate::error::{Code, Error};
use crate::manifest::{
    self, ApiServer, ObjectKind, ObjectRef, SECURITY_GROUP, STATE_PREFIX, STATE_PREFIX_ANNOTATION,
};
use crate::ports::{
    Cluster, Failure, FailureKind, Identity, Nodes, Quotas, Registrations, Roles, ServerVersion,
};

mod objects;
pub(crate) use objects::{Standing, object_state};
pub(super) use objects::{object_states, obsolete, superfluous};

/// Everything that registering talks to.
#[derive(Clone)]
pub struct Ports {
    /// STS.
    pub identity: Arc<dyn Identity>,
    /// IAM.
    pub roles: Arc<dyn Roles>,
    /// EKS.
    pub registrations: Arc<dyn Registrations>,
    /// Service Quotas.
    pub quotas: Arc<dyn Quotas>,
    /// The cluster.
    pub cluster: Arc<dyn Cluster>,
    /// The Region in use.
    pub region: String,
}

/// The oldest supported minor version (1.x): server-side apply is stable and policy/v1 exists.
const OLDEST_MINOR: u32 = 22;

/// Observes, and works out what is desired: the two depend on each other's first answers.
///
/// # Errors
/// Whatever must be known and could not be read.
pub async fn observe(ports: &Ports, request: &RegisterRequest) -> Result<(Desired, Observed), Error> {
    match look(ports, request).await {
        Err(error) if error.code == Code::CLUSTER_DENIED => {
            Err(name_all_that_is_denied(ports, request, error).await)
        }
        ended => ended,
    }
}

async fn look(ports: &Ports, request: &RegisterRequest) -> Result<(Desired, Observed), Error> {
    let name = request.name.as_str();
    let namespace = request.namespace.as_str();
    let cluster = ports.cluster.as_ref();
    let namespace_ref = ObjectRef::new(ObjectKind::Namespace, namespace, namespace);
    let set_ref = ObjectRef::new(ObjectKind::StatefulSet, namespace, manifest::STATEFUL_SET);
    let mut unverified = Vec::new();
    let quota = quota::ask(ports);

    let account = async {
        tokio::try_join!(
            failing("find out who is calling AWS", ports.identity.caller()),
            async { Ok(ports.roles.role(request.role.name()).await) },
            async { Ok(ports.roles.service_linked_role().await) },
            failing(format!("read the registration {name}"), ports.registrations.registration(name)),
        )
    };
    let server = async {
        tokio::try_join!(
            failing("read the version of the API server", cluster.version()),
            failing("read the namespace kube-system", cluster.uid()),
            async { Ok(cluster.nodes().await) },
            async { Ok(cluster.api_groups().await) },
            api_server(ports, request),
        )
    };
    let changes = rights::of_changes(request);
    let connector = async {
        tokio::try_join!(
            failing(format!("read the namespace {namespace}"), cluster.read(&namespace_ref)),
            failing(format!("read {set_ref}"), cluster.read(&set_ref)),
            failing("read the activation Secret", cluster.activation_secret(namespace)),
            failing(
                "read the agents' state Secrets",
                cluster.states(namespace, STATE_PREFIX, 0..request.workload.replicas)
            ),
            failing("read the Lease of eksconnect", cluster.lease(namespace)),
            async { Ok(cluster.connectors().await) },
            async { Ok(cluster.denied(&changes).await) },
        )
    };
    let (
        (caller, role, linked, registration),
        (version, uid, nodes, groups, api_server),
        (live_namespace, live_set, activation_secret, states, lease, connectors, denied_rights),
    ) = tokio::try_join!(account, server, connector)?;

    refuse_old(&version)?;
    let nodes = aid(nodes, "list the nodes", &mut unverified)?;
    let groups = aid(groups, "list the API groups", &mut unverified)?.unwrap_or_default();
    let cluster_facts = ClusterFacts { api_server, ..cluster_facts(version, uid, nodes, groups) };
    let namespace_facts = live_namespace.as_ref().map(namespace_facts);
    let installed = live_set.as_ref().map(|set| Installed::of(set, is_ours(set)));
    let connectors = aid(connectors, "search other namespaces for a connector", &mut unverified)?;
    let seen = (namespace_facts.as_ref(), installed.as_ref());
    let desired = Desired::new(request, &caller, &ports.region, &cluster_facts, seen.0, seen.1);

    let (mut objects, obsolete, states, other_registration, superfluous, quota) = tokio::try_join!(
        object_states(ports, &desired, registration.as_ref(), installed.as_ref(), namespace_facts.as_ref()),
        obsolete(ports, &desired),
        all_states(ports, &desired, states, live_set.as_ref()),
        other_registration(ports, &desired, &caller, namespace_facts.as_ref()),
        superfluous(ports, &desired),
        // Of a registration that exists it says nothing.
        async { Ok(if registration.is_none() { quota.seen().await } else { QuotaSeen::Unknown }) },
    )?;
    objects.foreign.extend(foreign_secret(namespace, activation_secret.as_ref(), installed.as_ref()));
    let observed = Observed {
        now: Timestamp::now(),
        region: ports.region.clone(),
        caller,
        service_linked_role: aid(linked, "read the service-linked role", &mut unverified)?,
        agent_role: role_seen(role, &mut unverified)?,
        registration,
        other_registration,
        cluster: cluster_facts,
        namespace: namespace_facts,
        activation_secret,
        states,
        installed,
        elsewhere: elsewhere(connectors.unwrap_or_default(), &set_ref),
        foreign: objects.foreign,
        fixed: objects.fixed,
        superfluous,
        lease,
        objects: objects.states,
        changes: objects.changes,
        obsolete,
        quota,
        denied_rights: aid(denied_rights, "check the rights in the cluster", &mut unverified)?
            .unwrap_or_default(),
        unverified,
    };
    Ok((desired, observed))
}

/// Makes sure that the account and the cluster still are those that were seen: while a person thinks about a question,
/// somebody may log in elsewhere or switch a tunnel.
///
/// # Errors
/// They are not, or it cannot be said.
pub async fn check_identity(ports: &Ports, observed: &Observed) -> Result<(), Error> {
    let (caller, uid) = tokio::try_join!(
        failing("find out who is calling AWS", ports.identity.caller()),
        failing("read the namespace kube-system", ports.cluster.uid()),
    )?;
    if caller.account != observed.caller.account {
        let what = format!("the AWS account was {} and is {}", observed.caller.account, caller.account);
        return Err(identity_changed(what));
    }
    refuse_another_cluster(observed, &uid)
}

/// Makes sure that the cluster still is the one that was seen.
pub(super) fn refuse_another_cluster(observed: &Observed, uid: &str) -> Result<(), Error> {
    if *uid == observed.cluster.uid {
        return Ok(());
    }
    let what = format!("the cluster was the one with the UID {} and is {uid}", observed.cluster.uid);
    Err(identity_changed(what))
}

pub(super) fn identity_changed(what: String) -> Error {
    Error::refused(Code::IDENTITY_CHANGED, "the account or the cluster changed after the question")
        .cause(what)
        .fix("check the credentials and --context, then run the same command again")
}

/// One refusal says one right; who has to ask for it wants to ask once.
pub(super) async fn name_all_that_is_denied(ports: &Ports, request: &RegisterRequest, error: Error) -> Error {
    let objects = rights::objects(request);
    let live = join_all(objects.iter().map(|object| ports.cluster.read(&object.reference))).await;
    let there: Vec<ObjectRef> = objects
        .into_iter()
        .zip(live)
        .filter(|(_, live)| matches!(live, Ok(Some(_))))
        .map(|(object, _)| object.reference)
        .collect();
    match ports.cluster.denied(&rights::of_everything(request, &there)).await {
        Ok(missing) if !missing.is_empty() => rights::lacking(request.name.as_str(), &missing),
        // Not for want of a right that can be named: giving away rights that one does not have, or a webhook.
        Ok(_) => error,
        Err(failure) => {
            tracing::debug!("{}: {failure}", failure.operation);
            error
        }
    }
}

/// A read that is needed: what was attempted is said if it fails.
pub(crate) async fn failing<T>(
    attempting: impl Into<String>,
    reply: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Error> {
    reply.await.map_err(|failure| failure.into_error(&attempting.into()))
}

/// A read that only helps: refused, it is left out and that is said. Any other failure is one.
pub(crate) fn aid<T>(
    answer: Result<T, Failure>,
    attempting: &str,
    unverified: &mut Vec<String>,
) -> Result<Option<T>, Error> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(failure) if failure.kind == FailureKind::Denied => {
            unverified.push(format!("could not {attempting}: {} is denied", failure.operation));
            Ok(None)
        }
        Err(failure) => Err(failure.into_error(attempting)),
    }
}

/// The agent role, as far as it may be read.
pub(super) fn role_seen(
    answer: Result<Option<Role>, Failure>,
    unverified: &mut Vec<String>,
) -> Result<RoleSeen, Error> {
    let seen = match aid(answer, "read the agent role", unverified)? {
        None => RoleSeen::Unreadable,
        Some(None) => RoleSeen::Absent,
        Some(Some(role)) => RoleSeen::Present(role),
    };
    if matches!(&seen, RoleSeen::Present(role) if role.permissions == Permissions::Unreadable) {
        unverified
            .push("could not read the agent role's inline policy: iam:GetRolePolicy is denied".to_owned());
    }
    Ok(seen)
}

/// Where pods reach the API server. It must not be looked for behind a proxy, nor be cut off by a policy.
pub(super) async fn api_server(ports: &Ports, request: &RegisterRequest) -> Result<ApiServer, Error> {
    if !request.workload.needs_api_server() {
        return Ok(ApiServer::default());
    }
    failing("read the API server's service address", ports.cluster.api_server()).await
}

pub(crate) fn refuse_old(version: &ServerVersion) -> Result<(), Error> {
    if version.minor < OLDEST_MINOR {
        return Err(Error::refused(
            Code::CLUSTER_TOO_OLD,
            format!("Kubernetes {} is too old to be connected", version.text),
        )
        .cause(format!("eksconnect needs Kubernetes 1.{OLDEST_MINOR} or later"))
        .fix("upgrade the cluster"));
    }
    Ok(())
}

pub(super) fn cluster_facts(
    version: ServerVersion,
    uid: String,
    nodes: Option<Nodes>,
    groups: Vec<String>,
) -> ClusterFacts {
    let readable = nodes.is_some();
    let nodes = nodes.unwrap_or_default();
    let openshift = groups.iter().any(|group| group == SECURITY_GROUP);
    let traces =
        Traces { provider_ids: nodes.provider_ids, label_keys: nodes.label_keys, api_groups: groups };
    ClusterFacts {
        uid,
        version: version.text,
        minor: version.minor,
        nodes: readable.then_some(nodes.nodes),
        api_server: ApiServer::default(),
        provider: provider::detect(&traces),
        openshift,
    }
}

pub(super) fn replicas_of(set: &Value) -> u32 {
    set["spec"]["replicas"].as_u64().and_then(|replicas| u32::try_from(replicas).ok()).unwrap_or(0)
}

fn says_it_is_ours(live: &Value) -> bool {
    live["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "eksconnect"
}

/// Whether eksconnect made a live object: it says so, or we have applied it and somebody took the label off. Not for a
/// namespace: of somebody else's we apply the annotations.
pub fn is_ours(live: &Value) -> bool {
    let mut managers = live["metadata"]["managedFields"].as_array().into_iter().flatten();
    says_it_is_ours(live)
        || managers.any(|entry| entry["manager"] == "eksconnect" && entry["operation"] == "Apply")
}

/// The activation Secret, if another owner's is in the way. One that others keep stays theirs; beside agents of ours it
/// is in nobody's way.
pub(super) fn foreign_secret(
    namespace: &str,
    secret: Option<&ActivationSecretFacts>,
    installed: Option<&Installed>,
) -> Option<Foreign> {
    let beside_ours = installed.is_some_and(|installed| installed.ours);
    let in_the_way =
        |secret: &&ActivationSecretFacts| secret.mark.is_none() && !(beside_ours && secret.kept_by.is_some());
    let kept_by = secret.filter(in_the_way)?.kept_by.clone();
    let object = ObjectRef::new(ObjectKind::Secret, namespace, manifest::ACTIVATION_SECRET);
    Some(Foreign { object, kept_by })
}

/// The connectors that are not the one at `here`.
pub(super) fn elsewhere(connectors: Vec<Connector>, here: &ObjectRef) -> Vec<Connector> {
    let is_here = |it: &Connector| here.namespace.as_ref() == Some(&it.namespace) && here.name == it.name;
    connectors.into_iter().filter(|connector| !is_here(connector)).collect()
}

/// The states of all replicas. Those read so far are of the usual names, and of as many replicas as are wanted; with
/// fewer than there are, a state that stays behind still proves whose the registration is.
pub(super) async fn all_states(
    ports: &Ports,
    desired: &Desired,
    mut states: BTreeMap<u32, String>,
    live_set: Option<&Value>,
) -> Result<BTreeMap<u32, String>, Error> {
    let prefix = desired.settings.inherited.state_prefix();
    let mut first = desired.replicas();
    if prefix != STATE_PREFIX {
        states.clear();
        first = 0;
    }
    let last = desired.replicas().max(live_set.map_or(0, replicas_of));
    let more = ports.cluster.states(&desired.settings.namespace, prefix, first..last);
    states.extend(failing("read the agents' state Secrets", more).await?);
    Ok(states)
}

pub(super) fn namespace_facts(live: &Value) -> NamespaceFacts {
    let metadata = &live["metadata"];
    NamespaceFacts {
        terminating: metadata.get("deletionTimestamp").is_some(),
        ours: says_it_is_ours(live),
        enforced: metadata["labels"]["pod-security.kubernetes.io/enforce"].as_str().map(str::to_owned),
        mark: mark_of(metadata),
        state_prefix: metadata["annotations"][STATE_PREFIX_ANNOTATION].as_str().map(str::to_owned),
    }
}

/// The registration that an object's annotations name.
pub fn mark_of(metadata: &Value) -> Option<Mark> {
    let annotation = |key: &str| metadata["annotations"][key].as_str().map(str::to_owned);
    Some(Mark {
        cluster_arn: annotation("eksconnect/cluster-arn")?,
        activation_id: annotation("eksconnect/activation-id")?,
    })
}

/// The registration that the namespace names, if that is not the requested one and it still exists.
async fn other_registration(
    ports: &Ports,
    desired: &Desired,
    caller: &Caller,
    namespace: Option<&NamespaceFacts>,
) -> Result<Option<Registration>, Error> {
    let Some(mark) = namespace.and_then(|namespace| namespace.mark.as_ref()) else { return Ok(None) };
    if mark.cluster_arn == desired.arn {
        return Ok(None);
    }
    let name = mark.cluster_arn.rsplit('/').next().unwrap_or_default().to_owned();
    if mark.cluster_arn == cluster_arn(&ports.region, &caller.account, &name) {
        return failing(format!("read the registration {name}"), ports.registrations.registration(&name))
            .await;
    }
    // In another account or Region: it cannot be looked at from here, so it is taken to exist.
    Ok(Some(Registration {
        name,
        arn: mark.cluster_arn.clone(),
        status: Status::Unknown("in another account or Region".to_owned()),
        created_at: None,
        activation_id: Some(mark.activation_id.clone()),
        activation_expiry: None,
        role_arn: None,
        provider: None,
        tags: BTreeMap::new(),
    }))
}
