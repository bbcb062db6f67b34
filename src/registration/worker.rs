//! Does the steps of registering. What a later step takes from an earlier one goes through [`Context`].

mod calling;
mod discarding;
mod made;
mod registering;
mod roles;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;

pub(super) use calling::{Calling, Doubts, PROPAGATION_BOUND};
pub(super) use discarding::discard;
pub(crate) use made::may_have_had_effect;
pub(super) use roles::RoleWork;

use super::desired::Desired;
use super::halves::ready::{AwaitedAgents, until_ready};
use super::handed::Handed;
use super::observe::Ports;
use super::observed::{ActivationSecretFacts, Intent, Registration};
use super::proof::prove;
use super::register::Preview;
use super::step::{OnceRegistered, Step};
use super::undo::Made;
use super::wait::{Awaited, until_active};
use crate::access::worker::AccessWorker;
use crate::error::{Code, Error};
use crate::manifest::{self, Object, ObjectRef, RegistrationMark};
use crate::plan::{Done, StepFailure, Stop, Worker};
use crate::ports::{Applied, Failure, FailureKind, HeldLease};

/// What the steps learn and leave behind.
#[derive(Default)]
pub(super) struct Context {
    registered: OnceLock<Known>,
    /// What the Lease was to be taken for.
    intent: OnceLock<Intent>,
    lease: OnceLock<Arc<dyn HeldLease>>,
    /// What this run, over all its tries, made in the cluster.
    made: Mutex<Made>,
    /// Set as soon as a code may be in the cluster: from then on nothing is undone, as when a registration may have been
    /// made whose answer is lost. The Lease's intent proves whose that registration is.
    code_in_cluster: AtomicBool,
    /// What calling RegisterCluster leaves open.
    doubts: Doubts,
}

impl Context {
    fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Known {
    arn: String,
    activation_id: String,
    created_at: Timestamp,
}

/// The worker of one run.
pub(super) struct RegisterWorker {
    ports: Ports,
    desired: Desired,
    limit: Duration,
    stop: Stop,
    roles: RoleWork,
    /// The activation that was handed over, if one was.
    handed: Option<Handed>,
    /// The objects that existed before.
    existing: BTreeSet<ObjectRef>,
    /// What grants, where that is asked for.
    access: Option<AccessWorker>,
    context: Context,
}

pub(super) type Progress = Box<dyn Fn(String) + Send + Sync>;

impl Worker<Step> for RegisterWorker {
    fn work(
        self: Arc<Self>,
        step: Step,
        progress: Progress,
    ) -> BoxFuture<'static, Result<Done, StepFailure>> {
        Box::pin(async move {
            if step.is_write() && self.lease_is_lost() {
                return Err(StepFailure::Stale("the Lease of eksconnect was taken over".to_owned()));
            }
            match step {
                Step::CreateServiceLinkedRole => self.roles.create_service_linked_role().await,
                Step::CreateAgentRole(design) => self.roles.create(&design).await,
                Step::PutAgentPolicy { role } => self.roles.put_policy(&role).await,
                Step::ChangeAgentRole { role, change } => self.roles.change(&role, &change).await,
                Step::Apply(object) => self.apply(&object).await,
                Step::ApplyPullSecret(object) => self.apply_pull_secret(&object).await,
                Step::ApplyActivationSecret(object) => {
                    self.applied(&object, self.ports.cluster.mark_activation(&object).await)
                }
                Step::Replace { object, seen } => {
                    let answer = self.ports.cluster.replace(&object, &seen).await;
                    answer.map_err(|failure| stale_or(failure, &format!("replace {}", object.reference)))?;
                    Ok(Done::new("taken over"))
                }
                Step::Remove { object, uid } => {
                    let answer = self.ports.cluster.delete(&object, &uid).await;
                    answer.map_err(|failure| stale_or(failure, &format!("delete {object}")))?;
                    Ok(Done::new("deleted"))
                }
                Step::HoldLease { namespace, seen, intent } => {
                    // A person may have thought long about a question since the plan was made.
                    let intent = Intent { started_at: Timestamp::now(), ..intent };
                    let lease = self.ports.cluster.hold_lease(&namespace, seen.as_deref(), &intent).await;
                    // A plan takes the Lease once.
                    drop(self.context.intent.set(intent));
                    let lease = lease.map_err(|failure| stale_or(failure, "take the Lease of eksconnect"))?;
                    self.context.made().lease |= lease.is_new();
                    drop(self.context.lease.set(lease));
                    Ok(Done::new("held"))
                }
                Step::Discard { name, status, activation_id } => {
                    discard(self.ports.registrations.as_ref(), &name, &status, activation_id.as_ref()).await
                }
                Step::Register(new) => self.register(new, &progress).await,
                Step::KeepActivation => self.keep_handed().await,
                Step::AwaitAgents { replicas } => {
                    let settings = &self.desired.settings;
                    let activation_id = self.known_activation()?;
                    let awaited = AwaitedAgents {
                        name: self.desired.name.as_str(),
                        namespace: &settings.namespace,
                        region: &settings.region,
                        state_prefix: settings.inherited.state_prefix(),
                        replicas,
                        activation_id: &activation_id,
                        limit: self.limit,
                    };
                    until_ready(self.ports.cluster.as_ref(), &awaited, &self.stop, &progress).await
                }
                Step::ReserveFile { path } => Err(Error::failed(
                    Code::INTERNAL,
                    format!("{path} cannot be reserved by a run that has a cluster"),
                )
                .into()),
                Step::ApplyOnceRegistered(which) => self.apply_once_registered(which).await,
                Step::AwaitActive { name, replicas } => {
                    let namespace = &self.desired.settings.namespace;
                    let awaited = Awaited { name: &name, namespace, replicas, limit: self.limit };
                    until_active(&self.ports, &awaited, &self.stop, &progress).await
                }
                Step::SpendCode { activation_id } => self.spend_code(activation_id).await,
                Step::Access(step) => match &self.access {
                    Some(access) => access.step(*step, &progress).await,
                    None => Err(Error::failed(
                        Code::INTERNAL,
                        format!("nobody is to be granted anything: {}", step.describe()),
                    )
                    .into()),
                },
            }
        })
    }
}

