//! Which principals have any part of access, and by what: read from a snapshot of the access rules, whoever made them.

use std::collections::{BTreeMap, BTreeSet};

use super::principal::Principal;
use crate::manifest::{ObjectKind, ObjectRef, SERVICE_ACCOUNT};
use crate::rbac::{Binding, Evaluator, Meta, Request, Role, RoleRef, Rule, Snapshot, Subject, Who};

/// The group of what constrained impersonation is asked about (KEP-5284).
pub(super) const AUTHENTICATION: &str = "authentication.k8s.io";

/// The right to be a user, in the form that bounds what may be asked for as that user.
pub(super) const BE_USER: &str = "impersonate:user-info";

/// The right to be a user, in the form that bounds nothing.
pub(super) const IMPERSONATE: &str = "impersonate";

/// How the verbs begin by which something may be asked for as a user.
pub(super) const ON_USER: &str = "impersonate-on:user-info:";

/// Who made an object, as far as it tells.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Maker {
    /// We did.
    Eksconnect,
    /// It is of AWS' templates, which eksctl and the console give out as well.
    Template,
    /// A Helm release, by its name.
    Helm(String),
    /// Somebody else.
    Other,
}

/// As the column `MADE BY` shows it.
impl std::fmt::Display for Maker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Eksconnect => f.write_str("eksconnect"),
            Self::Template => f.write_str("official template"),
            Self::Helm(release) => write!(f, "Helm release {release}"),
            Self::Other => f.write_str("somebody else"),
        }
    }
}

/// What the connector may ask for as somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Form {
    /// What the ceiling says ([`ceiling`]), on servers that have constrained impersonation; on others nothing.
    Constrained,
    /// Whatever that somebody may do: the documented form.
    Documented,
}

/// A rule by which the connector may be somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Impersonation {
    /// What it may ask for.
    pub form: Form,
    /// Whether it may be anyone at all: the rule names nobody.
    pub anyone: bool,
    /// The role that has the rule.
    pub role: ObjectRef,
    /// The binding that gives it to the connector.
    pub binding: ObjectRef,
    /// Who made the role.
    pub maker: Maker,
}

/// A binding that gives a principal rights of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    /// The binding.
    pub binding: ObjectRef,
    /// The role that it gives.
    pub role: RoleRef,
    /// Whether that role exists.
    pub role_exists: bool,
    /// Where it counts; `None` for the whole cluster.
    pub namespace: Option<String>,
    /// Who made the binding.
    pub maker: Maker,
}

/// What a principal has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// The name that the rules have, an ARN.
    pub name: String,
    /// How the connector may be this principal. What lets it be anyone is in it too.
    pub impersonation: Vec<Impersonation>,
    /// What the principal may do.
    pub rights: Vec<Rights>,
}

/// How far the connector is held when it acts as a principal, by the rules alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// It may not be that principal.
    Nothing,
    /// It may ask for what the ceiling says.
    Ceiling,
    /// It may ask for anything.
    Anything,
}

/// Where a principal has rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Nowhere.
    Nowhere,
    /// In the whole cluster.
    Cluster,
    /// In these namespaces, and in the cluster what a viewer of namespaces has there.
    Namespaces(BTreeSet<String>),
}

/// Everybody with any part of access.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// One for each name, in order.
    pub principals: Vec<Grant>,
    /// What lets the connector be anyone.
    pub anyone: Vec<Impersonation>,
}

impl Grant {
    /// The principal, if the name is a canonical ARN. One that is not is never impersonated.
    pub fn principal(&self) -> Option<Principal> {
        Principal::canonical(&self.name)
    }

    /// How far the connector is held when it acts as this principal.
    pub fn held(&self) -> Held {
        if self.impersonation.is_empty() {
            Held::Nothing
        } else if self.impersonation.iter().all(|one| one.form == Form::Constrained) {
            Held::Ceiling
        } else {
            Held::Anything
        }
    }

    /// Where the principal has rights. Those that everybody has are not counted.
    pub fn scope(&self) -> Scope {
        let namespaces: BTreeSet<String> =
            self.rights.iter().filter_map(|rights| rights.namespace.clone()).collect();
        let cluster = self
            .rights
            .iter()
            .any(|rights| rights.namespace.is_none() && rights.role.name() != super::names::SCOPED_VIEW_ROLE);
        match (cluster, namespaces.is_empty()) {
            (true, _) => Scope::Cluster,
            (false, true) => Scope::Nowhere,
            (false, false) => Scope::Namespaces(namespaces),
        }
    }

    /// Who made any part of it.
    pub fn makers(&self) -> BTreeSet<&Maker> {
        let impersonation = self.impersonation.iter().map(|one| &one.maker);
        impersonation.chain(self.rights.iter().map(|one| &one.maker)).collect()
    }
}

impl Grants {
    /// What a principal has, if it has anything by name; see [`Self::anyone`] for the rest.
    pub fn of(&self, principal: &Principal) -> Option<&Grant> {
        self.principals.iter().find(|grant| grant.name == principal.arn())
    }
}

