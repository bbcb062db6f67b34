//! Looks at the account and the cluster: reads only, all at once, but for those that depend on an answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use serde_json::Value;

use super::desired::{Desired, cluster_arn};
use super::installed::Connector;
use super::observed::{
    Caller, ClusterFacts, Mark, NamespaceFacts, Observed, Permissions, Registration, Role, RoleSeen, Status,
};
use super::provider::{self, Traces};
use super::quota::{self, QuotaSeen};
use super::request::RegisterRequest;
use super::rights;
use crate::error::{Code, Error};
use crate::manifest::{ApiServer, ObjectRef, SECURITY_GROUP};
use crate::ports::{
    Cluster, Failure, FailureKind, Identity, Nodes, Quotas, Registrations, Roles, ServerVersion,
};

pub(super) mod cluster;
mod objects;

use cluster::AccountSide;
pub(crate) use objects::{Standing, object_state};

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
    let quota = quota::ask(ports);
    let account = async {
        tokio::try_join!(
            failing("find out who is calling AWS", ports.identity.caller()),
            async { Ok(ports.roles.role(request.role.name()).await) },
            async { Ok(ports.roles.service_linked_role().await) },
            failing(format!("read the registration {name}"), ports.registrations.registration(name)),
        )
    };
    let ((caller, role, linked, registration), answers) =
        tokio::try_join!(account, cluster::ask(ports, request))?;

    let mut unverified = Vec::new();
    let seen = answers.read(request, &mut unverified)?;
    let desired = seen.desired(ports, request, &caller);
    let (compared, other_registration, quota) = tokio::try_join!(
        seen.compared(ports, &desired, registration.as_ref()),
        other_registration(ports, &desired, &caller, seen.namespace.as_ref()),
        // Of a registration that exists it says nothing.
        async { Ok(if registration.is_none() { quota.seen().await } else { QuotaSeen::Unknown }) },
    )?;
    let account = AccountSide {
        service_linked_role: aid(linked, "read the service-linked role", &mut unverified)?,
        agent_role: role_seen(role, &mut unverified)?,
        caller,
        registration,
        other_registration,
        quota,
    };
    let observed = cluster::observed(&ports.region, account, seen, compared, unverified);
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

/// The connectors that are not the one at `here`.
pub(super) fn elsewhere(connectors: Vec<Connector>, here: &ObjectRef) -> Vec<Connector> {
    let is_here = |it: &Connector| here.namespace.as_ref() == Some(&it.namespace) && here.name == it.name;
    connectors.into_iter().filter(|connector| !is_here(connector)).collect()
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
