//! IAM: roles and users, their policies, service-linked roles. Query protocol, version 2010-05-08.
//!
//! IAM is one for all Regions; with a custom endpoint clients sign for the Region that they are configured for, so
//! any is accepted.

mod managed;
mod policies;
mod role_policies;
mod roles;
mod service_linked;
mod simulation;
mod tags;
mod user_policies;
mod users;

use serde_json::{Value, json};

pub(crate) use managed::managed_policy;
pub(crate) use service_linked::{CONNECTOR_ROLE, create_connector_role, settle};
pub(crate) use users::new_user;

use super::service::{Call, Error, Member, Operation, Pattern, Protocol, Service};
use super::state::Role;

pub(crate) const SERVICE: Service = Service {
    name: "iam",
    protocol: Protocol::Query,
    target: "",
    version: "2010-05-08",
    namespace: "https://iam.amazonaws.com/doc/2010-05-08/",
    operations: OPERATIONS,
};

const OPERATIONS: &[Operation] = &[
    Operation::new("CreateRole", roles::CREATE, roles::create_role),
    Operation::new("GetRole", &[ROLE_NAME], roles::get_role),
    Operation::new("DeleteRole", &[ROLE_NAME], roles::delete_role),
    Operation::new("ListRoles", roles::LIST, roles::list_roles),
    Operation::new("UpdateAssumeRolePolicy", roles::UPDATE_TRUST, roles::update_assume_role_policy),
    Operation::new("PutRolePermissionsBoundary", roles::BOUNDARY, roles::put_role_permissions_boundary),
    Operation::new("TagRole", tags::TAG, tags::tag_role),
    Operation::new("UntagRole", tags::UNTAG, tags::untag_role),
    Operation::new("ListRoleTags", LIST_OF_ROLE, tags::list_role_tags),
    Operation::new("PutRolePolicy", role_policies::PUT, role_policies::put_role_policy),
    Operation::new("GetRolePolicy", role_policies::NAMED, role_policies::get_role_policy),
    Operation::new("DeleteRolePolicy", role_policies::NAMED, role_policies::delete_role_policy),
    Operation::new("ListRolePolicies", LIST_OF_ROLE, role_policies::list_role_policies),
    Operation::new("AttachRolePolicy", role_policies::ATTACHED, role_policies::attach_role_policy),
    Operation::new("DetachRolePolicy", role_policies::ATTACHED, role_policies::detach_role_policy),
    Operation::new("ListAttachedRolePolicies", LIST_OF_ROLE, role_policies::list_attached_role_policies),
    Operation::new("CreateUser", users::CREATE, users::create_user),
    Operation::new("GetUser", users::GET, users::get_user),
    Operation::new("DeleteUser", users::NAMED, users::delete_user),
    Operation::new("PutUserPolicy", user_policies::PUT, user_policies::put_user_policy),
    Operation::new("GetUserPolicy", user_policies::NAMED, user_policies::get_user_policy),
    Operation::new("DeleteUserPolicy", user_policies::NAMED, user_policies::delete_user_policy),
    Operation::new("ListUserPolicies", user_policies::LIST, user_policies::list_user_policies),
    Operation::new("AttachUserPolicy", user_policies::ATTACHED, user_policies::attach_user_policy),
    Operation::new("DetachUserPolicy", user_policies::ATTACHED, user_policies::detach_user_policy),
    Operation::new(
        "ListAttachedUserPolicies",
        user_policies::LIST,
        user_policies::list_attached_user_policies,
    ),
    Operation::new("CreateServiceLinkedRole", service_linked::CREATE, service_linked::create),
    Operation::new("DeleteServiceLinkedRole", &[ROLE_NAME], service_linked::delete),
    Operation::new("GetServiceLinkedRoleDeletionStatus", service_linked::STATUS, service_linked::status),
    Operation::new("SimulatePrincipalPolicy", simulation::SIMULATE, simulation::simulate_principal_policy),
];

