//! The planner by tables. Its laws, the worlds to plan in, the options of the workload and what stood there before have
//! files of their own.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::super::installed::Installed;
use super::super::observed::{ActivationSecretFacts, LeaseFacts, NamespaceFacts, Permissions, Role};
use super::super::proof::{Proof, prove};
use super::super::request::{CLUSTER_UID_TAG, RegisterRequest, RoleDesign};
use super::super::takeover::Takeover;
use super::*;
use crate::error::Code;
use crate::manifest::workload::Workload;

use self::proof::intended;
use self::world::*;

#[path = "planner_law_tests.rs"]
mod laws;
#[path = "planner_proof_tests.rs"]
mod proof;
#[path = "planner_takeover_tests.rs"]
mod takeover;
#[path = "planner_workload_tests.rs"]
mod workload;
#[path = "planner_world_tests.rs"]
mod world;

#[test]
fn who_need_not_wait_for_the_agents_can_register_where_they_cannot_run() {
    let mut observed = fresh();
    observed.cluster.nodes = Some(Vec::new());
    let error = plan(&desired_of(&observed, &request()), &observed, "token").unwrap_err();
    assert!(error.facts.iter().any(|fact| fact.label == "fix" && fact.text.contains("--no-wait")), "{error}");
    // The same is in an upgrade's way, which has no such option.
    let error = crate::registration::refusal::refuse_obstacles(&desired_of(&observed, &request()), &observed)
        .unwrap_err();
    assert!(!error.facts.iter().any(|fact| fact.text.contains("--no-wait")), "{error}");
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
        (
            "somebody else's agents",
            |o| o.installed = Some(takeover::foreign_set(ACTIVATION)),
            Code::FOREIGN_OBJECT,
        ),
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
                o.namespace = Some(NamespaceFacts {
                    terminating: true,
                    ours: true,
                    enforced: None,
                    state_prefix: None,
                    mark: None,
                });
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
                    state_prefix: None,
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
        kept_by: None,
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
            kept_by: None,
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
        kept_by: None,
        resource_version: "1".into(),
    });
    observed.namespace = Some(NamespaceFacts {
        terminating: false,
        ours: true,
        enforced: None,
        state_prefix: None,
        mark: None,
    });
    let planned = plan_of(&observed).unwrap();
    assert!(!all_steps(&planned).iter().any(|step| matches!(step, Step::Register(_) | Step::Discard { .. })));
    assert!(
        plan_of(&carry_out(&observed, &desired_of(&observed, &request()), all_steps(&planned)))
            .unwrap()
            .plan
            .is_empty()
    );
}
