//! AWS IAM: the agent role and the service-linked role.

use std::collections::BTreeMap;

use aws_sdk_iam::Client;
use aws_sdk_iam::types::Tag;
use percent_encoding::percent_decode_str;

use super::config::Connected;
use super::failure::{asking, failure};
use super::unreadable::{AskAgain, WholeAnswers};
use crate::manifest::{AGENT_PERMISSIONS, AGENT_TRUST};
use crate::ports::{Failure, FailureKind, Reply, Roles, Side};
use crate::registration::observed::{Permissions, Role};
use crate::registration::request::{MANAGED_TAG, ROLE_POLICY_NAME, RoleDesign};
use crate::registration::role_drift::RoleChange;
use crate::registration::step::SERVICE_LINKED_ROLE;

/// The service that the service-linked role is for (EKS user guide, "Using roles to connect a Kubernetes cluster").
const SERVICE: &str = "eks-connector.amazonaws.com";

/// The IAM adapter.
#[derive(Clone, Debug)]
pub struct Iam {
    pub(super) client: Client,
}

impl Iam {
    /// Over the given connection.
    pub fn new(connected: &Connected) -> Self {
        Self { client: client(connected) }
    }

    async fn policy(&self, role: &str) -> Result<Permissions, Failure> {
        asking("iam:GetRolePolicy", role);
        let answer = self.client.get_role_policy().role_name(role).policy_name(ROLE_POLICY_NAME).send().await;
        match answer.map_err(|error| failure("iam:GetRolePolicy", &error)) {
            Ok(answer) => Ok(Permissions::Inline(decode(answer.policy_document()))),
            Err(failure) if failure.kind == FailureKind::NotFound => Ok(Permissions::Absent),
            Err(failure) if failure.kind == FailureKind::Denied => Ok(Permissions::Unreadable),
            Err(failure) => Err(failure),
        }
    }

    async fn create(&self, design: &RoleDesign, tagged: bool) -> Result<String, Failure> {
        const OPERATION: &str = "iam:CreateRole";
        asking(OPERATION, &design.name);
        let mut call = self
            .client
            .create_role()
            .role_name(&design.name)
            .set_path(design.path.clone())
            .set_permissions_boundary(design.boundary.clone())
            .assume_role_policy_document(AGENT_TRUST)
            .description("Lets the agent of the EKS Connector reach AWS Systems Manager");
        if tagged {
            call = call.tags(tag(OPERATION, MANAGED_TAG, "true")?);
        }
        for (key, value) in &design.tags {
            call = call.tags(tag(OPERATION, key, value)?);
        }
        let answer = call.send().await.map_err(|error| failure(OPERATION, &error))?;
        let role = answer.role.ok_or_else(|| malformed(OPERATION))?;
        Ok(role.arn)
    }
}

/// A client of IAM that asks again for what it could not read.
pub(super) fn client(connected: &Connected) -> Client {
    let config = aws_sdk_iam::config::Builder::from(&connected.sdk);
    Client::from_conf(config.retry_classifier(AskAgain).interceptor(WholeAnswers).build())
}

impl Roles for Iam {
    fn role<'a>(&'a self, name: &'a str) -> Reply<'a, Option<Role>> {
        Box::pin(async move {
            asking("iam:GetRole", name);
            // Independent: the policy's absence says the same as the role's.
            let (role, permissions) =
                tokio::join!(self.client.get_role().role_name(name).send(), self.policy(name));
            let role = match role {
                Ok(answer) => answer.role.ok_or_else(|| malformed("iam:GetRole"))?,
                Err(error) => return absent(failure("iam:GetRole", &error)),
            };
            let tags: BTreeMap<String, String> =
                role.tags.into_iter().flatten().map(|tag| (tag.key, tag.value)).collect();
            Ok(Some(Role {
                arn: role.arn,
                trust: role.assume_role_policy_document.as_deref().map(decode).unwrap_or_default(),
                permissions: permissions?,
                ours: tags.get(MANAGED_TAG).is_some_and(|value| value == "true"),
                boundary: role.permissions_boundary.and_then(|boundary| boundary.permissions_boundary_arn),
                tags,
            }))
        })
    }

