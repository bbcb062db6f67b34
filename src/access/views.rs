//! Everybody with any part of access, which part is missing, and what to do about it. Pure; looking is [`look`].

pub mod look;

use std::collections::BTreeSet;

use super::grants::{Form, Grant, Grants, Held, Impersonation, Maker, Scope, ceiling};
use super::grown::{command, grown_of};
use super::observed::IamState;
use super::principal::Principal;
use crate::manifest::ObjectKind;
use crate::rbac::{Rule, Snapshot};
use crate::registration::place::in_namespace;

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
            format!("eksconnect revoke-view --principal {principal}{}", in_namespace(facts.namespace)),
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
        advice.extend(grown_of(grant, facts.rules, &facts.ceiling, facts.namespace).into_iter().map(
            |grown| Advice {
                severity: Severity::Note,
                text: grown.to_string(),
                command: Some(grown.command),
            },
        ));
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
