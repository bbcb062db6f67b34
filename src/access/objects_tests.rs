use serde_json::{Value, json};

use super::*;
use crate::access::grants::{self, Held, Scope, grants};
use crate::access::viewable::RESOURCES;
use crate::manifest::ObjectRef;
use crate::rbac::{Binding, Evaluator, Meta, Request, Snapshot, Through, Who};

const ARN: &str = "arn:aws:iam::111122223333:role/Viewer";

fn design(form: Form, scope: GrantScope) -> GrantDesign {
    let principal = Principal::canonical(ARN).unwrap();
    GrantDesign { principal, form, scope, role: GrantRole::ConsoleView }
}

fn in_web_and_db() -> GrantScope {
    GrantScope::Namespaces(vec!["db".into(), "web".into()])
}

fn all(design: &GrantDesign) -> Vec<Object> {
    let mut objects = shared_objects(design);
    objects.extend(grant_objects(design, "tools"));
    objects
}

/// What the API server would hold after applying.
pub(in crate::access) fn applied(objects: &[Object]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for object in objects {
        let (body, reference) = (&object.body, &object.reference);
        let map = |field: &str| serde_json::from_value(body["metadata"][field].clone()).unwrap_or_default();
        let meta = Meta {
            namespace: reference.namespace.clone(),
            name: reference.name.clone(),
            uid: format!("uid of {reference}"),
            resource_version: "1".into(),
            labels: map("labels"),
            annotations: map("annotations"),
        };
        if body.get("roleRef").is_none() {
            let list = |value: &Value| serde_json::from_value(value.clone()).unwrap_or_default();
            let rule = |rule: &Value| Rule {
                verbs: list(&rule["verbs"]),
                api_groups: list(&rule["apiGroups"]),
                resources: list(&rule["resources"]),
                resource_names: list(&rule["resourceNames"]),
                non_resource_urls: list(&rule["nonResourceURLs"]),
            };
            let rules = body["rules"].as_array().unwrap().iter().map(rule).collect();
            snapshot.roles.push(rbac::Role { meta, rules, ..rbac::Role::default() });
            continue;
        }
        let name = body["roleRef"]["name"].as_str().unwrap().to_owned();
        let role = if body["roleRef"]["kind"] == "Role" {
            rbac::RoleRef::Role(name)
        } else {
            rbac::RoleRef::ClusterRole(name)
        };
        let subject = |subject: &Value| {
            let name = subject["name"].as_str().unwrap().to_owned();
            if subject["kind"] == "User" {
                rbac::Subject::User(name)
            } else {
                let namespace = subject["namespace"].as_str().map(str::to_owned);
                rbac::Subject::ServiceAccount { namespace, name }
            }
        };
        let subjects = body["subjects"].as_array().unwrap().iter().map(subject).collect();
        snapshot.bindings.push(Binding { meta, role, subjects });
    }
    snapshot
}

#[test]
fn nothing_that_is_granted_is_a_wildcard_a_group_or_everybody() {
    for form in [Form::Constrained, Form::Documented] {
        for scope in [GrantScope::Cluster, in_web_and_db()] {
            for object in all(&design(form, scope.clone())) {
                for rule in object.body["rules"].as_array().into_iter().flatten() {
                    assert!(!rule.to_string().contains('*'), "{rule}");
                    if rule["resources"] == json!(["users"]) {
                        assert_eq!(rule["resourceNames"], json!([ARN]));
                    }
                }
                for subject in object.body["subjects"].as_array().into_iter().flatten() {
                    assert_ne!(subject["kind"], "Group");
                }
                assert_eq!(object.body["metadata"]["labels"]["app.kubernetes.io/managed-by"], "eksconnect");
                assert_eq!(object.body["kind"], object.reference.kind.name());
                assert_eq!(object.body["metadata"]["name"], object.reference.name);
            }
        }
    }
}

