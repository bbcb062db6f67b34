//! What the API server is asked so that a grant is more than objects: what has to be allowed, and what has to be refused.

use super::grants::{Form, ceiling};
use super::objects::{GrantDesign, GrantRole, GrantScope, ceiling_of};
use super::principal::Principal;
use super::viewable::{RESOURCES, Viewable};
use crate::rbac::{Request, Rule, Snapshot};

/// A read in a principal's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The path, query included.
    pub path: String,
    /// As `kubectl` says it: `list pods in namespace web`.
    pub what: String,
}

/// What a grant is to be held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantCheck {
    /// Whose.
    pub principal: Principal,
    /// The form in which it was made.
    pub form: Form,
    /// What has to be allowed.
    pub allowed: Vec<Read>,
    /// What has to be refused, because the connector may not ask for it as anybody; `None` if it may ask for anything, or if it is not
    /// held at all.
    pub refused: Option<Read>,
    /// Whether the documented form would do as well.
    pub may_fall_back: bool,
}

/// What was found out about a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Whose.
    pub principal: Principal,
    /// How many of the reads the API server allowed.
    pub allowed: usize,
    /// How far the connector is held when it asks for that principal.
    pub held: ProvenHeld,
}

/// How far the connector is held, as far as the API server has shown it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProvenHeld {
    /// To viewing: what is not listed was refused, whatever the principal may do.
    ViewOnly,
    /// To nothing but what the principal may do: the documented form.
    ToThePrincipal,
    /// What is not listed was not refused, or nothing is unlisted: why.
    NotShown(String),
    /// The API server could not be asked, and why. What the rules say is not proof.
    NotAsked(String),
}

/// How many objects a read asks for.
const ONE: &str = "?limit=1";

/// What a principal with that grant can list.
pub fn reads(design: &GrantDesign) -> Vec<Read> {
    let (of_cluster, of_namespaces) = ceiling_of(design);
    let listed = |rules: &[Rule], one: &Viewable| {
        let request = Request::on("list", one.group, one.resource);
        rules.iter().any(|rule| rule.allows(&request))
    };
    let read = |one: &Viewable, namespace: Option<&str>| {
        let request = Request::on("list", one.group, one.resource).within(namespace.unwrap_or_default());
        Read { path: format!("{}{ONE}", one.path(namespace)), what: request.to_string() }
    };
    let mut reads: Vec<Read> =
        RESOURCES.iter().filter(|one| listed(&of_cluster, one)).map(|one| read(one, None)).collect();
    if let GrantScope::Namespaces(places) = &design.scope {
        for place in places {
            let here = RESOURCES.iter().filter(|one| one.namespaced && listed(&of_namespaces, one));
            reads.extend(here.map(|one| read(one, Some(place))));
        }
    }
    if reads.is_empty() {
        // A role about kinds that are not viewed here: at least that the connector may be the principal shows.
        reads.push(Read { path: "/version".to_owned(), what: "get /version".to_owned() });
    }
    reads
}

/// Something that the connector of `namespace` may ask for as nobody, with these grants beside those that there are. What is asked for
/// does not exist, so that nothing is read should it be allowed.
pub fn unlisted(designs: &[GrantDesign], rules: &Snapshot, namespace: &str) -> Option<Read> {
    let mut ceiling = ceiling(rules, namespace);
    for design in designs.iter().filter(|design| design.form == Form::Constrained) {
        let (of_cluster, of_namespaces) = ceiling_of(design);
        ceiling.extend(of_cluster.into_iter().map(|rule| (None, rule)));
        if let GrantScope::Namespaces(places) = &design.scope {
            for place in places {
                ceiling.extend(of_namespaces.iter().map(|rule| (Some(place.clone()), rule.clone())));
            }
        }
    }
    let covered = |request: &Request| {
        ceiling.iter().any(|(place, rule)| {
            place.as_deref().is_none_or(|place| place == request.namespace()) && rule.allows(request)
        })
    };
    let candidates = [
        (
            Request::on("get", "", "secrets").within(namespace).named("eksconnect-probe"),
            format!("/api/v1/namespaces/{namespace}/secrets/eksconnect-probe"),
        ),
        (
            Request::on("get", "rbac.authorization.k8s.io", "clusterroles").named("eksconnect-probe"),
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/eksconnect-probe".to_owned(),
        ),
        (Request::on("list", "probe.eksconnect", "probes"), format!("/apis/probe.eksconnect/v1/probes{ONE}")),
    ];
    let found = candidates.into_iter().find(|(request, _)| !covered(request));
    found.map(|(request, path)| Read { path, what: request.to_string() })
}

