//! The inline and attached policies of a role or a user: what is the same for both.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{managed_policy, name_pattern};

use crate::aws::policy::{Context, Kind, Policy};
use crate::aws::service::{Call, Error, Member};

/// Largest number of attached policies of a role or a user (default quota of IAM).
const ATTACHED_LIMIT: usize = 10;

pub(super) const POLICY_NAME: Member = Member::text("PolicyName").required().range(1, 128).pattern(name_pattern(
    "The specified value for policyName is invalid. It must contain only alphanumeric characters and/or the \
     following: +=,.@_-",
));
pub(super) const DOCUMENT: Member = Member::text("PolicyDocument").required().range(1, 131_072);
pub(super) const POLICY_ARN: Member = Member::text("PolicyArn").required().range(20, 2048);

/// Whose policies they are, for messages and limits.
#[derive(Clone, Copy, Debug)]
pub(super) enum Owner {
    Role,
    User,
}

impl Owner {
    fn word(self) -> &'static str {
        match self {
            Owner::Role => "role",
            Owner::User => "user",
        }
    }

    /// Largest sum of the inline policies, in characters without white space (quotas of IAM).
    fn inline_limit(self) -> usize {
        match self {
            Owner::Role => 10_240,
            Owner::User => 2048,
        }
    }

    fn attached_quota(self) -> &'static str {
        match self {
            Owner::Role => "PoliciesPerRole",
            Owner::User => "PoliciesPerUser",
        }
    }
}

pub(super) fn no_such_policy(owner: Owner, name: &str) -> Error {
    let owner = owner.word();
    Error::new(404, "NoSuchEntity", format!("The {owner} policy with name {name} cannot be found."))
}

/// Writes an inline policy.
pub(super) fn put(
    inline: &mut BTreeMap<String, String>,
    owner: Owner,
    of: &str,
    name: String,
    document: String,
) -> Result<Value, Error> {
    Policy::parse(&document, Kind::Identity)
        .map_err(|message| Error::new(400, "MalformedPolicyDocument", message))?;
    let size = |document: &str| document.chars().filter(|c| !c.is_whitespace()).count();
    let others = inline.iter().filter(|(other, _)| **other != name).map(|(_, other)| size(other));
    let limit = owner.inline_limit();
    if others.sum::<usize>() + size(&document) > limit {
        let owner = owner.word();
        return Err(Error::new(
            409,
            "LimitExceeded",
            format!("Maximum policy size of {limit} bytes exceeded for {owner} {of}"),
        ));
    }
    inline.insert(name, document);
    Ok(Value::Null)
}

/// Attaches a managed policy that `exists` or not.
pub(super) fn attach(
    attached: &mut Vec<String>,
    owner: Owner,
    policy: String,
    exists: bool,
) -> Result<Value, Error> {
    if !exists {
        return Err(Error::new(
            404,
            "NoSuchEntity",
            format!("Policy {policy} does not exist or is not attachable."),
        ));
    }
    if attached.contains(&policy) {
        return Ok(Value::Null);
    }
    if attached.len() >= ATTACHED_LIMIT {
        let quota = owner.attached_quota();
        return Err(Error::new(
            409,
            "LimitExceeded",
            format!("Cannot exceed quota for {quota}: {ATTACHED_LIMIT}"),
        ));
    }
    attached.push(policy);
    Ok(Value::Null)
}

/// Takes an attached policy off.
pub(super) fn detach(attached: &mut Vec<String>, policy: &str) -> Result<Value, Error> {
    let position = attached
        .iter()
        .position(|each| each == policy)
        .ok_or_else(|| Error::new(404, "NoSuchEntity", format!("Policy {policy} was not found.")))?;
    attached.remove(position);
    Ok(Value::Null)
}

/// Attached policies as they are listed.
pub(super) fn attached(policies: &[String]) -> Vec<Value> {
    let shown = |arn: &String| {
        let name = arn.rsplit('/').next().unwrap_or_default();
        json!({"PolicyName": name, "PolicyArn": arn})
    };
    policies.iter().map(shown).collect()
}

/// Names of inline policies as they are listed.
pub(super) fn names(inline: &BTreeMap<String, String>) -> Vec<Value> {
    inline.keys().map(|name| Value::from(name.clone())).collect()
}

/// Refuses the call unless the caller may do this with the policy that the input names to what has that ARN. Gives the
/// policy and whether it exists.
pub(super) fn authorize_attachment(
    call: &Call<'_>,
    action: &str,
    resource: &str,
) -> Result<(String, bool), Error> {
    let policy = call.text("PolicyArn");
    let context: Context = [("iam:policyarn".to_owned(), vec![policy.clone()])].into();
    call.authorize_with(action, resource, context)?;
    let exists = managed_policy(call.account()?, &policy).is_some();
    Ok((policy, exists))
}
