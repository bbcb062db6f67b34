//! What has to change for somebody to lose access that others gave, or that others gave too widely.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::grants::{BINDING, Form, Maker, ROLE, form_of, impersonating, is_of_template, maker, reference};
use super::names::{PRINCIPAL_LABEL, principal_hash};
use super::principal::{Principal, PrincipalKind};
use crate::manifest::ObjectRef;
use crate::rbac::{Meta, Role, Rule, Snapshot, Subject};

/// A change to an object as it was seen.
#[derive(Clone, Debug, PartialEq)]
pub enum Removal {
    /// Some fields of it become others.
    Amend {
        /// Which.
        object: ObjectRef,
        /// The version that was seen.
        seen: String,
        /// The fields, as a merge patch.
        change: Value,
        /// What that does: `role/Viewer leaves its rules`.
        what: String,
    },
    /// It goes.
    Delete {
        /// Which.
        object: ObjectRef,
        /// Its UID.
        uid: String,
    },
}

impl Removal {
    /// The object.
    pub fn object(&self) -> &ObjectRef {
        match self {
            Self::Amend { object, .. } | Self::Delete { object, .. } => object,
        }
    }
}

/// Whether a name in a rule or a binding is that principal: by its canonical ARN or, where somebody did not know better, by that of its
/// role with the path.
pub fn names(name: &str, principal: &Principal) -> bool {
    if name == principal.arn() {
        return true;
    }
    let Some((before, resource)) = name.split_once(":role/") else { return false };
    principal.kind() == PrincipalKind::Role
        && resource
            .rsplit_once('/')
            .is_some_and(|(_, role)| format!("{before}:role/{role}") == principal.arn())
}

/// Takes the principals out of the rules of others by which the connector of `namespace` may be somebody, in those forms of them that
/// `which` picks. A rule of such a form that names nobody, and so is about everybody, goes, but for those of [`anyone`] that are not ours
/// to change.
pub fn impersonation(
    snapshot: &Snapshot,
    namespace: &str,
    principals: &[Principal],
    which: fn(Form) -> bool,
) -> Vec<Removal> {
    let named = |name: &String| principals.iter().any(|principal| names(name, principal));
    let picked = |rule: &Rule| form_of(rule).is_some_and(which);
    let mut removals = Vec::new();
    for role in roles_of_others(snapshot, namespace) {
        let (mut leaving, mut wide) = (false, false);
        let rules = role.rules.iter().filter_map(|rule| {
            if !picked(rule) {
                return Some(rule.clone());
            }
            if rule.resource_names.is_empty() {
                let goes = is_about_users_alone(rule);
                wide |= goes;
                return (!goes).then(|| rule.clone());
            }
            let mut rule = rule.clone();
            let before = rule.resource_names.len();
            rule.resource_names.retain(|name| !named(name));
            leaving |= rule.resource_names.len() < before;
            // Without names it would be about everybody.
            (!rule.resource_names.is_empty()).then_some(rule)
        });
        let rules: Vec<Rule> = rules.collect();
        let names_of = |principal: &&Principal| {
            role.rules.iter().flat_map(|rule| &rule.resource_names).any(|name| names(name, principal))
        };
        let mut what = Vec::new();
        if leaving {
            what.push(format!("{} leaves its rules", short(principals.iter().filter(names_of))));
        }
        if wide {
            what.push("it no longer lets the connector be anyone".to_owned());
        }
        if !what.is_empty() {
            removals.push(amend_rules(role, &rules, what.join("; ")));
        }
    }
    removals
}

/// The roles of others that let the connector of `namespace` be anyone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Anyone {
    /// By rules about users alone, which [`impersonation`] takes away.
    pub by_rules: Vec<ObjectRef>,
    /// By rules that give so much else that they are not ours to change.
    pub by_everything: Vec<ObjectRef>,
}

/// Who lets the connector of `namespace` be anyone, in those forms that `which` picks.
pub fn anyone(snapshot: &Snapshot, namespace: &str, which: fn(Form) -> bool) -> Anyone {
    let mut found = Anyone::default();
    for role in roles_of_others(snapshot, namespace) {
        let wide: Vec<&Rule> = role
            .rules
            .iter()
            .filter(|rule| rule.resource_names.is_empty() && form_of(rule).is_some_and(which))
            .collect();
        if wide.iter().any(|rule| !is_about_users_alone(rule)) {
            found.by_everything.push(reference(&role.meta, ROLE));
        } else if !wide.is_empty() {
            found.by_rules.push(reference(&role.meta, ROLE));
        }
    }
    found
}

fn is_about_users_alone(rule: &Rule) -> bool {
    !rule.verbs.iter().chain(&rule.resources).chain(&rule.api_groups).any(|word| word == "*")
}

