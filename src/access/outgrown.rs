//! Roles that were granted and read more now than when the ceiling was made from them, as roles do that are put together from
//! others (`aggregationRule`): the connector may not ask for the rest.

use super::ceiling::reading;
use super::grants::{Form, Grant, Grants, Maker, ceiling};
use super::names::{CONSOLE_VIEW_ROLE, SCOPED_VIEW_ROLE};
use crate::rbac::{Request, Role, Rule, Snapshot};

/// What a principal's role reads and its ceiling leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgrown {
    /// The ARN of the principal.
    pub principal: String,
    /// The ClusterRole that it was granted.
    pub role: String,
    /// The namespaces in which that was granted; none for the whole cluster.
    pub namespaces: Vec<String>,
    /// What cannot be viewed of it, each as a phrase: `list on widgets (example.com)`.
    pub unseen: Vec<String>,
}

/// All of them, where the connector is that of `namespace`.
pub fn outgrown(snapshot: &Snapshot, grants: &Grants, namespace: &str) -> Vec<Outgrown> {
    let ceiling = ceiling(snapshot, namespace);
    grants.principals.iter().flat_map(|grant| of_grant(snapshot, grant, &ceiling)).collect()
}

fn of_grant(snapshot: &Snapshot, grant: &Grant, ceiling: &[(Option<String>, Rule)]) -> Vec<Outgrown> {
    // The documented form has no ceiling.
    let held = grant.impersonation.iter().all(|one| one.form == Form::Constrained);
    if grant.impersonation.is_empty() || !held {
        return Vec::new();
    }
    let mut found: Vec<Outgrown> = Vec::new();
    for rights in grant.rights.iter().filter(|rights| rights.maker == Maker::Eksconnect) {
        let name = rights.role.name();
        // What these read is the ceiling, word for word, and made together with it.
        if [CONSOLE_VIEW_ROLE, SCOPED_VIEW_ROLE].contains(&name) {
            continue;
        }
        let of_cluster = |role: &&Role| role.meta.namespace.is_none() && role.meta.name == name;
        let Some(role) = snapshot.roles.iter().find(of_cluster) else { continue };
        let here = |place: &Option<String>| place.is_none() || *place == rights.namespace;
        let rules: Vec<&Rule> =
            ceiling.iter().filter(|(place, _)| here(place)).map(|(_, rule)| rule).collect();
        let unseen: Vec<String> = reading(role)
            .ceiling
            .iter()
            // A RoleBinding gives no paths.
            .filter(|rule| rights.namespace.is_none() || rule.non_resource_urls.is_empty())
            .filter_map(|rule| left_out(rule, &rules))
            .collect();
        if unseen.is_empty() {
            continue;
        }
        match found.iter_mut().find(|one| one.role == name && one.unseen == unseen) {
            Some(same) => same.namespaces.extend(rights.namespace.clone()),
            None => found.push(Outgrown {
                principal: grant.name.clone(),
                role: name.to_owned(),
                namespaces: rights.namespace.iter().cloned().collect(),
                unseen,
            }),
        }
    }
    found
}

/// What a rule allows and none of the others does, as a phrase.
fn left_out(rule: &Rule, ceiling: &[&Rule]) -> Option<String> {
    let left = |request: &Request| !ceiling.iter().any(|rule| rule.allows(request));
    // Each rule of a reading is about one group.
    let group = rule.api_groups.first().map_or("", String::as_str);
    let unseen = |verb: &str, resource: &str| {
        let request = Request::on(verb, group, resource);
        match rule.resource_names.as_slice() {
            [] => left(&request),
            names => names.iter().any(|name| left(&request.clone().named(name))),
        }
    };
    let of = |list: &[String], is_left: &dyn Fn(&str, &str) -> bool| -> Vec<String> {
        list.iter().filter(|item| rule.verbs.iter().any(|verb| is_left(verb, item))).cloned().collect()
    };
    let rest = Rule {
        resources: of(&rule.resources, &unseen),
        non_resource_urls: of(&rule.non_resource_urls, &|verb, url| left(&Request::path(verb, url))),
        ..rule.clone()
    };
    (!rest.resources.is_empty() || !rest.non_resource_urls.is_empty()).then(|| rest.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::access::grants::grants;

    const VIEWER: &str = "arn:aws:iam::111122223333:role/Viewer";

    /// A grant of ClusterRole `r`, which allows these, with a ceiling of listing pods.
    fn snapshot(namespace: Option<&str>, rules: serde_json::Value) -> Snapshot {
        let meta = |name: &str, namespace: Option<&str>| {
            json!({
                "namespace": namespace, "name": name, "uid": name, "resource_version": "1", "annotations": {},
                "labels": { "app.kubernetes.io/managed-by": "eksconnect" },
            })
        };
        let rule = |verbs: &[&str], group: &str, resource: &str, names: &[&str]| {
            json!({
                "verbs": verbs, "api_groups": [group], "resources": [resource], "resource_names": names,
                "non_resource_urls": [],
            })
        };
        let connector =
            json!({ "ServiceAccount": { "namespace": "eks-connector", "name": "eks-connector" } });
        serde_json::from_value(json!({
            "roles": [
                { "meta": meta("be", None), "rules": [
                    rule(&["impersonate:user-info"], "authentication.k8s.io", "users", &[VIEWER]),
                    rule(&["impersonate-on:user-info:get", "impersonate-on:user-info:list"], "", "pods", &[]),
                ] },
                { "meta": meta("r", None), "rules": rules },
            ],
            "bindings": [
                { "meta": meta("be", None), "role": { "ClusterRole": "be" }, "subjects": [connector] },
                { "meta": meta("see", namespace), "role": { "ClusterRole": "r" }, "subjects": [{ "User": VIEWER }] },
            ],
        }))
        .unwrap()
    }

    fn found(snapshot: &Snapshot) -> Vec<Outgrown> {
        outgrown(snapshot, &grants(snapshot, "eks-connector"), "eks-connector")
    }

    fn pods() -> serde_json::Value {
        json!({
            "verbs": ["get", "list"], "api_groups": [""], "resources": ["pods"], "resource_names": [],
            "non_resource_urls": [],
        })
    }

    #[test]
    fn what_a_role_reads_beyond_its_ceiling_is_found() {
        assert_eq!(found(&snapshot(None, json!([pods()]))), []);
        let mut more = pods();
        more["resources"] = json!(["pods", "services"]);
        let paths = json!({
            "verbs": ["get"], "api_groups": [], "resources": [], "resource_names": [],
            "non_resource_urls": ["/metrics"],
        });
        let whole = found(&snapshot(None, json!([more, paths])));
        assert_eq!(whole.len(), 1);
        assert_eq!((whole[0].role.as_str(), whole[0].namespaces.len()), ("r", 0));
        assert_eq!(whole[0].unseen, ["get, list on services", "get on /metrics"]);
        // What a RoleBinding does not give is not missing.
        let scoped = found(&snapshot(Some("web"), json!([more, paths])));
        assert_eq!(scoped[0].unseen, ["get, list on services"]);
        assert_eq!(scoped[0].namespaces, ["web"]);
    }

    #[test]
    fn the_documented_form_has_no_ceiling() {
        let mut snapshot = snapshot(None, json!([pods()]));
        snapshot.roles[0].rules.truncate(1);
        assert_eq!(found(&snapshot).len(), 1);
        snapshot.roles[0].rules[0].verbs = vec!["impersonate".to_owned()];
        snapshot.roles[0].rules[0].api_groups = vec![String::new()];
        assert_eq!(found(&snapshot), []);
    }
}