impl RegisterWorker {
    /// For one try on what was seen; `limit` bounds the wait until ACTIVE.
    /// `made` is what earlier tries made.
    pub(super) fn new(ports: Ports, seen: &Preview, made: Made, limit: Duration, stop: Stop) -> Self {
        let observed = &seen.observed;
        let has_code = observed.activation_secret.as_ref().is_some_and(|secret| secret.holds_code);
        let is_ours = |registration: &Registration| prove(registration, observed).is_proven();
        let code_in_cluster =
            AtomicBool::new(has_code || observed.registration.as_ref().is_some_and(is_ours));
        let context = Context { code_in_cluster, made: Mutex::new(made), ..Context::default() };
        let roles =
            RoleWork::new(Arc::clone(&ports.roles), observed.service_linked_role, &observed.agent_role);
        let desired = seen.desired.clone();
        let existing = made::existing(observed, &desired.settings.namespace);
        Self { ports, desired, limit, stop, roles, handed: None, existing, access: None, context }
    }

    /// For one try of the cluster's half of a registration, whose activation was handed over: until that is in the
    /// cluster, all that this run makes can be undone.
    pub(super) fn of_cluster(
        ports: Ports,
        seen: &Preview,
        handed: &Handed,
        made: Made,
        limit: Duration,
        stop: Stop,
    ) -> Self {
        let worker = Self::new(ports, seen, made, limit, stop);
        let observed = &seen.observed;
        let has_code = observed.activation_secret.as_ref().is_some_and(|secret| secret.holds_code);
        worker.context.code_in_cluster.store(has_code || !observed.states.is_empty(), Ordering::Release);
        Self { handed: Some(handed.clone()), ..worker }
    }

    /// The same, with what grants.
    pub(super) fn granting(self, access: Option<AccessWorker>) -> Self {
        Self { access, ..self }
    }

    /// What grants.
    pub(super) fn access(&self) -> Option<&AccessWorker> {
        self.access.as_ref()
    }

    fn known_activation(&self) -> Result<String, Error> {
        let handed = self.handed.as_ref().map(|handed| handed.activation.id.clone());
        handed.ok_or_else(|| Error::failed(Code::INTERNAL, "no activation was handed over"))
    }

    async fn keep_handed(&self) -> Result<Done, StepFailure> {
        let Some(handed) = &self.handed else {
            return Err(Error::failed(Code::INTERNAL, "no activation was handed over").into());
        };
        let mark = RegistrationMark::new(&handed.arn, &handed.activation.id, handed.registered_at);
        let secret = manifest::activation_secret(&self.desired.settings, &mark);
        let answer = self.ports.cluster.keep_activation(&secret, &handed.activation).await;
        self.note_applied(&secret.reference, &answer);
        // Without an answer it may be there all the same.
        if answer.as_ref().map_or_else(|failure| made::may_have_had_effect(failure.kind), |_| true) {
            self.context.code_in_cluster.store(true, Ordering::Release);
        }
        answer.map_err(|failure| stale_or(failure, "keep the activation in the cluster"))?;
        Ok(Done::new("kept"))
    }

    async fn apply(&self, object: &Object) -> Result<Done, StepFailure> {
        self.applied(object, self.ports.cluster.apply(object).await)
    }

