//! AWS IAM: the users and roles that view.

use std::collections::BTreeMap;

use aws_sdk_iam::Client;
use aws_sdk_iam::types::PolicyEvaluationDecisionType;

use super::config::Connected;
use super::failure::{asking, failure};
use super::iam::{absent, client, decode};
use crate::access::principal::{Principal, PrincipalKind};
use crate::manifest::VIEWER_POLICY_NAME;
use crate::ports::{Decision, Failure, FailureKind, PrincipalFacts, Principals, Reply, Side};
use crate::registration::observed::Permissions;

/// The adapter to IAM for principals.
#[derive(Clone, Debug)]
pub struct IamPrincipals {
    client: Client,
}

impl IamPrincipals {
    /// Over the given connection.
    pub fn new(connected: &Connected) -> Self {
        Self { client: client(connected) }
    }

    async fn role(&self, name: &str) -> Result<Option<PrincipalFacts>, Failure> {
        asking("iam:GetRole", name);
        let policy = async {
            asking("iam:GetRolePolicy", name);
            let call = self.client.get_role_policy().role_name(name).policy_name(VIEWER_POLICY_NAME);
            let answer = call.send().await.map_err(|error| failure("iam:GetRolePolicy", &error))?;
            Ok(answer.policy_document)
        };
        let (role, policy) = tokio::join!(self.client.get_role().role_name(name).send(), policy);
        let role = match role {
            Ok(answer) => answer.role.ok_or_else(|| malformed("iam:GetRole", "no role"))?,
            Err(error) => return absent(failure("iam:GetRole", &error)),
        };
        Ok(Some(PrincipalFacts { arn: role.arn, viewer_policy: inline(policy)? }))
    }

    async fn user(&self, name: &str) -> Result<Option<PrincipalFacts>, Failure> {
        asking("iam:GetUser", name);
        let policy = async {
            asking("iam:GetUserPolicy", name);
            let call = self.client.get_user_policy().user_name(name).policy_name(VIEWER_POLICY_NAME);
            let answer = call.send().await.map_err(|error| failure("iam:GetUserPolicy", &error))?;
            Ok(answer.policy_document)
        };
        let (user, policy) = tokio::join!(self.client.get_user().user_name(name).send(), policy);
        let user = match user {
            Ok(answer) => answer.user.ok_or_else(|| malformed("iam:GetUser", "no user"))?,
            Err(error) => return absent(failure("iam:GetUser", &error)),
        };
        Ok(Some(PrincipalFacts { arn: user.arn, viewer_policy: inline(policy)? }))
    }

    async fn every_role_below(&self, path: &str) -> Result<Vec<String>, Failure> {
        const OPERATION: &str = "iam:ListRoles";
        asking(OPERATION, path);
        let mut arns = Vec::new();
        let mut marker = None;
        loop {
            let call = self.client.list_roles().path_prefix(path).set_marker(marker).max_items(1000);
            let page = call.send().await.map_err(|error| failure(OPERATION, &error))?;
            arns.extend(page.roles.into_iter().map(|role| role.arn));
            marker = page.marker.filter(|_| page.is_truncated);
            if marker.is_none() {
                return Ok(arns);
            }
        }
    }

    async fn decisions(
        &self,
        arn: &str,
        actions: &[&str],
        resource: &str,
    ) -> Result<BTreeMap<String, Decision>, Failure> {
        const OPERATION: &str = "iam:SimulatePrincipalPolicy";
        asking(OPERATION, arn);
        let mut decisions = BTreeMap::new();
        let mut marker = None;
        loop {
            let call = self
                .client
                .simulate_principal_policy()
                .policy_source_arn(arn)
                .set_action_names(Some(actions.iter().map(|action| (*action).to_owned()).collect()))
                .resource_arns(resource)
                .set_marker(marker);
            let page = call.send().await.map_err(|error| failure(OPERATION, &error))?;
            for result in page.evaluation_results.into_iter().flatten() {
                let decision = decision(&result.eval_decision);
                decisions.insert(result.eval_action_name, decision);
            }
            marker = page.marker.filter(|_| page.is_truncated);
            if marker.is_none() {
                return Ok(decisions);
            }
        }
    }

