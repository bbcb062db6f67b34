//! What a person should know about a plan, beside its steps.

use super::desired::Desired;
use super::grants::{Form, Held, Maker, ceiling, grants, maker};
use super::names::{PRINCIPAL_LABEL, principal_hash};
use super::objects::{GrantScope, ceiling_of};
use super::observed::{Decision, IamState, Looked, Observed};
use super::planner::{AccessPlan, left_bindings};
use super::principal::Principal;
use super::removal::{self, Removal};
use super::request::ImpersonationChoice;
use super::step::Step;
use crate::manifest::ObjectRef;

use crate::rbac::{Meta, Request, Rule, Snapshot};

/// A rule, and the namespace in which it counts.
type Placed = (Option<String>, Rule);

/// The connector may be anyone, and stays so.
pub(super) fn anything(role: &ObjectRef) -> String {
    format!(
        "{role} is bound to the connector's service account and lets it be anyone and do everything: nobody is held to viewing \
         while that stands."
    )
}

/// About grants.
pub(super) fn of_grants(desired: &Desired, observed: &Observed, planned: &mut AccessPlan) {
    let looked = &observed.looked;
    planned.notes.extend(looked.warnings.iter().cloned());
    let principals: Vec<Principal> = desired.grants.iter().map(|design| design.principal.clone()).collect();
    if desired.form == Form::Documented {
        planned.notes.push(documented(desired, &principals));
    }
    if let Some(design) = desired.grants.first().filter(|_| !desired.beyond.is_empty()) {
        let role = match &design.role {
            super::objects::GrantRole::Given(role) => role.meta.name.as_str(),
            super::objects::GrantRole::ConsoleView => "",
        };
        let beyond = desired.beyond.join("; ");
        planned.notes.push(format!("ClusterRole {role} gives more than reading: {beyond}."));
    }
    if desired.form == Form::Constrained && planned.changes_something() {
        planned.notes.extend(shared_ceiling(desired, &principals, &looked.rules, &looked.namespace));
    }
    planned.notes.extend(secrets(&principals, desired.form, looked));
    planned.notes.extend(kept_elsewhere(planned, looked));
    for principal in &principals {
        planned.notes.extend(iam(principal, observed, desired.attach_policy));
    }
}

/// About revoking.
pub(super) fn of_revoking(principals: &[Principal], looked: &Looked, planned: &mut AccessPlan) {
    planned.notes.extend(kept_elsewhere(planned, looked));
    let left = left_bindings(principals, looked);
    if !left.is_empty() {
        let left = left.into_iter().collect::<Vec<_>>().join(", ");
        planned.notes.push(format!(
            "{left} stays: it was not made for viewing. Through the connector nobody can use it any more."
        ));
    }
}

fn documented(desired: &Desired, principals: &[Principal]) -> String {
    let who = list(principals);
    let because = if desired.choice == ImpersonationChoice::Documented {
        "As asked for, impersonation is not constrained"
    } else {
        "This API server does not constrain impersonation"
    };
    format!("{because}: through the connector {who} can do whatever RBAC allows, not only view.")
}

/// What one grant lets the connector ask for as somebody, it may ask for as everybody it may be in the constrained form.
fn shared_ceiling(
    desired: &Desired,
    principals: &[Principal],
    rules: &Snapshot,
    namespace: &str,
) -> Vec<String> {
    let hashes: Vec<String> = principals.iter().map(principal_hash).collect();
    let own = |meta: &Meta| meta.labels.get(PRINCIPAL_LABEL).is_some_and(|hash| hashes.contains(hash));
    let mut others = rules.clone();
    others.roles.retain(|role| !own(&role.meta));
    let found = grants(&others, namespace);
    let beside: Vec<&str> = found
        .principals
        .iter()
        .filter(|grant| grant.held() == Held::Ceiling)
        .filter(|grant| !principals.iter().any(|principal| removal::names(&grant.name, principal)))
        .map(|grant| grant.name.as_str())
        .collect();
    if beside.is_empty() {
        return Vec::new();
    }
    let theirs = ceiling(&others, namespace);
    let ours: Vec<Placed> = desired
        .grants
        .iter()
        .flat_map(|design| {
            let (of_cluster, of_namespaces) = ceiling_of(design);
            let places = match &design.scope {
                GrantScope::Cluster => Vec::new(),
                GrantScope::Namespaces(places) => places.clone(),
            };
            let placed = places.into_iter().flat_map(move |place| {
                of_namespaces.clone().into_iter().map(move |rule| (Some(place.clone()), rule))
            });
            of_cluster.into_iter().map(|rule| (None, rule)).chain(placed)
        })
        .collect();
    let mut notes = Vec::new();
    if let Some(more) = beyond(&ours, &theirs) {
        notes.push(format!(
            "The ceiling is shared: through the connector {} can now be asked for {more} too, where its own rights allow that.",
            beside.join(", ")
        ));
    }
    if let Some(more) = beyond(&theirs, &ours) {
        notes.push(format!(
            "The ceiling is shared: because of other grants {} can be asked for {more} too, where its own rights allow that.",
            list(principals)
        ));
    }
    notes
}

