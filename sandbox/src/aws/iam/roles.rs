//! Roles and their trust policies.

use serde_json::{Value, json};

use super::tags::{self, list};
use super::{
    MARKER, MAX_ITEMS, ROLE_NAME, authorize_role, changeable_role, check_boundary, encoded, page, role,
};
use crate::aws::identifiers;
use crate::aws::policy::{Kind as PolicyKind, Policy};
use crate::aws::response::iso_date;
use crate::aws::service::{Call, Error, Member, Pattern, tag_context};
use crate::aws::state::Role;

/// Largest trust policy, in characters without white space (quota of IAM).
const TRUST_LIMIT: usize = 2048;

pub(super) const PATH: Member = Member::text("Path").range(1, 512).pattern(Pattern {
    text: "(\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F)",
    matches: |path| {
        path == "/"
            || path.len() > 2
                && path.starts_with('/')
                && path.ends_with('/')
                && path.bytes().all(|byte| (0x21..=0x7e).contains(&byte))
    },
    message: Some(
        "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric \
         characters and/or / characters.",
    ),
});

pub(super) const CREATE: &[Member] = &[
    ROLE_NAME,
    PATH,
    Member::text("AssumeRolePolicyDocument").required().range(1, 131_072),
    Member::text("Description").range(0, 1000),
    Member::integer("MaxSessionDuration", 3600, 43_200),
    Member::text("PermissionsBoundary").range(20, 2048),
    Member::list("Tags").range(0, 50),
];
pub(super) const LIST: &[Member] = &[Member::text("PathPrefix").range(1, 512), MARKER, MAX_ITEMS];
pub(super) const UPDATE_TRUST: &[Member] =
    &[ROLE_NAME, Member::text("PolicyDocument").required().range(1, 131_072)];

pub(super) const BOUNDARY: &[Member] =
    &[ROLE_NAME, Member::text("PermissionsBoundary").required().range(20, 2048)];

fn check_trust(document: &str) -> Result<(), Error> {
    Policy::parse(document, PolicyKind::Trust)
        .map_err(|message| Error::new(400, "MalformedPolicyDocument", message))?;
    if document.chars().filter(|c| !c.is_whitespace()).count() > TRUST_LIMIT {
        return Err(Error::new(
            409,
            "LimitExceeded",
            format!("Cannot exceed quota for ACLSizePerRole: {TRUST_LIMIT}"),
        ));
    }
    Ok(())
}

pub(super) fn create_role(call: &mut Call<'_>) -> Result<Value, Error> {
    let name = call.text("RoleName");
    let path = call.optional_text("Path").unwrap_or_else(|| "/".to_owned());
    let trust = call.text("AssumeRolePolicyDocument");
    let boundary = call.optional_text("PermissionsBoundary");
    let tags = tags::tags(call)?;
    let account = call.account_id()?.to_owned();
    let arn = format!("arn:aws:iam::{account}:role{path}{name}");

    let mut context = tag_context(&tags);
    context.extend(boundary.iter().map(|arn| ("iam:permissionsboundary".to_owned(), vec![arn.clone()])));
    call.authorize_with("iam:CreateRole", &arn, context.clone())?;
    if !tags.is_empty() {
        call.authorize_with("iam:TagRole", &arn, context)?;
    }
    check_trust(&trust)?;
    if call.account()?.role(&name).is_some() {
        return Err(Error::new(409, "EntityAlreadyExists", format!("Role with name {name} already exists.")));
    }
    if let Some(boundary) = &boundary {
        check_boundary(call, boundary)?;
    }
    let role = Role {
        name: name.clone(),
        path,
        id: identifiers::unique_id("AROA")?,
        arn,
        created_at: call.now,
        description: call.optional_text("Description"),
        max_session_seconds: call.integer("MaxSessionDuration").unwrap_or(3600),
        permissions_boundary: boundary,
        tags,
        trust,
        trust_changed_at: call.now,
        trust_before: None,
        inline: [].into(),
        attached: Vec::new(),
        service: None,
    };
    // CreateRole and ListRoles do not show what only GetRole does: the maximum session and the boundary's type.
    let mut shown = summary(&role);
    if !role.tags.is_empty() {
        shown["Tags"] = Value::from(list(&role.tags));
    }
    call.account_mut()?.roles.insert(name.to_lowercase(), role);
    Ok(json!({"Role": shown}))
}