    async fn put(&self, principal: &Principal, document: &str) -> Result<(), Failure> {
        let name = principal.name();
        match principal.kind() {
            PrincipalKind::Role => {
                asking("iam:PutRolePolicy", name);
                let call = self.client.put_role_policy().role_name(name).policy_name(VIEWER_POLICY_NAME);
                let answer = call.policy_document(document).send().await;
                answer.map(drop).map_err(|error| failure("iam:PutRolePolicy", &error))
            }
            PrincipalKind::User => {
                asking("iam:PutUserPolicy", name);
                let call = self.client.put_user_policy().user_name(name).policy_name(VIEWER_POLICY_NAME);
                let answer = call.policy_document(document).send().await;
                answer.map(drop).map_err(|error| failure("iam:PutUserPolicy", &error))
            }
        }
    }

    async fn delete(&self, principal: &Principal) -> Result<(), Failure> {
        let name = principal.name();
        let deleted = match principal.kind() {
            PrincipalKind::Role => {
                asking("iam:DeleteRolePolicy", name);
                let call = self.client.delete_role_policy().role_name(name).policy_name(VIEWER_POLICY_NAME);
                call.send().await.map(drop).map_err(|error| failure("iam:DeleteRolePolicy", &error))
            }
            PrincipalKind::User => {
                asking("iam:DeleteUserPolicy", name);
                let call = self.client.delete_user_policy().user_name(name).policy_name(VIEWER_POLICY_NAME);
                call.send().await.map(drop).map_err(|error| failure("iam:DeleteUserPolicy", &error))
            }
        };
        match deleted {
            Err(failure) if failure.kind == FailureKind::NotFound => Ok(()),
            ended => ended,
        }
    }
}

impl Principals for IamPrincipals {
    fn principal<'a>(&'a self, principal: &'a Principal) -> Reply<'a, Option<PrincipalFacts>> {
        Box::pin(async move {
            let facts = match principal.kind() {
                PrincipalKind::Role => self.role(principal.name()).await?,
                PrincipalKind::User => self.user(principal.name()).await?,
            };
            // IAM is asked by name and answers for the caller's account.
            Ok(facts.filter(|facts| facts.arn.split(':').nth(4) == Some(principal.account())))
        })
    }

    fn roles_below<'a>(&'a self, path: &'a str) -> Reply<'a, Vec<String>> {
        Box::pin(self.every_role_below(path))
    }

    fn simulate<'a>(
        &'a self,
        arn: &'a str,
        actions: &'a [&'a str],
        resource: &'a str,
    ) -> Reply<'a, BTreeMap<String, Decision>> {
        Box::pin(self.decisions(arn, actions, resource))
    }

    fn attach_viewer_policy<'a>(&'a self, principal: &'a Principal, document: &'a str) -> Reply<'a, ()> {
        Box::pin(self.put(principal, document))
    }

    fn detach_viewer_policy<'a>(&'a self, principal: &'a Principal) -> Reply<'a, ()> {
        Box::pin(self.delete(principal))
    }
}

fn inline(policy: Result<String, Failure>) -> Result<Permissions, Failure> {
    match policy {
        Ok(document) => Ok(Permissions::Inline(decode(&document))),
        Err(failure) if failure.kind == FailureKind::NotFound => Ok(Permissions::Absent),
        Err(failure) if failure.kind == FailureKind::Denied => Ok(Permissions::Unreadable),
        Err(failure) => Err(failure),
    }
}

fn decision(decision: &PolicyEvaluationDecisionType) -> Decision {
    match decision {
        PolicyEvaluationDecisionType::Allowed => Decision::Allowed,
        PolicyEvaluationDecisionType::ExplicitDeny => Decision::Denied,
        // What this version does not know is not an allowance.
        _ => Decision::NotAllowed,
    }
}

fn malformed(operation: &str, lack: &str) -> Failure {
    Failure {
        side: Side::Aws,
        kind: FailureKind::Malformed,
        operation: operation.to_owned(),
        message: format!("the answer has {lack}"),
    }
}
