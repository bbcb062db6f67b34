//! Rights in words, and as the rules that give them.

use std::collections::{BTreeMap, BTreeSet};

use super::Right;

type Place = Option<String>;
type Words<'a> = BTreeSet<&'a str>;
type Named<'a> = (&'a Place, &'a str, &'a str, bool, Words<'a>);
type Rule<'a> = (&'a Place, &'a str, Words<'a>, Words<'a>);

/// `create, patch statefulsets.apps in namespace eks-connector`, the verbs on one kind of object in one phrase.
pub(super) fn words(rights: &BTreeSet<Right>) -> Vec<String> {
    let mut verbs: BTreeMap<(&Place, &str, &str), BTreeSet<&str>> = BTreeMap::new();
    for right in rights {
        verbs.entry((&right.namespace, &right.group, &right.resource)).or_default().insert(&right.verb);
    }
    let phrase = |((namespace, group, resource), verbs): ((&Place, &str, &str), BTreeSet<&str>)| {
        let group = if group.is_empty() { String::new() } else { format!(".{group}") };
        let place = namespace.as_ref().map(|name| format!(" in namespace {name}")).unwrap_or_default();
        format!("{} {resource}{group}{place}", joined(verbs))
    };
    verbs.into_iter().map(phrase).collect()
}

/// The rules, below the kind of role that each place needs. Only of Secrets is more not given than is needed: the other
/// kinds are not worth a rule for each object.
pub(super) fn rules(rights: &BTreeSet<Right>) -> Vec<String> {
    let mut verbs: BTreeMap<(&Place, &str, &str, Option<&str>), BTreeSet<&str>> = BTreeMap::new();
    for right in rights {
        let name = right.name.as_deref().filter(|_| right.resource == "secrets");
        let kind = (&right.namespace, right.group.as_str(), right.resource.as_str(), name);
        verbs.entry(kind).or_default().insert(&right.verb);
    }
    // Objects of a kind with the same verbs, then kinds of a group with the same verbs, share a rule.
    let mut names: BTreeMap<Named<'_>, Words<'_>> = BTreeMap::new();
    for ((place, group, resource, name), verbs) in verbs {
        names.entry((place, group, resource, name.is_some(), verbs)).or_default().extend(name);
    }
    let mut resources: BTreeMap<Rule<'_>, Words<'_>> = BTreeMap::new();
    for ((place, group, resource, _, verbs), names) in names {
        resources.entry((place, group, verbs, names)).or_default().insert(resource);
    }
    let mut lines = Vec::new();
    let mut heading = None;
    for ((place, group, verbs, names), resources) in resources {
        if heading != Some(place) {
            lines.push(match place {
                None => "in a ClusterRole, for the whole cluster:".to_owned(),
                Some(namespace) => format!("in a Role of namespace {namespace}:"),
            });
            heading = Some(place);
        }
        let names =
            if names.is_empty() { String::new() } else { format!(", resourceNames: [{}]", joined(names)) };
        let group = if group.is_empty() { r#""""# } else { group };
        lines.push(format!(
            "- {{apiGroups: [{group}], resources: [{}]{names}, verbs: [{}]}}",
            joined(resources),
            joined(verbs)
        ));
    }
    lines
}

fn joined(words: BTreeSet<&str>) -> String {
    words.into_iter().collect::<Vec<_>>().join(", ")
}
