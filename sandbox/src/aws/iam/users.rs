//! Users.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::tags::{self, list};
use super::{check_boundary, name_pattern, roles};
use crate::aws::caller::Permissions;
use crate::aws::identifiers;
use crate::aws::response::iso_date;
use crate::aws::service::{Call, Error, Member, tag_context};
use crate::aws::state::User;

const NAME: Member = Member::text("UserName").range(1, 64).pattern(name_pattern(
    "The specified value for userName is invalid. It must contain only alphanumeric characters and/or the following: \
     +=,.@_-",
));
pub(super) const USER_NAME: Member = NAME.required().range(1, 128);

pub(super) const CREATE: &[Member] = &[
    NAME.required(),
    roles::PATH,
    Member::text("PermissionsBoundary").range(20, 2048),
    Member::list("Tags").range(0, 50),
];
pub(super) const GET: &[Member] = &[NAME.range(1, 128)];
pub(super) const NAMED: &[Member] = &[USER_NAME];

/// ARN of a user, as an action on it names it: the real one if it exists.
pub(super) fn user_arn(call: &Call<'_>, name: &str) -> Result<String, Error> {
    let account = call.account()?;
    Ok(account
        .user(name)
        .map_or_else(|| format!("arn:aws:iam::{}:user/{name}", account.id), |user| user.arn.clone()))
}

/// Refuses the call unless the caller may do this to the user that the input names.
pub(super) fn authorize_user(call: &Call<'_>, action: &str) -> Result<(), Error> {
    call.authorize(action, &user_arn(call, &call.text("UserName"))?)
}

fn no_such_user(name: &str) -> Error {
    Error::new(404, "NoSuchEntity", format!("The user with name {name} cannot be found."))
}

/// The user that the input names.
pub(super) fn user<'c>(call: &'c Call<'_>) -> Result<&'c User, Error> {
    let name = call.text("UserName");
    call.account()?.user(&name).ok_or_else(|| no_such_user(&name))
}

/// The same to change it.
pub(super) fn user_mut<'c>(call: &'c mut Call<'_>) -> Result<&'c mut User, Error> {
    let name = call.text("UserName");
    call.account_mut()?.user_mut(&name).ok_or_else(|| no_such_user(&name))
}

/// A user without any permission.
///
/// # Errors
///
/// No random number can be had.
pub(crate) fn new_user(account: &str, name: &str, path: &str, now: Timestamp) -> Result<User, Error> {
    Ok(User {
        name: name.to_owned(),
        path: path.to_owned(),
        id: identifiers::unique_id("AIDA")?,
        arn: format!("arn:aws:iam::{account}:user{path}{name}"),
        created_at: now,
        permissions_boundary: None,
        tags: BTreeMap::new(),
        inline: BTreeMap::new(),
        attached: Vec::new(),
    })
}

pub(super) fn create_user(call: &mut Call<'_>) -> Result<Value, Error> {
    let name = call.text("UserName");
    let path = call.optional_text("Path").unwrap_or_else(|| "/".to_owned());
    let boundary = call.optional_text("PermissionsBoundary");
    let tags = tags::tags(call)?;
    let mut user = new_user(call.account_id()?, &name, &path, call.now)?;
    let mut context = tag_context(&tags);
    context.extend(boundary.iter().map(|arn| ("iam:permissionsboundary".to_owned(), vec![arn.clone()])));
    call.authorize_with("iam:CreateUser", &user.arn, context.clone())?;
    if !tags.is_empty() {
        call.authorize_with("iam:TagUser", &user.arn, context)?;
    }
    if call.account()?.user(&name).is_some() {
        return Err(Error::new(409, "EntityAlreadyExists", format!("User with name {name} already exists.")));
    }
    if let Some(boundary) = &boundary {
        check_boundary(call, boundary)?;
    }
    user.permissions_boundary = boundary;
    user.tags = tags;
    let shown = shown(&user);
    call.account_mut()?.users.insert(name.to_lowercase(), user);
    Ok(json!({"User": shown}))
}

/// Without a name it is the user who calls.
pub(super) fn get_user(call: &mut Call<'_>) -> Result<Value, Error> {
    if call.optional_text("UserName").is_none() {
        let name = match call.caller.principal().map(|principal| &principal.permissions) {
            Some(Permissions::User(name)) => name.clone(),
            // The root user is not in the emulator's list.
            _ => {
                return Err(Error::new(
                    400,
                    "ValidationError",
                    "Must specify userName when calling with non-User credentials",
                ));
            }
        };
        call.input.insert("UserName".to_owned(), Value::from(name));
    }
    authorize_user(call, "iam:GetUser")?;
    Ok(json!({"User": shown(user(call)?)}))
}

pub(super) fn delete_user(call: &mut Call<'_>) -> Result<Value, Error> {
    authorize_user(call, "iam:DeleteUser")?;
    let user = user(call)?;
    let conflict = |what: &str| {
        Err(Error::new(409, "DeleteConflict", format!("Cannot delete entity, must {what} first.")))
    };
    let has_keys = call.state.keys.values().any(|key| {
        key.principal.arn == user.arn && matches!(key.principal.permissions, Permissions::User(_))
    });
    if has_keys {
        return conflict("delete access keys");
    }
    if !user.attached.is_empty() {
        return conflict("detach all policies");
    }
    if !user.inline.is_empty() {
        return conflict("delete policies");
    }
    let key = user.name.to_lowercase();
    call.account_mut()?.users.remove(&key);
    Ok(Value::Null)
}

fn shown(user: &User) -> Value {
    let mut shown = json!({
        "Path": user.path,
        "UserName": user.name,
        "UserId": user.id,
        "Arn": user.arn,
        "CreateDate": iso_date(user.created_at),
    });
    if !user.tags.is_empty() {
        shown["Tags"] = Value::from(list(&user.tags));
    }
    if let Some(arn) = &user.permissions_boundary {
        shown["PermissionsBoundary"] =
            json!({"PermissionsBoundaryType": "PermissionsBoundaryPolicy", "PermissionsBoundaryArn": arn});
    }
    shown
}
