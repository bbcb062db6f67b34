//! IAM policy documents: validation as IAM does it, and evaluation.
//!
//! Evaluation covers what policies around the EKS Connector use. A document that asks for more (another condition
//! operator, a policy variable) is refused when it is given: nothing is ever silently true.

use std::collections::BTreeMap;

use serde_json::Value;

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
    /// Parses and validates a document. The error is IAM's message for it.
    pub(crate) fn parse(document: &str, kind: Kind) -> Result<Policy, String> {
        let value: Value = serde_json::from_str(document).map_err(|_| match kind {
            Kind::Identity => "The policy is not in the valid JSON format.".to_owned(),
            Kind::Trust => "This policy contains invalid Json".to_owned(),
        })?;
        let syntax = || "Syntax errors in policy.".to_owned();
        let document = value.as_object().ok_or_else(syntax)?;
        if let Some(field) =
            document.keys().find(|key| !matches!(key.as_str(), "Version" | "Id" | "Statement"))
        {
            return Err(match kind {
                Kind::Identity => syntax(),
                Kind::Trust => format!("Unknown field {field}"),
            });
        }
        match (document.get("Version").and_then(Value::as_str), kind) {
            (Some("2012-10-17"), _) | (Some("2008-10-17") | None, Kind::Trust) => {}
            (Some("2008-10-17") | None, Kind::Identity) => {
                return Err("Policy document must be version 2012-10-17 or greater.".to_owned());
            }
            (Some(_), _) => return Err(syntax()),
        }
        let statements = match document.get("Statement") {
            Some(Value::Array(statements)) => statements.iter().collect(),
            Some(statement @ Value::Object(_)) => vec![statement],
            Some(_) => return Err(syntax()),
            None => return Err("Missing required field Statement".to_owned()),
        };
        if statements.is_empty() {
            return Err("Could not parse the policy: Statement is empty!".to_owned());
        }
        let statements =
            statements.into_iter().map(|each| Statement::parse(each, kind)).collect::<Result<_, _>>()?;
        Ok(Policy { statements })
    }

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

impl Statement {
    fn parse(value: &Value, kind: Kind) -> Result<Statement, String> {
        let fields = value.as_object().ok_or("Syntax errors in policy.")?;
        for field in fields.keys() {
            match (field.as_str(), kind) {
                ("Sid" | "Effect" | "Action" | "NotAction" | "Condition", _)
                | ("Principal" | "NotPrincipal", Kind::Trust)
                | ("Resource" | "NotResource", Kind::Identity) => {}
                ("Principal" | "NotPrincipal", Kind::Identity) => {
                    return Err("Policy document should not specify a principal.".to_owned());
                }
                ("Resource" | "NotResource", Kind::Trust) => {
                    return Err(format!("Has prohibited field {field}"));
                }
                (_, Kind::Identity) => return Err("Syntax errors in policy.".to_owned()),
                (_, Kind::Trust) => return Err(format!("Unknown field {field}")),
            }
        }
        let allow = match fields.get("Effect").and_then(Value::as_str) {
            Some("Allow") => true,
            Some("Deny") => false,
            Some(other) => return Err(format!("Invalid effect: {other}")),
            None => return Err("Missing required field Effect".to_owned()),
        };
        let actions = Patterns::parse(fields, "Action", "NotAction")?.ok_or(match kind {
            Kind::Identity => "Policy statement must contain actions.",
            Kind::Trust => "Missing required field Action",
        })?;
        let valid_action = |action: &String| match kind {
            Kind::Identity => action == "*" || action.contains(':'),
            Kind::Trust => action.to_ascii_lowercase().starts_with("sts:"),
        };
        if !actions.values.iter().all(valid_action) {
            return Err(match kind {
                Kind::Identity => {
                    "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
                }
                Kind::Trust => "AssumeRole policy may only specify STS AssumeRole actions.",
            }
            .to_owned());
        }
        let resources = Patterns::parse(fields, "Resource", "NotResource")?;
        let resources = match kind {
            Kind::Identity => resources.ok_or("Policy statement must contain resources.")?,
            Kind::Trust => Patterns { not: false, values: Vec::new() },
        };
        if let Some(bad) = resources.values.iter().find(|each| *each != "*" && !each.starts_with("arn:")) {
            return Err(format!("Resource {bad} must be in ARN format or \"*\"."));
        }
        let principals = match kind {
            Kind::Identity => Vec::new(),
            Kind::Trust => principals(fields.get("Principal").ok_or("Missing required field Principal")?)?,
        };
        let conditions = match fields.get("Condition") {
            Some(conditions) => conditions_of(conditions)?,
            None => Vec::new(),
        };
        Ok(Statement { allow, actions, resources, principals, conditions })
    }
}

