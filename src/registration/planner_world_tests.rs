//! Worlds to plan in, and what executing a plan makes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::super::super::desired::Desired;
use super::super::super::installed::Installed;
use super::super::super::name::ClusterName;
use super::super::super::observed::{
    ActivationSecretFacts, Caller, ClusterFacts, LeaseFacts, Mark, NamespaceFacts, NodeFacts, ObjectState,
    Observed, Permissions, Registration, Role, RoleSeen, Status,
};
use super::super::super::provider::{Detected, Provider};
use super::super::super::quota::QuotaSeen;
use super::super::super::request::{CLUSTER_UID_TAG, RegisterRequest, RoleChoice, RoleDesign};
use super::super::super::role_drift::RoleChange;
use super::super::super::step::{OnceRegistered, Step};
use super::super::super::takeover::Takeover;
use super::super::{RegisterPlan, plan};
use crate::error::Error;
use crate::manifest::{self, Object, ObjectKind, ObjectRef, Taint, workload::Workload};

pub(super) const ARN: &str = "arn:aws:eks:eu-west-1:111122223333:cluster/onprem1";
pub(super) const UID: &str = "11111111-2222-3333-4444-555555555555";
pub(super) const ACTIVATION: &str = "activation-of-this-cluster";
pub(super) const NEW_ACTIVATION: &str = "activation-that-eks-gives";

pub(super) fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

pub(super) fn request() -> RegisterRequest {
    RegisterRequest {
        name: ClusterName::parse("onprem1").unwrap(),
        namespace: "eks-connector".into(),
        provider: None,
        role: RoleChoice::Named(RoleDesign::named("AmazonEKSConnectorAgentRole")),
        tags: BTreeMap::new(),
        workload: Workload::default(),
        takeover: Takeover::default(),
        wait: Some(Duration::from_secs(300)),
    }
}

pub(super) fn node(arch: &str, taint: Option<&str>) -> NodeFacts {
    NodeFacts {
        name: format!("node-{arch}"),
        os: "linux".into(),
        arch: arch.into(),
        labels: BTreeMap::new(),
        taints: taint
            .map(|key| Taint { key: key.into(), value: String::new(), effect: "NoSchedule".into() })
            .into_iter()
            .collect(),
        cordoned: false,
    }
}

/// A fresh account and a fresh cluster.
pub(super) fn fresh() -> Observed {
    Observed {
        now: now(),
        region: "eu-west-1".into(),
        caller: Caller { account: "111122223333".into(), arn: "arn:aws:iam::111122223333:user/ana".into() },
        service_linked_role: Some(false),
        agent_role: RoleSeen::Absent,
        registration: None,
        other_registration: None,
        cluster: ClusterFacts {
            uid: UID.into(),
            version: "v1.36.3".into(),
            minor: 36,
            api_server: manifest::ApiServer::default(),
            nodes: Some(vec![node("amd64", None)]),
            provider: Detected {
                provider: Provider::Other,
                because: "no node has a cloud provider ID".into(),
            },
            openshift: false,
        },
        namespace: None,
        activation_secret: None,
        states: BTreeMap::new(),
        installed: None,
        elsewhere: Vec::new(),
        foreign: Vec::new(),
        fixed: BTreeMap::new(),
        superfluous: None,
        lease: None,
        objects: BTreeMap::new(),
        changes: BTreeMap::new(),
        obsolete: Vec::new(),
        quota: QuotaSeen::Unknown,
        denied_rights: BTreeSet::new(),
        unverified: Vec::new(),
    }
}

pub(super) fn desired_of(observed: &Observed, request: &RegisterRequest) -> Desired {
    let (namespace, installed) = (observed.namespace.as_ref(), observed.installed.as_ref());
    Desired::new(request, &observed.caller, &observed.region, &observed.cluster, namespace, installed)
}

pub(super) fn plan_of(observed: &Observed) -> Result<RegisterPlan, Error> {
    plan(&desired_of(observed, &request()), observed, "token")
}

pub(super) fn mark(activation_id: &str) -> Mark {
    Mark { cluster_arn: ARN.into(), activation_id: activation_id.into() }
}

pub(super) fn registration(status: Status) -> Registration {
    Registration {
        name: "onprem1".into(),
        arn: ARN.into(),
        status,
        created_at: Some(now()),
        activation_id: Some(ACTIVATION.into()),
        activation_expiry: Some(now() + SignedDuration::from_hours(72)),
        role_arn: Some("arn:aws:iam::111122223333:role/AmazonEKSConnectorAgentRole".into()),
        provider: Some("OTHER".into()),
        tags: [(CLUSTER_UID_TAG.to_owned(), UID.to_owned())].into(),
    }
}

