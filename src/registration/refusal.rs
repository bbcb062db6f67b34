//! What registering refuses to do, before it has changed anything.

use super::desired::Desired;
use super::observed::{Holder, NodeFacts, Observed, Registration, Status};

use super::proof::Proof;
use super::scheduling::obstacle;
use super::situation::code_at_hand;
use crate::error::{Code, Error};

/// What stands in the way of any registration.
pub(super) fn refuse_obstacles(desired: &Desired, observed: &Observed) -> Result<(), Error> {
    let namespace = &desired.settings.namespace;
    if let Some(facts) = &observed.namespace {
        if facts.terminating {
            return Err(Error::refused(
                Code::NAMESPACE_TERMINATING,
                format!(
                    "namespace {namespace} is being deleted, so {} cannot be registered yet",
                    desired.name
                ),
            )
            .fix(format!(
                "wait until it is gone (kubectl get namespace {namespace}), then run the same command again"
            )));
        }
        if !facts.ours && facts.enforced.as_deref() == Some("restricted") {
            return Err(Error::refused(
                Code::OBJECT_REJECTED,
                format!("namespace {namespace} would reject the agent's pods"),
            )
            .cause("it enforces the Pod Security level restricted; the agent needs the capability DAC_OVERRIDE, which only baseline allows")
            .fix(format!(
                "kubectl label namespace {namespace} --overwrite pod-security.kubernetes.io/enforce=baseline, or choose another --namespace"
            )));
        }
    }
    if let Some(nodes) = observed.cluster.nodes.as_ref().filter(|_| desired.wait) {
        let workload = &desired.settings.workload;
        let suits = |node: &&NodeFacts| {
            node.os == "linux" && node.arch == "amd64" && obstacle(node, workload).is_none()
        };
        if !nodes.iter().any(|node| suits(&node)) {
            let seen: Vec<String> = nodes
                .iter()
                .map(|node| {
                    let obstacle = obstacle(node, workload).map(|why| format!(", {why}")).unwrap_or_default();
                    format!("{}: {}/{}{obstacle}", node.name, node.os, node.arch)
                })
                .collect();
            let seen = if seen.is_empty() { "the cluster has no nodes".to_owned() } else { seen.join("; ") };
            return Err(Error::refused(
                Code::NO_SUITABLE_NODE,
                "no node can run the agent, which needs linux/amd64",
            )
            .cause(seen)
            .fix(
                "add a schedulable linux/amd64 node, or let the agents onto one that is tainted with --toleration",
            ));
        }
    }
    Ok(())
}

/// What there is to do as well where the agents need not be waited for.
pub(super) fn or_without_waiting(error: Error) -> Error {
    if error.code != Code::NO_SUITABLE_NODE {
        return error;
    }
    error.fix("or register all the same, with --no-wait: the agents start once there is such a node")
}

/// A cluster has one registration.
pub(super) fn refuse_second_name(desired: &Desired, observed: &Observed) -> Result<(), Error> {
    let Some(other) = &observed.other_registration else { return Ok(()) };
    Err(Error::refused(
        Code::REGISTERED_ELSEWHERE,
        format!("this cluster is registered already, as {} ({})", other.name, other.status),
    )
    .cause(format!("namespace {} belongs to {}", desired.settings.namespace, other.arn))
    .fix(match &other.status {
        Status::Unknown(_) => format!(
            "use that account and Region, or remove that registration there first: eksconnect deregister --name {} \
             --region {}",
            other.name,
            other.arn.split(':').nth(3).unwrap_or_default()
        ),
        _ => format!(
            "use --name {}, or remove it first: eksconnect deregister --name {} --region {}",
            other.name, other.name, observed.region
        ),
    }))
}

/// The registration of that name is not this cluster's.
pub(super) fn name_held(desired: &Desired, registration: &Registration, proof: &Proof) -> Error {
    let cause = match proof {
        Proof::OtherCluster { uid } => {
            format!(
                "its tag names the cluster whose kube-system namespace has the UID {uid}; this is another one"
            )
        }
        Proof::Nothing | Proof::Activation | Proof::UidTag | Proof::Intent => {
            "nothing in this cluster shows that it is the one that was registered".to_owned()
        }
    };
    Error::refused(
        Code::NAME_HELD,
        format!("the name {} is held by another registration ({})", desired.name, registration.status),
    )
    .cause(cause)
    .fix("choose another --name, or check --context: it may be the wrong cluster; --replace takes the name over")
}

/// Another run is at work.
pub(super) fn refuse_held_lease(desired: &Desired, observed: &Observed) -> Result<(), Error> {
    let holder = observed.lease.as_ref().and_then(|lease| lease.held_by.as_ref());
    refuse_holder(&desired.settings.namespace, holder)
}

/// As [`refuse_held_lease`], of the Lease in `namespace`.
pub(super) fn refuse_holder(namespace: &str, holder: Option<&Holder>) -> Result<(), Error> {
    let Some(holder) = holder else { return Ok(()) };
    Err(Error::refused(
        Code::LEASE_HELD,
        format!("another run of eksconnect is working on this cluster: {}", holder.who),
    )
    .cause(format!("it holds the Lease {namespace}/eksconnect and renews it while it lives"))
    .fix("wait until it ends, then run the same command again"))
}

/// An agent registers with the code, or has its state already. One that has neither could never start.
pub(super) fn refuse_agents_without_state(
    desired: &Desired,
    observed: &Observed,
    registration: &Registration,
    activation_id: &str,
) -> Result<(), Error> {
    let wanted = desired.replicas();
    let has_state = |ordinal: &u32| observed.states.get(ordinal).is_some_and(|id| id == activation_id);
    if code_at_hand(registration, observed) || (0..wanted).all(|ordinal| has_state(&ordinal)) {
        return Ok(());
    }
    let missing: Vec<String> = (0..wanted)
        .filter(|ordinal| !has_state(ordinal))
        .map(|it| desired.settings.state_secret(it))
        .collect();
    let name = &desired.name;
    let anew = "register anew with --renew";
    let possible = (0..wanted).take_while(has_state).count();
    Err(Error::refused(
        Code::AGENTS_WITHOUT_STATE,
        format!("{name} cannot have {wanted} agents: its activation code is used up or has expired"),
    )
    .cause(format!("these Secrets of agents that have registered do not exist: {}", missing.join(", ")))
    .fix(if possible == 0 { anew.to_owned() } else { format!("use --replicas {possible}, or {anew}") }))
}
