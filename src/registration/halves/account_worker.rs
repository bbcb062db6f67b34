//! Does what the account's half consists of, a step at a time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use jiff::Timestamp;

use super::account::{AccountPorts, AccountPreview};
use crate::error::{Code, Error};
use crate::plan::{Done, StepFailure, Stop, Worker};
use crate::ports::Registered;
use crate::registration::handed::{FileIntent, Handed};
use crate::registration::name::ClusterName;
use crate::registration::step::{NewRegistration, Step};
use crate::registration::worker::{Calling, Doubts, PROPAGATION_BOUND, Progress, RoleWork, discard};

/// Does the steps of one try.
pub(super) struct AccountWorker {
    ports: AccountPorts,
    region: String,
    account: String,
    /// The file is another run's, which died.
    exists: bool,
    intent: Option<FileIntent>,
    roles: RoleWork,
    stop: Stop,
    doubts: Doubts,
    /// A registration is left whose activation could not be kept.
    left: AtomicBool,
    kept: Mutex<Option<Handed>>,
}

impl AccountWorker {
    /// For one try on what was seen. `resumes`: the file is another run's, which died.
    pub(super) fn new(ports: AccountPorts, preview: &AccountPreview, resumes: bool, stop: Stop) -> Self {
        let seen = &preview.seen;
        Self {
            region: seen.region.clone(),
            account: seen.caller.account.clone(),
            exists: resumes,
            intent: preview.plan.intent.clone(),
            roles: RoleWork::new(Arc::clone(&ports.roles), seen.service_linked_role, &seen.agent_role),
            ports,
            stop,
            doubts: Doubts::default(),
            left: AtomicBool::new(false),
            kept: Mutex::new(None),
        }
    }

    /// Whether there may be a registration of this try whose activation nobody has.
    pub(super) fn may_have_left_a_registration(&self) -> bool {
        self.doubts.registration_is_uncertain() || self.left.load(Ordering::Acquire)
    }

    /// The steps of which it is not known whether they made a role.
    pub(super) fn roles_in_doubt(&self) -> Vec<Step> {
        self.roles.in_doubt()
    }

    /// What the file holds, if this try has written it.
    pub(super) fn kept(&self) -> Option<Handed> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn reserve(&self, path: &str) -> Result<Done, StepFailure> {
        let Some(intent) = &self.intent else {
            return Err(Error::failed(Code::INTERNAL, format!("nothing is intended with {path}")).into());
        };
        if self.ports.file.reserve(intent, self.exists)? {
            Ok(Done::new("reserved"))
        } else {
            Err(StepFailure::Stale(format!("{path} is another one by now")))
        }
    }

    async fn register(&self, new: NewRegistration, progress: &Progress) -> Result<Done, StepFailure> {
        let name = new.name.clone();
        let provider = new.provider;
        let asked_role = new.role_arn.clone().or_else(|| self.roles.made_arn().cloned());
        let calling = Calling {
            registrations: self.ports.registrations.as_ref(),
            roles: &self.roles,
            doubts: &self.doubts,
            stop: &self.stop,
            propagation: PROPAGATION_BOUND,
            is_lost: &|| false,
        };
        let registered = calling.register(new, progress).await?;
        self.doubts.settle();
        let Registered { arn, created_at, activation_expiry, activation } = registered;
        let registered_at = created_at.unwrap_or_else(Timestamp::now);
        let handed = Handed {
            name: ClusterName::parse(&name)?,
            arn,
            account: self.account.clone(),
            region: self.region.clone(),
            provider: Some(provider.to_string()),
            role_arn: asked_role,
            registered_at,
            expiry: Handed::expiry_of(activation_expiry, registered_at),
            activation,
        };
        if let Err(error) = self.ports.file.keep(&handed) {
            return Err(self.take_back(&name, error).await.into());
        }
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(handed);
        Ok(Done::new(self.doubts.outcome()))
    }

    /// The code could not be kept, and nobody can ever use it: the registration is of no use either.
    async fn take_back(&self, name: &str, why: Error) -> Error {
        let error = Error::failed(
            Code::ACTIVATION_NOT_KEPT,
            format!("the activation of {name} could not be written to {}", self.ports.file.path()),
        );
        let cause = why.facts.into_iter().find(|fact| fact.label == "cause").map(|fact| fact.text);
        let error = error.cause(cause.unwrap_or(why.message));
        match self.ports.registrations.deregister(name).await {
            Ok(()) => error
                .fact("state", "the registration was taken back")
                .fix("make sure that the file can be written, then run the same command again"),
            Err(failure) => {
                self.left.store(true, Ordering::Release);
                error
                    .fact("state", format!("the registration could not be taken back: {}", failure.message))
                    .fix("run the same command again: it removes the registration and makes it anew")
            }
        }
    }
}

impl Worker<Step> for AccountWorker {
    fn work(
        self: Arc<Self>,
        step: Step,
        progress: Progress,
    ) -> BoxFuture<'static, Result<Done, StepFailure>> {
        Box::pin(async move {
            match step {
                Step::ReserveFile { path } => self.reserve(&path),
                Step::CreateServiceLinkedRole => self.roles.create_service_linked_role().await,
                Step::CreateAgentRole(design) => self.roles.create(&design).await,
                Step::PutAgentPolicy { role } => self.roles.put_policy(&role).await,
                Step::ChangeAgentRole { role, change } => self.roles.change(&role, &change).await,
                Step::Discard { name, status, activation_id } => {
                    discard(self.ports.registrations.as_ref(), &name, &status, activation_id.as_ref()).await
                }
                Step::Register(new) => self.register(new, &progress).await,
                Step::Apply(_)
                | Step::ApplyPullSecret(_)
                | Step::ApplyActivationSecret(_)
                | Step::Replace { .. }
                | Step::Remove { .. }
                | Step::HoldLease { .. }
                | Step::ApplyOnceRegistered(_)
                | Step::KeepActivation
                | Step::AwaitActive { .. }
                | Step::AwaitAgents { .. }
                | Step::SpendCode { .. }
                | Step::Access(_) => Err(Error::failed(
                    Code::INTERNAL,
                    format!("there is no cluster in this half: {}", step.describe()),
                )
                .into()),
            }
        })
    }
}
