//! Inline and attached policies of users.

use serde_json::{Value, json};

use super::policies::{self, DOCUMENT, Owner, POLICY_ARN, POLICY_NAME, authorize_attachment, no_such_policy};
use super::users::{USER_NAME, authorize_user, user, user_arn, user_mut};
use super::{MARKER, MAX_ITEMS, encoded, page};
use crate::aws::service::{Call, Error, Member};

pub(super) const PUT: &[Member] = &[USER_NAME, POLICY_NAME, DOCUMENT];
pub(super) const NAMED: &[Member] = &[USER_NAME, POLICY_NAME];
pub(super) const LIST: &[Member] = &[USER_NAME, MARKER, MAX_ITEMS];
pub(super) const ATTACHED: &[Member] = &[USER_NAME, POLICY_ARN];

pub(super) fn put_user_policy(call: &mut Call<'_>) -> Result<Value, Error> {
    authorize_user(call, "iam:PutUserPolicy")?;
    let (name, document) = (call.text("PolicyName"), call.text("PolicyDocument"));
    let user = user_mut(call)?;
    policies::put(&mut user.inline, Owner::User, &user.name, name, document)
}

pub(super) fn get_user_policy(call: &mut Call<'_>) -> Result<Value, Error> {
    authorize_user(call, "iam:GetUserPolicy")?;
    let name = call.text("PolicyName");
    let user = user(call)?;
    let document = user.inline.get(&name).ok_or_else(|| no_such_policy(Owner::User, &name))?;
    Ok(json!({"UserName": user.name, "PolicyName": name, "PolicyDocument": encoded(document)}))
}

pub(super) fn delete_user_policy(call: &mut Call<'_>) -> Result<Value, Error> {
    authorize_user(call, "iam:DeleteUserPolicy")?;
    let name = call.text("PolicyName");
    user_mut(call)?.inline.remove(&name).ok_or_else(|| no_such_policy(Owner::User, &name))?;
    Ok(Value::Null)
}

pub(super) fn list_user_policies(call: &mut Call<'_>) -> Result<Value, Error> {
    authorize_user(call, "iam:ListUserPolicies")?;
    let names = policies::names(&user(call)?.inline);
    page(call, "PolicyNames", names)
}

pub(super) fn attach_user_policy(call: &mut Call<'_>) -> Result<Value, Error> {
    let resource = user_arn(call, &call.text("UserName"))?;
    let (policy, exists) = authorize_attachment(call, "iam:AttachUserPolicy", &resource)?;
    policies::attach(&mut user_mut(call)?.attached, Owner::User, policy, exists)
}

pub(super) fn detach_user_policy(call: &mut Call<'_>) -> Result<Value, Error> {
    let resource = user_arn(call, &call.text("UserName"))?;
    let (policy, _) = authorize_attachment(call, "iam:DetachUserPolicy", &resource)?;
    policies::detach(&mut user_mut(call)?.attached, &policy)
}

pub(super) fn list_attached_user_policies(call: &mut Call<'_>) -> Result<Value, Error> {
    authorize_user(call, "iam:ListAttachedUserPolicies")?;
    let attached = policies::attached(&user(call)?.attached);
    page(call, "AttachedPolicies", attached)
}
