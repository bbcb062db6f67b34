//! Everybody with any part of access, which part is missing, and what to do about it. Pure; looking is [`look`].

pub mod look;

use std::collections::BTreeSet;

use super::ceiling::reading;
use super::grants::{Form, Grant, Grants, Held, Impersonation, Maker, Rights, Scope, ceiling};
use super::names::{CONSOLE_VIEW_ROLE, SCOPED_VIEW_ROLE};
use super::observed::IamState;
use super::principal::Principal;
use crate::manifest::{DEFAULT_NAMESPACE, ObjectKind};
use crate::rbac::{Request, Role, RoleRef, Rule, Snapshot};

/// Everybody, as found.
#[derive(Clone, Debug)]
pub struct Views {
    /// Namespace of the connector.
    pub namespace: String,
    /// `v1.36.3`, if the API server says it.
    pub version: Option<String>,
    /// Whether it has constrained impersonation.
    pub constrains: bool,
    /// The registration's ARN, if it is known.
    pub registration: Option<String>,
    /// One for each principal, in order of their names.
    pub views: Vec<View>,
    /// The rules by which the connector may be anybody at all.
    pub anyone: Vec<Impersonation>,
    /// What could not be found out.
    pub notes: Vec<String>,
}

/// What one principal has.
#[derive(Clone, Debug)]
pub struct View {
    /// The name in the rules: an ARN.
    pub name: String,
    /// The principal; `None` if the name is not in the form in which the connector impersonates.
    pub principal: Option<Principal>,
    /// Where it has rights.
    pub scope: Scope,
    /// How the connector may act as it.
    pub impersonation: ActsAs,
    /// What it may do in the cluster.
    pub rights: RightsState,
    /// What IAM allows it.
    pub iam: Iam,
    /// Who made any part of it.
    pub makers: BTreeSet<Maker>,
    /// What is wrong and what to do, the most important first.
    pub advice: Vec<Advice>,
}

/// How the connector may act as a principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActsAs {
    /// Not at all.
    Missing,
    /// It is granted in a form that this API server does not know.
    NotHonoured,
    /// To view and nothing else.
    ViewOnly,
    /// For whatever the principal may do.
    Anything,
}

/// What a principal may do in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RightsState {
    /// Nothing by its name.
    Missing,
    /// Something.
    Present,
}

/// What IAM says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Iam {
    /// It knows no such principal.
    Absent,
    /// It was asked.
    Known(IamState),
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// How bad it is.
    pub severity: Severity,
    /// What it is, in a sentence without its end.
    pub text: String,
    /// The command that mends it, if one does.
    pub command: Option<String>,
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// More is allowed than viewing.
    Loose,
    /// Something is missing, so that nothing can be viewed.
    Missing,
    /// Worth knowing.
    Note,
}

/// What all views depend on.
struct Facts<'a> {
    rules: &'a Snapshot,
    namespace: &'a str,
    constrains: bool,
    ceiling: Vec<(Option<String>, Rule)>,
}

/// What each principal has; `iam` says what IAM allows the canonical ones.
pub fn views(
    rules: &Snapshot,
    found: &Grants,
    namespace: &str,
    constrains: bool,
    iam: impl Fn(&Principal) -> Iam,
) -> Vec<View> {
    let facts = Facts { rules, namespace, constrains, ceiling: ceiling(rules, namespace) };
    found.principals.iter().map(|grant| view(grant, &facts, &iam)).collect()
}

fn view(grant: &Grant, facts: &Facts<'_>, iam: &impl Fn(&Principal) -> Iam) -> View {
    let principal = grant.principal();
    let iam = match &principal {
        Some(principal) => iam(principal),
        None => Iam::Known(IamState::Unknown("it is no principal in this form".to_owned())),
    };
    let documented = grant.impersonation.iter().any(|one| one.form == Form::Documented);
    let impersonation = match grant.held() {
        Held::Nothing => ActsAs::Missing,
        Held::Ceiling if !facts.constrains => ActsAs::NotHonoured,
        Held::Ceiling => ActsAs::ViewOnly,
        Held::Anything if documented => ActsAs::Anything,
        Held::Anything => ActsAs::ViewOnly,
    };
    let rights = if grant.rights.iter().any(|rights| rights.role_exists) {
        RightsState::Present
    } else {
        RightsState::Missing
    };
    let mut view = View {
        name: grant.name.clone(),
        scope: grant.scope(),
        impersonation,
        rights,
        iam,
        makers: grant.makers().into_iter().cloned().collect(),
        advice: Vec::new(),
        principal,
    };
    view.advice = advice(&view, grant, facts);
    view.advice.sort_by_key(|advice| advice.severity);
    view
}