    async fn apply_pull_secret(&self, object: &Object) -> Result<Done, StepFailure> {
        let Some(secret) = &self.desired.settings.workload.pull_secret else {
            return Err(Error::failed(Code::INTERNAL, "there are no credentials to be applied").into());
        };
        self.applied(object, self.ports.cluster.keep_pull_secret(object, secret).await)
    }

    fn applied(&self, object: &Object, answer: Result<Applied, Failure>) -> Result<Done, StepFailure> {
        self.note_applied(&object.reference, &answer);
        let applied = answer.map_err(|failure| stale_or(failure, &format!("apply {}", object.reference)))?;
        Ok(Done::new(if applied.created { "created" } else { "changed" }))
    }

    async fn apply_once_registered(&self, which: OnceRegistered) -> Result<Done, StepFailure> {
        let known = self.context.registered.get().ok_or_else(|| {
            Error::failed(Code::INTERNAL, "the activation is not known when the agents are to be applied")
        })?;
        let object = match which {
            OnceRegistered::Namespace => {
                let mark = RegistrationMark::new(&known.arn, &known.activation_id, known.created_at);
                self.desired.namespace(Some(&mark))
            }
            OnceRegistered::StatefulSet => self.desired.stateful_set_anew(&known.activation_id),
        };
        self.apply(&object).await
    }

    /// A pod that has state never reads the code again; one that has none still needs it.
    async fn spend_code(&self, activation_id: Option<String>) -> Result<Done, StepFailure> {
        let known = self.context.registered.get().map(|known| known.activation_id.clone());
        let activation_id = activation_id.or(known).ok_or_else(|| {
            Error::failed(Code::INTERNAL, "the activation is not known when its code is to be removed")
        })?;
        let settings = &self.desired.settings;
        let replicas = self.desired.replicas();
        let (states, secret) = tokio::join!(
            self.ports.cluster.states(&settings.namespace, settings.inherited.state_prefix(), 0..replicas),
            self.ports.cluster.activation_secret(&settings.namespace),
        );
        let states = states.map_err(|failure| failure.into_error("read the agents' state Secrets"))?;
        let secret = secret.map_err(|failure| failure.into_error("read the activation Secret"))?;
        let with_state = states.values().filter(|state| **state == activation_id).count();
        if with_state < usize::try_from(replicas).unwrap_or(usize::MAX) {
            return Ok(Done::unchanged("kept: not every replica has its state yet"));
        }
        let ours = |facts: &ActivationSecretFacts| {
            facts.mark.as_ref().is_some_and(|mark| mark.activation_id == activation_id)
        };
        let Some(secret) = secret.filter(ours) else {
            return Err(StepFailure::Stale(
                "the activation Secret is another activation's by now".to_owned(),
            ));
        };
        let answer = self.ports.cluster.spend_activation(&settings.namespace, &secret.resource_version).await;
        answer.map_err(|failure| stale_or(failure, "remove the used activation code"))?;
        Ok(Done::new("removed"))
    }

    /// Whether a code may be in the cluster.
    pub(super) fn code_in_cluster(&self) -> bool {
        self.context.code_in_cluster.load(Ordering::Acquire) || self.registration_is_uncertain()
    }

    /// Whether a registration may have been made whose answer is lost.
    pub(super) fn registration_is_uncertain(&self) -> bool {
        self.context.doubts.registration_is_uncertain()
    }

    /// The steps of which it is not known whether they made a role.
    pub(super) fn roles_in_doubt(&self) -> Vec<Step> {
        self.roles.in_doubt()
    }

    /// Gives the Lease back.
    pub(super) async fn release_lease(&self) -> Result<(), Failure> {
        match self.context.lease.get() {
            Some(lease) => lease.release().await,
            None => Ok(()),
        }
    }

    /// What this try took the Lease for, or tried to.
    pub(super) fn intent(&self) -> Option<&Intent> {
        self.context.intent.get()
    }

    /// The Lease that this try holds, if it got that far.
    pub(super) fn lease(&self) -> Option<&Arc<dyn HeldLease>> {
        self.context.lease.get()
    }

    fn lease_is_lost(&self) -> bool {
        self.context.lease.get().is_some_and(|lease| lease.is_lost())
    }
}

/// The command that deletes an object by hand.
pub(crate) fn kubectl_delete(object: &ObjectRef) -> String {
    let resource = object.kind.name().to_lowercase();
    match &object.namespace {
        Some(namespace) => format!("kubectl delete {resource} -n {namespace} {}", object.name),
        None => format!("kubectl delete {resource} {}", object.name),
    }
}

/// A conflict means that the plan saw another world.
pub(crate) fn stale_or(failure: Failure, attempting: &str) -> StepFailure {
    if failure.kind == FailureKind::Conflict {
        return StepFailure::Stale(format!("{}: {}", failure.operation, failure.message));
    }
    failure.into_error(attempting).into()
}
