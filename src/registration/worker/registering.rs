//! The one call that cannot be repeated at will: RegisterCluster, and keeping what it answers once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use jiff::Timestamp;

use super::{Known, Progress, RegisterWorker, RoleWork, stale_or};
use crate::error::{Code, Error};
use crate::manifest::{self, RegistrationMark};
use crate::plan::{Done, StepFailure, Stop};
use crate::ports::{Failure, FailureKind, RegisterCall, Registered, Registrations};
use crate::registration::quota::HOW_TO_GET_ROOM;
use crate::registration::step::NewRegistration;

/// How long RegisterCluster is tried while IAM's changes spread (seen to take up to about two minutes).
const PROPAGATION_BOUND: Duration = Duration::from_secs(180);

/// How often a RegisterCluster call without an answer, or answered by an overloaded EKS, is repeated.
const REGISTER_ATTEMPTS: usize = 4;

impl RegisterWorker {
    /// Registers, and keeps the code at once. Nothing between the two may end early: the code is given once.
    pub(super) async fn register(
        &self,
        new: NewRegistration,
        progress: &Progress,
    ) -> Result<Done, StepFailure> {
        let name = new.name.clone();
        let calling = Calling {
            registrations: self.ports.registrations.as_ref(),
            roles: &self.roles,
            doubts: &self.context.doubts,
            stop: &self.stop,
            is_lost: &|| self.lease_is_lost(),
        };
        let registered = calling.register(new, progress).await?;
        let created_at = registered.created_at.unwrap_or_else(Timestamp::now);
        let mark = RegistrationMark::new(&registered.arn, &registered.activation.id, created_at);
        let secret = manifest::activation_secret(&self.desired.settings, &mark);
        self.context.code_in_cluster.store(true, Ordering::Release);
        self.context.doubts.settle();
        let kept = self.ports.cluster.keep_activation(&secret, &registered.activation).await;
        self.note_applied(&secret.reference, &kept);
        if let Err(failure) = kept {
            return Err(self.take_back(&name, failure).await.into());
        }
        let Registered { arn, activation, .. } = registered;
        // A plan registers once.
        drop(self.context.registered.set(Known { arn, activation_id: activation.id, created_at }));
        Ok(Done::new(self.context.doubts.outcome()))
    }

    /// The code could not be kept, and nobody can ever use it: the registration is of no use either.
    async fn take_back(&self, name: &str, why: Failure) -> Error {
        let error = Error::failed(
            Code::ACTIVATION_NOT_KEPT,
            format!("the activation of {name} could not be kept in the cluster"),
        )
        .call(&why.operation)
        .cause(why.message.clone());
        match self.ports.registrations.deregister(name).await {
            Ok(()) => {
                self.context.code_in_cluster.store(false, Ordering::Release);
                error
                    .fact("state", "the registration was taken back")
                    .fix("make sure that the cluster can be reached and written to, then run the same command again")
            }
            Err(failure) => error
                .fact(
                    "state",
                    format!(
                        "the registration could not be taken back ({}): {}",
                        failure.operation, failure.message
                    ),
                )
                .fix("run the same command again: it removes the registration and makes it anew"),
        }
    }
}

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
                FailureKind::NotPropagated if began.elapsed() < PROPAGATION_BOUND => {
                    progress("waiting until EKS can see the agent role".to_owned());
                }
                FailureKind::NotPropagated => return Err(not_accepted(&call, &failure).into()),
                // One that was made a moment ago is on its way; one that could not be made is not.
                FailureKind::ServiceLinkedRoleMissing
                    if self.roles.made_service_linked_role() && began.elapsed() < PROPAGATION_BOUND =>
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
}

fn not_accepted(call: &RegisterCall, failure: &Failure) -> Error {
    Error::failed(
        Code::ROLE_NOT_ACCEPTED,
        format!("EKS did not accept the agent role {} within {} minutes", call.role_arn, PROPAGATION_BOUND.as_secs() / 60),
    )
    .call(&failure.operation)
    .cause(failure.message.clone())
    .fix("check that the role exists and that its trust policy lets ssm.amazonaws.com assume it; if it is new, run the same command again in a few minutes")
}
