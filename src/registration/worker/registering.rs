//! The one call that cannot be repeated at will: RegisterCluster, and keeping what it answers once.

use std::sync::atomic::Ordering;

use jiff::Timestamp;

use super::calling::{Calling, PROPAGATION_BOUND};
use super::{Known, Progress, RegisterWorker};
use crate::error::{Code, Error};
use crate::manifest::{self, RegistrationMark};
use crate::plan::{Done, StepFailure};
use crate::ports::{Failure, Registered};
use crate::registration::step::NewRegistration;

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
            propagation: PROPAGATION_BOUND,
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
