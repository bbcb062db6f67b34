//! AWS IAM: taking roles away.

use aws_sdk_iam::types::{DeletionTaskStatusType, Role};
use jiff::Timestamp;

use super::failure::{asking, failure};
use super::iam::{Iam, decode, malformed};
use crate::ports::{Failure, FailureKind, LinkedDeletion, Reply, RoleRemoval};
use crate::registration::deregister::seen::RolePolicies;
use crate::registration::step::SERVICE_LINKED_ROLE;

impl Iam {
    async fn inline_policies(&self, role: &str) -> Result<Vec<String>, Failure> {
        const OPERATION: &str = "iam:ListRolePolicies";
        asking(OPERATION, role);
        let mut pages = self.client.list_role_policies().role_name(role).into_paginator().send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            names.extend(page.map_err(|error| failure(OPERATION, &error))?.policy_names);
        }
        Ok(names)
    }

    async fn attached_policies(&self, role: &str) -> Result<Vec<String>, Failure> {
        const OPERATION: &str = "iam:ListAttachedRolePolicies";
        asking(OPERATION, role);
        let mut pages = self.client.list_attached_role_policies().role_name(role).into_paginator().send();
        let mut arns = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failure(OPERATION, &error))?;
            arns.extend(page.attached_policies.into_iter().flatten().filter_map(|policy| policy.policy_arn));
        }
        Ok(arns)
    }
}

impl RoleRemoval for Iam {
    fn policies<'a>(&'a self, role: &'a str) -> Reply<'a, Option<RolePolicies>> {
        Box::pin(async move {
            match tokio::try_join!(self.inline_policies(role), self.attached_policies(role)) {
                Ok((inline, attached)) => Ok(Some(RolePolicies { inline, attached })),
                Err(failure) if failure.kind == FailureKind::NotFound => Ok(None),
                Err(failure) => Err(failure),
            }
        })
    }

    fn agent_roles(&self) -> Reply<'_, Vec<(String, Option<Timestamp>)>> {
        Box::pin(async {
            const OPERATION: &str = "iam:ListRoles";
            asking(OPERATION, "(all)");
            let mut pages = self.client.list_roles().into_paginator().send();
            let mut found = Vec::new();
            while let Some(page) = pages.next().await {
                let page = page.map_err(|error| failure(OPERATION, &error))?;
                let trusts = |role: &Role| {
                    let trust = role.assume_role_policy_document.as_deref().map(decode);
                    trust.is_some_and(|trust| trust.contains("ssm.amazonaws.com"))
                };
                let named = page
                    .roles
                    .into_iter()
                    .filter(trusts)
                    .map(|role| (role.role_name, Timestamp::new(role.create_date.secs(), 0).ok()));
                found.extend(named);
            }
            Ok(found)
        })
    }

    fn delete_role_policy<'a>(&'a self, role: &'a str, policy: &'a str) -> Reply<'a, ()> {
        Box::pin(async move {
            const OPERATION: &str = "iam:DeleteRolePolicy";
            asking(OPERATION, role);
            let answer = self.client.delete_role_policy().role_name(role).policy_name(policy).send().await;
            gone_is_as_good(answer.map(drop).map_err(|error| failure(OPERATION, &error)))
        })
    }

    fn delete_role<'a>(&'a self, role: &'a str) -> Reply<'a, ()> {
        Box::pin(async move {
            const OPERATION: &str = "iam:DeleteRole";
            asking(OPERATION, role);
            let answer = self.client.delete_role().role_name(role).send().await;
            gone_is_as_good(answer.map(drop).map_err(|error| failure(OPERATION, &error)))
        })
    }

    fn delete_service_linked_role(&self) -> Reply<'_, Option<String>> {
        Box::pin(async {
            const OPERATION: &str = "iam:DeleteServiceLinkedRole";
            asking(OPERATION, SERVICE_LINKED_ROLE);
            let answer = self.client.delete_service_linked_role().role_name(SERVICE_LINKED_ROLE).send().await;
            match answer.map_err(|error| failure(OPERATION, &error)) {
                Ok(answer) => Ok(Some(answer.deletion_task_id)),
                Err(failure) if failure.kind == FailureKind::NotFound => Ok(None),
                Err(failure) => Err(failure),
            }
        })
    }

    fn linked_deletion<'a>(&'a self, task: &'a str) -> Reply<'a, LinkedDeletion> {
        Box::pin(async move {
            const OPERATION: &str = "iam:GetServiceLinkedRoleDeletionStatus";
            asking(OPERATION, task);
            let answer =
                self.client.get_service_linked_role_deletion_status().deletion_task_id(task).send().await;
            let answer = answer.map_err(|error| failure(OPERATION, &error))?;
            match answer.status {
                DeletionTaskStatusType::Succeeded => Ok(LinkedDeletion::Gone),
                DeletionTaskStatusType::InProgress | DeletionTaskStatusType::NotStarted => {
                    Ok(LinkedDeletion::Going)
                }
                DeletionTaskStatusType::Failed => {
                    let reason = answer.reason;
                    let why = reason.as_ref().and_then(|reason| reason.reason.clone()).unwrap_or_default();
                    let usage =
                        reason.into_iter().flat_map(|reason| reason.role_usage_list.unwrap_or_default());
                    let usage: Vec<String> = usage
                        .map(|usage| {
                            let resources = usage.resources.unwrap_or_default().join(", ");
                            format!("{}: {resources}", usage.region.unwrap_or_default())
                        })
                        .collect();
                    Ok(LinkedDeletion::Refused(format!("{why} {}", usage.join("; ")).trim().to_owned()))
                }
                _ => Err(malformed(OPERATION)),
            }
        })
    }
}

fn gone_is_as_good(answer: Result<(), Failure>) -> Result<(), Failure> {
    match answer {
        Err(failure) if failure.kind == FailureKind::NotFound => Ok(()),
        answer => answer,
    }
}