/// Takes the principals out of the bindings by which others let them view.
pub fn views(snapshot: &Snapshot, principals: &[Principal]) -> Vec<Removal> {
    let is_one = |subject: &Subject| match subject {
        Subject::User(name) => principals.iter().any(|principal| names(name, principal)),
        Subject::Group(_) | Subject::ServiceAccount { .. } => false,
    };
    let to_view = |meta: &Meta| match maker(meta) {
        Maker::Template | Maker::Helm(_) => true,
        Maker::Eksconnect => !meta.labels.contains_key(PRINCIPAL_LABEL),
        Maker::Other => false,
    };
    let bindings = snapshot.bindings.iter();
    bindings
        .filter(|binding| to_view(&binding.meta) && binding.subjects.iter().any(is_one))
        .map(|binding| {
            let object = reference(&binding.meta, BINDING);
            let kept: Vec<&Subject> = binding.subjects.iter().filter(|subject| !is_one(subject)).collect();
            if kept.is_empty() {
                return Removal::Delete { object, uid: binding.meta.uid.clone() };
            }
            let who = short(principals.iter().filter(|principal| {
                binding
                    .subjects
                    .iter()
                    .any(|subject| matches!(subject, Subject::User(name) if names(name, principal)))
            }));
            let subjects: Vec<Value> = kept.into_iter().map(written).collect();
            Removal::Amend {
                object,
                seen: binding.meta.resource_version.clone(),
                change: json!({ "subjects": subjects }),
                what: format!("{who} leaves its subjects"),
            }
        })
        .collect()
}

/// The objects of our grants to these principals, each with its UID.
pub fn own(snapshot: &Snapshot, principals: &[Principal]) -> BTreeMap<ObjectRef, String> {
    let hashes: Vec<String> = principals.iter().map(principal_hash).collect();
    let is_own = |meta: &Meta| {
        maker(meta) == Maker::Eksconnect
            && meta.labels.get(PRINCIPAL_LABEL).is_some_and(|hash| hashes.contains(hash))
    };
    let roles = snapshot.roles.iter().map(|role| (&role.meta, ROLE));
    let bindings = snapshot.bindings.iter().map(|binding| (&binding.meta, BINDING));
    let all = roles.chain(bindings).filter(|(meta, _)| is_own(meta));
    all.map(|(meta, kinds)| (reference(meta, kinds), meta.uid.clone())).collect()
}

/// The roles that others made and that let the connector be somebody, those of AWS' templates even where they are bound to nobody: a
/// binding that comes back would bring them back.
fn roles_of_others<'a>(snapshot: &'a Snapshot, namespace: &str) -> Vec<&'a Role> {
    let bound: Vec<&Role> = impersonating(snapshot, namespace).into_iter().map(|(_, role)| role).collect();
    let counts = |role: &&Role| {
        bound.iter().any(|one| one.meta == role.meta)
            || (role.meta.namespace.is_none() && is_of_template(&role.meta.name))
    };
    let own = |role: &&Role| {
        maker(&role.meta) == Maker::Eksconnect && role.meta.labels.contains_key(PRINCIPAL_LABEL)
    };
    snapshot.roles.iter().filter(counts).filter(|role| !own(role)).collect()
}

fn amend_rules(role: &Role, rules: &[Rule], what: String) -> Removal {
    let rules: Vec<Value> = rules.iter().map(as_written).collect();
    Removal::Amend {
        object: reference(&role.meta, ROLE),
        seen: role.meta.resource_version.clone(),
        change: json!({ "rules": rules }),
        what,
    }
}

/// A rule as manifests have it.
fn as_written(rule: &Rule) -> Value {
    let mut written = json!({ "verbs": rule.verbs });
    for (field, list) in [
        ("apiGroups", &rule.api_groups),
        ("resources", &rule.resources),
        ("resourceNames", &rule.resource_names),
        ("nonResourceURLs", &rule.non_resource_urls),
    ] {
        if !list.is_empty() {
            written[field] = json!(list);
        }
    }
    written
}

/// A subject as manifests have it.
fn written(subject: &Subject) -> Value {
    const GROUP: &str = "rbac.authorization.k8s.io";
    match subject {
        Subject::User(name) => json!({ "kind": "User", "name": name, "apiGroup": GROUP }),
        Subject::Group(name) => json!({ "kind": "Group", "name": name, "apiGroup": GROUP }),
        Subject::ServiceAccount { namespace, name } => {
            let mut subject = json!({ "kind": "ServiceAccount", "name": name });
            if let Some(namespace) = namespace {
                subject["namespace"] = json!(namespace);
            }
            subject
        }
    }
}

fn short<'a>(principals: impl Iterator<Item = &'a Principal>) -> String {
    principals.map(Principal::short).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[path = "removal_tests.rs"]
mod tests;
