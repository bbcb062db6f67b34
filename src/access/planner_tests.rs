use super::*;
use crate::access::check::ProvenHeld;
use crate::access::grants::{Held, Scope};
use crate::access::objects::tests::applied;
use crate::access::objects::{GrantRole, GrantScope};
use crate::access::observed::Constrains;
use crate::access::request::GrantRequest;
use crate::ports::{Decision, PrincipalFacts};
use crate::rbac::{Binding, Meta, Role, RoleRef, Rule, Snapshot, Subject};
use crate::registration::observed::Caller;

const NAMESPACE: &str = "eks-connector";
const CLUSTER: &str = "arn:aws:eks:eu-west-1:111122223333:cluster/onprem1";

fn principal(short: &str) -> Principal {
    Principal::canonical(&format!("arn:aws:iam::111122223333:{short}")).unwrap()
}

fn viewer() -> Principal {
    principal("role/Viewer")
}

fn ana() -> Principal {
    principal("user/ana")
}

fn users(verb: &str, names: &[&Principal]) -> Rule {
    Rule {
        verbs: vec![verb.into()],
        api_groups: vec![String::new()],
        resources: vec!["users".into()],
        resource_names: names.iter().map(|one| one.arn().to_owned()).collect(),
        ..Rule::default()
    }
}

fn meta(name: &str) -> Meta {
    Meta { name: name.into(), uid: format!("uid-{name}"), resource_version: "1".into(), ..Meta::default() }
}

fn connector() -> Subject {
    Subject::ServiceAccount { namespace: Some(NAMESPACE.into()), name: NAMESPACE.into() }
}

/// The official template, as it is after it was edited for these principals.
fn template(names: &[&Principal]) -> Snapshot {
    let dashboard = "eks-connector-console-dashboard-full-access-clusterrole";
    let secrets = Rule {
        verbs: vec!["get".into(), "list".into()],
        api_groups: vec![String::new()],
        resources: vec!["pods".into(), "secrets".into()],
        ..Rule::default()
    };
    Snapshot {
        roles: vec![
            Role {
                meta: meta("eks-connector-service"),
                rules: vec![users("impersonate", names)],
                ..Role::default()
            },
            Role { meta: meta(dashboard), rules: vec![secrets], ..Role::default() },
        ],
        bindings: vec![
            Binding {
                meta: meta("eks-connector-service"),
                role: RoleRef::ClusterRole("eks-connector-service".into()),
                subjects: vec![connector()],
            },
            Binding {
                meta: meta(&format!("{dashboard}-binding")),
                role: RoleRef::ClusterRole(dashboard.into()),
                subjects: names.iter().map(|one| Subject::User(one.arn().to_owned())).collect(),
            },
        ],
    }
}

/// Lets the connector be anyone, as the chart does without ARNs.
fn helm(names: &[&Principal]) -> Snapshot {
    let mut rules = template(names);
    rules.roles[0].rules = vec![users("impersonate", &[])];
    for meta in rules
        .roles
        .iter_mut()
        .map(|role| &mut role.meta)
        .chain(rules.bindings.iter_mut().map(|one| &mut one.meta))
    {
        meta.annotations.insert("meta.helm.sh/release-name".into(), "connect".into());
    }
    rules
}

fn request(principals: &[Principal], scope: GrantScope) -> GrantRequest {
    GrantRequest {
        principals: principals.to_vec(),
        namespace: NAMESPACE.into(),
        scope,
        ..GrantRequest::default()
    }
}

fn looked(rules: &Snapshot) -> Looked {
    let facts = |one: &Principal| {
        let facts = PrincipalFacts { arn: one.arn().to_owned(), viewer_policy: Permissions::Absent };
        (one.clone(), PrincipalSeen::Present(facts))
    };
    Looked {
        caller: Caller { account: "111122223333".into(), arn: "arn:aws:iam::111122223333:user/admin".into() },
        region: "eu-west-1".into(),
        cluster_uid: "uid".into(),
        version: "v1.36.3".into(),
        namespace: NAMESPACE.into(),
        connector: true,
        elsewhere: Vec::new(),
        cluster_arn: Some(CLUSTER.into()),
        rules: rules.clone(),
        constrains: Constrains::Yes,
        absent_namespaces: BTreeSet::new(),
        principals: [viewer(), ana()].iter().map(facts).collect(),
        warnings: Vec::new(),
        unverified: Vec::new(),
    }
}

