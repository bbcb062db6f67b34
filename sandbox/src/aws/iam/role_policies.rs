//! Inline and attached policies of roles.

use serde_json::{Value, json};

use super::policies::{self, DOCUMENT, Owner, POLICY_ARN, POLICY_NAME, authorize_attachment, no_such_policy};
use super::{ROLE_NAME, authorize_role, changeable_role, encoded, page, role, role_arn};
use crate::aws::service::{Call, Error, Member};

pub(super) const PUT: &[Member] = &[ROLE_NAME, POLICY_NAME, DOCUMENT];
pub(super) const NAMED: &[Member] = &[ROLE_NAME, POLICY_NAME];
pub(super) const ATTACHED: &[Member] = &[ROLE_NAME, POLICY_ARN];

pub(super) fn put_role_policy(call: &mut Call<'_>) -> Result<Value, Error> {
    authorize_role(call, "iam:PutRolePolicy")?;
    let (name, document) = (call.text("PolicyName"), call.text("PolicyDocument"));
    let role = changeable_role(call)?;
    policies::put(&mut role.inline, Owner::Role, &role.name, name, document)
}

pub(super) fn get_role_policy(call: &mut Call<'_>) -> Result<Value, Error> {
    authorize_role(call, "iam:GetRolePolicy")?;
    let name = call.text("PolicyName");
    let role = role(call)?;
    let document = role.inline.get(&name).ok_or_else(|| no_such_policy(Owner::Role, &name))?;
    Ok(json!({"RoleName": role.name, "PolicyName": name, "PolicyDocument": encoded(document)}))
}

pub(super) fn delete_role_policy(call: &mut Call<'_>) -> Result<Value, Error> {
    authorize_role(call, "iam:DeleteRolePolicy")?;
    let name = call.text("PolicyName");
    changeable_role(call)?.inline.remove(&name).ok_or_else(|| no_such_policy(Owner::Role, &name))?;
    Ok(Value::Null)
}

pub(super) fn list_role_policies(call: &mut Call<'_>) -> Result<Value, Error> {
    authorize_role(call, "iam:ListRolePolicies")?;
    let names = policies::names(&role(call)?.inline);
    page(call, "PolicyNames", names)
}

pub(super) fn attach_role_policy(call: &mut Call<'_>) -> Result<Value, Error> {
    let resource = role_arn(call, &call.text("RoleName"))?;
    let (policy, exists) = authorize_attachment(call, "iam:AttachRolePolicy", &resource)?;
    policies::attach(&mut changeable_role(call)?.attached, Owner::Role, policy, exists)
}

pub(super) fn detach_role_policy(call: &mut Call<'_>) -> Result<Value, Error> {
    let resource = role_arn(call, &call.text("RoleName"))?;
    let (policy, _) = authorize_attachment(call, "iam:DetachRolePolicy", &resource)?;
    policies::detach(&mut changeable_role(call)?.attached, &policy)
}

pub(super) fn list_attached_role_policies(call: &mut Call<'_>) -> Result<Value, Error> {
    authorize_role(call, "iam:ListAttachedRolePolicies")?;
    let attached = policies::attached(&role(call)?.attached);
    page(call, "AttachedPolicies", attached)
}
