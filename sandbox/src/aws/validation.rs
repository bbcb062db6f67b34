//! The constraints of the service models, with the messages that AWS gives for them.

use serde_json::{Map, Value};

use super::service::{Error, Kind, Member, Pattern, Protocol, Service, find};

/// Checks the input against the table of members. All violations are reported at once, as AWS does.
pub(crate) fn validate(
    service: &Service,
    members: &[Member],
    input: &Map<String, Value>,
) -> Result<(), Error> {
    let mut violations = Vec::new();
    for member in members {
        match find(input, member.name) {
            None | Some(Value::Null) if member.required => {
                // A member of a structure that is itself missing is not reported on top of it.
                let parent = member.name.rsplit_once('.').map(|(parent, _)| parent);
                if parent.is_none_or(|parent| find(input, parent).is_some()) {
                    violations.push(format!(
                        "Value at '{}' failed to satisfy constraint: Member must not be null",
                        display(member.name)
                    ));
                }
            }
            None | Some(Value::Null) => {}
            Some(value) => check(service, member, value, &mut violations)?,
        }
    }
    match violations.len() {
        0 => Ok(()),
        count => Err(invalid(
            service.protocol,
            format!(
                "{count} validation error{} detected: {}",
                if count == 1 { "" } else { "s" },
                violations.join("; ")
            ),
        )),
    }
}

/// The error of a violated constraint, whose code depends on the protocol.
pub(crate) fn invalid(protocol: Protocol, message: impl Into<String>) -> Error {
    match protocol {
        Protocol::Query => Error::new(400, "ValidationError", message),
        Protocol::AwsJson | Protocol::RestXml => Error::new(400, "ValidationException", message),
        Protocol::RestJson => Error::new(400, "InvalidParameterException", message),
    }
}

fn check(
    service: &Service,
    member: &Member,
    value: &Value,
    violations: &mut Vec<String>,
) -> Result<(), Error> {
    let (min, max) = member.range;
    let name = display(member.name);
    let mut bounds = |size: u64, what: &str| {
        for (broken, word, bound) in [(size < min, "greater", min), (size > max, "less", max)] {
            if broken {
                violations.push(format!(
                    "Value at '{name}' failed to satisfy constraint: Member must have {what} {word} than or equal \
                     to {bound}"
                ));
            }
        }
    };
    match (member.kind, value) {
        (Kind::Text, Value::String(text)) => {
            bounds(text.chars().count() as u64, "length");
            if let Some(Pattern { text: pattern, matches, message }) = member.pattern
                && !matches(text)
            {
                if let Some(message) = message {
                    return Err(invalid(service.protocol, message));
                }
                let shown = if member.secret { String::new() } else { format!(" '{text}'") };
                violations.push(format!(
                    "Value{shown} at '{name}' failed to satisfy constraint: Member must satisfy regular expression \
                     pattern: {pattern}"
                ));
            }
        }
        (Kind::Integer, Value::Number(_) | Value::String(_)) => {
            let number = match value {
                Value::Number(number) => number.as_i64(),
                other => other.as_str().and_then(|text| text.parse().ok()),
            };
            let Some(number) = number else { return Err(wrong_type(service, &name)) };
            for (broken, word, bound) in [
                (number < 0 || (number as u64) < min, "greater", min),
                (number > 0 && number as u64 > max, "less", max),
            ] {
                if broken {
                    violations.push(format!(
                        "Value '{number}' at '{name}' failed to satisfy constraint: Member must have value {word} \
                         than or equal to {bound}"
                    ));
                }
            }
        }
        (Kind::List, Value::Array(values)) => bounds(values.len() as u64, "length"),
        (Kind::Map, Value::Object(values)) => bounds(values.len() as u64, "length"),
        (Kind::Structure, Value::Object(_)) => {}
        _ => return Err(wrong_type(service, &name)),
    }
    Ok(())
}

fn wrong_type(service: &Service, name: &str) -> Error {
    match service.protocol {
        Protocol::Query => Error::new(400, "MalformedInput", format!("Invalid value for {name}")),
        Protocol::AwsJson | Protocol::RestJson | Protocol::RestXml => {
            Error::new(400, "SerializationException", format!("Unexpected type of {name}"))
        }
    }
}

/// AWS names members in messages with a small first letter.
fn display(name: &str) -> String {
    let small = |part: &str| {
        let mut chars = part.chars();
        chars.next().map_or_else(String::new, |first| first.to_ascii_lowercase().to_string() + chars.as_str())
    };
    name.split('.').map(small).collect::<Vec<_>>().join(".")
}