    fn service_linked_role(&self) -> Reply<'_, bool> {
        Box::pin(async {
            asking("iam:GetRole", SERVICE_LINKED_ROLE);
            match self.client.get_role().role_name(SERVICE_LINKED_ROLE).send().await {
                Ok(_) => Ok(true),
                Err(error) => absent(failure("iam:GetRole", &error)).map(|_: Option<()>| false),
            }
        })
    }

    fn create_agent_role<'a>(&'a self, design: &'a RoleDesign) -> Reply<'a, String> {
        Box::pin(async move {
            match self.create(design, true).await {
                // Our tag is an aid: without it the role is made all the same, and later runs do not repair it. The
                // user's are wanted.
                Err(failure)
                    if failure.kind == FailureKind::Denied
                        && failure.message.contains("iam:TagRole")
                        && design.tags.is_empty() =>
                {
                    self.create(design, false).await
                }
                answer => answer,
            }
        })
    }

    fn put_agent_policy<'a>(&'a self, role: &'a str) -> Reply<'a, ()> {
        Box::pin(async move {
            asking("iam:PutRolePolicy", role);
            self.client
                .put_role_policy()
                .role_name(role)
                .policy_name(ROLE_POLICY_NAME)
                .policy_document(AGENT_PERMISSIONS)
                .send()
                .await
                .map(drop)
                .map_err(|error| failure("iam:PutRolePolicy", &error))
        })
    }

    fn change_agent_role<'a>(&'a self, role: &'a str, change: &'a RoleChange) -> Reply<'a, ()> {
        Box::pin(async move {
            match change {
                RoleChange::Trust(document) => {
                    asking("iam:UpdateAssumeRolePolicy", role);
                    let call =
                        self.client.update_assume_role_policy().role_name(role).policy_document(document);
                    call.send().await.map(drop).map_err(|error| failure("iam:UpdateAssumeRolePolicy", &error))
                }
                RoleChange::Boundary(arn) => {
                    asking("iam:PutRolePermissionsBoundary", role);
                    let call =
                        self.client.put_role_permissions_boundary().role_name(role).permissions_boundary(arn);
                    call.send()
                        .await
                        .map(drop)
                        .map_err(|error| failure("iam:PutRolePermissionsBoundary", &error))
                }
                RoleChange::Tags(tags) => {
                    const OPERATION: &str = "iam:TagRole";
                    asking(OPERATION, role);
                    let mut call = self.client.tag_role().role_name(role);
                    for (key, value) in tags {
                        call = call.tags(tag(OPERATION, key, value)?);
                    }
                    call.send().await.map(drop).map_err(|error| failure(OPERATION, &error))
                }
            }
        })
    }

    fn create_service_linked_role(&self) -> Reply<'_, ()> {
        Box::pin(async {
            asking("iam:CreateServiceLinkedRole", SERVICE);
            let answer = self.client.create_service_linked_role().aws_service_name(SERVICE).send().await;
            match answer.map_err(|error| failure("iam:CreateServiceLinkedRole", &error)) {
                Ok(_) => Ok(()),
                // Not EntityAlreadyExists: IAM answers InvalidInput and "has been taken in this account".
                Err(failure) if failure.message.contains("has been taken in this account") => Ok(()),
                Err(failure) => Err(failure),
            }
        })
    }
}

fn tag(operation: &str, key: &str, value: &str) -> Result<Tag, Failure> {
    Tag::builder().key(key).value(value).build().map_err(|error| Failure {
        side: Side::Aws,
        kind: FailureKind::Rejected,
        operation: operation.to_owned(),
        message: error.to_string(),
    })
}

/// IAM gives policy documents URL-encoded (IAM API, `Role.AssumeRolePolicyDocument`).
pub(super) fn decode(document: &str) -> String {
    percent_decode_str(document).decode_utf8_lossy().into_owned()
}

pub(super) fn absent<T>(failure: Failure) -> Result<Option<T>, Failure> {
    if failure.kind == FailureKind::NotFound { Ok(None) } else { Err(failure) }
}

pub(super) fn malformed(operation: &str) -> Failure {
    Failure {
        side: Side::Aws,
        kind: FailureKind::Malformed,
        operation: operation.to_owned(),
        message: "the answer has no role".to_owned(),
    }
}