fn seen(wanted: &Desired, looked: Looked) -> Observed {
    let rules = looked.rules.clone();
    let mut observed = Observed::of(looked);
    for object in wanted_objects(wanted, NAMESPACE) {
        let after = applied(std::slice::from_ref(&object));
        let state = if let Some(role) = after.roles.first() {
            match rules
                .roles
                .iter()
                .find(|one| one.meta.name == role.meta.name && one.meta.namespace == role.meta.namespace)
            {
                None => ObjectState::Absent,
                Some(live) if live.rules == role.rules => ObjectState::Same,
                Some(_) => ObjectState::Differs,
            }
        } else {
            let binding = &after.bindings[0];
            let live = rules.bindings.iter().find(|one| {
                one.meta.name == binding.meta.name && one.meta.namespace == binding.meta.namespace
            });
            match live {
                None => ObjectState::Absent,
                Some(live) if live.role != binding.role => {
                    observed.fixed.insert(object.reference.clone(), live.meta.uid.clone());
                    ObjectState::Differs
                }
                Some(live) if live.subjects == binding.subjects => ObjectState::Same,
                Some(_) => ObjectState::Differs,
            }
        };
        observed.objects.insert(object.reference, state);
    }
    observed
}

fn plan_of(request: &GrantRequest, looked: Looked) -> AccessPlan {
    let wanted = super::super::desired::desired(request, &looked, false).unwrap();
    plan_grants(&wanted, &seen(&wanted, looked)).unwrap()
}

/// What the world is after the steps of a plan, in an order that respects their needs.
fn execute(planned: &AccessPlan, rules: &mut Snapshot) {
    for (_, planned) in planned.plan.iter() {
        match &planned.step {
            Step::Apply(object) => {
                remove(&object.reference, rules);
                let after = applied(std::slice::from_ref(object));
                rules.roles.extend(after.roles);
                rules.bindings.extend(after.bindings);
            }
            Step::Remove { object, .. } | Step::Change(removal::Removal::Delete { object, .. }) => {
                remove(object, rules);
            }
            Step::Change(removal::Removal::Amend { object, change, .. }) => {
                let mut changed = applied(&[Object {
                    reference: object.clone(),
                    body: match change.get("rules") {
                        Some(rules) => serde_json::json!({ "metadata": {}, "rules": rules }),
                        None => serde_json::json!({
                            "metadata": {}, "subjects": change["subjects"],
                            "roleRef": { "kind": "ClusterRole", "name": "" },
                        }),
                    },
                }]);
                for role in &mut rules.roles {
                    if role.meta.name == object.name && change.get("rules").is_some() {
                        role.rules = std::mem::take(&mut changed.roles[0].rules);
                    }
                }
                for binding in &mut rules.bindings {
                    if binding.meta.name == object.name && change.get("subjects").is_some() {
                        binding.subjects = std::mem::take(&mut changed.bindings[0].subjects);
                    }
                }
            }
            Step::AttachPolicy { .. }
            | Step::DetachPolicy { .. }
            | Step::AwaitAllowed { .. }
            | Step::Verify(_)
            | Step::VerifyRevoked { .. } => {}
        }
    }
    rules.roles.sort_by(|a, b| (&a.meta.namespace, &a.meta.name).cmp(&(&b.meta.namespace, &b.meta.name)));
    rules.bindings.sort_by(|a, b| (&a.meta.namespace, &a.meta.name).cmp(&(&b.meta.namespace, &b.meta.name)));
}

fn remove(object: &ObjectRef, rules: &mut Snapshot) {
    let is_role = matches!(object.kind, ObjectKind::Role | ObjectKind::ClusterRole);
    let same = |meta: &Meta| meta.name == object.name && meta.namespace == object.namespace;
    rules.roles.retain(|one| !(is_role && same(&one.meta)));
    rules.bindings.retain(|one| is_role || !same(&one.meta));
}

fn grant(request: &GrantRequest, rules: &mut Snapshot) -> AccessPlan {
    let planned = plan_of(request, looked(rules));
    execute(&planned, rules);
    planned
}

fn actions(planned: &AccessPlan) -> Vec<String> {
    planned.plan.iter().map(|(_, planned)| planned.step.describe()).collect()
}

fn in_namespaces(names: &[&str]) -> GrantScope {
    GrantScope::Namespaces(names.iter().map(|name| (*name).to_owned()).collect())
}

fn check_of(planned: &AccessPlan) -> GrantCheck {
    let found = planned.plan.iter().find_map(|(_, planned)| match &planned.step {
        Step::Verify(check) => Some((**check).clone()),
        _ => None,
    });
    found.unwrap()
}

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
