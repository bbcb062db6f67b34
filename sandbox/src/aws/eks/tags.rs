//! Tags of clusters.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{TAGS, tags_of};
use crate::aws::service::{Call, Error, Member, tag_context};

pub(super) const TAG: &[Member] = &[TAGS.required()];
pub(super) const UNTAG: &[Member] = &[Member::list("tagKeys").required().range(1, 50)];

fn not_found(arn: &str) -> Error {
    Error::new(404, "NotFoundException", format!("Resource not found: {arn}"))
}

/// The tags of the connected cluster that the input names by its ARN.
fn tags<'c>(call: &'c mut Call<'_>, arn: &str) -> Result<&'c mut BTreeMap<String, String>, Error> {
    let (region, account) = (call.region.clone(), call.account_id()?.to_owned());
    if !arn.starts_with("arn:aws:eks:") {
        return Err(Error::new(400, "BadRequestException", format!("Invalid resource ARN: {arn}")));
    }
    let name = arn
        .strip_prefix(&format!("arn:aws:eks:{region}:{account}:cluster/"))
        .ok_or_else(|| not_found(arn))?;
    let registration = call.here()?.registrations.get_mut(name).ok_or_else(|| not_found(arn))?;
    Ok(&mut registration.tags)
}

pub(super) fn tag_resource(call: &mut Call<'_>) -> Result<Value, Error> {
    let arn = call.text("resourceArn");
    let added = tags_of(call, "BadRequestException")?;
    call.authorize_with("eks:TagResource", &arn, tag_context(&added))?;
    let tags = tags(call, &arn)?;
    let count = tags.keys().filter(|key| !added.contains_key(*key)).count() + added.len();
    if count > 50 {
        return Err(Error::new(400, "BadRequestException", "The resource can have at most 50 tags."));
    }
    tags.extend(added);
    Ok(json!({}))
}

pub(super) fn untag_resource(call: &mut Call<'_>) -> Result<Value, Error> {
    let (arn, keys) = (call.text("resourceArn"), call.texts("tagKeys"));
    let context = [("aws:tagkeys".to_owned(), keys.clone())].into();
    call.authorize_with("eks:UntagResource", &arn, context)?;
    tags(call, &arn)?.retain(|key, _| !keys.contains(key));
    Ok(json!({}))
}

pub(super) fn list_tags_for_resource(call: &mut Call<'_>) -> Result<Value, Error> {
    let arn = call.text("resourceArn");
    call.authorize("eks:ListTagsForResource", &arn)?;
    Ok(json!({"tags": tags(call, &arn)?}))
}
