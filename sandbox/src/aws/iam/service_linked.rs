//! Service-linked roles.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{name_pattern, no_such_role, role_arn, roles};
use crate::aws::identifiers;
use crate::aws::service::{Call, Error, Member};
use crate::aws::state::{Account, Deletion, DeletionStatus, Role, State, later};

/// Name of the connector's service-linked role.
pub(crate) const CONNECTOR_ROLE: &str = "AWSServiceRoleForAmazonEKSConnector";
/// The services for which a service-linked role can be made here: name, role, attached policy.
const SERVICES: &[(&str, &str, &str)] = &[(
    "eks-connector.amazonaws.com",
    CONNECTOR_ROLE,
    "arn:aws:iam::aws:policy/aws-service-role/AmazonEKSConnectorServiceRolePolicy",
)];

const NAME_RULE: &str = "The specified value is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-";

pub(super) const CREATE: &[Member] = &[
    Member::text("AWSServiceName").required().range(1, 128).pattern(name_pattern(NAME_RULE)),
    Member::text("Description").range(0, 1000),
    Member::text("CustomSuffix").range(1, 64).pattern(name_pattern(NAME_RULE)),
];
pub(super) const STATUS: &[Member] = &[Member::text("DeletionTaskId").required().range(1, 1000)];

pub(super) fn create(call: &mut Call<'_>) -> Result<Value, Error> {
    let service = call.text("AWSServiceName");
    let Some((_, name, _)) = SERVICES.iter().find(|(known, ..)| *known == service) else {
        let arn = format!("arn:aws:iam::{}:role/aws-service-role/{service}/*", call.account_id()?);
        call.authorize_with("iam:CreateServiceLinkedRole", &arn, context(&service))?;
        return Err(Error::new(400, "InvalidInput", format!("Service principal {service} is invalid.")));
    };
    call.authorize_with(
        "iam:CreateServiceLinkedRole",
        &arn(call.account_id()?, &service, name),
        context(&service),
    )?;
    if call.optional_text("CustomSuffix").is_some() {
        return Err(Error::new(400, "InvalidInput", format!("Custom suffix is not allowed for {service}")));
    }
    if call.account()?.role(name).is_some() {
        return Err(Error::new(
            400,
            "InvalidInput",
            format!(
                "Service role name {name} has been taken in this account, please try a different suffix."
            ),
        ));
    }
    let description = call.optional_text("Description");
    let now = call.now;
    let role = insert(call.account_mut()?, &service, description, now)?;
    Ok(json!({"Role": roles::summary(role)}))
}

/// Makes the connector's role on behalf of a caller who may make it.
///
/// # Errors
///
/// Access denied if the caller may not.
pub(crate) fn create_connector_role(call: &mut Call<'_>) -> Result<(), Error> {
    let (service, name, _) = SERVICES[0];
    let arn = arn(call.account_id()?, service, name);
    call.authorize_with("iam:CreateServiceLinkedRole", &arn, context(service))?;
    let now = call.now;
    insert(call.account_mut()?, service, None, now)?;
    Ok(())
}

fn context(service: &str) -> crate::aws::policy::Context {
    [("iam:awsservicename".to_owned(), vec![service.to_owned()])].into()
}

fn arn(account: &str, service: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:role/aws-service-role/{service}/{name}")
}

fn insert<'a>(
    account: &'a mut Account,
    service: &str,
    description: Option<String>,
    now: Timestamp,
) -> Result<&'a Role, Error> {
    let (_, name, policy) =
        SERVICES.iter().find(|(known, ..)| *known == service).ok_or_else(|| no_such_role(service))?;
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": [{"Action": ["sts:AssumeRole"], "Effect": "Allow", "Principal": {"Service": [service]}}],
    });
    let role = Role {
        name: (*name).to_owned(),
        path: format!("/aws-service-role/{service}/"),
        id: identifiers::unique_id("AROA")?,
        arn: arn(&account.id, service, name),
        created_at: now,
        description,
        max_session_seconds: 3600,
        permissions_boundary: None,
        tags: BTreeMap::new(),
        trust: trust.to_string(),
        trust_changed_at: now,
        trust_before: None,
        inline: BTreeMap::new(),
        attached: vec![(*policy).to_owned()],
        service: Some(service.to_owned()),
    };
    account.roles.insert(name.to_lowercase(), role);
    account.role(name).ok_or_else(|| no_such_role(name))
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Value, Error> {
    let name = call.text("RoleName");
    call.authorize("iam:DeleteServiceLinkedRole", &role_arn(call, &name)?)?;
    let ends_at = later(call.now, call.settings()?.service_linked_role_deletion_ms);
    let account = call.account_mut()?;
    let role = account.role(&name).ok_or_else(|| no_such_role(&name))?;
    let Some(service) = &role.service else {
        return Err(Error::new(400, "InvalidInput", format!("Role {name} is not a service-linked role.")));
    };
    let task = format!("task/aws-service-role/{service}/{}/{}", role.name, uuid::Uuid::new_v4());
    let deletion = Deletion { role: role.name.clone(), ends_at, status: DeletionStatus::InProgress };
    account.deletions.insert(task.clone(), deletion);
    Ok(json!({"DeletionTaskId": task}))
}

pub(super) fn status(call: &mut Call<'_>) -> Result<Value, Error> {
    let task = call.text("DeletionTaskId");
    let role =
        task.strip_prefix("task/").and_then(|rest| rest.rsplit_once('/')).map_or("*", |(role, _)| role);
    let arn = format!("arn:aws:iam::{}:role/{role}", call.account_id()?);
    call.authorize("iam:GetServiceLinkedRoleDeletionStatus", &arn)?;
    let deletion =
        call.account()?.deletions.get(&task).ok_or_else(|| {
            Error::new(404, "NoSuchEntity", format!("Deletion task {task} cannot be found."))
        })?;
    Ok(match &deletion.status {
        DeletionStatus::InProgress => json!({"Status": "IN_PROGRESS"}),
        DeletionStatus::Succeeded => json!({"Status": "SUCCEEDED"}),
        DeletionStatus::Failed(usage) => {
            let usage = usage.iter().map(|(region, arns)| json!({"Region": region, "Resources": arns}));
            json!({"Status": "FAILED", "Reason": {
                "Reason": "A service-linked role could not be deleted because it has active resources.",
                "RoleUsageList": usage.collect::<Vec<_>>(),
            }})
        }
    })
}

/// Ends the deletions whose time has come. Called before every operation.
pub(crate) fn settle(state: &mut State, now: Timestamp) {
    for account in state.accounts.values_mut() {
        let Account { roles, deletions, regions, .. } = account;
        for deletion in deletions.values_mut() {
            if deletion.status != DeletionStatus::InProgress || deletion.ends_at > now {
                continue;
            }
            // IAM refuses while the service still has resources that use the role.
            let usage: BTreeMap<String, Vec<String>> = regions
                .iter()
                .filter(|(_, region)| !region.registrations.is_empty())
                .map(|(name, region)| {
                    (name.clone(), region.registrations.values().map(|each| each.arn.clone()).collect())
                })
                .collect();
            deletion.status = if usage.is_empty() {
                roles.remove(&deletion.role.to_lowercase());
                DeletionStatus::Succeeded
            } else {
                DeletionStatus::Failed(usage)
            };
        }
    }
}
