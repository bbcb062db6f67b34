//! Roles of others that have grown since they were granted, as those do that are put together from others (`aggregationRule`):
//! the ceiling of the grant stays, and the command that grants anew lifts it. Pure.

use std::fmt;

use super::ceiling::reading;
use super::grants::{Grant, Grants, Held, Maker, Rights, Scope, ceiling};
use super::names::{CONSOLE_VIEW_ROLE, SCOPED_VIEW_ROLE};
use super::principal::Principal;
use crate::rbac::{Request, Role, RoleRef, Rule, Snapshot};
use crate::registration::place::in_namespace;

/// A role that reads more than the connector may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grown {
    /// Who was granted it.
    pub principal: Principal,
    /// The ClusterRole.
    pub role: String,
    /// What is above the ceiling, each as a phrase: `list on widgets (example.com)`.
    pub above: Vec<String>,
    /// The command that takes it in.
    pub command: String,
}

impl fmt::Display for Grown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { principal, role, above, .. } = self;
        let who = principal.short();
        write!(
            f,
            "ClusterRole {role} lets {who} read more than the connector may ask for: {}",
            above.join("; ")
        )
    }
}

/// All of them, where the connector is that of `namespace`.
pub fn grown(rules: &Snapshot, grants: &Grants, namespace: &str) -> Vec<Grown> {
    let ceiling = ceiling(rules, namespace);
    let held = grants.principals.iter().filter(|grant| grant.held() == Held::Ceiling);
    held.flat_map(|grant| grown_of(grant, rules, &ceiling, namespace)).collect()
}

/// Those of one grant, for a connector that is held to `ceiling`.
pub(super) fn grown_of(
    grant: &Grant,
    rules: &Snapshot,
    ceiling: &[(Option<String>, Rule)],
    namespace: &str,
) -> Vec<Grown> {
    let Some(principal) = grant.principal() else { return Vec::new() };
    let mut found: Vec<Grown> = Vec::new();
    for rights in &grant.rights {
        let Some(name) = given_role(rights) else { continue };
        let role = rules.roles.iter().find(|role| is_cluster_role(role, name));
        let Some(role) = role.filter(|_| found.iter().all(|known| known.role != name)) else { continue };
        let above: Vec<String> = reading(role)
            .ceiling
            .iter()
            // A RoleBinding gives nothing of paths.
            .filter(|rule| rights.namespace.is_none() || rule.non_resource_urls.is_empty())
            .filter_map(|rule| above(rule, rights.namespace.as_deref(), ceiling))
            .map(|rule| rule.to_string())
            .collect();
        if !above.is_empty() {
            let command = command(&principal, grant, namespace);
            found.push(Grown { principal: principal.clone(), role: name.to_owned(), above, command });
        }
    }
    found
}

/// The command that makes a grant whole: in the same place, and of the same role where eksconnect gave one of others.
pub(super) fn command(principal: &Principal, grant: &Grant, namespace: &str) -> String {
    let mut command = format!("eksconnect grant-view --principal {principal}");
    if let Scope::Namespaces(names) = grant.scope() {
        for name in names {
            command.push_str(" --namespace-scope ");
            command.push_str(&name);
        }
    }
    if let Some(role) = grant.rights.iter().find_map(given_role) {
        command.push_str(" --cluster-role ");
        command.push_str(role);
    }
    command.push_str(&in_namespace(namespace));
    command
}

/// The role of others that a grant of ours gives.
fn given_role(rights: &Rights) -> Option<&str> {
    match &rights.role {
        RoleRef::ClusterRole(name)
            if rights.maker == Maker::Eksconnect
                && ![CONSOLE_VIEW_ROLE, SCOPED_VIEW_ROLE].contains(&name.as_str()) =>
        {
            Some(name)
        }
        RoleRef::ClusterRole(_) | RoleRef::Role(_) => None,
    }
}

fn is_cluster_role(role: &Role, name: &str) -> bool {
    role.meta.namespace.is_none() && role.meta.name == name
}

/// What of a rule is above the ceiling.
fn above(rule: &Rule, place: Option<&str>, ceiling: &[(Option<String>, Rule)]) -> Option<Rule> {
    let covered = |request: &Request| {
        ceiling
            .iter()
            .any(|(at, ceiling)| (at.is_none() || at.as_deref() == place) && ceiling.allows(request))
    };
    // A rule that names no object is about all.
    let names =
        if rule.resource_names.is_empty() { vec![String::new()] } else { rule.resource_names.clone() };
    let mut left = rule.clone();
    left.non_resource_urls.retain(|path| !rule.verbs.iter().all(|verb| covered(&Request::path(verb, path))));
    left.resources.retain(|resource| {
        let asks = |verb: &String, group: &String| {
            let request = Request::on(verb, group, resource);
            names.iter().all(|name| covered(&request.clone().named(name)))
        };
        !rule.verbs.iter().all(|verb| rule.api_groups.iter().all(|group| asks(verb, group)))
    });
    (!left.resources.is_empty() || !left.non_resource_urls.is_empty()).then_some(left)
}
