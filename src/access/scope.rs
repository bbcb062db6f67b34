//! Where a principal can view: in the whole cluster, or in some namespaces.

use std::collections::BTreeSet;

use super::principal::Principal;
use crate::rbac::{Binding, Evaluator, Request, Role, Snapshot, Subject, Through, Who};

/// Where somebody views.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In all namespaces at once.
    Cluster,
    /// In these, and beside them only what belongs to no namespace.
    Namespaces(BTreeSet<String>),
}

impl Scope {
    /// The namespaces in which to ask: `None` is all at once.
    pub fn places(&self) -> Vec<Option<&str>> {
        match self {
            Self::Cluster => vec![None],
            Self::Namespaces(names) => names.iter().map(|name| Some(name.as_str())).collect(),
        }
    }

    /// The options of a command that name it.
    pub fn options(&self) -> String {
        match self {
            Self::Cluster => String::new(),
            Self::Namespaces(names) => {
                names.iter().map(|name| format!(" --namespace-scope {name}")).collect()
            }
        }
    }
}

/// Where the rules let the principal view through that connector: in the whole cluster if it may list pods in all
/// namespaces, else in the namespaces whose bindings give it something, else, since nothing is known, in the whole cluster.
pub fn scope_of(rules: &Snapshot, connector: &Who, principal: &Principal, constrained: bool) -> Scope {
    let evaluator = Evaluator::new(rules);
    let pods = Request::on("list", "", "pods");
    let may = |request: &Request| {
        let ended = evaluator.through(connector, principal.arn(), request, constrained);
        matches!(ended, Through::Allowed(..))
    };
    if may(&pods) {
        return Scope::Cluster;
    }
    let names = |subject: &Subject| *subject == Subject::User(principal.arn().to_owned());
    let views: BTreeSet<String> = rules
        .bindings
        .iter()
        .filter(|binding| binding.subjects.iter().any(names))
        .filter_map(|binding| binding.meta.namespace.clone())
        .collect();
    let ceilings = evaluator
        .bindings_of(connector)
        .filter(|(_, role)| role.is_some_and(is_ceiling))
        .filter_map(|(binding, _): (&Binding, Option<&Role>)| binding.meta.namespace.clone());
    let candidates = views.iter().cloned().chain(ceilings).collect::<BTreeSet<String>>();
    let seen: BTreeSet<String> =
        candidates.into_iter().filter(|namespace| may(&pods.clone().within(namespace))).collect();
    match (seen.is_empty(), views.is_empty()) {
        (false, _) => Scope::Namespaces(seen),
        (true, false) => Scope::Namespaces(views),
        (true, true) => Scope::Cluster,
    }
}

/// Whether a role limits what may be asked for as somebody else.
fn is_ceiling(role: &Role) -> bool {
    role.rules.iter().any(|rule| rule.verbs.iter().any(|verb| verb.starts_with("impersonate-on:")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rbac::{Meta, RoleRef, Rule};

    const ARN: &str = "arn:aws:iam::111122223333:role/Viewer";

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    fn role(name: &str, verbs: &[&str], groups: &[&str], resources: &[&str]) -> Role {
        Role {
            meta: Meta { name: name.to_owned(), ..Meta::default() },
            rules: vec![Rule {
                verbs: strings(verbs),
                api_groups: strings(groups),
                resources: strings(resources),
                ..Rule::default()
            }],
            ..Role::default()
        }
    }

    fn bound(namespace: Option<&str>, role: &str, subject: Subject) -> Binding {
        Binding {
            meta: Meta { namespace: namespace.map(str::to_owned), name: role.to_owned(), ..Meta::default() },
            role: RoleRef::ClusterRole(role.to_owned()),
            subjects: vec![subject],
        }
    }

    fn connector() -> Subject {
        let (namespace, name) = (Some("eks-connector".to_owned()), "eks-connector".to_owned());
        Subject::ServiceAccount { namespace, name }
    }

    fn scope(bindings: Vec<Binding>) -> Scope {
        let roles = vec![
            role("all", &["impersonate"], &[""], &["users"]),
            role("as", &["impersonate:user-info"], &["authentication.k8s.io"], &["users"]),
            role("ceiling", &["impersonate-on:user-info:list"], &[""], &["pods"]),
            role("view", &["get", "list"], &[""], &["pods"]),
        ];
        let rules = Snapshot { roles, bindings };
        let principal = Principal::canonical(ARN).unwrap();
        scope_of(&rules, &Who::service_account("eks-connector", "eks-connector"), &principal, true)
    }

    fn only(names: &[&str]) -> Scope {
        Scope::Namespaces(names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn where_a_principal_views() {
        let user = || Subject::User(ARN.to_owned());
        let all = bound(None, "all", connector());
        assert_eq!(scope(vec![all.clone(), bound(None, "view", user())]), Scope::Cluster);
        assert_eq!(
            scope(vec![all.clone(), bound(Some("web"), "view", user()), bound(Some("db"), "view", user())]),
            only(&["db", "web"])
        );
        // Whatever the principal may do, its ceiling is what the console is let through to.
        let narrow = vec![
            bound(None, "as", connector()),
            bound(Some("web"), "ceiling", connector()),
            bound(None, "view", user()),
        ];
        assert_eq!(scope(narrow), only(&["web"]));
        // Half of a grant tells where it was meant to be.
        assert_eq!(scope(vec![bound(Some("web"), "view", user())]), only(&["web"]));
        assert_eq!(scope(vec![all]), Scope::Cluster);
    }
}
