//! SimulatePrincipalPolicy: what the policies of a user or role say, without doing it.

use serde_json::{Value, json};

use super::{MARKER, MAX_ITEMS, page};
use crate::aws::caller::{Permissions, Principal};
use crate::aws::policy::{Context, Decision};
use crate::aws::service::{Call, Error, Member};

pub(super) const SIMULATE: &[Member] = &[
    Member::text("PolicySourceArn").required().range(20, 2048),
    Member::list("ActionNames").required(),
    Member::list("ResourceArns"),
    Member::list("ContextEntries"),
    MARKER,
    MAX_ITEMS,
];

pub(super) fn simulate_principal_policy(call: &mut Call<'_>) -> Result<Value, Error> {
    let arn = call.text("PolicySourceArn");
    call.authorize("iam:SimulatePrincipalPolicy", &arn)?;
    let principal = source(call, &arn)?;
    let context = context(call);
    let mut resources = call.texts("ResourceArns");
    if resources.is_empty() {
        resources.push("*".to_owned());
    }
    let mut results = Vec::new();
    for action in call.texts("ActionNames") {
        if action.split(':').count() != 2 {
            return Err(Error::new(400, "InvalidInput", format!("Invalid Action: {action}")));
        }
        for resource in &resources {
            let decision = match principal.decide(call.state, &action, resource, context.clone()) {
                Decision::Allowed => "allowed",
                Decision::ExplicitDeny => "explicitDeny",
                Decision::ImplicitDeny => "implicitDeny",
            };
            results.push(json!({
                "EvalActionName": action,
                "EvalResourceName": resource,
                "EvalDecision": decision,
                "MatchedStatements": [],
                "MissingContextValues": [],
            }));
        }
    }
    page(call, "EvaluationResults", results)
}

/// The user or role of an ARN, with its path. A session's ARN is refused, as AWS does.
fn source(call: &Call<'_>, arn: &str) -> Result<Principal, Error> {
    let account = call.account()?;
    if arn.split(':').nth(2) != Some("iam") {
        return Err(Error::new(
            400,
            "InvalidInput",
            format!("Invalid Entity Arn: {arn} does not clearly define entity type and name."),
        ));
    }
    if let Some(role) = account.roles.values().find(|role| role.arn == arn) {
        return Ok(Principal {
            account: account.id.clone(),
            arn: arn.to_owned(),
            user_id: role.id.clone(),
            permissions: Permissions::Role(role.name.clone()),
        });
    }
    if let Some(user) = account.users.values().find(|user| user.arn == arn) {
        return Ok(Principal {
            account: account.id.clone(),
            arn: arn.to_owned(),
            user_id: user.id.clone(),
            permissions: Permissions::User(user.name.clone()),
        });
    }
    Err(Error::new(404, "NoSuchEntity", format!("The entity {arn} cannot be found.")))
}

/// The condition keys of the input.
fn context(call: &Call<'_>) -> Context {
    let entries = call.input.get("ContextEntries").and_then(Value::as_array);
    let entry = |entry: &Value| {
        let key = entry.get("ContextKeyName")?.as_str()?.to_ascii_lowercase();
        let values = entry.get("ContextKeyValues")?.as_array()?;
        Some((key, values.iter().filter_map(Value::as_str).map(str::to_owned).collect()))
    };
    entries.into_iter().flatten().filter_map(entry).collect()
}