/// What the first rules allow and the second do not, in a few words.
fn beyond(wide: &[Placed], narrow: &[Placed]) -> Option<String> {
    let covered = |place: Option<&String>, request: &Request| {
        narrow
            .iter()
            .any(|(other, rule)| (other.is_none() || other.as_ref() == place) && rule.allows(request))
    };
    let mut phrases: Vec<String> = Vec::new();
    for (place, rule) in wide.iter().filter(|(_, rule)| rule.non_resource_urls.is_empty()) {
        let mut left = rule.clone();
        left.resources.retain(|resource| {
            !rule.verbs.iter().all(|verb| {
                rule.api_groups.iter().all(|group| {
                    let name = rule.resource_names.first().map_or("", String::as_str);
                    covered(place.as_ref(), &Request::on(verb, group, resource).named(name))
                })
            })
        });
        if !left.resources.is_empty() {
            let place = place.as_ref().map(|place| format!(" in namespace {place}")).unwrap_or_default();
            phrases.push(format!("{left}{place}"));
        }
    }
    let more = phrases.len().saturating_sub(1);
    let first = phrases.into_iter().next()?;
    Some(if more == 0 { first } else { format!("{first}, and by {more} more rules") })
}

/// AWS' later dashboard role lists every Secret.
fn secrets(principals: &[Principal], form: Form, looked: &Looked) -> Vec<String> {
    let found = grants(&looked.rules, &looked.namespace);
    let reads = Request::on("list", "", "secrets");
    let mut notes = Vec::new();
    for grant in &found.principals {
        let Some(principal) = principals.iter().find(|one| removal::names(&grant.name, one)) else {
            continue;
        };
        let of_template = grant.rights.iter().filter(|rights| rights.maker == Maker::Template);
        for rights in of_template {
            let role = looked.rules.roles.iter().find(|role| {
                role.meta.name == rights.role.name()
                    && (role.meta.namespace.is_none() || role.meta.namespace == rights.namespace)
            });
            if role.is_some_and(|role| role.rules.iter().any(|rule| rule.allows(&reads))) {
                let through = match form {
                    Form::Constrained => "through the connector no longer",
                    Form::Documented => "through the connector too",
                };
                notes.push(format!(
                    "{} ({}) lets {} read Secrets, {through}.",
                    rights.binding,
                    rights.role.name(),
                    principal.short()
                ));
            }
        }
    }
    notes
}

/// What changes objects of a Helm release, the release undoes with its next upgrade.
fn kept_elsewhere(planned: &AccessPlan, looked: &Looked) -> Vec<String> {
    let mut releases: Vec<String> = Vec::new();
    for (_, step) in planned.plan.iter() {
        let Step::Change(Removal::Amend { object, .. } | Removal::Delete { object, .. }) = &step.step else {
            continue;
        };
        let roles = looked.rules.roles.iter().map(|role| &role.meta);
        let bindings = looked.rules.bindings.iter().map(|binding| &binding.meta);
        let meta = roles
            .chain(bindings)
            .find(|meta| meta.name == object.name && meta.namespace == object.namespace && is_of_helm(meta));
        if let Some(Maker::Helm(release)) = meta.map(maker)
            && !releases.contains(&release)
        {
            releases.push(release);
        }
    }
    releases
        .into_iter()
        .map(|release| {
            format!("Helm release {release} names it too: take it out of its values, or the next upgrade brings it back.")
        })
        .collect()
}

fn is_of_helm(meta: &Meta) -> bool {
    matches!(maker(meta), Maker::Helm(_))
}

/// What IAM says, if it is not yes.
fn iam(principal: &Principal, observed: &Observed, attached: bool) -> Option<String> {
    let who = principal.short();
    match observed.iam.get(principal)? {
        IamState::Allowed => None,
        IamState::Unknown(why) => Some(format!("Whether IAM lets {who} view could not be checked: {why}.")),
        IamState::Lacks(_) if attached => None,
        IamState::Lacks(actions) => {
            let denied = actions.iter().any(|(_, decision)| *decision == Decision::Denied);
            let names: Vec<&str> = actions.iter().map(|(action, _)| action.as_str()).collect();
            let names = names.join(", ");
            Some(if denied {
                format!("IAM denies {who} {names}: a policy says so, which has to go before it can view.")
            } else {
                format!("IAM does not allow {who} {names}: grant-view --attach-iam-policy adds that.")
            })
        }
    }
}

/// `role/Viewer, user/ana`.
fn list(principals: &[Principal]) -> String {
    principals.iter().map(Principal::short).collect::<Vec<_>>().join(", ")
}
