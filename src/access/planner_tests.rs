use super::*;
use crate::access::check::ProvenHeld;
use crate::access::grants::{Held, Scope};
use crate::access::objects::{GrantRole, GrantScope};
use crate::access::observed::Constrains;
use crate::access::request::GrantRequest;
use crate::ports::{Decision, PrincipalFacts};
use crate::rbac::{Binding, RoleRef, Rule, Snapshot, Subject};

use super::testing::*;

#[test]
fn a_grant_is_applied_verified_and_then_in_order() {
    let mut rules = Snapshot::default();
    let wanted = request(&[viewer()], GrantScope::Cluster);
    let planned = grant(&wanted, &mut rules);
    let done = actions(&planned);
    assert_eq!(done.len(), 5, "{done:?}");
    assert_eq!(done[0], "apply ClusterRole eksconnect:console-view");
    assert!(done[1].starts_with("apply ClusterRole eksconnect:impersonate:viewer-"), "{done:?}");
    assert_eq!(done[4], "have the API server decide what role/Viewer sees");
    assert!(planned.notes.is_empty() && planned.question.is_none(), "{:?}", planned.notes);
    let check = check_of(&planned);
    assert_eq!((check.form, check.refused.is_some()), (Form::Constrained, true));
    assert!(grant(&wanted, &mut rules).plan.is_empty());
}

#[test]
fn every_world_is_in_order_after_one_plan_whatever_the_order_of_the_principals() {
    let worlds =
        [Snapshot::default(), template(&[&viewer(), &ana()]), template(&[&ana()]), helm(&[&viewer()])];
    let scopes = [GrantScope::Cluster, in_namespaces(&["web"]), in_namespaces(&["db", "web"])];
    for world in &worlds {
        for first in &scopes {
            for second in &scopes {
                for choice in [ImpersonationChoice::Auto, ImpersonationChoice::Documented] {
                    let mut rules = world.clone();
                    grant(&request(&[viewer()], first.clone()), &mut rules);
                    let both =
                        GrantRequest { impersonation: choice, ..request(&[viewer(), ana()], second.clone()) };
                    let mut turned = both.clone();
                    turned.principals.reverse();
                    let mut other = rules.clone();
                    grant(&both, &mut rules);
                    grant(&turned, &mut other);
                    assert_eq!(rules, other);
                    assert_eq!(actions(&plan_of(&both, looked(&rules))), Vec::<String>::new());
                    let found = grants(&rules, NAMESPACE);
                    for one in [viewer(), ana()] {
                        let held = found.of(&one).unwrap().held();
                        let documented = choice == ImpersonationChoice::Documented;
                        assert_eq!(held, if documented { Held::Anything } else { Held::Ceiling });
                    }
                }
            }
        }
    }
}

#[test]
fn a_grant_is_tightened_and_the_others_of_the_template_are_kept() {
    let mut rules = template(&[&viewer(), &ana()]);
    let planned = grant(&request(&[viewer()], GrantScope::Cluster), &mut rules);
    let done = actions(&planned);
    let tightened = "change ClusterRole eks-connector-service: role/Viewer leaves its rules";
    assert!(done.contains(&tightened.to_owned()), "{done:?}");
    assert!(
        planned.notes.iter().any(|note| note.contains("read Secrets, through the connector no longer")),
        "{:?}",
        planned.notes
    );
    let found = grants(&rules, NAMESPACE);
    assert_eq!(found.of(&viewer()).unwrap().held(), Held::Ceiling);
    assert_eq!(found.of(&ana()).unwrap().held(), Held::Anything);
    // A documented grant of ours becomes a constrained one by the same objects.
    let mut rules = Snapshot::default();
    let documented = GrantRequest {
        impersonation: ImpersonationChoice::Documented,
        ..request(&[viewer()], GrantScope::Cluster)
    };
    let planned = grant(&documented, &mut rules);
    assert!(planned.notes[0].contains("not only view"), "{:?}", planned.notes);
    assert_eq!(check_of(&planned).refused, None);
    let planned = grant(&request(&[viewer()], GrantScope::Cluster), &mut rules);
    assert_eq!(actions(&planned).len(), 2, "{:?}", actions(&planned));
}

