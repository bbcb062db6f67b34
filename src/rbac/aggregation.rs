//! ClusterRoles that are put together from others, as `pkg/controller/clusterroleaggregation` of Kubernetes 1.36 does it.

use std::collections::BTreeMap;

use super::model::{Expression, Operator, Role, Rule, Selector, Snapshot};

impl Snapshot {
    /// The same with the rules of each ClusterRole that is put together from others as the controller would write them
    /// in the end. Those that it has are replaced, unless nothing takes their place: the controller applies an empty list as none
    /// at all, so that server-side apply leaves what somebody else has written.
    #[must_use]
    pub fn aggregated(&self) -> Self {
        let mut snapshot = self.clone();
        let parts = parts(&snapshot.roles);
        // A role may be put together from others of its kind. Each round carries rules one step further, and no way
        // without a circle has more steps than there are such roles.
        for _ in 0..parts.len() {
            for (index, from) in &parts {
                let mut rules: Vec<Rule> = Vec::new();
                for rule in from.iter().flat_map(|part| &snapshot.roles[*part].rules) {
                    if !rules.contains(rule) {
                        rules.push(rule.clone());
                    }
                }
                if rules.is_empty() {
                    rules.clone_from(&self.roles[*index].rules);
                }
                snapshot.roles[*index].rules = rules;
            }
        }
        snapshot
    }
}

/// Each role that is put together from others, and from which, in the controller's order.
fn parts(roles: &[Role]) -> Vec<(usize, Vec<usize>)> {
    let of_cluster = |role: &Role| role.meta.namespace.is_none();
    let aggregated =
        roles.iter().enumerate().filter(|(_, role)| of_cluster(role) && !role.aggregation.is_empty());
    aggregated
        .map(|(index, role)| {
            let from = role.aggregation.iter().flat_map(|selector| {
                let selected = roles.iter().enumerate().filter(move |(other, candidate)| {
                    *other != index && of_cluster(candidate) && selector.selects(&candidate.meta.labels)
                });
                let mut selected: Vec<usize> = selected.map(|(other, _)| other).collect();
                selected.sort_by(|a, b| roles[*a].meta.name.cmp(&roles[*b].meta.name));
                selected
            });
            (index, from.collect())
        })
        .collect()
}

impl Selector {
    /// Whether something with these labels is meant.
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.expressions.iter().all(|expression| expression.holds(labels.get(&expression.key)))
    }
}

impl Expression {
    fn holds(&self, value: Option<&String>) -> bool {
        match self.operator {
            Operator::In => value.is_some_and(|value| self.values.contains(value)),
            Operator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rbac::Meta;

    fn rule(resource: &str) -> Rule {
        Rule { verbs: vec!["get".into()], resources: vec![resource.into()], ..Rule::default() }
    }

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn role(name: &str, own: &[(&str, &str)], rules: &[&str], from: &[&[(&str, &str)]]) -> Role {
        Role {
            meta: Meta { name: name.into(), labels: labels(own), ..Meta::default() },
            rules: rules.iter().map(|resource| rule(resource)).collect(),
            aggregation: from
                .iter()
                .map(|pairs| Selector { labels: labels(pairs), ..Selector::default() })
                .collect(),
        }
    }

    fn resources(snapshot: &Snapshot, name: &str) -> Vec<String> {
        let role = snapshot.roles.iter().find(|role| role.meta.name == name).unwrap();
        role.rules.iter().flat_map(|rule| rule.resources.clone()).collect()
    }

    #[test]
    fn rules_come_through_roles_that_are_put_together_themselves() {
        let snapshot = Snapshot {
            roles: vec![
                role("admin", &[], &["stale"], &[&[("to", "admin")]]),
                role("edit", &[("to", "admin")], &[], &[&[("to", "edit")]]),
                role("view", &[("to", "edit")], &[], &[&[("to", "view")], &[("also", "view")]]),
                role("b", &[("to", "view")], &["pods"], &[]),
                role("a", &[("to", "view"), ("also", "view")], &["nodes", "pods"], &[]),
                Role {
                    meta: Meta {
                        namespace: Some("web".into()),
                        labels: labels(&[("to", "view")]),
                        ..Meta::default()
                    },
                    rules: vec![rule("secrets")],
                    ..Role::default()
                },
            ],
            bindings: Vec::new(),
        };
        let whole = snapshot.aggregated();
        for name in ["view", "edit", "admin"] {
            assert_eq!(resources(&whole, name), ["nodes", "pods"], "{name}");
        }
        assert_eq!(whole.aggregated(), whole);
    }

    #[test]
    fn a_role_keeps_its_own_rules_while_the_others_have_none() {
        let snapshot = Snapshot {
            roles: vec![
                role("whole", &[("to", "more")], &["own"], &[&[("to", "whole")]]),
                role("empty", &[("to", "whole")], &[], &[]),
                role("more", &[], &["stale"], &[&[("to", "more")]]),
            ],
            bindings: Vec::new(),
        };
        let whole = snapshot.aggregated();
        for name in ["whole", "more"] {
            assert_eq!(resources(&whole, name), ["own"], "{name}");
        }
        assert_eq!(whole.aggregated(), whole);
    }

    #[test]
    fn roles_of_each_other_end() {
        let snapshot = Snapshot {
            roles: vec![
                role("one", &[("to", "two")], &[], &[&[("to", "one")]]),
                role("two", &[("to", "one")], &[], &[&[("to", "two")]]),
                role("seed", &[("to", "one")], &["pods"], &[]),
                // Itself is never among them.
                role("all", &[], &["own"], &[&[]]),
            ],
            bindings: Vec::new(),
        };
        let whole = snapshot.aggregated();
        for name in ["one", "two", "all"] {
            assert_eq!(resources(&whole, name), ["pods"], "{name}");
        }
    }

    #[test]
    fn what_selectors_say() {
        let expression = |operator, values: &[&str]| Selector {
            labels: BTreeMap::new(),
            expressions: vec![Expression {
                key: "tier".into(),
                operator,
                values: values.iter().map(|value| (*value).to_owned()).collect(),
            }],
        };
        let (web, db, none) = (labels(&[("tier", "web")]), labels(&[("tier", "db")]), labels(&[]));
        for (selector, selected) in [
            (expression(Operator::In, &["web", "x"]), [true, false, false]),
            (expression(Operator::NotIn, &["web"]), [false, true, true]),
            (expression(Operator::Exists, &[]), [true, true, false]),
            (expression(Operator::DoesNotExist, &[]), [false, false, true]),
            (Selector::default(), [true, true, true]),
        ] {
            assert_eq!([&web, &db, &none].map(|labels| selector.selects(labels)), selected, "{selector:?}");
        }
    }
}
