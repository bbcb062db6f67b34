//! Random roles and bindings, as the API server accepts them.

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::numbers::Numbers;

pub(super) const NAMESPACES: [&str; 3] = ["web", "db", "ops"];

pub(super) const ARN: &str = "arn:aws:iam::111122223333:role/Viewer";

pub(super) const USERS: [&str; 9] = [
    ARN,
    "arn:aws:iam::111122223333:user/team/ana",
    "ana",
    "ben",
    "*",
    "system:serviceaccount:web:shop",
    "system:serviceaccount:db:shop",
    "system:node:n1",
    "system:anonymous",
];

pub(super) const GROUPS: [&str; 6] = [
    "dev",
    "*",
    "system:authenticated",
    "system:unauthenticated",
    "system:serviceaccounts",
    "system:serviceaccounts:web",
];

pub(super) const ACCOUNTS: [&str; 3] = ["shop", "cart", "agent"];

/// With some that no object has.
pub(super) const NAMES: [&str; 5] = ["a", "b", "shop", "n1", "*"];

pub(super) const VERBS: [&str; 13] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "bind",
    "escalate",
    "approve",
    "serve-coffee",
    "*",
];

pub(super) const API_GROUPS: [&str; 5] = ["", "apps", "batch", "example.com", "*"];

pub(super) const RESOURCES: [&str; 15] = [
    "pods",
    "pods/log",
    "pods/exec",
    "pods/*",
    "*/log",
    "*/scale",
    "*/*",
    "deployments",
    "deployments/scale",
    "secrets",
    "nodes",
    "nodes/proxy",
    "namespaces",
    "serviceaccounts/token",
    "*",
];

pub(super) const PATHS: [&str; 13] = [
    "/version",
    "/version/",
    "/healthz",
    "/healthz/*",
    "/api",
    "/api*",
    "/apis/*",
    "/apis/apps",
    "/apis/**",
    "/a*s",
    "/metrics",
    "/*",
    "*",
];

/// How the four words of constrained impersonation are called in its verbs.
pub(super) const MODES: [&str; 4] = ["user-info", "serviceaccount", "arbitrary-node", "associated-node"];

/// Labels that roles have and that others are put together by; the last one puts them into a role of the system.
const LABELS: [(&str, &str); 6] = [
    ("tier", "web"),
    ("tier", "db"),
    ("level", "one"),
    ("level", "two"),
    ("of", "ops"),
    ("rbac.authorization.k8s.io/aggregate-to-view", "true"),
];

/// All of them, for one world.
pub(super) struct Objects {
    pub(super) cluster_roles: Vec<ClusterRole>,
    pub(super) roles: Vec<Role>,
    pub(super) cluster_bindings: Vec<ClusterRoleBinding>,
    pub(super) bindings: Vec<RoleBinding>,
}

/// How many of each.
const CLUSTER_ROLES: usize = 48;
const AGGREGATED: usize = 10;
const ROLES: usize = 24;
const CLUSTER_BINDINGS: usize = 26;
const BINDINGS: usize = 70;

impl Objects {
    pub(super) fn random(numbers: &mut Numbers) -> Self {
        let plain = (0..CLUSTER_ROLES).map(|index| cluster_role(numbers, index)).collect::<Vec<_>>();
        let aggregated = (0..AGGREGATED).map(|index| aggregated(numbers, index)).collect::<Vec<_>>();
        Self {
            cluster_roles: plain.into_iter().chain(aggregated).collect(),
            roles: (0..ROLES)
                .map(|index| {
                    let rules: Vec<Value> = (0..=numbers.below(3)).map(|_| rule(numbers, false)).collect();
                    typed(json!({
                        "metadata": { "name": format!("r{}", index / 3), "namespace": NAMESPACES[index % 3] },
                        "rules": rules,
                    }))
                })
                .collect(),
            cluster_bindings: (0..CLUSTER_BINDINGS)
                .map(|index| {
                    typed(json!({
                        "metadata": { "name": format!("t-{index}") },
                        "roleRef": cluster_role_ref(numbers),
                        "subjects": subjects(numbers, false),
                    }))
                })
                .collect(),
            bindings: (0..BINDINGS)
                .map(|index| {
                    let role = if numbers.once_in(3) { role_ref(numbers) } else { cluster_role_ref(numbers) };
                    typed(json!({
                        "metadata": { "name": format!("t-{index}"), "namespace": numbers.one(&NAMESPACES) },
                        "roleRef": role,
                        "subjects": subjects(numbers, true),
                    }))
                })
                .collect(),
        }
    }
}

pub(super) fn typed<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn cluster_role(numbers: &mut Numbers, index: usize) -> ClusterRole {
    let rules: Vec<Value> = (0..numbers.below(4)).map(|_| rule(numbers, true)).collect();
    let mut role = json!({ "metadata": { "name": format!("t-{index}") }, "rules": rules });
    if numbers.once_in(2) {
        role["metadata"]["labels"] = labels(numbers);
    }
    typed(role)
}

