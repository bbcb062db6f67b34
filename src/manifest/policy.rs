//! The agent role's policies, and comparing policies as IAM does.

use serde_json::{Map, Value};

use super::{FieldChange, difference};

/// The agent role's trust policy (user guide, "Amazon EKS Connector agent role").
pub const AGENT_TRUST: &str = include_str!("../../policies/agent-trust.json");

/// The agent role's inline policy (user guide, "Amazon EKS Connector agent role").
pub const AGENT_PERMISSIONS: &str = include_str!("../../policies/agent-permissions.json");

/// Whether two policy documents say the same. IAM keeps a document as it was given, so only differences of form are
/// evened out: the order of keys, `"a"` for `["a"]`, and the order within lists.
pub fn equivalent(left: &str, right: &str) -> bool {
    match (serde_json::from_str::<Value>(left), serde_json::from_str::<Value>(right)) {
        (Ok(left), Ok(right)) => canonical(left) == canonical(right),
        (Err(_), _) | (_, Err(_)) => false,
    }
}

/// What differs between two policy documents, field by field; differences of form aside, as for [`equivalent`].
/// Statements are named by their `Sid`.
pub fn policy_difference(from: &str, to: &str) -> Vec<FieldChange> {
    let read = |text: &str| serde_json::from_str(text).map_or_else(|_| Value::from(text), by_sid);
    difference(&read(from), &read(to))
}

/// A document whose statements can be told apart by name.
fn by_sid(mut document: Value) -> Value {
    let named: Map<String, Value> = statements(&document)
        .enumerate()
        .map(|(index, statement)| {
            let name = statement["Sid"].as_str().map_or_else(|| index.to_string(), str::to_owned);
            (name, canonical(statement.clone()))
        })
        .collect();
    if document.get("Statement").is_some() {
        document["Statement"] = Value::Object(named);
    }
    document
}

/// Whether a trust policy lets Systems Manager assume the role, conditions aside: who adds a condition means it.
pub fn trusts_ssm(trust: &str) -> bool {
    let Ok(document) = serde_json::from_str::<Value>(trust) else { return false };
    statements(&document).any(|statement| allows_assuming(statement, "Allow")) && !denies_ssm(&document)
}

/// The trust policy with our statement added, all others kept. `None` where that would not help: it is no policy, or one
/// of its statements denies what ours would allow.
pub fn with_ssm_trusted(trust: &str) -> Option<String> {
    let mut document: Value = serde_json::from_str(trust).ok()?;
    if !document.is_object() || denies_ssm(&document) {
        return None;
    }
    let mut kept: Vec<Value> =
        statements(&document).filter(|statement| statement.is_object()).cloned().collect();
    let ours: Value = serde_json::from_str(AGENT_TRUST).ok()?;
    for mut statement in statements(&ours).cloned() {
        // Within a document a Sid stands for one statement.
        if kept.iter().any(|other| other["Sid"] == statement["Sid"])
            && let Some(members) = statement.as_object_mut()
        {
            members.remove("Sid");
        }
        kept.push(statement);
    }
    document["Statement"] = Value::Array(kept);
    Some(document.to_string())
}

fn allows_assuming(statement: &Value, effect: &str) -> bool {
    statement["Effect"] == effect
        && one_or_many(&statement["Action"]).any(|action| matches!(action, "sts:AssumeRole" | "sts:*" | "*"))
        && one_or_many(&statement["Principal"]["Service"]).any(|service| service == "ssm.amazonaws.com")
}

/// Without a condition, so always.
fn denies_ssm(document: &Value) -> bool {
    statements(document)
        .any(|statement| allows_assuming(statement, "Deny") && statement.get("Condition").is_none())
}

pub(super) fn statements(document: &Value) -> impl Iterator<Item = &Value> {
    match &document["Statement"] {
        Value::Array(list) => list.as_slice(),
        single => std::slice::from_ref(single),
    }
    .iter()
}

pub(super) fn one_or_many(value: &Value) -> impl Iterator<Item = &str> {
    match value {
        Value::Array(list) => list.as_slice(),
        single => std::slice::from_ref(single),
    }
    .iter()
    .filter_map(Value::as_str)
}

fn canonical(value: Value) -> Value {
    match value {
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, canonical(value))).collect(),
        Value::Array(list) => {
            let mut list: Vec<_> = list.into_iter().map(canonical).collect();
            list.sort_by_key(Value::to_string);
            if list.len() == 1 { list.remove(0) } else { Value::Array(list) }
        }
        scalar @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => scalar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_does_not_matter_and_meaning_does() {
        let compact = r#"{"Statement":{"Action":"sts:AssumeRole","Principal":{"Service":"ssm.amazonaws.com"},
            "Effect":"Allow","Sid":"SSMAccess"},"Version":"2012-10-17"}"#;
        assert!(equivalent(AGENT_TRUST, compact));
        assert!(!equivalent(AGENT_TRUST, &compact.replace("ssm.", "ec2.")));
        assert!(!equivalent(AGENT_TRUST, "{"));
    }

    #[test]
    fn trust_is_added_beside_what_is_there_unless_that_denies_it() {
        let foreign = AGENT_TRUST.replace("ssm.amazonaws.com", "ec2.amazonaws.com");
        let mended = with_ssm_trusted(&foreign).unwrap();
        assert!(trusts_ssm(&mended));
        let document: Value = serde_json::from_str(&mended).unwrap();
        assert_eq!(document["Statement"][0]["Principal"]["Service"][0], "ec2.amazonaws.com");
        // Both would be called SSMAccess, and IAM wants a Sid only once.
        assert_eq!(document["Statement"][1].get("Sid"), None);
        let shown = policy_difference(&foreign, &mended);
        assert_eq!(shown.len(), 1, "{shown:?}");
        assert_eq!(shown[0].field, "Statement.1");
        assert_eq!(with_ssm_trusted(&AGENT_TRUST.replace("Allow", "Deny")), None);
        assert_eq!(with_ssm_trusted("not JSON"), None);
    }

    #[test]
    fn differences_are_named_by_statement() {
        let changed = AGENT_PERMISSIONS.replace("arn:aws:eks:*:*:cluster/*", "*");
        let fields: Vec<String> =
            policy_difference(&changed, AGENT_PERMISSIONS).into_iter().map(|change| change.field).collect();
        assert_eq!(fields, ["Statement.SsmControlChannel.Resource"]);
    }

    #[test]
    fn trust_is_found_beside_other_statements_and_conditions() {
        assert!(trusts_ssm(AGENT_TRUST));
        let conditional = r#"{"Statement":[
            {"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"},
            {"Effect":"Allow","Principal":{"Service":["a","ssm.amazonaws.com"]},"Action":["sts:AssumeRole"],
             "Condition":{"StringEquals":{"aws:SourceAccount":"1"}}}]}"#;
        assert!(trusts_ssm(conditional));
        assert!(!trusts_ssm(&conditional.replace("ssm.amazonaws.com", "ec2.amazonaws.com")));
        assert!(!trusts_ssm(&AGENT_TRUST.replace("Allow", "Deny")));
        assert!(!trusts_ssm("not JSON"));
    }
}
