//! Who may do what, and by which binding, role and rule.

use std::collections::HashMap;
use std::fmt;

use super::model::{Binding, Role, RoleRef, Rule, Snapshot, Subject};
use super::request::{Request, Target};
use super::who::Who;

/// Answers questions about a snapshot.
pub struct Evaluator<'a> {
    snapshot: &'a Snapshot,
    /// By namespace (none for a ClusterRole) and name.
    roles: HashMap<(Option<&'a str>, &'a str), &'a Role>,
}

/// Why something is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit<'a> {
    /// By a rule.
    Rule(Chain<'a>),
    /// As a member of `system:masters`.
    Masters,
}

/// From a subject to the rule that allows something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain<'a> {
    /// The binding.
    pub binding: &'a Binding,
    /// The subject of the binding by which it applies: the first one, as the API server reports it.
    pub subject: &'a Subject,
    /// The role that the binding gives.
    pub role: &'a Role,
    /// The rule of that role.
    pub rule: &'a Rule,
}

/// `ClusterRoleBinding a → ClusterRole b → get, list on pods, nodes`.
impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.binding.kind())?;
        if let Some(namespace) = &self.binding.meta.namespace {
            write!(f, "{namespace}/")?;
        }
        write!(
            f,
            "{} → {} {} → {}",
            self.binding.meta.name,
            self.binding.role.kind(),
            self.binding.role.name(),
            self.rule
        )
    }
}

/// `get, list on pods, deployments (apps)`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on ", self.verbs.join(", "))?;
        if !self.non_resource_urls.is_empty() {
            return f.write_str(&self.non_resource_urls.join(", "));
        }
        f.write_str(&self.resources.join(", "))?;
        let groups: Vec<&str> =
            self.api_groups.iter().map(|group| if group.is_empty() { "core" } else { group }).collect();
        if groups != ["core"] {
            write!(f, " ({})", groups.join(", "))?;
        }
        if !self.resource_names.is_empty() {
            write!(f, " named {}", self.resource_names.join(", "))?;
        }
        Ok(())
    }
}

impl<'a> Evaluator<'a> {
    /// Of that snapshot.
    pub fn new(snapshot: &'a Snapshot) -> Self {
        let roles = snapshot.roles.iter();
        let key = |role: &'a Role| (role.meta.namespace.as_deref(), role.meta.name.as_str());
        Self { snapshot, roles: roles.map(|role| (key(role), role)).collect() }
    }

    /// Why `who` may do that; `None` if it may not.
    pub fn permits(&self, who: &Who, request: &Request) -> Option<Permit<'a>> {
        if who.is_master() {
            return Some(Permit::Masters);
        }
        self.chains(who, request).next().map(Permit::Rule)
    }

    /// Every way by which `who` may do that, but for [`Permit::Masters`].
    pub fn chains<'b>(&'b self, who: &'b Who, request: &'b Request) -> impl Iterator<Item = Chain<'a>> + 'b {
        let namespace = request.namespace();
        self.bindings_for(namespace)
            .filter_map(move |binding| Some((binding, self.role_of(binding)?, applies(binding, who)?)))
            .flat_map(move |(binding, role, subject)| {
                let rules = role.rules.iter().filter(move |rule| rule.allows(request));
                rules.map(move |rule| Chain { binding, subject, role, rule })
            })
    }

    /// Everybody who may do that, each with the way. Members of groups are not known, so a group stands for them.
    pub fn who_can<'b>(&'b self, request: &'b Request) -> impl Iterator<Item = Chain<'a>> + 'b {
        self.bindings_for(request.namespace())
            .filter_map(move |binding| Some((binding, self.role_of(binding)?)))
            .flat_map(move |(binding, role)| {
                let rule = role.rules.iter().find(|rule| rule.allows(request));
                let subjects =
                    rule.into_iter().flat_map(move |rule| binding.subjects.iter().map(move |s| (rule, s)));
                subjects.map(move |(rule, subject)| Chain { binding, subject, role, rule })
            })
    }

    /// Every binding that names `who`, with its role, which is `None` if it does not exist.
    pub fn bindings_of<'b>(
        &'b self,
        who: &'b Who,
    ) -> impl Iterator<Item = (&'a Binding, Option<&'a Role>)> + 'b {
        let bindings = self.snapshot.bindings.iter();
        bindings
            .filter(|binding| applies(binding, who).is_some())
            .map(|binding| (binding, self.role_of(binding)))
    }

    /// The role that a binding gives, if it exists.
    pub fn role_of(&self, binding: &'a Binding) -> Option<&'a Role> {
        match &binding.role {
            RoleRef::ClusterRole(name) => self.roles.get(&(None, name.as_str())).copied(),
            // Of a ClusterRoleBinding the API server accepts only ClusterRoles.
            RoleRef::Role(name) => {
                let namespace = binding.meta.namespace.as_deref()?;
                self.roles.get(&(Some(namespace), name.as_str())).copied()
            }
        }
    }

    /// The bindings that count for a request in that namespace, or in none: a RoleBinding counts in its own alone.
    fn bindings_for<'b>(&'b self, namespace: &'b str) -> impl Iterator<Item = &'a Binding> + 'b {
        self.snapshot.bindings.iter().filter(move |binding| match &binding.meta.namespace {
            None => true,
            Some(own) => own == namespace,
        })
    }
}

/// The first subject by which a binding applies to `who`.
fn applies<'a>(binding: &'a Binding, who: &Who) -> Option<&'a Subject> {
    binding.subjects.iter().find(|subject| match subject {
        Subject::User(name) => *name == who.name,
        Subject::Group(name) => who.groups.contains(name),
        Subject::ServiceAccount { namespace, name } => {
            let namespace = namespace.as_deref().filter(|namespace| !namespace.is_empty());
            let namespace = namespace.or(binding.meta.namespace.as_deref());
            namespace.is_some_and(|namespace| who.is_service_account(namespace, name))
        }
    })
}

impl Rule {
    /// Whether this rule by itself allows that. Where and to whom, its binding says.
    pub fn allows(&self, request: &Request) -> bool {
        let matches =
            |allowed: &[String], wanted: &str| allowed.iter().any(|item| item == "*" || item == wanted);
        matches(&self.verbs, &request.verb)
            && match &request.target {
                Target::Path(path) => self.non_resource_urls.iter().any(|url| url_matches(url, path)),
                Target::Resource { group, resource, subresource, name, .. } => {
                    matches(&self.api_groups, group)
                        && self.resources.iter().any(|rule| resource_matches(rule, resource, subresource))
                        // Unlike the others: no names mean all, and `*` is a name like any other.
                        && (self.resource_names.is_empty() || self.resource_names.contains(name))
                }
            }
    }
}

/// `*` is everything, subresources too; `pods` is not `pods/log`; `*/log` is the log of whatever has one.
fn resource_matches(rule: &str, resource: &str, subresource: &str) -> bool {
    if rule == "*" {
        return true;
    }
    if subresource.is_empty() {
        return rule == resource;
    }
    let of = rule.strip_suffix(subresource).and_then(|rest| rest.strip_suffix('/'));
    of.is_some_and(|of| of == resource || of == "*")
}

/// All stars at its end count as one.
fn url_matches(rule: &str, path: &str) -> bool {
    rule == path || (rule.ends_with('*') && path.starts_with(rule.trim_end_matches('*')))
}