/// Everybody with any part of access, where the connector is that of `namespace`.
pub fn grants(snapshot: &Snapshot, namespace: &str) -> Grants {
    let mut found: BTreeMap<String, Grant> = BTreeMap::new();
    let mut anyone = Vec::new();
    for (binding, role) in impersonating(snapshot, namespace) {
        for rule in &role.rules {
            let Some(form) = form_of(rule) else { continue };
            let one = Impersonation {
                form,
                anyone: rule.resource_names.is_empty(),
                role: reference(&role.meta, ROLE),
                binding: reference(&binding.meta, BINDING),
                maker: maker(&role.meta),
            };
            if one.anyone {
                anyone.push(one);
                continue;
            }
            for name in &rule.resource_names {
                entry(&mut found, name).impersonation.push(one.clone());
            }
        }
    }
    let evaluator = Evaluator::new(snapshot);
    for binding in &snapshot.bindings {
        let role_exists = evaluator.role_of(binding).is_some();
        for name in principals_of(binding) {
            entry(&mut found, name).rights.push(Rights {
                binding: reference(&binding.meta, BINDING),
                role: binding.role.clone(),
                role_exists,
                namespace: binding.meta.namespace.clone(),
                maker: maker(&binding.meta),
            });
        }
    }
    let mut principals: Vec<Grant> = found.into_values().collect();
    for grant in &mut principals {
        grant.impersonation.extend(anyone.iter().cloned());
    }
    Grants { principals, anyone }
}

/// What the connector of `namespace` may ask for as any of the principals that it may be in the constrained form: rules with the plain
/// verbs, each with the namespace that it counts in.
pub fn ceiling(snapshot: &Snapshot, namespace: &str) -> Vec<(Option<String>, Rule)> {
    let connector = Who::service_account(namespace, SERVICE_ACCOUNT);
    let evaluator = Evaluator::new(snapshot);
    let mut rules = Vec::new();
    for (binding, role) in evaluator.bindings_of(&connector) {
        for rule in role.into_iter().flat_map(|role| &role.rules) {
            rules.extend(plain(rule).map(|rule| (binding.meta.namespace.clone(), rule)));
        }
    }
    rules
}

/// A rule about asking as somebody, as a rule about asking.
pub(super) fn plain(rule: &Rule) -> Option<Rule> {
    let verbs: Vec<String> = rule
        .verbs
        .iter()
        .filter_map(|verb| if verb == "*" { Some(verb.as_str()) } else { verb.strip_prefix(ON_USER) })
        .map(str::to_owned)
        .collect();
    (!verbs.is_empty()).then(|| Rule { verbs, ..rule.clone() })
}

/// Who made an object, by its labels, its annotations, and the names of AWS' templates.
pub fn maker(meta: &Meta) -> Maker {
    let managed_by = meta.labels.get("app.kubernetes.io/managed-by").map(String::as_str);
    if managed_by == Some("eksconnect") {
        return Maker::Eksconnect;
    }
    if let Some(release) = meta.annotations.get("meta.helm.sh/release-name") {
        return Maker::Helm(release.clone());
    }
    if managed_by == Some("Helm") {
        return Maker::Helm("of an unknown name".to_owned());
    }
    if is_of_template(&meta.name) { Maker::Template } else { Maker::Other }
}

/// `eks-connector-service` and `eks-connector-console-dashboard-…` (user guide, "Grant access to a user").
pub(super) fn is_of_template(name: &str) -> bool {
    name == "eks-connector-service" || name.starts_with("eks-connector-console-dashboard-")
}

/// The bindings by which roles of the whole cluster count for the connector: users are in no namespace, so that a RoleBinding
/// lets it be nobody.
pub(super) fn impersonating<'a>(snapshot: &'a Snapshot, namespace: &str) -> Vec<(&'a Binding, &'a Role)> {
    let connector = Who::service_account(namespace, SERVICE_ACCOUNT);
    let evaluator = Evaluator::new(snapshot);
    let bindings = evaluator.bindings_of(&connector);
    bindings
        .filter(|(binding, _)| binding.meta.namespace.is_none())
        .filter_map(|(binding, role)| Some((binding, role?)))
        .collect()
}

/// In which form a rule lets somebody be users; `None` if it does not. One that has both is of the wider.
pub(super) fn form_of(rule: &Rule) -> Option<Form> {
    let named = rule.resource_names.first().map_or("", String::as_str);
    let allows = |verb: &str, group: &str| rule.allows(&Request::on(verb, group, "users").named(named));
    if allows(IMPERSONATE, "") {
        Some(Form::Documented)
    } else if allows(BE_USER, AUTHENTICATION) {
        Some(Form::Constrained)
    } else {
        None
    }
}

/// The principals that a binding names.
pub(super) fn principals_of(binding: &Binding) -> impl Iterator<Item = &str> {
    binding.subjects.iter().filter_map(|subject| match subject {
        Subject::User(name) if name.starts_with("arn:") => Some(name.as_str()),
        Subject::User(_) | Subject::Group(_) | Subject::ServiceAccount { .. } => None,
    })
}

/// The kinds of a role and of a binding: of the whole cluster, and of a namespace.
pub(super) const ROLE: [ObjectKind; 2] = [ObjectKind::ClusterRole, ObjectKind::Role];
pub(super) const BINDING: [ObjectKind; 2] = [ObjectKind::ClusterRoleBinding, ObjectKind::RoleBinding];

/// Names an object of a snapshot.
pub(super) fn reference(meta: &Meta, [of_cluster, of_namespace]: [ObjectKind; 2]) -> ObjectRef {
    match &meta.namespace {
        None => ObjectRef::new(of_cluster, "", &meta.name),
        Some(namespace) => ObjectRef::new(of_namespace, namespace, &meta.name),
    }
}

fn entry<'a>(found: &'a mut BTreeMap<String, Grant>, name: &str) -> &'a mut Grant {
    found.entry(name.to_owned()).or_insert_with(|| Grant { name: name.to_owned(), ..Grant::default() })
}

#[cfg(test)]
#[path = "grants_tests.rs"]
mod tests;