/// What executing steps in that order makes of the world. EKS gives [`NEW_ACTIVATION`], and the agents work.
pub(super) fn carry_out<'a>(
    observed: &Observed,
    desired: &Desired,
    steps: impl IntoIterator<Item = &'a Step>,
) -> Observed {
    let mut world = observed.clone();
    for step in steps {
        match step {
            Step::CreateServiceLinkedRole => world.service_linked_role = Some(true),
            Step::CreateAgentRole(design) => {
                assert_eq!(world.agent_role, RoleSeen::Absent);
                world.agent_role = RoleSeen::Present(Role {
                    arn: design.arn("aws", "111122223333"),
                    trust: manifest::AGENT_TRUST.into(),
                    permissions: Permissions::Absent,
                    ours: true,
                    boundary: design.boundary.clone(),
                    tags: design.tags.clone(),
                });
            }
            Step::PutAgentPolicy { .. } => match &mut world.agent_role {
                RoleSeen::Present(role) => {
                    role.permissions = Permissions::Inline(manifest::AGENT_PERMISSIONS.into());
                }
                other => panic!("no role to give a policy to: {other:?}"),
            },
            Step::ChangeAgentRole { change, .. } => match (&mut world.agent_role, change) {
                (RoleSeen::Present(role), RoleChange::Trust(document)) => role.trust.clone_from(document),
                (RoleSeen::Present(role), RoleChange::Boundary(arn)) => role.boundary = Some(arn.clone()),
                (RoleSeen::Present(role), RoleChange::Tags(tags)) => role.tags.extend(tags.clone()),
                (other, _) => panic!("no role to change: {other:?}"),
            },
            Step::Apply(object) => {
                let in_namespace = !object.reference.kind.is_cluster_scoped();
                assert!(
                    !in_namespace || world.namespace.is_some(),
                    "{} before its namespace",
                    object.reference
                );
                if object.reference.kind == ObjectKind::Namespace {
                    let known = world.namespace.take();
                    let annotations = &object.body["metadata"]["annotations"];
                    let marked = annotations["eksconnect/activation-id"].as_str().map(mark);
                    world.namespace = Some(NamespaceFacts {
                        terminating: false,
                        ours: true,
                        enforced: Some("baseline".into()),
                        state_prefix: None,
                        mark: marked.or(known.and_then(|known| known.mark)),
                    });
                }
                if object.reference.kind == ObjectKind::StatefulSet {
                    applied_agents(&mut world, object);
                }
                assert!(
                    !world.fixed.contains_key(&object.reference),
                    "{} cannot be changed",
                    object.reference
                );
                world.foreign.retain(|foreign| foreign.object != object.reference);
                world.objects.insert(object.reference.clone(), ObjectState::Same);
            }
            Step::Replace { object, seen } => {
                let installed = world.installed.as_ref().expect("what is replaced");
                assert_eq!((&installed.resource_version, installed.ours), (seen, false));
                world.installed = Some(Installed { ours: true, ..installed_by(object) });
                world.objects.insert(object.reference.clone(), ObjectState::Same);
            }
            Step::ApplyActivationSecret(object) => {
                world.foreign.retain(|foreign| foreign.object != object.reference);
                let id = object.body["metadata"]["annotations"]["eksconnect/activation-id"].as_str().unwrap();
                let known = world.activation_secret.take();
                world.activation_secret = Some(ActivationSecretFacts {
                    mark: Some(mark(id)),
                    holds_code: known.is_some_and(|known| known.holds_code),
                    kept_by: None,
                    resource_version: "1".into(),
                });
            }
            Step::HoldLease { intent, seen, .. } => {
                assert!(world.namespace.is_some(), "a Lease without its namespace");
                assert_eq!(
                    seen.as_deref(),
                    world.lease.as_ref().map(|lease| lease.resource_version.as_str())
                );
                world.lease = Some(LeaseFacts {
                    resource_version: "1".into(),
                    held_by: None,
                    intent: Some(intent.clone()),
                    renewed_at: Some(now()),
                });
            }
            Step::ApplyPullSecret(object) => {
                world.foreign.retain(|foreign| foreign.object != object.reference);
                world.objects.insert(object.reference.clone(), ObjectState::Same);
            }
            Step::Remove { object, uid } => {
                assert!(!uid.is_empty());
                world.obsolete.retain(|(obsolete, _)| obsolete != object);
                world.superfluous = world.superfluous.take().filter(|(superfluous, _)| superfluous != object);
                world.fixed.remove(object);
                if object.kind == ObjectKind::StatefulSet {
                    assert_eq!(world.installed.take().map(|installed| installed.uid).as_ref(), Some(uid));
                    world.objects.remove(object);
                }
            }
            Step::Discard { status, activation_id, .. } => {
                let gone = world.registration.take().expect("what is deregistered");
                assert_eq!((&gone.status, &gone.activation_id), (status, activation_id));
            }
            Step::Register(new) => {
                assert!(world.registration.is_none(), "registered twice");
                assert_eq!(
                    world.service_linked_role,
                    Some(true),
                    "registered without the service-linked role"
                );
                assert!(world.lease.is_some(), "registered without the Lease");
                assert_eq!(new.role_arn.is_none(), observed.agent_role == RoleSeen::Absent);
                world.registration = Some(Registration {
                    activation_id: Some(NEW_ACTIVATION.into()),
                    tags: new.own_tags.clone(),
                    ..registration(Status::Pending)
                });
                let secret = ObjectRef::new(ObjectKind::Secret, "eks-connector", manifest::ACTIVATION_SECRET);
                world.foreign.retain(|foreign| foreign.object != secret);
                world.activation_secret = Some(ActivationSecretFacts {
                    mark: Some(mark(NEW_ACTIVATION)),
                    holds_code: true,
                    kept_by: None,
                    resource_version: "1".into(),
                });
            }
            Step::ApplyOnceRegistered(which) => {
                assert!(world.activation_secret.is_some(), "no activation to name");
                let (kind, name) = match which {
                    OnceRegistered::Namespace => (ObjectKind::Namespace, "eks-connector"),
                    OnceRegistered::StatefulSet => (ObjectKind::StatefulSet, manifest::STATEFUL_SET),
                };
                if kind == ObjectKind::Namespace {
                    let namespace = world.namespace.as_mut().expect("a namespace to annotate");
                    namespace.mark = Some(mark(NEW_ACTIVATION));
                } else {
                    applied_agents(&mut world, &desired.stateful_set_anew(NEW_ACTIVATION));
                }
                world.objects.insert(ObjectRef::new(kind, "eks-connector", name), ObjectState::Same);
            }
            Step::AwaitActive { replicas, .. } => {
                let registration = world.registration.as_mut().expect("a registration to wait for");
                registration.status = Status::Active;
                let id = registration.activation_id.clone().unwrap();
                world.states = (0..*replicas).map(|ordinal| (ordinal, id.clone())).collect();
                world.installed.iter_mut().for_each(|installed| installed.rolled_out = true);
            }
            Step::ReserveFile { .. } | Step::KeepActivation | Step::AwaitAgents { .. } => {
                panic!("{} is a step of one half", step.describe());
            }
            Step::Access(step) => panic!("{}: the planner of a registration grants nothing", step.describe()),
            Step::SpendCode { activation_id } => {
                let current =
                    world.registration.as_ref().and_then(|registration| registration.activation_id.clone());
                assert!(activation_id.is_none() || *activation_id == current, "another activation's code");
                let replicas = usize::try_from(desired.replicas()).unwrap();
                assert!(
                    world.states.len() >= replicas,
                    "the code was taken from replicas that still need it"
                );
                world.activation_secret.as_mut().expect("a code to spend").holds_code = false;
            }
        }
        assert!(desired.wait || !matches!(step, Step::AwaitActive { .. }), "waits though it was told not to");
    }
    world
}

