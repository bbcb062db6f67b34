//! Inline and attached policies of roles.

use serde_json::{Value, json};

use super::{
    ROLE_NAME, authorize_role, changeable_role, encoded, managed_policy, name_pattern, page, role, role_arn,
};
use crate::aws::policy::{Kind, Policy};
use crate::aws::service::{Call, Error, Member};

/// Largest sum of a role's inline policies, in characters without white space (quota of IAM).
const INLINE_LIMIT: usize = 10_240;
/// Largest number of attached policies of a role (default quota of IAM).
const ATTACHED_LIMIT: usize = 10;

const POLICY_NAME: Member = Member::text("PolicyName").required().range(1, 128).pattern(name_pattern(
    "The specified value for policyName is invalid. It must contain only alphanumeric characters and/or the \
     following: +=,.@_-",
));

pub(super) const PUT: &[Member] =
    &[ROLE_NAME, POLICY_NAME, Member::text("PolicyDocument").required().range(1, 131_072)];
pub(super) const NAMED: &[Member] = &[ROLE_NAME, POLICY_NAME];
pub(super) const ATTACHED: &[Member] = &[ROLE_NAME, Member::text("PolicyArn").required().range(20, 2048)];

fn no_such_policy(name: &str) -> Error {
    Error::new(404, "NoSuchEntity", format!("The role policy with name {name} cannot be found."))
}

pub(super) fn put_role_policy(call: &mut Call<'_>) -> Result<Value, Error> {
    authorize_role(call, "iam:PutRolePolicy")?;
    let (name, document) = (call.text("PolicyName"), call.text("PolicyDocument"));
    let role = changeable_role(call)?;
    Policy::parse(&document, Kind::Identity)
        .map_err(|message| Error::new(400, "MalformedPolicyDocument", message))?;
    let size = |document: &str| document.chars().filter(|c| !c.is_whitespace()).count();
    let others = role.inline.iter().filter(|(other, _)| **other != name).map(|(_, other)| size(other));
    if others.sum::<usize>() + size(&document) > INLINE_LIMIT {
        return Err(Error::new(
            409,
            "LimitExceeded",
            format!("Maximum policy size of {INLINE_LIMIT} bytes exceeded for role {}", role.name),
        ));
    }
    role.inline.insert(name, document);
    Ok(Value::Null)
}

pub(super) fn get_role_policy(call: &mut Call<'_>) -> Result<Value, Error> {
    authorize_role(call, "iam:GetRolePolicy")?;
    let name = call.text("PolicyName");
    let role = role(call)?;
    let document = role.inline.get(&name).ok_or_else(|| no_such_policy(&name))?;
    Ok(json!({"RoleName": role.name, "PolicyName": name, "PolicyDocument": encoded(document)}))
}

pub(super) fn delete_role_policy(call: &mut Call<'_>) -> Result<Value, Error> {
    authorize_role(call, "iam:DeleteRolePolicy")?;
    let name = call.text("PolicyName");
    changeable_role(call)?.inline.remove(&name).ok_or_else(|| no_such_policy(&name))?;
    Ok(Value::Null)
}

pub(super) fn list_role_policies(call: &mut Call<'_>) -> Result<Value, Error> {
    authorize_role(call, "iam:ListRolePolicies")?;
    let names = role(call)?.inline.keys().map(|name| Value::from(name.clone())).collect();
    page(call, "PolicyNames", names)
}

pub(super) fn attach_role_policy(call: &mut Call<'_>) -> Result<Value, Error> {
    let policy = authorize_attachment(call, "iam:AttachRolePolicy")?;
    let exists = managed_policy(call.account()?, &policy).is_some();
    let role = changeable_role(call)?;
    if !exists {
        return Err(Error::new(
            404,
            "NoSuchEntity",
            format!("Policy {policy} does not exist or is not attachable."),
        ));
    }
    if role.attached.contains(&policy) {
        return Ok(Value::Null);
    }
    if role.attached.len() >= ATTACHED_LIMIT {
        return Err(Error::new(
            409,
            "LimitExceeded",
            format!("Cannot exceed quota for PoliciesPerRole: {ATTACHED_LIMIT}"),
        ));
    }
    role.attached.push(policy);
    Ok(Value::Null)
}

pub(super) fn detach_role_policy(call: &mut Call<'_>) -> Result<Value, Error> {
    let policy = authorize_attachment(call, "iam:DetachRolePolicy")?;
    let role = changeable_role(call)?;
    let position = role
        .attached
        .iter()
        .position(|each| *each == policy)
        .ok_or_else(|| Error::new(404, "NoSuchEntity", format!("Policy {policy} was not found.")))?;
    role.attached.remove(position);
    Ok(Value::Null)
}

pub(super) fn list_attached_role_policies(call: &mut Call<'_>) -> Result<Value, Error> {
    authorize_role(call, "iam:ListAttachedRolePolicies")?;
    let shown = |arn: &String| {
        let name = arn.rsplit('/').next().unwrap_or_default();
        json!({"PolicyName": name, "PolicyArn": arn})
    };
    let policies = role(call)?.attached.iter().map(shown).collect();
    page(call, "AttachedPolicies", policies)
}

fn authorize_attachment(call: &Call<'_>, action: &str) -> Result<String, Error> {
    let policy = call.text("PolicyArn");
    let context = [("iam:policyarn".to_owned(), vec![policy.clone()])].into();
    call.authorize_with(action, &role_arn(call, &call.text("RoleName"))?, context)?;
    Ok(policy)
}