pub(super) fn get_role(call: &mut Call<'_>) -> Result<Value, Error> {
    authorize_role(call, "iam:GetRole")?;
    let role = role(call)?;
    let mut shown = summary(role);
    shown["MaxSessionDuration"] = Value::from(role.max_session_seconds);
    shown["RoleLastUsed"] = json!({});
    if !role.tags.is_empty() {
        shown["Tags"] = Value::from(list(&role.tags));
    }
    if let Some(arn) = &role.permissions_boundary {
        shown["PermissionsBoundary"] =
            json!({"PermissionsBoundaryType": "PermissionsBoundaryPolicy", "PermissionsBoundaryArn": arn});
    }
    Ok(json!({"Role": shown}))
}

pub(super) fn delete_role(call: &mut Call<'_>) -> Result<Value, Error> {
    authorize_role(call, "iam:DeleteRole")?;
    let role = changeable_role(call)?;
    let conflict = |message: &str| Err(Error::new(409, "DeleteConflict", message));
    if !role.attached.is_empty() {
        return conflict("Cannot delete entity, must detach all policies first.");
    }
    if !role.inline.is_empty() {
        return conflict("Cannot delete entity, must delete policies first.");
    }
    let key = role.name.to_lowercase();
    call.account_mut()?.roles.remove(&key);
    Ok(Value::Null)
}

pub(super) fn list_roles(call: &mut Call<'_>) -> Result<Value, Error> {
    let prefix = call.optional_text("PathPrefix").unwrap_or_else(|| "/".to_owned());
    call.authorize("iam:ListRoles", &format!("arn:aws:iam::{}:role{prefix}", call.account_id()?))?;
    let roles = call.account()?.roles.values().filter(|role| role.path.starts_with(&prefix));
    let roles = roles.map(|role| {
        let mut shown = summary(role);
        shown["MaxSessionDuration"] = Value::from(role.max_session_seconds);
        shown
    });
    page(call, "Roles", roles.collect())
}

pub(super) fn update_assume_role_policy(call: &mut Call<'_>) -> Result<Value, Error> {
    authorize_role(call, "iam:UpdateAssumeRolePolicy")?;
    let trust = call.text("PolicyDocument");
    check_trust(&trust)?;
    let delay = call.settings()?.iam_propagation_ms;
    let now = call.now;
    let role = changeable_role(call)?;
    role.trust_before = role.visible_trust(now, delay).map(str::to_owned);
    role.trust_changed_at = now;
    role.trust = trust;
    Ok(Value::Null)
}

pub(super) fn put_role_permissions_boundary(call: &mut Call<'_>) -> Result<Value, Error> {
    let boundary = call.text("PermissionsBoundary");
    let context = [("iam:permissionsboundary".to_owned(), vec![boundary.clone()])].into();
    let arn = super::role_arn(call, &call.text("RoleName"))?;
    call.authorize_with("iam:PutRolePermissionsBoundary", &arn, context)?;
    changeable_role(call)?;
    check_boundary(call, &boundary)?;
    changeable_role(call)?.permissions_boundary = Some(boundary);
    Ok(Value::Null)
}

/// What every operation shows of a role.
pub(super) fn summary(role: &Role) -> Value {
    let mut shown = json!({
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.id,
        "Arn": role.arn,
        "CreateDate": iso_date(role.created_at),
        "AssumeRolePolicyDocument": encoded(&role.trust),
    });
    if let Some(description) = &role.description {
        shown["Description"] = Value::from(description.clone());
    }
    shown
}
