//! Looks for the agents and what is to become of them, and plans.

use serde_json::Value;

use super::ending::{no_proxy, nothing_here, scaled_to_none};
use super::planner::plan;
use super::request::{Change, UpgradeRequest};
use crate::error::{Code, Error};
use crate::manifest::workload::Workload;
use crate::manifest::{self, ObjectKind, ObjectRef, STATEFUL_SET, workload_of};
use crate::registration::deregister::look::home;
use crate::registration::desired::cluster_arn;
use crate::registration::installed::Connector;
use crate::registration::name::ClusterName;
use crate::registration::observe::{Ports, failing, is_ours, mark_of, observe};
use crate::registration::refusal::refuse_held_lease;
use crate::registration::register::Preview;
use crate::registration::request::{DEFAULT_ROLE_NAME, RegisterRequest, RoleChoice, RoleDesign};
use crate::registration::takeover::Takeover;

/// Whether a Lease that another run holds is in the way, and which one is not: its holder is dead.
pub(super) struct Alone<'a>(pub(super) Option<&'a String>);

/// Looks. `fixed` is the workload that is wanted whatever the request changes. Beside what was seen, returns the workload
/// that is there.
pub(super) async fn look(
    ports: &Ports,
    request: &UpgradeRequest,
    fixed: Option<&Workload>,
    alone: Option<Alone<'_>>,
) -> Result<(Preview, Workload), Error> {
    let cluster = ports.cluster.as_ref();
    let namespace = match &request.namespace {
        Some(namespace) => namespace.clone(),
        None => {
            let connectors: Vec<Connector> = failing("find the connector", cluster.connectors()).await?;
            home(&connectors, Vec::new())?
        }
    };
    let of = |kind, name: &str| ObjectRef::new(kind, &namespace, name);
    let namespace_ref = of(ObjectKind::Namespace, &namespace);
    let (set_ref, policy_ref, authorities_ref) = (
        of(ObjectKind::StatefulSet, STATEFUL_SET),
        of(ObjectKind::NetworkPolicy, STATEFUL_SET),
        of(ObjectKind::ConfigMap, manifest::PROXY_CA),
    );
    let (caller, live, set, policy, authorities, api_server) = tokio::try_join!(
        failing("find out who is calling AWS", ports.identity.caller()),
        failing(format!("read the namespace {namespace}"), cluster.read(&namespace_ref)),
        failing(format!("read {set_ref}"), cluster.read(&set_ref)),
        failing(format!("read {policy_ref}"), cluster.read(&policy_ref)),
        failing(format!("read {authorities_ref}"), cluster.read(&authorities_ref)),
        failing("read the API server's service address", cluster.api_server()),
    )?;
    let Some(set) = set else { return Err(nothing_here(&namespace)) };
    if !is_ours(&set) {
        return Err(Error::refused(
            Code::FOREIGN_OBJECT,
            format!("StatefulSet {namespace}/{STATEFUL_SET} was not made by eksconnect"),
        )
        .cause("the official manifest, eksctl or Helm has installed the connector here")
        .fix("take it over first: eksconnect register --name NAME --adopt"));
    }
    let name = registration_name(request, &ports.region, &caller.account, &namespace, live.as_ref())?;
    let text = |live: &Value| live["data"]["ca.crt"].as_str().map(str::to_owned);
    let current = workload_of(&set, policy.as_ref(), authorities.as_ref().and_then(text), &api_server);
    if current.replicas == 0 && request.changes.replicas.is_none() {
        return Err(scaled_to_none(&namespace));
    }
    let mut notes = Vec::new();
    let workload = fixed.cloned().unwrap_or_else(|| request.changes.applied(&current, &mut notes));
    if matches!(request.changes.no_proxy, Change::Set(_)) && workload.proxy.url.is_none() && fixed.is_none() {
        return Err(no_proxy());
    }
    let registering = RegisterRequest {
        name,
        namespace,
        provider: None,
        role: RoleChoice::Named(RoleDesign::named(DEFAULT_ROLE_NAME)),
        tags: std::collections::BTreeMap::new(),
        workload,
        takeover: Takeover::default(),
        wait: Some(request.wait),
    };
    let (mut desired, mut observed) = observe(ports, &registering).await?;
    if let Some(arn) = observed.registration.as_ref().and_then(|it| it.role_arn.clone()) {
        // The one that it has, whatever it is called by default.
        let name = arn.rsplit('/').next().unwrap_or_default().to_owned();
        desired.role = RoleChoice::Given { arn, name };
    }
    if let Some(Alone(dead)) = alone {
        if let Some(lease) = observed.lease.as_mut().filter(|lease| dead == Some(&lease.resource_version)) {
            lease.held_by = None;
        }
        // First of all: what another run is about to change cannot be judged.
        refuse_held_lease(&desired, &observed)?;
    }
    let token = uuid::Uuid::new_v4().to_string();
    let plan = plan(&desired, &observed, &token, notes)?;
    Ok((Preview { desired, observed, plan, granting: None }, current))
}

/// The registration that is asked for, or that the namespace, `live`, says it belongs to.
fn registration_name(
    request: &UpgradeRequest,
    region: &str,
    account: &str,
    namespace: &str,
    live: Option<&Value>,
) -> Result<ClusterName, Error> {
    if let Some(name) = &request.name {
        return Ok(name.clone());
    }
    let Some(mark) = live.and_then(|live| mark_of(&live["metadata"])) else {
        return Err(Error::refused(Code::NOT_UPGRADABLE, "the registration of this cluster is not known")
            .cause(format!("namespace {namespace} does not say which it is"))
            .fix("name it with --name"));
    };
    let arn = mark.cluster_arn;
    let name = arn.rsplit('/').next().unwrap_or_default();
    if arn != cluster_arn(region, account, name) {
        return Err(Error::refused(
            Code::CONNECTOR_UNKNOWN,
            "the registration of this cluster is in another account or Region",
        )
        .cause(format!(
            "namespace {namespace} says that it belongs to {arn}; this is account {account}, {region}"
        ))
        .fix("use that account and Region (--profile, --region)"));
    }
    ClusterName::parse(name)
}
