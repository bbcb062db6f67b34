//! What of a role is reading: the ceiling that it sets to what the connector may ask for, and what it gives beyond that.

use std::collections::BTreeSet;

use super::viewable::{RESOURCES, VERBS, Viewable, paths};
use crate::rbac::{Role, Rule};

/// What reading is, to a role that others made.
const READING: [&str; 3] = ["get", "list", "watch"];

/// Subresources by which more is done than reading, whatever the verb: a `get` of `pods/exec` opens a shell.
const CONNECTING: [&str; 4] = ["exec", "attach", "portforward", "proxy"];

/// What a role gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Its reading, with every wildcard spelt out as what can be viewed.
    pub ceiling: Vec<Rule>,
    /// What it gives beyond reading, each as a phrase: `create, delete on deployments (apps)`.
    pub beyond: Vec<String>,
}

/// What viewers may do: get and list the kinds that `which` picks, and `with_paths` the paths that are no resources.
pub fn viewing(which: impl Fn(&Viewable) -> bool, with_paths: bool) -> Vec<Rule> {
    let viewable: Vec<&Viewable> = RESOURCES.iter().filter(|one| which(one)).collect();
    let mut groups: Vec<&str> = Vec::new();
    for one in &viewable {
        if !groups.contains(&one.group) {
            groups.push(one.group);
        }
    }
    let of_group = |group: &str| {
        viewable.iter().filter(|one| one.group == group).map(|one| one.resource.to_owned()).collect()
    };
    let mut rules: Vec<Rule> =
        groups.into_iter().map(|group| on(&VERBS, &[group], of_group(group))).collect();
    if with_paths {
        rules.push(path_rule());
    }
    rules
}

/// The read-only paths that clients ask for.
pub fn path_rule() -> Rule {
    Rule { verbs: vec!["get".to_owned()], non_resource_urls: paths(), ..Rule::default() }
}

/// What `role` gives.
pub fn reading(role: &Role) -> Reading {
    let mut reading = Reading::default();
    for rule in &role.rules {
        if rule.non_resource_urls.is_empty() {
            of_resources(rule, &mut reading);
        } else {
            of_paths(rule, &mut reading);
        }
    }
    let mut seen = BTreeSet::new();
    reading.beyond.retain(|phrase| seen.insert(phrase.clone()));
    reading
}

fn of_paths(rule: &Rule, reading: &mut Reading) {
    if rule.verbs.iter().any(|verb| verb != "get") {
        reading.beyond.push(rule.to_string());
    }
    if !rule.verbs.iter().any(|verb| verb == "get" || verb == "*") {
        return;
    }
    let mut urls: Vec<String> = Vec::new();
    for url in &rule.non_resource_urls {
        if let Some(start) = url.strip_suffix('*') {
            urls.extend(paths().into_iter().filter(|path| path.starts_with(start)));
        } else {
            urls.push(url.clone());
        }
    }
    if !urls.is_empty() {
        let verbs = vec!["get".to_owned()];
        reading.ceiling.push(Rule { verbs, non_resource_urls: urls, ..Rule::default() });
    }
}

fn of_resources(rule: &Rule, reading: &mut Reading) {
    let all = rule.verbs.iter().any(|verb| verb == "*");
    let reads: Vec<&str> =
        READING.into_iter().filter(|read| all || rule.verbs.iter().any(|verb| verb == read)).collect();
    if all || rule.verbs.iter().any(|verb| !READING.contains(&verb.as_str())) {
        let verbs = rule.verbs.iter().filter(|verb| !READING.contains(&verb.as_str())).cloned().collect();
        reading.beyond.push(Rule { verbs, ..rule.clone() }.to_string());
    }
    if reads.is_empty() {
        return;
    }
    let reads_only = |resources: Vec<String>| Rule {
        verbs: reads.iter().map(|verb| (*verb).to_owned()).collect(),
        resources,
        ..rule.clone()
    };
    let beyond: Vec<String> =
        rule.resources.iter().filter(|resource| is_beyond(rule, resource)).cloned().collect();
    if !beyond.is_empty() {
        reading.beyond.push(reads_only(beyond).to_string());
    }
    // What has no name that could be spelt out stays below the ceiling: no role that can be viewed has it.
    let named = rule.resources.iter().filter(|resource| !resource.contains('*') && !connects(resource));
    for group in &rule.api_groups {
        let mut resources: Vec<String> = Vec::new();
        if group != "*" {
            resources.extend(named.clone().cloned());
        }
        let wild = rule.resources.iter().any(|resource| resource == "*");
        for (own_group, resource) in RESOURCES.iter().map(|one| (one.group, one.resource)) {
            let matches = wild || (group == "*" && rule.resources.iter().any(|one| one == resource));
            if group == own_group && matches && !resources.iter().any(|one| one == resource) {
                resources.push(resource.to_owned());
            }
        }
        if group == "*" {
            reading.ceiling.extend(everywhere(rule, &reads, wild));
        } else if !resources.is_empty() {
            let names = rule.resource_names.clone();
            reading.ceiling.push(Rule { resource_names: names, ..on(&reads, &[group], resources) });
        }
    }
}