#[test]
fn who_lets_it_be_anyone_is_asked_about_if_others_rest_on_it() {
    let planned = plan_of(&request(&[viewer()], GrantScope::Cluster), looked(&helm(&[&viewer(), &ana()])));
    let question = planned.question.clone().unwrap();
    assert!(question.contains(ana().arn()) && !question.contains(viewer().arn()), "{question}");
    assert!(planned.notes.iter().any(|note| note.contains("Helm release connect")), "{:?}", planned.notes);
    let alone = plan_of(&request(&[viewer()], GrantScope::Cluster), looked(&helm(&[&viewer()])));
    assert_eq!(alone.question, None);
    assert!(actions(&alone).iter().any(|action| action.contains("no longer lets the connector be anyone")));
}

#[test]
fn nothing_is_claimed_where_the_connector_may_do_everything() {
    let mut rules = template(&[]);
    rules.roles[0].rules = vec![Rule {
        verbs: vec!["*".into()],
        api_groups: vec!["*".into()],
        resources: vec!["*".into()],
        ..Rule::default()
    }];
    let planned = plan_of(&request(&[viewer()], GrantScope::Cluster), looked(&rules));
    assert!(planned.notes[0].contains("nobody is held to viewing"), "{:?}", planned.notes);
    assert_eq!(check_of(&planned).refused, None);
    let revoke =
        RevokeRequest { principals: vec![viewer()], namespace: NAMESPACE.into(), ..RevokeRequest::default() };
    assert_eq!(plan_revoking(&revoke, &looked(&rules)).unwrap_err().code, Code::ANYONE);
    // The claim that would have been made has a name.
    assert_ne!(ProvenHeld::ViewOnly, ProvenHeld::ToThePrincipal);
}

#[test]
fn what_an_earlier_scope_had_goes() {
    let mut rules = Snapshot::default();
    grant(&request(&[viewer()], GrantScope::Cluster), &mut rules);
    grant(&request(&[viewer()], in_namespaces(&["db", "web"])), &mut rules);
    let scope = |rules: &Snapshot| grants(rules, NAMESPACE).of(&viewer()).unwrap().scope();
    assert_eq!(scope(&rules), Scope::Namespaces(["db".to_owned(), "web".to_owned()].into()));
    let planned = grant(&request(&[viewer()], in_namespaces(&["web"])), &mut rules);
    assert_eq!(scope(&rules), Scope::Namespaces(["web".to_owned()].into()));
    assert!(actions(&planned).iter().all(|action| !action.starts_with("apply")), "{:?}", actions(&planned));
    grant(&request(&[viewer()], GrantScope::Cluster), &mut rules);
    assert_eq!(scope(&rules), Scope::Cluster);
    assert!(rules.bindings.iter().all(|binding| binding.meta.namespace.is_none()));
}

#[test]
fn a_wide_grant_beside_a_narrow_one_is_said() {
    let mut rules = Snapshot::default();
    grant(&request(&[ana()], in_namespaces(&["web"])), &mut rules);
    let wide = plan_of(&request(&[viewer()], GrantScope::Cluster), looked(&rules));
    let said = |planned: &AccessPlan, words: &str| planned.notes.iter().any(|note| note.contains(words));
    assert!(said(&wide, "can now be asked for get, list on pods"), "{:?}", wide.notes);
    grant(&request(&[viewer()], GrantScope::Cluster), &mut rules);
    let narrow = plan_of(&request(&[ana()], in_namespaces(&["db"])), looked(&rules));
    assert!(said(&narrow, "because of other grants user/ana"), "{:?}", narrow.notes);
    let same = plan_of(&request(&[principal("role/Other")], GrantScope::Cluster), looked(&rules));
    assert!(!said(&same, "now be asked"), "{:?}", same.notes);
}

