//! The planner by tables. Its laws, and the options of the workload, have files of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::super::name::ClusterName;
use super::super::observed::Permissions;
use super::super::observed::{
    ActivationSecretFacts, Caller, ClusterFacts, LeaseFacts, Mark, NamespaceFacts, NodeFacts, Role,
};
use super::super::proof::Proof;
use super::super::provider::{Detected, Provider};
use super::super::quota::QuotaSeen;
use super::super::request::{CLUSTER_UID_TAG, RegisterRequest, RoleDesign};
use super::super::role_drift::RoleChange;
use super::*;
use crate::manifest::{self, Taint, workload::Workload};

#[path = "planner_law_tests.rs"]
mod laws;
#[path = "planner_workload_tests.rs"]
mod workload;

const ARN: &str = "arn:aws:eks:eu-west-1:111122223333:cluster/onprem1";
const UID: &str = "11111111-2222-3333-4444-555555555555";
const ACTIVATION: &str = "activation-of-this-cluster";
const NEW_ACTIVATION: &str = "activation-that-eks-gives";

fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn request() -> RegisterRequest {
    RegisterRequest {
        name: ClusterName::parse("onprem1").unwrap(),
        namespace: "eks-connector".into(),
        provider: None,
        role: RoleChoice::Named(RoleDesign::named("AmazonEKSConnectorAgentRole")),
        tags: BTreeMap::new(),
        workload: Workload::default(),
        wait: Some(Duration::from_secs(300)),
    }
}

fn node(arch: &str, taint: Option<&str>) -> NodeFacts {
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
fn fresh() -> Observed {
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
        foreign_stateful_set: false,
        lease: None,
        objects: BTreeMap::new(),
        changes: BTreeMap::new(),
        obsolete: Vec::new(),
        quota: QuotaSeen::Unknown,
        denied_rights: BTreeSet::new(),
        unverified: Vec::new(),
    }
}

fn desired_of(observed: &Observed, request: &RegisterRequest) -> Desired {
    Desired::new(request, &observed.caller, &observed.region, &observed.cluster, observed.namespace.as_ref())
}

fn plan_of(observed: &Observed) -> Result<RegisterPlan, Error> {
    plan(&desired_of(observed, &request()), observed, "token")
}

fn mark(activation_id: &str) -> Mark {
    Mark { cluster_arn: ARN.into(), activation_id: activation_id.into() }
}

fn registration(status: Status) -> Registration {
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
fn carry_out<'a>(
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
                        mark: marked.or(known.and_then(|known| known.mark)),
                    });
                }
                world.objects.insert(object.reference.clone(), ObjectState::Same);
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
                world.objects.insert(object.reference.clone(), ObjectState::Same);
            }
            Step::Remove { object, .. } => world.obsolete.retain(|(obsolete, _)| obsolete != object),
            Step::Discard { .. } => world.registration = None,
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
                world.activation_secret = Some(ActivationSecretFacts {
                    mark: Some(mark(NEW_ACTIVATION)),
                    holds_code: true,
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
                }
                world.objects.insert(ObjectRef::new(kind, "eks-connector", name), ObjectState::Same);
            }
            Step::AwaitActive { replicas, .. } => {
                let registration = world.registration.as_mut().expect("a registration to wait for");
                registration.status = Status::Active;
                let id = registration.activation_id.clone().unwrap();
                world.states = (0..*replicas).map(|ordinal| (ordinal, id.clone())).collect();
            }
            Step::ReserveFile { .. } | Step::KeepActivation | Step::AwaitAgents { .. } => {
                panic!("{} is a step of one half", step.describe());
            }
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

fn all_steps(planned: &RegisterPlan) -> Vec<&Step> {
    planned.plan.iter().map(|(_, planned)| &planned.step).collect()
}

/// The world after a run.
fn after(observed: &Observed) -> Observed {
    let planned = plan_of(observed).unwrap();
    carry_out(observed, &desired_of(observed, &request()), all_steps(&planned))
}

