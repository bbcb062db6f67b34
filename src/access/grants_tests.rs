use serde_json::{Value, json};

use super::*;

const ANA: &str = "arn:aws:iam::111122223333:user/ana";
const VIEWER: &str = "arn:aws:iam::111122223333:role/Viewer";

fn meta(name: &str, more: &Value) -> Value {
    json!({
        "namespace": more.get("namespace"), "name": name, "uid": name, "resource_version": "1",
        "labels": more.get("labels").cloned().unwrap_or_else(|| json!({})),
        "annotations": more.get("annotations").cloned().unwrap_or_else(|| json!({})),
    })
}

fn rule(verb: &str, group: &str, resource: &str, names: &[&str]) -> Value {
    json!({
        "verbs": [verb], "api_groups": [group], "resources": [resource], "resource_names": names,
        "non_resource_urls": [],
    })
}

fn role(name: &str, more: &Value, rules: &[Value]) -> Role {
    serde_json::from_value(json!({ "meta": meta(name, more), "rules": rules })).unwrap()
}

fn bound(name: &str, more: &Value, role: &str, subject: Value) -> Binding {
    serde_json::from_value(json!({
        "meta": meta(name, more), "role": { "ClusterRole": role }, "subjects": [subject],
    }))
    .unwrap()
}

fn connector() -> Value {
    json!({ "ServiceAccount": { "namespace": "eks-connector", "name": "eks-connector" } })
}

/// What AWS' templates make for one principal.
fn template(name: &str) -> Snapshot {
    let none = json!({});
    let dashboard = "eks-connector-console-dashboard-full-access-clusterrole";
    Snapshot {
        roles: vec![
            role("eks-connector-service", &none, &[rule("impersonate", "", "users", &[name])]),
            role(dashboard, &none, &[rule("list", "", "pods", &[])]),
        ],
        bindings: vec![
            bound("eks-connector-service", &none, "eks-connector-service", connector()),
            bound(&format!("{dashboard}-binding"), &none, dashboard, json!({ "User": name })),
        ],
    }
}

#[test]
fn the_template_holds_to_nothing() {
    let grants = grants(&template(ANA), "eks-connector");
    assert_eq!(grants.principals.len(), 1);
    let ana = grants.of(&Principal::canonical(ANA).unwrap()).unwrap();
    assert_eq!((ana.held(), ana.scope()), (Held::Anything, Scope::Cluster));
    assert_eq!(ana.makers().into_iter().collect::<Vec<_>>(), [&Maker::Template]);
    assert_eq!(ana.impersonation[0].role.to_string(), "ClusterRole eks-connector-service");
    assert!(ana.rights[0].role_exists);
    // The connector of another namespace is not that one.
    let elsewhere = super::grants(&template(ANA), "tools");
    assert_eq!(elsewhere.principals[0].held(), Held::Nothing);
}

#[test]
fn a_constrained_grant_in_namespaces_is_held_to_its_ceiling() {
    let ours = json!({ "labels": { "app.kubernetes.io/managed-by": "eksconnect" } });
    let in_web = json!({ "namespace": "web", "labels": { "app.kubernetes.io/managed-by": "eksconnect" } });
    let mut view = bound("view", &in_web, "eksconnect:console-view", json!({ "User": VIEWER }));
    view.role = RoleRef::ClusterRole("eksconnect:console-view".into());
    let mut ceiling_in_web = bound("ceiling", &in_web, "ceiling", connector());
    ceiling_in_web.role = RoleRef::Role("ceiling".into());
    let snapshot = Snapshot {
        roles: vec![
            role("identity", &ours, &[rule(BE_USER, AUTHENTICATION, "users", &[VIEWER])]),
            role("ceiling", &in_web, &[rule("impersonate-on:user-info:list", "", "pods", &[])]),
        ],
        bindings: vec![
            bound("identity", &ours, "identity", connector()),
            ceiling_in_web,
            view,
            bound("nodes", &ours, super::super::names::SCOPED_VIEW_ROLE, json!({ "User": VIEWER })),
        ],
    };
    let grants = grants(&snapshot, "eks-connector");
    let viewer = &grants.principals[0];
    assert_eq!((viewer.held(), viewer.scope()), (Held::Ceiling, Scope::Namespaces(["web".into()].into())));
    assert!(!viewer.rights[0].role_exists);
    let ceiling = ceiling(&snapshot, "eks-connector");
    assert_eq!(ceiling.len(), 1);
    assert_eq!((ceiling[0].0.as_deref(), ceiling[0].1.verbs[0].as_str()), (Some("web"), "list"));
}

#[test]
fn a_rule_that_names_nobody_lets_it_be_anyone() {
    let mut snapshot = template(ANA);
    let helm = json!({ "annotations": { "meta.helm.sh/release-name": "connect" } });
    snapshot.roles[0] = role("eks-connector-service", &helm, &[rule("impersonate", "", "users", &[])]);
    let found = grants(&snapshot, "eks-connector");
    assert_eq!(found.anyone.len(), 1);
    assert_eq!(found.anyone[0].maker, Maker::Helm("connect".into()));
    let ana = &found.principals[0];
    assert_eq!((ana.held(), ana.impersonation[0].anyone), (Held::Anything, true));
    // So does whoever may do everything.
    snapshot.roles[0] = role("eks-connector-service", &json!({}), &[rule("*", "*", "*", &[])]);
    assert!(grants(&snapshot, "eks-connector").anyone[0].anyone);
    // But not a star among the names, which is a name.
    snapshot.roles[0] =
        role("eks-connector-service", &json!({}), &[rule("impersonate", "", "users", &["*"])]);
    let found = grants(&snapshot, "eks-connector");
    assert!(found.anyone.is_empty());
    assert_eq!(found.principals[0].name, "*");
}

#[test]
fn a_role_binding_lets_the_connector_be_nobody() {
    let mut snapshot = template(ANA);
    snapshot.bindings[0].meta.namespace = Some("web".into());
    assert_eq!(grants(&snapshot, "eks-connector").principals[0].held(), Held::Nothing);
}

#[test]
fn who_is_no_principal_is_not_listed() {
    let mut snapshot = template(ANA);
    snapshot.bindings[1].subjects = vec![Subject::User("jane".into()), Subject::Group("arn:x".into())];
    snapshot.roles[0].rules.clear();
    assert_eq!(grants(&snapshot, "eks-connector"), Grants::default());
}