/// One that is put together from others, which may be of its kind. It may have rules that the controller replaces, or
/// leaves where nothing takes their place.
fn aggregated(numbers: &mut Numbers, index: usize) -> ClusterRole {
    let selectors: Vec<Value> = (0..=numbers.below(2)).map(|_| selector(numbers)).collect();
    let mut role = json!({
        "metadata": { "name": format!("g-{index}") },
        "aggregationRule": { "clusterRoleSelectors": selectors },
    });
    // Those that could select each other start empty: what once got into a circle stays in it.
    if numbers.once_in(2) {
        role["metadata"]["labels"] = labels(numbers);
    } else if numbers.once_in(2) {
        role["rules"] = json!([rule(numbers, true)]);
    }
    typed(role)
}

fn labels(numbers: &mut Numbers) -> Value {
    let chosen = numbers.some(&LABELS, 2);
    Value::Object(chosen.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect())
}

fn selector(numbers: &mut Numbers) -> Value {
    let (key, value) = LABELS[numbers.below(LABELS.len() - 1)];
    if numbers.once_in(3) {
        let (also, _) = LABELS[numbers.below(LABELS.len() - 1)];
        // The others would select the roles of the system too, and give everybody who is bound everything.
        let expression = match numbers.below(3) {
            0 => json!({ "key": key, "operator": "In", "values": [value, "other"] }),
            1 => json!({ "key": key, "operator": "Exists" }),
            _ => json!({ "key": key, "operator": "NotIn", "values": ["other"] }),
        };
        return json!({
            "matchExpressions": [expression, { "key": also, "operator": "Exists" }],
        });
    }
    json!({ "matchLabels": { key: value } })
}

fn cluster_role_ref(numbers: &mut Numbers) -> Value {
    let name = match numbers.below(10) {
        0 => "missing".to_owned(),
        1 => "view".to_owned(),
        2 | 3 => format!("g-{}", numbers.below(AGGREGATED)),
        _ => format!("t-{}", numbers.below(CLUSTER_ROLES)),
    };
    json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name })
}

fn role_ref(numbers: &mut Numbers) -> Value {
    // Of the eight that each namespace has, and one that none has.
    let name = format!("r{}", numbers.below(9));
    json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name })
}

fn subjects(numbers: &mut Numbers, in_namespace: bool) -> Vec<Value> {
    (0..numbers.below(4)).map(|_| subject(numbers, in_namespace)).collect()
}

fn subject(numbers: &mut Numbers, in_namespace: bool) -> Value {
    match numbers.below(5) {
        0 => group(numbers.one(&GROUPS)),
        1 => {
            let mut account = json!({ "kind": "ServiceAccount", "name": numbers.one(&ACCOUNTS) });
            // A RoleBinding's own, if none is named.
            if !in_namespace || numbers.once_in(2) {
                account["namespace"] = numbers.one(&NAMESPACES).into();
            }
            account
        }
        _ => json!({ "kind": "User", "name": numbers.one(&USERS), "apiGroup": "rbac.authorization.k8s.io" }),
    }
}

fn group(name: &str) -> Value {
    json!({ "kind": "Group", "name": name, "apiGroup": "rbac.authorization.k8s.io" })
}

fn rule(numbers: &mut Numbers, of_cluster: bool) -> Value {
    if numbers.once_in(4) {
        return impersonation(numbers, of_cluster);
    }
    if of_cluster && numbers.once_in(5) {
        let verbs = numbers.some(&VERBS, 2);
        return json!({ "verbs": verbs, "nonResourceURLs": numbers.some(&PATHS, 2) });
    }
    let rule = json!({
        "verbs": numbers.some(&VERBS, 3),
        "apiGroups": numbers.some(&API_GROUPS, 2),
        "resources": numbers.some(&RESOURCES, 3),
    });
    named(numbers, rule, &NAMES)
}

/// Rules about acting as somebody else, of both forms.
pub(super) fn impersonation(numbers: &mut Numbers, of_cluster: bool) -> Value {
    let mode = numbers.one(&MODES);
    match numbers.below(if of_cluster { 5 } else { 4 }) {
        0 => {
            let rule = json!({
                "verbs": ["impersonate"],
                "apiGroups": [if numbers.once_in(6) { "*" } else { "" }],
                "resources": numbers.some(&["users", "groups", "serviceaccounts"], 2),
            });
            named(numbers, rule, &[ARN, "ana", "shop", "system:node:n1"])
        }
        1 | 2 => {
            let rule = json!({
                "verbs": [format!("impersonate:{mode}")],
                "apiGroups": [if numbers.once_in(6) { "" } else { "authentication.k8s.io" }],
                "resources": numbers.some(&["users", "serviceaccounts", "nodes"], 2),
            });
            named(numbers, rule, &[ARN, "ana", "shop", "n1", "system:node:n1"])
        }
        3 => {
            let verb = numbers.one(&VERBS);
            let rule = json!({
                "verbs": [format!("impersonate-on:{mode}:{verb}"), format!("impersonate-on:{mode}:list")],
                "apiGroups": numbers.some(&API_GROUPS, 2),
                "resources": numbers.some(&RESOURCES, 3),
            });
            named(numbers, rule, &NAMES)
        }
        _ => json!({
            "verbs": [format!("impersonate-on:{mode}:get")],
            "nonResourceURLs": numbers.some(&PATHS, 2),
        }),
    }
}

fn named(numbers: &mut Numbers, mut rule: Value, names: &[&str]) -> Value {
    if numbers.once_in(3) {
        rule["resourceNames"] = json!(numbers.some(names, 2));
    }
    rule
}
