//! IAM policy documents and their evaluation.
//!
//! Evaluation covers what policies around the EKS Connector use. A document that asks for more (another condition
//! operator, a policy variable) is refused when it is given: nothing is ever silently true.

mod parse;

use std::collections::BTreeMap;

/// The values of condition keys in one request, by lower-case key.
pub(crate) type Context = BTreeMap<String, Vec<String>>;

/// Which kind of policy a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Attached to an identity: has resources, has no principal.
    Identity,
    /// A role's trust policy: has a principal, has no resource.
    Trust,
}

/// What a policy says about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Allowed,
    ExplicitDeny,
    ImplicitDeny,
}

/// A parsed policy document.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    statements: Vec<Statement>,
}

#[derive(Clone, Debug)]
struct Statement {
    allow: bool,
    actions: Patterns,
    resources: Patterns,
    principals: Vec<(String, String)>,
    conditions: Vec<Condition>,
}

/// `Action`, `NotAction`, `Resource` or `NotResource`.
#[derive(Clone, Debug)]
struct Patterns {
    not: bool,
    values: Vec<String>,
}

#[derive(Clone, Debug)]
struct Condition {
    set: Option<SetOperator>,
    operator: Operator,
    if_exists: bool,
    key: String,
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
enum SetOperator {
    ForAllValues,
    ForAnyValue,
}

#[derive(Clone, Copy, Debug)]
enum Operator {
    /// `negated`, and whether wildcards count, and whether case does not.
    Text {
        negated: bool,
        wildcards: bool,
        ignore_case: bool,
    },
    Bool,
    Null,
}

impl Policy {
    /// The decision of an identity policy.
    pub(crate) fn evaluate(&self, action: &str, resource: &str, context: &Context) -> Decision {
        self.decide(|statement| {
            statement.actions.matches(action, true)
                && statement.resources.matches(resource, false)
                && statement.conditions.iter().all(|condition| condition.holds(context))
        })
    }

    /// The decision of a trust policy about one of a caller's names: a kind (`AWS`, `Service`) and a value each.
    pub(crate) fn trusts(&self, action: &str, names: &[(&str, &str)], context: &Context) -> Decision {
        self.decide(|statement| {
            statement.actions.matches(action, true)
                && statement.principals.iter().any(|(kind, value)| {
                    names
                        .iter()
                        .any(|(is, name)| (kind == "*" || kind == is) && (value == "*" || value == name))
                })
                && statement.conditions.iter().all(|condition| condition.holds(context))
        })
    }

    fn decide(&self, applies: impl Fn(&Statement) -> bool) -> Decision {
        let mut decision = Decision::ImplicitDeny;
        for statement in self.statements.iter().filter(|statement| applies(statement)) {
            if !statement.allow {
                return Decision::ExplicitDeny;
            }
            decision = Decision::Allowed;
        }
        decision
    }
}

impl Patterns {
    fn matches(&self, text: &str, ignore_case: bool) -> bool {
        self.not != self.values.iter().any(|pattern| like(pattern, text, ignore_case))
    }
}

impl Condition {
    fn holds(&self, context: &Context) -> bool {
        let actual = context.get(&self.key).map_or(&[][..], Vec::as_slice);
        if let Operator::Null = self.operator {
            return self.values.iter().any(|value| (value == "true") == actual.is_empty());
        }
        match (self.set, actual.is_empty()) {
            (Some(SetOperator::ForAllValues), _) => actual.iter().all(|value| self.holds_for(value)),
            (_, true) => self.if_exists || matches!(self.operator, Operator::Text { negated: true, .. }),
            (Some(SetOperator::ForAnyValue), false) => actual.iter().any(|value| self.holds_for(value)),
            // A key that has one value.
            (None, false) => actual.iter().all(|value| self.holds_for(value)),
        }
    }

