use serde_json::json;

use super::*;
use crate::rbac::{Binding, RoleRef};

const ANA: &str = "arn:aws:iam::111122223333:user/ana";
const OPS: &str = "arn:aws:iam::111122223333:role/Ops";

fn principal(arn: &str) -> Principal {
    Principal::canonical(arn).unwrap()
}

fn meta(name: &str) -> Meta {
    Meta {
        name: name.into(),
        uid: format!("uid-{name}"),
        resource_version: format!("version-{name}"),
        ..Meta::default()
    }
}

fn users(verb: &str, names: &[&str]) -> Rule {
    Rule {
        verbs: vec![verb.into()],
        api_groups: vec![String::new()],
        resources: vec!["users".into()],
        resource_names: names.iter().map(|name| (*name).to_owned()).collect(),
        ..Rule::default()
    }
}

/// The official template for these names, with the role's rules as given.
fn template(rules: Vec<Rule>, names: &[&str]) -> Snapshot {
    let connector =
        Subject::ServiceAccount { namespace: Some("eks-connector".into()), name: "eks-connector".into() };
    let dashboard = "eks-connector-console-dashboard-full-access-clusterrole-binding";
    let role = |name: &str| RoleRef::ClusterRole(name.into());
    Snapshot {
        roles: vec![Role { meta: meta("eks-connector-service"), rules, ..Role::default() }],
        bindings: vec![
            Binding {
                meta: meta("eks-connector-service"),
                role: role("eks-connector-service"),
                subjects: vec![connector],
            },
            Binding {
                meta: meta(dashboard),
                role: role("eks-connector-console-dashboard-full-access-clusterrole"),
                subjects: names.iter().map(|name| Subject::User((*name).to_owned())).collect(),
            },
        ],
    }
}

#[test]
fn only_the_name_leaves() {
    let snapshot = template(vec![users("impersonate", &[ANA, OPS])], &[ANA, OPS]);
    let removed = impersonation(&snapshot, "eks-connector", &[principal(ANA)], |_| true);
    let [Removal::Amend { object, seen, change, what }] = removed.as_slice() else { panic!("{removed:?}") };
    assert_eq!(object.to_string(), "ClusterRole eks-connector-service");
    assert_eq!(
        (seen.as_str(), what.as_str()),
        ("version-eks-connector-service", "user/ana leaves its rules")
    );
    assert_eq!(change["rules"][0]["resourceNames"], json!([OPS]));
    let removed = views(&snapshot, &[principal(ANA)]);
    let [Removal::Amend { change, .. }] = removed.as_slice() else { panic!("{removed:?}") };
    assert_eq!(change["subjects"].as_array().unwrap().len(), 1);
    assert_eq!(change["subjects"][0]["name"], OPS);
}

#[test]
fn with_the_last_name_goes_the_rule_and_the_binding() {
    let rules = vec![users("impersonate", &[ANA, OPS]), users("get", &["x"])];
    let snapshot = template(rules, &[ANA, OPS]);
    let both = [principal(ANA), principal(OPS)];
    let removed = impersonation(&snapshot, "eks-connector", &both, |_| true);
    let [Removal::Amend { change, what, .. }] = removed.as_slice() else { panic!("{removed:?}") };
    assert_eq!(change["rules"].as_array().unwrap().len(), 1, "{change}");
    assert_eq!(change["rules"][0]["verbs"], json!(["get"]));
    assert_eq!(what, "user/ana, role/Ops leaves its rules");
    let removed = views(&snapshot, &both);
    let [Removal::Delete { object, uid }] = removed.as_slice() else { panic!("{removed:?}") };
    assert!(object.name.starts_with("eks-connector-console-dashboard") && uid.starts_with("uid-"));
}

#[test]
fn an_arn_with_a_path_is_that_role_too() {
    let with_path = "arn:aws:iam::111122223333:role/team/a/Ops";
    assert!(names(with_path, &principal(OPS)) && names(OPS, &principal(OPS)));
    assert!(!names(with_path, &principal("arn:aws:iam::111122223333:role/Op")));
    assert!(!names("arn:aws:iam::444455556666:role/team/Ops", &principal(OPS)));
    assert!(!names("arn:aws:iam::111122223333:user/team/ana", &principal(ANA)));
    let snapshot = template(vec![users("impersonate", &[with_path])], &[]);
    assert_eq!(impersonation(&snapshot, "eks-connector", &[principal(OPS)], |_| true).len(), 1);
}

#[test]
fn what_lets_it_be_anyone_goes_unless_it_gives_everything() {
    let all = |_| true;
    let mut snapshot = template(vec![users("impersonate", &[]), users("impersonate", &[ANA, OPS])], &[]);
    assert_eq!(anyone(&snapshot, "eks-connector", all).by_rules.len(), 1);
    // One change for both: of one version there can be no second one.
    let removed = impersonation(&snapshot, "eks-connector", &[principal(ANA)], all);
    let [Removal::Amend { change, what, .. }] = removed.as_slice() else { panic!("{removed:?}") };
    assert_eq!(change["rules"].as_array().unwrap().len(), 1);
    assert_eq!(change["rules"][0]["resourceNames"], json!([OPS]));
    assert_eq!(what, "user/ana leaves its rules; it no longer lets the connector be anyone");
    snapshot.roles[0].rules = vec![users("*", &[])];
    let found = anyone(&snapshot, "eks-connector", all);
    assert_eq!((found.by_rules.len(), found.by_everything[0].name.as_str()), (0, "eks-connector-service"));
    assert_eq!(impersonation(&snapshot, "eks-connector", &[principal(ANA)], all), []);
    assert_eq!(anyone(&snapshot, "eks-connector", |form| form == Form::Constrained), Anyone::default());
    snapshot.roles[0].rules = vec![users("impersonate", &[OPS])];
    assert_eq!(anyone(&snapshot, "eks-connector", all), Anyone::default());
}

#[test]
fn what_is_not_the_connectors_or_not_for_viewing_stays() {
    let mut snapshot = template(vec![users("impersonate", &[ANA])], &[ANA]);
    // Another's role, not bound to the connector; another's binding, whatever it is for.
    snapshot.roles[0].meta.name = "theirs".into();
    snapshot.bindings[1].meta.name = "ana-is-admin".into();
    assert_eq!(impersonation(&snapshot, "eks-connector", &[principal(ANA)], |_| true), []);
    assert_eq!(views(&snapshot, &[principal(ANA)]), []);
    // Bound to it, it is a way in like any other.
    snapshot.bindings[0].role = RoleRef::ClusterRole("theirs".into());
    assert_eq!(impersonation(&snapshot, "eks-connector", &[principal(ANA)], |_| true).len(), 1);
    let constrained = |form| form == Form::Constrained;
    assert_eq!(impersonation(&snapshot, "eks-connector", &[principal(ANA)], constrained), []);
}
