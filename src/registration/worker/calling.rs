//! RegisterCluster, until it is answered for good: which answers pass, which will not, and what a lost one may have done.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};

use super::{Progress, RoleWork, stale_or};
use crate::error::{Code, Error};
use crate::plan::{StepFailure, Stop};
use crate::ports::{Failure, FailureKind, RegisterCall, Registered, Registrations};
use crate::registration::quota::HOW_TO_GET_ROOM;
use crate::registration::step::NewRegistration;

/// How long RegisterCluster is tried while IAM's changes spread (seen to take up to about two minutes).
pub(in crate::registration) const PROPAGATION_BOUND: Duration = Duration::from_secs(180);

/// How often a RegisterCluster call without an answer, or answered by an overloaded EKS, is repeated.
const REGISTER_ATTEMPTS: usize = 4;

/// What calling RegisterCluster leaves open.
#[derive(Default)]
pub(in crate::registration) struct Doubts {
    /// Whether a registration may have been made whose answer is lost.
    uncertain: AtomicBool,
    /// Whether our tags had to be left out.
    untagged: AtomicBool,
}

impl Doubts {
    /// Whether a registration may have been made whose answer is lost.
    pub(in crate::registration) fn registration_is_uncertain(&self) -> bool {
        self.uncertain.load(Ordering::Acquire)
    }

    /// The answer came after all.
    pub(in crate::registration) fn settle(&self) {
        self.uncertain.store(false, Ordering::Release);
    }

    /// How the registration was made, in a word.
    pub(in crate::registration) fn outcome(&self) -> &'static str {
        if self.untagged.load(Ordering::Acquire) { "untagged" } else { "created" }
    }
}

/// Calls RegisterCluster until it is answered for good.
pub(in crate::registration) struct Calling<'a> {
    pub(in crate::registration) registrations: &'a dyn Registrations,
    pub(in crate::registration) roles: &'a RoleWork,
    pub(in crate::registration) doubts: &'a Doubts,
    pub(in crate::registration) stop: &'a Stop,
    /// How long to wait for IAM's changes to spread: [`PROPAGATION_BOUND`].
    pub(in crate::registration) propagation: Duration,
    /// Whether somebody else may be at work by now.
    pub(in crate::registration) is_lost: &'a (dyn Fn() -> bool + Send + Sync),
}

impl Calling<'_> {
    pub(in crate::registration) async fn register(
        &self,
        new: NewRegistration,
        progress: &Progress,
    ) -> Result<Registered, StepFailure> {
        let role_arn = new.role_arn.or_else(|| self.roles.made_arn().cloned()).ok_or_else(|| {
            Error::failed(
                Code::INTERNAL,
                "the agent role's ARN is not known when the cluster is to be registered",
            )
        })?;
        let mut tags = new.user_tags.clone();
        tags.extend(new.own_tags.clone());
        let mut call = RegisterCall {
            name: new.name,
            provider: new.provider,
            role_arn,
            tags,
            request_token: new.request_token,
        };
        let began = Instant::now();
        let mut delays = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(500))
            .with_max_delay(Duration::from_secs(5))
            .without_max_times()
            .build();
        let mut unanswered = 0;
        loop {
            if (self.is_lost)() {
                return Err(StepFailure::Stale("the Lease of eksconnect was taken over".to_owned()));
            }
            let failure = match self.registrations.register(&call).await {
                Ok(registered) => return Ok(registered),
                Err(failure) => failure,
            };
            let attempting = format!("register {}", call.name);
            if matches!(
                failure.kind,
                FailureKind::Unreachable | FailureKind::Unavailable | FailureKind::Malformed
            ) {
                self.doubts.uncertain.store(true, Ordering::Release);
            }
            match failure.kind {
                FailureKind::NotPropagated if began.elapsed() < self.propagation => {
                    progress("waiting until EKS can see the agent role".to_owned());
                }
                FailureKind::NotPropagated => return Err(self.not_accepted(&call, &failure).into()),
                // One that was made a moment ago is on its way; one that could not be made is not.
                FailureKind::ServiceLinkedRoleMissing
                    if self.roles.made_service_linked_role() && began.elapsed() < self.propagation =>
                {
                    progress("waiting until EKS can see the service-linked role".to_owned());
                }
                FailureKind::ServiceLinkedRoleMissing => {
                    return Err(failure
                        .into_error(&attempting)
                        .fix("have somebody make it who may: aws iam create-service-linked-role --aws-service-name eks-connector.amazonaws.com")
                        .into());
                }
                // With the token of the first call: if that had its effect, this is the same call.
                FailureKind::Unreachable | FailureKind::Unavailable | FailureKind::Malformed
                    if unanswered + 1 < REGISTER_ATTEMPTS =>
                {
                    unanswered += 1;
                    progress(format!("trying again: {}", failure.message));
                }
                FailureKind::Denied
                    if failure.message.contains("eks:TagResource") && new.user_tags.is_empty() =>
                {
                    if call.tags.is_empty() {
                        return Err(failure.into_error(&attempting).into());
                    }
                    progress("without tags, since eks:TagResource is denied".to_owned());
                    call.tags.clear();
                    self.doubts.untagged.store(true, Ordering::Release);
                    continue;
                }
                FailureKind::LimitExceeded => {
                    return Err(failure.into_error(&attempting).fix(HOW_TO_GET_ROOM).into());
                }
                _ => return Err(stale_or(failure, &attempting)),
            }
            let delay = delays.next().unwrap_or(Duration::from_secs(5));
            tokio::select! {
                _ = self.stop.stopped() => return Err(StepFailure::Stopped),
                () = tokio::time::sleep(delay) => {}
            }
        }
    }

    fn not_accepted(&self, call: &RegisterCall, failure: &Failure) -> Error {
        let minutes = self.propagation.as_secs() / 60;
        Error::failed(
            Code::ROLE_NOT_ACCEPTED,
            format!("EKS did not accept the agent role {} within {minutes} minutes", call.role_arn),
        )
        .call(&failure.operation)
        .cause(failure.message.clone())
        .fix("check that the role exists and that its trust policy lets ssm.amazonaws.com assume it; if it is new, run the same command again in a few minutes")
    }
}

#[cfg(test)]
#[path = "calling_tests.rs"]
mod tests;