fn principals(value: &Value) -> Result<Vec<(String, String)>, String> {
    if value.as_str() == Some("*") {
        return Ok(vec![("*".to_owned(), "*".to_owned())]);
    }
    let fields = value.as_object().ok_or("Invalid principal in policy")?;
    let mut principals = Vec::new();
    for (kind, values) in fields {
        for value in texts(values)? {
            let valid = match kind.as_str() {
                "Service" => value.ends_with(".amazonaws.com"),
                "AWS" => {
                    value == "*"
                        || value.starts_with("arn:")
                        || (value.len() == 12 && value.bytes().all(|byte| byte.is_ascii_digit()))
                }
                "Federated" | "CanonicalUser" => true,
                _ => false,
            };
            if !valid {
                return Err(format!(
                    "Invalid principal in policy: \"{}\":\"{value}\"",
                    kind.to_ascii_uppercase()
                ));
            }
            // An account id stands for the account's root.
            let value =
                if kind == "AWS" && value.len() == 12 { format!("arn:aws:iam::{value}:root") } else { value };
            principals.push((kind.clone(), value));
        }
    }
    Ok(principals)
}

fn conditions_of(value: &Value) -> Result<Vec<Condition>, String> {
    let mut conditions = Vec::new();
    for (name, keys) in value.as_object().ok_or("Syntax errors in policy.")? {
        let (set, rest) = match name.split_once(':') {
            Some(("ForAllValues", rest)) => (Some(SetOperator::ForAllValues), rest),
            Some(("ForAnyValue", rest)) => (Some(SetOperator::ForAnyValue), rest),
            _ => (None, name.as_str()),
        };
        let (bare, if_exists) = rest.strip_suffix("IfExists").map_or((rest, false), |bare| (bare, true));
        let text = |negated, wildcards, ignore_case| Operator::Text { negated, wildcards, ignore_case };
        let operator = match bare {
            "StringEquals" => text(false, false, false),
            "StringNotEquals" => text(true, false, false),
            "StringEqualsIgnoreCase" => text(false, false, true),
            "StringNotEqualsIgnoreCase" => text(true, false, true),
            "StringLike" | "ArnLike" | "ArnEquals" => text(false, true, false),
            "StringNotLike" | "ArnNotLike" | "ArnNotEquals" => text(true, true, false),
            "Bool" => Operator::Bool,
            "Null" => Operator::Null,
            _ => return Err(format!("The sandbox does not evaluate the condition operator {name}.")),
        };
        for (key, values) in keys.as_object().ok_or("Syntax errors in policy.")? {
            let key = key.to_ascii_lowercase();
            conditions.push(Condition { set, operator, if_exists, key, values: texts(values)? });
        }
    }
    Ok(conditions)
}

impl Patterns {
    fn parse(
        fields: &serde_json::Map<String, Value>,
        name: &str,
        not_name: &str,
    ) -> Result<Option<Patterns>, String> {
        let (not, value) = match (fields.get(name), fields.get(not_name)) {
            (Some(_), Some(_)) => return Err("Syntax errors in policy.".to_owned()),
            (Some(value), None) => (false, value),
            (None, Some(value)) => (true, value),
            (None, None) => return Ok(None),
        };
        Ok(Some(Patterns { not, values: texts(value)? }))
    }

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

/// A string or a list of strings (numbers and booleans count as their text). Policy variables are refused.
fn texts(value: &Value) -> Result<Vec<String>, String> {
    let one = |value: &Value| match value {
        Value::String(text) if text.contains("${") => {
            Err(format!("The sandbox does not evaluate the policy variable in {text}."))
        }
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err("Syntax errors in policy.".to_owned()),
    };
    match value {
        Value::Array(values) => values.iter().map(one).collect(),
        single => Ok(vec![one(single)?]),
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
    use serde_json::json;

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
