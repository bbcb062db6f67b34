//! Reading policy documents, with IAM's messages for what is wrong with them.

use serde_json::Value;

use super::{Condition, Kind, Operator, Patterns, Policy, SetOperator, Statement};

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