#[test]
fn revoking_takes_exactly_that_principal_wherever_it_was_granted() {
    let admin = Binding {
        meta: meta("ana-is-admin"),
        role: RoleRef::ClusterRole("cluster-admin".into()),
        subjects: vec![Subject::User(ana().arn().to_owned())],
    };
    for world in [Snapshot::default(), template(&[&viewer(), &ana()]), template(&[&ana()]), helm(&[&ana()])] {
        for scope in [GrantScope::Cluster, in_namespaces(&["db", "web"])] {
            let mut rules = world.clone();
            rules.bindings.push(admin.clone());
            grant(&request(&[viewer()], GrantScope::Cluster), &mut rules);
            let documented =
                GrantRequest { impersonation: ImpersonationChoice::Documented, ..request(&[ana()], scope) };
            grant(&documented, &mut rules);
            let before = grants(&rules, NAMESPACE).of(&viewer()).cloned().unwrap();
            let revoke = RevokeRequest {
                principals: vec![ana()],
                namespace: NAMESPACE.into(),
                ..RevokeRequest::default()
            };
            let planned = plan_revoking(&revoke, &looked(&rules)).unwrap();
            assert!(planned.notes.iter().any(|note| note.contains("ana-is-admin")), "{:?}", planned.notes);
            execute(&planned, &mut rules);
            let found = grants(&rules, NAMESPACE);
            let left = found.of(&ana()).unwrap();
            assert_eq!((left.held(), left.rights.len()), (Held::Nothing, 1), "{left:?}");
            let mut after = found.of(&viewer()).cloned().unwrap();
            after.impersonation.retain(|one| !one.anyone);
            let mut before = before;
            before.impersonation.retain(|one| !one.anyone);
            assert_eq!(after, before);
            assert!(plan_revoking(&revoke, &looked(&rules)).unwrap().plan.is_empty());
            let names = rules.roles.iter().flat_map(|role| &role.rules);
            assert!(
                names.filter(|rule| rule.resources == ["users"]).all(|rule| !rule.resource_names.is_empty())
            );
        }
    }
}

#[test]
fn impersonation_ends_before_anything_else() {
    let mut rules = template(&[&viewer()]);
    let documented = GrantRequest {
        impersonation: ImpersonationChoice::Documented,
        ..request(&[viewer()], GrantScope::Cluster)
    };
    grant(&documented, &mut rules);
    let revoke =
        RevokeRequest { principals: vec![viewer()], namespace: NAMESPACE.into(), ..RevokeRequest::default() };
    let done = actions(&plan_revoking(&revoke, &looked(&rules)).unwrap());
    let place = |words: &str| done.iter().position(|action| action.contains(words)).unwrap();
    assert!(
        place("ClusterRoleBinding eksconnect:impersonate:") < place("ClusterRoleBinding eksconnect:view:"),
        "{done:?}"
    );
    assert!(place("eks-connector-service") < place("dashboard-full-access"), "{done:?}");
    assert_eq!(done.last().unwrap(), "have the API server refuse role/Viewer");
}