fn advice(view: &View, grant: &Grant, facts: &Facts<'_>) -> Vec<Advice> {
    let missing =
        |text: String, command: String| Advice { severity: Severity::Missing, text, command: Some(command) };
    let Some(principal) = &view.principal else {
        return vec![missing(
            format!("{} is not in the form in which the connector acts as somebody", view.name),
            format!("eksconnect grant-view --principal {}", view.name),
        )];
    };
    let who = principal.short();
    if view.iam == Iam::Absent {
        return vec![missing(
            format!("{who} does not exist in IAM; what it has can be taken away"),
            format!("eksconnect revoke-view --principal {principal}{}", place(facts.namespace)),
        )];
    }
    let grant_again = command(principal, grant, facts.namespace);
    let mut advice = Vec::new();
    match view.impersonation {
        ActsAs::Missing => {
            advice.push(missing(format!("the connector may not act as {who}"), grant_again.clone()));
        }
        ActsAs::NotHonoured => advice.push(missing(
            format!("this API server does not know the form in which the connector may act as {who}"),
            grant_again.clone(),
        )),
        ActsAs::Anything if facts.constrains => advice.push(Advice {
            severity: Severity::Loose,
            text: format!("{who} is not held to viewing"),
            command: Some(grant_again.clone()),
        }),
        ActsAs::Anything => advice.push(Advice {
            severity: Severity::Loose,
            text: format!("{who} is not held to viewing, which takes Kubernetes 1.36"),
            command: None,
        }),
        ActsAs::ViewOnly => {}
    }
    if view.rights == RightsState::Missing {
        advice.push(missing(lacks_rights(who, grant), grant_again.clone()));
    }
    if let Iam::Known(IamState::Lacks(actions)) = &view.iam {
        let actions: Vec<&str> = actions.iter().map(|(action, _)| action.as_str()).collect();
        advice.push(missing(
            format!("IAM does not allow {who} {}", actions.join(", ")),
            format!("{grant_again} --attach-iam-policy"),
        ));
    }
    if view.impersonation == ActsAs::ViewOnly {
        advice.extend(grown(grant, facts).into_iter().map(|(role, more)| Advice {
            severity: Severity::Note,
            text: format!(
                "ClusterRole {role} lets {who} read more than the connector may ask for: {}",
                more.join("; ")
            ),
            command: Some(grant_again.clone()),
        }));
    }
    advice
}

fn lacks_rights(who: &str, grant: &Grant) -> String {
    match grant.rights.first() {
        Some(rights) => format!(
            "{who} has no rights in the cluster: {} gives {} {}, which does not exist",
            rights.binding,
            rights.role.kind(),
            rights.role.name()
        ),
        None => format!("{who} has no rights in the cluster"),
    }
}

/// The command that makes a grant whole: in the same place, and of the same role where eksconnect gave one of others.
fn command(principal: &Principal, grant: &Grant, namespace: &str) -> String {
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
    command.push_str(&place(namespace));
    command
}

fn place(namespace: &str) -> String {
    if namespace == DEFAULT_NAMESPACE { String::new() } else { format!(" --namespace {namespace}") }
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

/// What a role of others lets a principal read by now and the connector may not ask for: it has grown since it was
/// granted.
fn grown<'a>(grant: &'a Grant, facts: &Facts<'_>) -> Vec<(&'a str, Vec<String>)> {
    let mut found = Vec::new();
    for rights in &grant.rights {
        let Some(name) = given_role(rights) else { continue };
        let role = facts.rules.roles.iter().find(|role| is_cluster_role(role, name));
        let Some(role) = role.filter(|_| found.iter().all(|(known, _)| *known != name)) else { continue };
        let more: Vec<String> = reading(role)
            .ceiling
            .iter()
            // A RoleBinding gives nothing of paths.
            .filter(|rule| rights.namespace.is_none() || rule.non_resource_urls.is_empty())
            .filter_map(|rule| above(rule, rights.namespace.as_deref(), &facts.ceiling))
            .map(|rule| rule.to_string())
            .collect();
        if !more.is_empty() {
            found.push((name, more));
        }
    }
    found
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
    let mut left = rule.clone();
    left.non_resource_urls.retain(|path| !rule.verbs.iter().all(|verb| covered(&Request::path(verb, path))));
    left.resources.retain(|resource| {
        let name = rule.resource_names.first().map_or("", String::as_str);
        let asks = rule.verbs.iter().flat_map(|verb| {
            rule.api_groups.iter().map(move |group| Request::on(verb, group, resource).named(name))
        });
        !asks.into_iter().all(|request| covered(&request))
    });
    (!left.resources.is_empty() || !left.non_resource_urls.is_empty()).then_some(left)
}

/// What is wrong with a rule by which the connector may be anybody, and the command that takes it away.
pub fn advice_on_anyone(one: &Impersonation) -> Advice {
    let kind =
        if one.binding.kind == ObjectKind::ClusterRoleBinding { "clusterrolebinding" } else { "rolebinding" };
    let place = one.binding.namespace.as_ref().map(|place| format!(" -n {place}")).unwrap_or_default();
    Advice {
        severity: Severity::Loose,
        text: format!(
            "the connector may act as anybody at all: a rule of {} names nobody; once the principals above are granted by \
             eksconnect, take it away",
            one.role
        ),
        command: Some(format!("kubectl delete {kind} {}{place}", one.binding.name)),
    }
}

#[cfg(test)]
mod tests;