const ROLE_NAME: Member = Member::text("RoleName").required().range(1, 64).pattern(name_pattern(
    "The specified value for roleName is invalid. It must contain only alphanumeric characters and/or the following: \
     +=,.@_-",
));
const MARKER: Member = Member::text("Marker").range(1, 320);
const MAX_ITEMS: Member = Member::integer("MaxItems", 1, 1000);
const LIST_OF_ROLE: &[Member] = &[ROLE_NAME, MARKER, MAX_ITEMS];

/// The characters of names in IAM, with IAM's own message.
const fn name_pattern(message: &'static str) -> Pattern {
    Pattern {
        text: "[\\w+=,.@-]+",
        matches: |name| name.chars().all(|c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c)),
        message: Some(message),
    }
}

/// ARN of a role, as an action on it names it: the real one if it exists.
fn role_arn(call: &Call<'_>, name: &str) -> Result<String, Error> {
    let account = call.account()?;
    Ok(account
        .role(name)
        .map_or_else(|| format!("arn:aws:iam::{}:role/{name}", account.id), |role| role.arn.clone()))
}

/// Refuses the call unless the caller may do this to the role that the input names.
fn authorize_role(call: &Call<'_>, action: &str) -> Result<(), Error> {
    call.authorize(action, &role_arn(call, &call.text("RoleName"))?)
}

fn no_such_role(name: &str) -> Error {
    Error::new(404, "NoSuchEntity", format!("The role with name {name} cannot be found."))
}

/// The role that the input names.
fn role<'c>(call: &'c Call<'_>) -> Result<&'c Role, Error> {
    let name = call.text("RoleName");
    call.account()?.role(&name).ok_or_else(|| no_such_role(&name))
}

/// The same to change it: never a service-linked role, nor one that IAM Identity Center made.
fn changeable_role<'c>(call: &'c mut Call<'_>) -> Result<&'c mut Role, Error> {
    let name = call.text("RoleName");
    let role = call.account_mut()?.role_mut(&name).ok_or_else(|| no_such_role(&name))?;
    if role.service.is_some() || role.path.starts_with("/aws-reserved/") {
        return Err(Error::new(
            400,
            "UnmodifiableEntity",
            format!(
                "Cannot perform the operation on the protected role '{}' - this role is only modifiable by AWS",
                role.name
            ),
        ));
    }
    Ok(role)
}

/// A boundary is a managed policy that exists.
fn check_boundary(call: &Call<'_>, arn: &str) -> Result<(), Error> {
    if managed_policy(call.account()?, arn).is_none() {
        return Err(Error::new(
            404,
            "NoSuchEntity",
            format!("Scope ARN: {arn} does not exist or is not attachable."),
        ));
    }
    Ok(())
}

/// Policy documents are URL-encoded in answers (RFC 3986).
fn encoded(document: &str) -> String {
    const SET: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    percent_encoding::utf8_percent_encode(document, SET).to_string()
}

/// One page of a list that is already in order. The marker is the position of the next element.
fn page(call: &Call<'_>, member: &str, all: Vec<Value>) -> Result<Value, Error> {
    let start = match call.optional_text("Marker") {
        None => 0,
        Some(marker) => marker
            .strip_prefix("marker-")
            .and_then(|position| position.parse().ok())
            .filter(|position| *position <= all.len())
            .ok_or_else(|| Error::new(400, "ValidationError", "Invalid Marker."))?,
    };
    let size = usize::try_from(call.integer("MaxItems").unwrap_or(100)).unwrap_or(usize::MAX);
    let end = start.saturating_add(size).min(all.len());
    let truncated = end < all.len();
    let elements: Vec<Value> = all.into_iter().skip(start).take(size).collect();
    let mut output = json!({"IsTruncated": truncated});
    output[member] = Value::from(elements);
    if truncated {
        output["Marker"] = Value::from(format!("marker-{end}"));
    }
    Ok(output)
}