#[test]
fn what_iam_asks_for_is_attached_where_that_is_asked_for() {
    let with = |iam: IamState, looked: Looked, attach: bool| {
        let wanted = GrantRequest { attach_policy: attach, ..request(&[viewer()], GrantScope::Cluster) };
        let wanted = super::super::desired::desired(&wanted, &looked, false).unwrap();
        let mut observed = seen(&wanted, looked);
        observed.iam.insert(viewer(), iam);
        plan_grants(&wanted, &observed)
    };
    let fresh = || looked(&Snapshot::default());
    let lacks = || IamState::Lacks(vec![("eks:DescribeCluster".into(), Decision::NotAllowed)]);
    let has =
        |planned: &AccessPlan, words: &str| actions(planned).iter().any(|action| action.contains(words));
    let without = with(lacks(), fresh(), false).unwrap();
    assert!(
        !has(&without, "policy") && without.notes[0].contains("--attach-iam-policy"),
        "{:?}",
        without.notes
    );
    let attached = with(lacks(), fresh(), true).unwrap();
    assert!(has(&attached, "put inline policy EKSConnectorConsoleView of role/Viewer"));
    assert!(has(&attached, "wait until IAM allows role/Viewer"));
    assert!(!has(&with(IamState::Allowed, fresh(), true).unwrap(), "policy"));
    let unknown =
        with(IamState::Unknown("iam:SimulatePrincipalPolicy is denied".into()), fresh(), true).unwrap();
    assert!(
        has(&unknown, "put inline policy") && unknown.notes[0].contains("could not be checked"),
        "{:?}",
        unknown.notes
    );

    let known = |arn: &str, viewer_policy: Permissions| {
        let mut looked = fresh();
        let facts = PrincipalFacts { arn: arn.to_owned(), viewer_policy };
        looked.principals.insert(viewer(), PrincipalSeen::Present(facts));
        looked
    };
    let sso = "arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/Viewer";
    let by_hand = with(lacks(), known(sso, Permissions::Absent), true).unwrap();
    assert!(!has(&by_hand, "policy") && by_hand.by_hand[0].document.contains(CLUSTER));
    let unreadable = with(lacks(), known(viewer().arn(), Permissions::Unreadable), true).unwrap_err();
    assert_eq!(unreadable.code, Code::POLICY_UNKNOWN);
    let unnamed = Looked { cluster_arn: None, ..fresh() };
    assert_eq!(with(lacks(), unnamed, true).unwrap_err().code, Code::POLICY_UNKNOWN);
}

#[test]
fn what_is_refused_before_anything_is_seen_further() {
    let refused = |request: &GrantRequest, looked: &Looked| {
        super::super::desired::desired(request, looked, false).unwrap_err().code
    };
    let wanted = request(&[viewer()], GrantScope::Cluster);
    let mut absent = looked(&Snapshot::default());
    absent.principals.insert(viewer(), PrincipalSeen::Absent);
    assert_eq!(refused(&wanted, &absent), Code::NO_SUCH_PRINCIPAL);
    let mut old = looked(&Snapshot::default());
    old.constrains = Constrains::No;
    let constrained = GrantRequest { impersonation: ImpersonationChoice::Constrained, ..wanted.clone() };
    assert_eq!(refused(&constrained, &old), Code::NOT_CONSTRAINED);
    assert_eq!(super::super::desired::desired(&wanted, &old, false).unwrap().form, Form::Documented);
    let here = looked(&Snapshot::default());
    assert_eq!(super::super::desired::desired(&wanted, &here, true).unwrap().form, Form::Documented);
    let of_role = |name: &str| GrantRequest { cluster_role: Some(name.into()), ..wanted.clone() };
    assert_eq!(refused(&of_role("nowhere"), &here), Code::NO_SUCH_ROLE);
    let wide = looked(&template(&[]));
    let dashboard = "eks-connector-console-dashboard-full-access-clusterrole";
    assert_eq!(refused(&of_role(dashboard), &wide), Code::BEYOND_VIEW);
    let agreed = GrantRequest { allow_beyond_view: true, ..of_role(dashboard) };
    let agreed = super::super::desired::desired(&agreed, &wide, false).unwrap();
    assert_eq!(agreed.beyond, ["get, list on secrets"]);
    assert!(matches!(agreed.grants[0].role, GrantRole::Given(_)));
    let mut gone = looked(&Snapshot::default());
    gone.absent_namespaces.insert("web".into());
    assert_eq!(refused(&request(&[viewer()], in_namespaces(&["web"])), &gone), Code::NO_SUCH_NAMESPACE);
    gone.connector = false;
    assert_eq!(super::super::desired::refuse_no_connector(&gone).unwrap_err().code, Code::NO_CONNECTOR);
}
