//! The agent role's policies, and comparing policies as IAM does.

use serde_json::Value;

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

/// Whether a trust policy lets Systems Manager assume the role, conditions aside: who adds a condition means it.
pub fn trusts_ssm(trust: &str) -> bool {
    let Ok(document) = serde_json::from_str::<Value>(trust) else { return false };
    statements(&document).any(|statement| {
        statement["Effect"] == "Allow"
            && one_or_many(&statement["Action"])
                .any(|action| matches!(action, "sts:AssumeRole" | "sts:*" | "*"))
            && one_or_many(&statement["Principal"]["Service"]).any(|service| service == "ssm.amazonaws.com")
    })
}

fn statements(document: &Value) -> impl Iterator<Item = &Value> {
    match &document["Statement"] {
        Value::Array(list) => list.as_slice(),
        single => std::slice::from_ref(single),
    }
    .iter()
}

fn one_or_many(value: &Value) -> impl Iterator<Item = &str> {
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