/// How many kinds of objects a grant shows; for a sentence to a person.
pub fn kinds(design: &GrantDesign) -> usize {
    let (of_cluster, of_namespaces) = ceiling_of(design);
    let listed = |one: &&Viewable| {
        let request = Request::on("list", one.group, one.resource);
        of_cluster.iter().chain(&of_namespaces).any(|rule| rule.allows(&request))
    };
    RESOURCES.iter().filter(listed).count()
}

/// Whether a grant gives the rights of viewers and not those of a role that others made.
pub fn is_console_view(design: &GrantDesign) -> bool {
    design.role == GrantRole::ConsoleView
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::objects::{grant_objects, shared_objects, tests::applied};
    use crate::rbac::{Meta, Role};

    fn design(scope: GrantScope) -> GrantDesign {
        let principal = Principal::canonical("arn:aws:iam::111122223333:role/Viewer").unwrap();
        GrantDesign { principal, form: Form::Constrained, scope, role: GrantRole::ConsoleView }
    }

    #[test]
    fn every_kind_is_asked_for_where_the_grant_counts() {
        let everywhere = reads(&design(GrantScope::Cluster));
        assert_eq!(everywhere.len(), RESOURCES.len());
        assert!(everywhere.iter().all(|read| read.path.ends_with("?limit=1")));
        let scoped = reads(&design(GrantScope::Namespaces(vec!["db".into(), "web".into()])));
        let namespaced = RESOURCES.iter().filter(|one| one.namespaced).count();
        assert_eq!(scoped.len(), 2 + 2 * namespaced);
        assert_eq!(
            (scoped[0].path.as_str(), scoped[0].what.as_str()),
            ("/api/v1/nodes?limit=1", "list nodes")
        );
        assert!(scoped.iter().any(|read| read.what == "list pods in namespace web"));
        assert_eq!(kinds(&design(GrantScope::Cluster)), RESOURCES.len());
    }

    #[test]
    fn what_must_be_refused_is_below_no_ceiling() {
        let plain = design(GrantScope::Cluster);
        let probe = unlisted(std::slice::from_ref(&plain), &Snapshot::default(), "tools").unwrap();
        assert_eq!(probe.what, "get secrets eksconnect-probe in namespace tools");
        // Another grant reads Secrets, so that the connector may ask for them as everybody.
        let all = |resources: &[&str], group: &str| Rule {
            verbs: vec!["get".into(), "list".into()],
            api_groups: vec![group.into()],
            resources: resources.iter().map(|one| (*one).to_owned()).collect(),
            ..Rule::default()
        };
        let role = Role {
            meta: Meta { name: "secrets".into(), ..Meta::default() },
            rules: vec![all(&["secrets"], ""), all(&["clusterroles"], "rbac.authorization.k8s.io")],
            ..Role::default()
        };
        let wide = GrantDesign { role: GrantRole::Given(role), ..plain.clone() };
        let rules = applied(&grant_objects(&wide, "tools"));
        let probe = unlisted(std::slice::from_ref(&plain), &rules, "tools").unwrap();
        assert_eq!(probe.what, "list probes.probe.eksconnect");
        assert_eq!(unlisted(&[wide], &Snapshot::default(), "tools"), Some(probe));
        let mut objects = shared_objects(&plain);
        objects.extend(grant_objects(&plain, "tools"));
        let mut rules = applied(&objects);
        rules
            .roles
            .iter_mut()
            .for_each(|role| role.rules.iter_mut().for_each(|rule| rule.verbs = vec!["*".into()]));
        rules.roles.iter_mut().for_each(|role| {
            role.rules.iter_mut().for_each(|rule| {
                rule.api_groups = vec!["*".into()];
                rule.resources = vec!["*".into()];
                rule.resource_names.clear();
            });
        });
        assert_eq!(unlisted(&[plain], &rules, "tools"), None);
    }
}