/// A StatefulSet can be applied over nothing, or over one of ours that has the same fixed fields.
pub(super) fn applied_agents(world: &mut Observed, object: &Object) {
    let applied = Installed { ours: true, ..installed_by(object) };
    if let Some(installed) = &world.installed {
        assert!(installed.ours, "applied over another tool's");
        assert_eq!(installed.inherited.fixed, applied.inherited.fixed, "fixed fields would change");
    }
    world.installed = Some(applied);
}

pub(super) fn installed_by(object: &Object) -> Installed {
    let mut live = object.body.clone();
    live["metadata"]["uid"] = "uid-of-the-set".into();
    live["status"] = serde_json::json!({ "readyReplicas": live["spec"]["replicas"] });
    Installed { resource_version: "1".into(), ..Installed::of(&live, false) }
}

pub(super) fn all_steps(planned: &RegisterPlan) -> Vec<&Step> {
    planned.plan.iter().map(|(_, planned)| &planned.step).collect()
}

/// The world after a run.
pub(super) fn after(observed: &Observed) -> Observed {
    let planned = plan_of(observed).unwrap();
    carry_out(observed, &desired_of(observed, &request()), all_steps(&planned))
}

/// A cluster that is registered and ACTIVE, with nothing to do.
pub(super) fn converged() -> Observed {
    after(&fresh())
}
