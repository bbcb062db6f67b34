//! Tags of roles.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{ROLE_NAME, changeable_role, page, role, role_arn};
use crate::aws::service::{Call, Error, Member, tag_context};
use crate::aws::validation::invalid;

pub(super) const TAG: &[Member] = &[ROLE_NAME, Member::list("Tags").required().range(0, 50)];
pub(super) const UNTAG: &[Member] = &[ROLE_NAME, Member::list("TagKeys").required().range(0, 50)];

/// The tags of the input, checked as the model and IAM ask.
pub(super) fn tags(call: &Call<'_>) -> Result<BTreeMap<String, String>, Error> {
    let mut tags = BTreeMap::new();
    let protocol = call.service.protocol;
    let list = call.input.get("Tags").and_then(Value::as_array);
    for (index, tag) in list.into_iter().flatten().enumerate() {
        let field = |name: &str| tag.get(name).and_then(Value::as_str);
        let (Some(key), Some(value)) = (field("Key"), field("Value")) else {
            return Err(invalid(
                protocol,
                format!(
                    "1 validation error detected: Value at 'tags.{}.member.key' failed to satisfy constraint: Member \
                     must not be null",
                    index + 1
                ),
            ));
        };
        let allowed = |text: &str| {
            text.chars().all(|c| c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c))
        };
        let length = |text: &str| text.chars().count();
        if !(1..=128).contains(&length(key)) || length(value) > 256 || !allowed(key) || !allowed(value) {
            return Err(invalid(
                protocol,
                format!(
                    "1 validation error detected: Value at 'tags.{}.member' failed to satisfy constraint: Member must \
                     have a key of 1 to 128 and a value of up to 256 allowed characters",
                    index + 1
                ),
            ));
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(Error::new(
                400,
                "InvalidInput",
                "Tag keys beginning with aws: are reserved for system use",
            ));
        }
        // Keys of tags are unique without regard to case.
        if tags.keys().any(|other: &String| other.eq_ignore_ascii_case(key)) {
            return Err(Error::new(
                400,
                "InvalidInput",
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ));
        }
        tags.insert(key.to_owned(), value.to_owned());
    }
    Ok(tags)
}

pub(super) fn tag_role(call: &mut Call<'_>) -> Result<Value, Error> {
    let tags = tags(call)?;
    let arn = role_arn(call, &call.text("RoleName"))?;
    call.authorize_with("iam:TagRole", &arn, tag_context(&tags))?;
    let role = changeable_role(call)?;
    let mut changed = role.tags.clone();
    for (key, value) in tags {
        // A key that differs by case alone is the same tag.
        changed.retain(|other, _| !other.eq_ignore_ascii_case(&key));
        changed.insert(key, value);
    }
    if changed.len() > 50 {
        return Err(Error::new(
            409,
            "LimitExceeded",
            "The number of tags has reached the maximum limit of 50 for the role.",
        ));
    }
    role.tags = changed;
    Ok(Value::Null)
}

pub(super) fn untag_role(call: &mut Call<'_>) -> Result<Value, Error> {
    let keys = call.texts("TagKeys");
    let arn = role_arn(call, &call.text("RoleName"))?;
    let context = [("aws:tagkeys".to_owned(), keys.clone())].into();
    call.authorize_with("iam:UntagRole", &arn, context)?;
    changeable_role(call)?.tags.retain(|key, _| !keys.iter().any(|each| each.eq_ignore_ascii_case(key)));
    Ok(Value::Null)
}

pub(super) fn list_role_tags(call: &mut Call<'_>) -> Result<Value, Error> {
    super::authorize_role(call, "iam:ListRoleTags")?;
    let tags = list(&role(call)?.tags);
    page(call, "Tags", tags)
}

/// Tags as IAM shows them.
pub(super) fn list(tags: &BTreeMap<String, String>) -> Vec<Value> {
    tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect()
}