    fn holds_for(&self, actual: &str) -> bool {
        match self.operator {
            Operator::Text { negated, wildcards, ignore_case } => {
                negated
                    != self.values.iter().any(|wanted| match (wildcards, ignore_case) {
                        (true, _) => like(wanted, actual, ignore_case),
                        (false, true) => wanted.eq_ignore_ascii_case(actual),
                        (false, false) => wanted == actual,
                    })
            }
            Operator::Bool => self.values.iter().any(|wanted| wanted.eq_ignore_ascii_case(actual)),
            Operator::Null => false,
        }
    }
}

/// Matches a pattern with `*` and `?`.
fn like(pattern: &str, text: &str, ignore_case: bool) -> bool {
    let fold = |text: &str| {
        if ignore_case { text.to_ascii_lowercase() } else { text.to_owned() }.chars().collect::<Vec<_>>()
    };
    let (pattern, text) = (fold(pattern), fold(text));
    // The last `*` seen, and how much of the text it has taken.
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        if p < pattern.len() && pattern[p] == '*' {
            star = Some((p, t));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == '?' || pattern[p] == text[t]) {
            p += 1;
            t += 1;
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            p = at + 1;
            t = taken + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|each| *each == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn policy(statement: Value) -> Policy {
        let document = json!({"Version": "2012-10-17", "Statement": statement}).to_string();
        Policy::parse(&document, Kind::Identity).unwrap()
    }

    #[test]
    fn wildcards() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("arn:aws:iam::*:role/a*", "arn:aws:iam::1:role/x/abc", false),
            ("arn:aws:iam::*:role/*", "arn:aws:iam::1:role/x/abc", true),
            ("eks:?egister*", "eks:RegisterCluster", true),
            ("a*b*c", "aXbYbc", true),
            ("a*b*c", "aXbYb", false),
        ] {
            assert_eq!(like(pattern, text, false), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_deny_wins_and_actions_ignore_case() {
        let policy = policy(json!([
            {"Effect": "Allow", "Action": "EKS:*", "Resource": "*"},
            {"Effect": "Deny", "NotAction": ["eks:Describe*", "eks:List*"], "Resource": "*"},
        ]));
        let context = Context::new();
        assert_eq!(policy.evaluate("eks:DescribeCluster", "x", &context), Decision::Allowed);
        assert_eq!(policy.evaluate("eks:RegisterCluster", "x", &context), Decision::ExplicitDeny);
    }

    #[test]
    fn conditions() {
        let policy = policy(json!({
            "Effect": "Allow", "Action": "iam:PassRole", "Resource": "*",
            "Condition": {
                "StringEquals": {"iam:PassedToService": ["eks.amazonaws.com", "ssm.amazonaws.com"]},
                "ForAllValues:StringLike": {"aws:TagKeys": "team*"},
            },
        }));
        let context = |service: &[&str], keys: &[&str]| {
            let owned = |values: &[&str]| values.iter().map(ToString::to_string).collect();
            Context::from([
                ("iam:passedtoservice".to_owned(), owned(service)),
                ("aws:tagkeys".to_owned(), owned(keys)),
            ])
        };
        let decide = |context| policy.evaluate("iam:PassRole", "arn:aws:iam::1:role/r", &context);
        assert_eq!(decide(context(&["ssm.amazonaws.com"], &["team", "team2"])), Decision::Allowed);
        assert_eq!(decide(context(&["ssm.amazonaws.com"], &["team", "cost"])), Decision::ImplicitDeny);
        assert_eq!(decide(context(&["ec2.amazonaws.com"], &[])), Decision::ImplicitDeny);
        assert_eq!(decide(Context::new()), Decision::ImplicitDeny);
    }

    #[test]
    fn what_cannot_be_evaluated_is_refused() {
        for statement in [
            json!({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}),
            json!({"Effect": "Allow", "Action": "*", "Resource": "arn:aws:iam::1:user/${aws:username}"}),
        ] {
            let document = json!({"Version": "2012-10-17", "Statement": statement}).to_string();
            assert!(Policy::parse(&document, Kind::Identity).unwrap_err().contains("does not evaluate"));
        }
    }
}