#[test]
fn the_connector_may_ask_exactly_for_what_can_be_viewed() {
    let connector = Who::service_account("tools", "eks-connector");
    for scope in [GrantScope::Cluster, in_web_and_db()] {
        let mut snapshot = applied(&all(&design(Form::Constrained, scope.clone())));
        // Whatever else the principal may do.
        let admin = rbac::Role {
            meta: Meta { name: "admin".into(), ..Meta::default() },
            rules: vec![Rule {
                verbs: vec!["*".into()],
                api_groups: vec!["*".into()],
                resources: vec!["*".into()],
                ..Rule::default()
            }],
            ..rbac::Role::default()
        };
        snapshot.roles.push(admin);
        snapshot.bindings.push(Binding {
            meta: Meta { name: "admin".into(), ..Meta::default() },
            role: rbac::RoleRef::ClusterRole("admin".into()),
            subjects: vec![rbac::Subject::User(ARN.into())],
        });
        let evaluator = Evaluator::new(&snapshot);
        let through = |request: &Request| evaluator.through(&connector, ARN, request, true);
        for namespace in ["web", "db", "other", ""] {
            for one in RESOURCES {
                for verb in ["get", "list", "watch", "create", "delete", "patch"] {
                    let place = if one.namespaced { namespace } else { "" };
                    let request = Request::on(verb, one.group, one.resource).within(place);
                    let reads = matches!(verb, "get" | "list");
                    let in_scope =
                        scope == GrantScope::Cluster || !one.namespaced || ["web", "db"].contains(&namespace);
                    let allowed = matches!(through(&request), Through::Allowed(..));
                    assert_eq!(allowed, reads && in_scope, "{request}");
                }
            }
            for refused in ["secrets", "pods/log", "pods/exec"] {
                let request = Request::on("get", "", refused).within(namespace);
                assert!(matches!(through(&request), Through::NotImpersonated { .. }), "{request}");
            }
        }
        assert!(matches!(through(&Request::path("get", "/version")), Through::Allowed(..)));
        assert!(matches!(through(&Request::path("get", "/metrics")), Through::NotImpersonated { .. }));
    }
}

#[test]
fn the_principal_may_do_by_itself_what_can_be_viewed() {
    for (form, held) in [(Form::Constrained, Held::Ceiling), (Form::Documented, Held::Anything)] {
        let snapshot = applied(&all(&design(form, in_web_and_db())));
        let evaluator = Evaluator::new(&snapshot);
        let may = |request: Request| evaluator.permits(&Who::named(ARN), &request).is_some();
        assert!(may(Request::on("list", "", "pods").within("web")));
        assert!(
            !may(Request::on("list", "", "pods").within("other")) && !may(Request::on("list", "", "pods"))
        );
        assert!(may(Request::on("list", "", "nodes")) && may(Request::path("get", "/version")));
        assert!(!may(Request::on("list", "", "secrets").within("web")));
        let found = grants(&snapshot, "tools");
        let viewer = &found.principals[0];
        assert_eq!(viewer.held(), held);
        assert_eq!(viewer.scope(), Scope::Namespaces(["db".to_owned(), "web".to_owned()].into()));
        assert_eq!(grants::ceiling(&snapshot, "tools").is_empty(), form == Form::Documented);
    }
}

#[test]
fn a_role_of_others_is_bound_and_not_copied_and_its_reading_is_the_ceiling() {
    let rule = |verbs: &[&str], resources: &[&str]| Rule {
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        api_groups: vec![String::new()],
        resources: resources.iter().map(|one| (*one).to_owned()).collect(),
        ..Rule::default()
    };
    let role = rbac::Role {
        meta: Meta { name: "their-role".into(), ..Meta::default() },
        rules: vec![rule(&["get", "list", "delete"], &["pods"]), rule(&["*"], &["*"])],
        ..rbac::Role::default()
    };
    let wanted =
        GrantDesign { role: GrantRole::Given(role), ..design(Form::Constrained, GrantScope::Cluster) };
    assert!(shared_objects(&wanted).is_empty());
    let objects = grant_objects(&wanted, "tools");
    let view = objects.iter().find(|object| object.reference.name.starts_with("eksconnect:view:")).unwrap();
    assert_eq!(view.body["roleRef"]["name"], "their-role");
    let rules = objects[0].body["rules"].to_string();
    assert!(rules.contains("impersonate-on:user-info:list") && rules.contains("/version"), "{rules}");
    assert!(!rules.contains("delete") && !rules.contains('*') && !rules.contains("secrets"), "{rules}");
}

#[test]
fn two_principals_share_no_object() {
    let other = Principal::canonical("arn:aws:iam::111122223333:user/viewer").unwrap();
    let one = design(Form::Constrained, in_web_and_db());
    let two = GrantDesign { principal: other, ..one.clone() };
    let names = |design: &GrantDesign| -> Vec<ObjectRef> {
        grant_objects(design, "tools").into_iter().map(|object| object.reference).collect()
    };
    assert!(names(&one).iter().all(|object| !names(&two).contains(object)));
}