/// A rule about every API group, group by group.
fn everywhere(rule: &Rule, reads: &[&str], wild: bool) -> Vec<Rule> {
    let named = |one: &Viewable| wild || rule.resources.iter().any(|resource| resource == one.resource);
    let rules = viewing(named, false).into_iter();
    rules
        .map(|viewing| Rule {
            verbs: reads.iter().map(|verb| (*verb).to_owned()).collect(),
            resource_names: rule.resource_names.clone(),
            ..viewing
        })
        .collect()
}

/// Whether reading that is more than viewing: Secrets, whatever there is and will be, and what is no reading.
fn is_beyond(rule: &Rule, resource: &str) -> bool {
    let of_core = rule.api_groups.iter().any(|group| group.is_empty() || group == "*");
    (of_core && resource == "secrets") || resource.contains('*') || connects(resource) || {
        rule.api_groups.iter().any(|group| group == "*")
    }
}

fn connects(resource: &str) -> bool {
    resource.split_once('/').is_some_and(|(_, subresource)| CONNECTING.contains(&subresource))
}

fn on(verbs: &[&str], groups: &[&str], resources: Vec<String>) -> Rule {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Rule { verbs: owned(verbs), api_groups: owned(groups), resources, ..Rule::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(rules: &[(&[&str], &[&str], &[&str])]) -> Role {
        let rule = |(verbs, groups, resources): &(&[&str], &[&str], &[&str])| {
            on(verbs, groups, resources.iter().map(|one| (*one).to_owned()).collect())
        };
        Role { rules: rules.iter().map(rule).collect(), ..Role::default() }
    }

    fn shown(rules: &[Rule]) -> Vec<String> {
        rules.iter().map(Rule::to_string).collect()
    }

    #[test]
    fn reading_is_the_ceiling_and_the_rest_is_said() {
        let reading = reading(&role(&[
            (&["get", "list", "watch"], &[""], &["pods", "pods/log"]),
            (&["get", "delete"], &["apps"], &["deployments"]),
            (&["create"], &["apps"], &["daemonsets"]),
            (&["get", "list"], &[""], &["secrets", "pods/exec", "configmaps"]),
        ]));
        assert_eq!(
            shown(&reading.ceiling),
            [
                "get, list, watch on pods, pods/log",
                "get on deployments (apps)",
                "get, list on secrets, configmaps"
            ]
        );
        assert_eq!(
            reading.beyond,
            [
                "delete on deployments (apps)",
                "create on daemonsets (apps)",
                "get, list on secrets, pods/exec"
            ]
        );
    }

    #[test]
    fn wildcards_become_what_can_be_viewed() {
        let mut everything = role(&[(&["*"], &["*"], &["*"])]);
        everything.rules.push(Rule {
            verbs: vec!["*".into()],
            non_resource_urls: vec!["*".into()],
            ..Rule::default()
        });
        let reading = reading(&everything);
        assert_eq!(reading.beyond, ["* on * (*)", "get, list, watch on * (*)", "* on *"]);
        let kinds: usize = reading.ceiling.iter().map(|rule| rule.resources.len()).sum();
        assert_eq!(kinds, RESOURCES.len());
        for rule in &reading.ceiling {
            let words = rule.verbs.iter().chain(&rule.api_groups).chain(&rule.resources);
            assert!(words.chain(&rule.non_resource_urls).all(|word| !word.contains('*')), "{rule}");
            assert!(!rule.resources.iter().any(|resource| resource == "secrets"), "{rule}");
        }
        let of_apps = super::reading(&role(&[(&["list"], &["apps"], &["*", "*/status"])]));
        assert_eq!(
            shown(&of_apps.ceiling),
            ["list on deployments, daemonsets, statefulsets, replicasets (apps)"]
        );
        assert_eq!(of_apps.beyond, ["list on *, */status (apps)"]);
        let of_any = super::reading(&role(&[(&["list"], &["*"], &["events"])]));
        assert_eq!(shown(&of_any.ceiling), ["list on events", "list on events (events.k8s.io)"]);
    }

    #[test]
    fn what_only_reads_gives_nothing_beyond() {
        let mut view = role(&[(&["get", "list", "watch"], &["", "apps"], &["pods", "deployments"])]);
        view.rules.push(path_rule());
        let reading = reading(&view);
        assert_eq!(reading.beyond, Vec::<String>::new());
        assert_eq!(reading.ceiling.len(), 3);
        // A rule about some objects by name sets a ceiling of those names.
        view.rules[0].resource_names = vec!["a".into()];
        assert_eq!(super::reading(&view).ceiling[0].resource_names, ["a"]);
    }

    #[test]
    fn what_can_be_viewed_is_grouped_by_group() {
        let all = viewing(|_| true, true);
        let kinds: usize = all.iter().map(|rule| rule.resources.len()).sum();
        assert_eq!(kinds, RESOURCES.len());
        assert_eq!(all.last(), Some(&path_rule()));
        let of_the_cluster = viewing(|one| !one.namespaced, false);
        assert_eq!(shown(&of_the_cluster), ["get, list on nodes, namespaces"]);
    }
}
