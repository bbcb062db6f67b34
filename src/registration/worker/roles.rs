//! Making and mending the two roles.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::made::may_have_had_effect;
use super::stale_or;
use crate::error::{Code, Error};
use crate::plan::{Done, StepFailure};
use crate::ports::{Failure, FailureKind, Roles};
use crate::registration::request::RoleDesign;
use crate::registration::role_drift::RoleChange;
use crate::registration::step::Step;

/// Does the steps of the roles, and keeps what later steps take from them.
pub(in crate::registration) struct RoleWork {
    roles: Arc<dyn Roles>,
    /// The service-linked role was seen not to exist, which is more than not having been seen.
    linked_is_missing: bool,
    made_linked: AtomicBool,
    arn: OnceLock<String>,
    /// The steps of which it is not known whether they made a role.
    doubtful: Mutex<Vec<Step>>,
}

impl RoleWork {
    pub(in crate::registration) fn new(roles: Arc<dyn Roles>, service_linked_role: Option<bool>) -> Self {
        Self {
            roles,
            linked_is_missing: service_linked_role == Some(false),
            made_linked: AtomicBool::new(false),
            arn: OnceLock::new(),
            doubtful: Mutex::default(),
        }
    }

    /// The steps of which it is not known whether they made a role: their answers were lost.
    pub(in crate::registration) fn in_doubt(&self) -> Vec<Step> {
        self.doubtful.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note_doubt(&self, failure: &Failure, step: impl FnOnce() -> Step) {
        // A repeated request may find what the lost one made.
        if may_have_had_effect(failure.kind) || failure.kind == FailureKind::Conflict {
            self.doubtful.lock().unwrap_or_else(PoisonError::into_inner).push(step());
        }
    }

    /// ARN of the role that this run made.
    pub(in crate::registration) fn made_arn(&self) -> Option<&String> {
        self.arn.get()
    }

    /// Whether this run made the service-linked role, so that EKS may not see it yet.
    pub(in crate::registration) fn made_service_linked_role(&self) -> bool {
        self.made_linked.load(Ordering::Acquire)
    }

    pub(in crate::registration) async fn create_service_linked_role(&self) -> Result<Done, StepFailure> {
        match self.roles.create_service_linked_role().await {
            Ok(()) => {
                self.made_linked.store(true, Ordering::Release);
                Ok(Done::new("created"))
            }
            // It may not be read either, so it may well be there: EKS knows.
            Err(failure) if failure.kind == FailureKind::Denied && !self.linked_is_missing => {
                Ok(Done::unchanged("not known"))
            }
            Err(failure) => {
                self.note_doubt(&failure, || Step::CreateServiceLinkedRole);
                Err(failure.into_error("create the service-linked role of the EKS Connector").into())
            }
        }
    }

    pub(in crate::registration) async fn create(&self, design: &RoleDesign) -> Result<Done, StepFailure> {
        let name = &design.name;
        let arn = match self.roles.create_agent_role(design).await {
            Ok(arn) => arn,
            // Nothing else that CreateRole names could be missing.
            Err(failure) if failure.kind == FailureKind::NotFound && design.boundary.is_some() => {
                return Err(Error::failed(
                    Code::INVALID_ROLE_OPTION,
                    format!("the agent role {name} could not be created within its permissions boundary"),
                )
                .cause(failure.message)
                .fix("name a managed policy that exists with --role-permissions-boundary (aws iam list-policies)")
                .into());
            }
            Err(failure) => {
                self.note_doubt(&failure, || Step::CreateAgentRole(design.clone()));
                return Err(stale_or(failure, &format!("create the agent role {name}")));
            }
        };
        // A plan makes the role once.
        drop(self.arn.set(arn));
        Ok(Done::new("created"))
    }

    pub(in crate::registration) async fn put_policy(&self, role: &str) -> Result<Done, StepFailure> {
        let answer = self.roles.put_agent_policy(role).await;
        answer.map_err(|failure| {
            stale_or(failure, &format!("write the inline policy of the agent role {role}"))
        })?;
        Ok(Done::new(if self.arn.get().is_some() { "created" } else { "repaired" }))
    }

    pub(in crate::registration) async fn change(
        &self,
        role: &str,
        change: &RoleChange,
    ) -> Result<Done, StepFailure> {
        let answer = self.roles.change_agent_role(role, change).await;
        answer.map_err(|failure| {
            stale_or(failure, &format!("write the {} of the agent role {role}", change.part()))
        })?;
        Ok(Done::new("repaired"))
    }
}