/// A cluster that is registered and ACTIVE, with nothing to do.
fn converged() -> Observed {
    after(&fresh())
}

#[test]
fn a_fresh_registration_has_every_step_and_its_chain_is_short() {
    let planned = plan_of(&fresh()).unwrap();
    let words: Vec<String> = all_steps(&planned).iter().map(|step| step.describe()).collect();
    insta::assert_snapshot!(words.join("\n"), @r"
    create role AWSServiceRoleForAmazonEKSConnector
    create role AmazonEKSConnectorAgentRole
    put inline policy of role AmazonEKSConnectorAgentRole
    apply Namespace eks-connector
    hold Lease eks-connector/eksconnect
    apply ServiceAccount eks-connector/eks-connector
    apply Role eks-connector/eks-connector-secret-access
    apply ClusterRole eks-connector-cluster-meta-access
    apply ConfigMap eks-connector/eks-connector-agent
    apply NetworkPolicy eks-connector/eks-connector
    apply PodDisruptionBudget eks-connector/eks-connector
    apply RoleBinding eks-connector/eks-connector-secret-access
    apply ClusterRoleBinding eks-connector-cluster-meta-access
    register onprem1
    annotate the namespace
    apply the agents' StatefulSet
    wait for onprem1 to become ACTIVE
    remove the used activation code
    ");
    // Namespace, Lease, role, its binding, StatefulSet, the used code. docs/decisions lists the chain.
    assert_eq!(planned.plan.longest_chain(Step::is_write), 6);
    let in_aws = |step: &Step| {
        matches!(step, Step::CreateAgentRole(_) | Step::PutAgentPolicy { .. } | Step::Register(_))
    };
    assert_eq!(planned.plan.longest_chain(in_aws), 3);
}

#[test]
fn a_converged_cluster_has_nothing_to_do() {
    let planned = plan_of(&converged()).unwrap();
    assert!(planned.plan.is_empty(), "{:?}", all_steps(&planned));
}

#[test]
fn without_waiting_nothing_waits_and_the_code_stays() {
    let no_wait = RegisterRequest { wait: None, ..request() };
    let observed = fresh();
    let desired = desired_of(&observed, &no_wait);
    let planned = plan(&desired, &observed, "token").unwrap();
    let pending = carry_out(&observed, &desired, all_steps(&planned));
    assert!(pending.activation_secret.as_ref().unwrap().holds_code);
    assert!(
        plan(&desired, &pending, "token").unwrap().plan.is_empty(),
        "run again without waiting: nothing to do"
    );
    // Run again with waiting, it is finished.
    let planned = plan_of(&pending).unwrap();
    let writes: Vec<String> =
        all_steps(&planned).iter().filter(|step| step.is_write()).map(|step| step.describe()).collect();
    assert_eq!(writes, ["hold Lease eks-connector/eksconnect", "remove the used activation code"]);
}

#[test]
fn what_has_drifted_is_repaired_and_nothing_else() {
    let converged = converged();
    for object in converged.objects.keys() {
        for state in [ObjectState::Absent, ObjectState::Differs] {
            // A namespace that is gone takes everything with it; that is another case.
            if object.kind == ObjectKind::Namespace && state == ObjectState::Absent {
                continue;
            }
            let mut drifted = converged.clone();
            drifted.objects.insert(object.clone(), state);
            let planned = plan_of(&drifted).unwrap();
            let applied: Vec<&ObjectRef> =
                all_steps(&planned).iter().filter_map(|step| step.object()).collect();
            assert_eq!(applied, [object]);
            assert!(!all_steps(&planned).iter().any(|step| matches!(step, Step::Register(_))), "{object}");
        }
    }
}

#[test]
fn a_deleted_role_and_a_changed_policy_of_ours_are_repaired() {
    let mut gone = converged();
    gone.agent_role = RoleSeen::Absent;
    let planned = plan_of(&gone).unwrap();
    assert!(all_steps(&planned).iter().any(|step| matches!(step, Step::CreateAgentRole(_))));

    let mut changed = converged();
    if let RoleSeen::Present(role) = &mut changed.agent_role {
        role.permissions = Permissions::Inline("{}".into());
    }
    let planned = plan_of(&changed).unwrap();
    assert_eq!(all_steps(&planned), [&Step::PutAgentPolicy { role: "AmazonEKSConnectorAgentRole".into() }]);

    // So is all else that the role was to have.
    let design = RoleDesign {
        boundary: Some("arn:aws:iam::111122223333:policy/Bound".into()),
        tags: [("team".to_owned(), "platform".to_owned())].into(),
        ..RoleDesign::named("AmazonEKSConnectorAgentRole")
    };
    let wanted = RegisterRequest { role: RoleChoice::Named(design), ..request() };
    if let RoleSeen::Present(role) = &mut changed.agent_role {
        role.trust = manifest::AGENT_TRUST.replace("ssm.", "ec2.");
    }
    let planned = plan(&desired_of(&changed, &wanted), &changed, "token").unwrap();
    assert_eq!(all_steps(&planned).len(), 4, "{planned:?}");
    let mended = carry_out(&changed, &desired_of(&changed, &wanted), all_steps(&planned));
    assert!(plan(&desired_of(&mended, &wanted), &mended, "token").unwrap().plan.is_empty());

    // Somebody else's role is never changed.
    changed = mended;
    if let RoleSeen::Present(role) = &mut changed.agent_role {
        (role.permissions, role.boundary) = (Permissions::Inline("{}".into()), None);
    }
    if let RoleSeen::Present(role) = &mut changed.agent_role {
        role.ours = false;
    }
    let planned = plan(&desired_of(&changed, &wanted), &changed, "token").unwrap();
    assert!(planned.plan.is_empty());
    assert_eq!(planned.notes.len(), 2, "both differences are said: {:?}", planned.notes);
}

#[test]
fn refusals() {
    type Change = fn(&mut Observed);
    let cases: [(&str, Change, Code); 13] = [
        ("a name held by another cluster", |o| o.registration = Some(foreign()), Code::NAME_HELD),
        (
            "a name held by nobody knows whom",
            |o| o.registration = Some(Registration { tags: BTreeMap::new(), ..foreign() }),
            Code::NAME_HELD,
        ),
        (
            "a cluster that EKS runs",
            |o| o.registration = Some(Registration { role_arn: None, ..registration(Status::Active) }),
            Code::NAME_HELD,
        ),
        ("being deleted", |o| o.registration = Some(registration(Status::Deleting)), Code::BEING_DELETED),
        ("state lost", |o| o.registration = Some(registration(Status::Active)), Code::STATE_LOST),
        (
            "another name",
            |o| o.other_registration = Some(registration(Status::Active)),
            Code::REGISTERED_ELSEWHERE,
        ),
        ("somebody else's agents", |o| o.foreign_stateful_set = true, Code::FOREIGN_OBJECT),
        ("only ARM nodes", |o| o.cluster.nodes = Some(vec![node("arm64", None)]), Code::NO_SUITABLE_NODE),
        (
            "only tainted nodes",
            |o| o.cluster.nodes = Some(vec![node("amd64", Some("gpu"))]),
            Code::NO_SUITABLE_NODE,
        ),
        ("no nodes", |o| o.cluster.nodes = Some(Vec::new()), Code::NO_SUITABLE_NODE),
        (
            "namespace terminating",
            |o| {
                o.namespace =
                    Some(NamespaceFacts { terminating: true, ours: true, enforced: None, mark: None });
            },
            Code::NAMESPACE_TERMINATING,
        ),
        (
            "somebody else's strict namespace",
            |o| {
                o.namespace = Some(NamespaceFacts {
                    terminating: false,
                    ours: false,
                    enforced: Some("restricted".into()),
                    mark: None,
                });
            },
            Code::OBJECT_REJECTED,
        ),
        (
            "a role that the agent cannot use",
            |o| {
                o.agent_role = RoleSeen::Present(Role {
                    arn: "arn".into(),
                    trust: manifest::AGENT_TRUST.replace("ssm", "ec2"),
                    permissions: Permissions::Absent,
                    ours: false,
                    boundary: None,
                    tags: BTreeMap::new(),
                });
            },
            Code::ROLE_UNUSABLE,
        ),
    ];
    fn foreign() -> Registration {
        Registration {
            tags: [(CLUSTER_UID_TAG.to_owned(), "another cluster's".to_owned())].into(),
            activation_id: Some("another activation".into()),
            ..registration(Status::Active)
        }
    }
    for (name, change, code) in cases {
        let mut observed = fresh();
        change(&mut observed);
        let error = plan_of(&observed).expect_err(name);
        assert_eq!((error.code, error.exit_code()), (code, 3), "{name}");
    }
    let given = RegisterRequest {
        role: RoleChoice::Given { arn: "arn:aws:iam::111122223333:role/X".into(), name: "X".into() },
        ..request()
    };
    let error = plan(&desired_of(&fresh(), &given), &fresh(), "token").unwrap_err();
    assert_eq!(error.code, Code::ROLE_UNUSABLE);
}

#[test]
fn a_given_role_is_that_very_role() {
    let mut observed = fresh();
    observed.agent_role = RoleSeen::Present(Role {
        arn: "arn:aws:iam::111122223333:role/path/X".into(),
        trust: manifest::AGENT_TRUST.into(),
        permissions: Permissions::Absent,
        ours: false,
        boundary: None,
        tags: BTreeMap::new(),
    });
    let given = |arn: &str| RegisterRequest {
        role: RoleChoice::Given { arn: arn.into(), name: "X".into() },
        ..request()
    };
    let elsewhere = given("arn:aws:iam::444455556666:role/X");
    let error = plan(&desired_of(&observed, &elsewhere), &observed, "token").unwrap_err();
    assert_eq!(error.code, Code::ROLE_UNUSABLE);
    let here = given("arn:aws:iam::111122223333:role/path/X");
    let planned = plan(&desired_of(&observed, &here), &observed, "token").unwrap();
    let registered = all_steps(&planned).into_iter().find_map(|step| match step {
        Step::Register(new) => new.role_arn.clone(),
        _ => None,
    });
    assert_eq!(registered.as_deref(), Some("arn:aws:iam::111122223333:role/path/X"));
}

#[test]
fn another_activations_code_is_left_alone() {
    let mut observed = converged();
    observed.activation_secret = Some(ActivationSecretFacts {
        mark: Some(mark("another")),
        holds_code: true,
        resource_version: "1".into(),
    });
    assert!(plan_of(&observed).unwrap().plan.is_empty());
}

#[test]
fn without_waiting_an_unsuitable_cluster_is_registered_all_the_same() {
    let mut observed = fresh();
    observed.cluster.nodes = Some(vec![node("arm64", None)]);
    let no_wait = RegisterRequest { wait: None, ..request() };
    plan(&desired_of(&observed, &no_wait), &observed, "token").unwrap();
}

#[test]
fn each_proof_alone_makes_a_registration_ours() {
    let bare = Registration { tags: BTreeMap::new(), ..registration(Status::Failed) };
    let prove_with = |change: fn(&mut Observed)| {
        let mut observed = Observed { registration: Some(bare.clone()), ..fresh() };
        change(&mut observed);
        prove(&bare, &observed)
    };
    assert_eq!(prove_with(|_| {}), Proof::Nothing);
    assert_eq!(
        prove_with(|o| {
            o.namespace = Some(NamespaceFacts {
                terminating: false,
                ours: true,
                enforced: None,
                mark: Some(mark(ACTIVATION)),
            });
        }),
        Proof::Activation
    );
    assert_eq!(
        prove_with(|o| {
            o.activation_secret = Some(ActivationSecretFacts {
                mark: Some(mark(ACTIVATION)),
                holds_code: false,
                resource_version: "1".into(),
            });
        }),
        Proof::Activation
    );
    assert_eq!(prove_with(|o| drop(o.states.insert(1, ACTIVATION.into()))), Proof::Activation);
    assert_eq!(prove_with(|o| o.lease = Some(intended(ARN, UID, now()))), Proof::Intent);
    assert_eq!(prove_with(|o| o.lease = Some(intended("other", UID, now()))), Proof::Nothing);
    assert_eq!(prove_with(|o| o.lease = Some(intended(ARN, "other", now()))), Proof::Nothing);
    let later = now() + SignedDuration::from_hours(1);
    let mut observed = fresh();
    observed.lease = Some(intended(ARN, UID, later));
    assert_eq!(prove(&bare, &observed), Proof::Nothing, "made long before that intent");
    let earlier = now() - SignedDuration::from_hours(1);
    observed.lease = Some(intended(ARN, UID, earlier));
    assert_eq!(prove(&bare, &observed), Proof::Nothing, "made long after that intent");
    assert_eq!(prove(&registration(Status::Failed), &fresh()), Proof::UidTag);
}

fn intended(arn: &str, uid: &str, started_at: Timestamp) -> LeaseFacts {
    let intent = Intent {
        cluster_arn: arn.into(),
        role: "AmazonEKSConnectorAgentRole".into(),
        provider: "OTHER".into(),
        request_token: "t".into(),
        cluster_uid: uid.into(),
        started_at,
    };
    let renewed_at = Some(started_at + SignedDuration::from_mins(2));
    LeaseFacts { resource_version: "1".into(), held_by: None, intent: Some(intent), renewed_at }
}

#[test]
fn a_registration_that_can_never_become_active_is_made_anew() {
    let expired = Registration { activation_expiry: Some(now()), ..registration(Status::Pending) };
    for (name, registration, secret) in [
        ("failed", registration(Status::Failed), None),
        ("no code", registration(Status::Pending), None),
        ("code spent", registration(Status::Pending), Some((ACTIVATION, false))),
        ("another's code", registration(Status::Pending), Some(("another", true))),
        ("expired", expired, Some((ACTIVATION, true))),
    ] {
        let mut observed = Observed { registration: Some(registration), ..fresh() };
        observed.activation_secret = secret.map(|(id, holds_code)| ActivationSecretFacts {
            mark: Some(mark(id)),
            holds_code,
            resource_version: "1".into(),
        });
        let planned = plan_of(&observed).unwrap();
        let steps = all_steps(&planned);
        let place = |wanted: fn(&Step) -> bool| steps.iter().position(|step| wanted(step));
        let (discard, register) = (
            place(|step| matches!(step, Step::Discard { .. })),
            place(|step| matches!(step, Step::Register(_))),
        );
        assert!(discard.is_some() && discard < register, "{name}: {steps:?}");
        assert_eq!(planned.notes.len(), 1, "{name} is said");
    }
}

#[test]
fn a_crash_after_the_code_was_kept_is_continued_with_that_code() {
    let mut observed = Observed { registration: Some(registration(Status::Pending)), ..fresh() };
    observed.activation_secret = Some(ActivationSecretFacts {
        mark: Some(mark(ACTIVATION)),
        holds_code: true,
        resource_version: "1".into(),
    });
    observed.namespace = Some(NamespaceFacts { terminating: false, ours: true, enforced: None, mark: None });
    let planned = plan_of(&observed).unwrap();
    assert!(!all_steps(&planned).iter().any(|step| matches!(step, Step::Register(_) | Step::Discard { .. })));
    assert!(
        plan_of(&carry_out(&observed, &desired_of(&observed, &request()), all_steps(&planned)))
            .unwrap()
            .plan
            .is_empty()
    );
}
