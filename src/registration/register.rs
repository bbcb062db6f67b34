//! Registering a cluster: observe, plan, execute, report; again from the start where the world changed in between.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::desired::Desired;
use super::observe::{Ports, observe};
use super::observed::{Observed, Status};
use super::planner::{RegisterPlan, plan};
use super::request::{ROLE_POLICY_NAME, RegisterRequest};
use super::step::{SERVICE_LINKED_ROLE, Step};
use super::worker::RegisterWorker;
use crate::error::{Code, Error, Kind, Remains};
use crate::plan::{Execution, Reporter, Stop, execute};

/// How often a run observes and plans before it gives up on a world that keeps changing.
const TRIES: usize = 3;

/// How long a Lease of a holder that may be dead is waited for: its duration, and a little for the clocks.
const LEASE_PATIENCE: Duration = Duration::from_secs(40);

/// How often a held Lease is looked at.
const LEASE_LOOK: Duration = Duration::from_secs(2);

/// Shows a run.
pub trait Show: Reporter<Step> {
    /// What was seen and what will be done about it, before anything is done.
    fn planned(&self, desired: &Desired, observed: &Observed, plan: &RegisterPlan);
    /// Something that a person should know.
    fn note(&self, text: &str);
}

/// How a run that ended well ended.
#[derive(Clone, Debug)]
pub struct Registered {
    /// What was wanted.
    pub desired: Desired,
    /// What was seen before.
    pub observed: Observed,
    /// What was done, as short phrases.
    pub done: Vec<String>,
    /// Whether something was changed.
    pub changed: bool,
    /// Whether ACTIVE was seen.
    pub active: bool,
    /// How long it took.
    pub took: Duration,
}

/// A plan that was not executed.
#[derive(Clone, Debug)]
pub struct Preview {
    /// What is wanted.
    pub desired: Desired,
    /// What was seen.
    pub observed: Observed,
    /// What would be done.
    pub plan: RegisterPlan,
}

/// Observes and plans, and changes nothing.
///
/// # Errors
/// What could not be observed, and the conflicts of [`plan`].
pub async fn preview(ports: &Ports, request: &RegisterRequest) -> Result<Preview, Error> {
    let (desired, observed) = observe(ports, request).await?;
    let plan = plan(&desired, &observed, &new_token())?;
    Ok(Preview { desired, observed, plan })
}

/// Registers.
///
/// # Errors
/// Every error says what remains.
pub async fn register(
    ports: &Ports,
    request: &RegisterRequest,
    show: Arc<dyn Show>,
    stop: &Stop,
) -> Result<Registered, Error> {
    let began = Instant::now();
    let mut done = Vec::new();
    let mut changed = false;
    let mut last_change = String::new();
    for _ in 0..TRIES {
        let Preview { desired, observed, plan } = preview_once_free(ports, request, &show, stop).await?;
        show.planned(&desired, &observed, &plan);
        let attempt = attempt(ports, request, &desired, &observed, &plan, &show, stop).await?;
        changed |= attempt.changed;
        done.extend(attempt.done);
        match attempt.stale {
            None => {
                let active = request.wait.is_some()
                    || observed
                        .registration
                        .as_ref()
                        .is_some_and(|registration| registration.status == Status::Active);
                return Ok(Registered { desired, observed, done, changed, active, took: began.elapsed() });
            }
            Some(what) => {
                show.note(&format!("Something changed in the meantime ({what}); looking again."));
                last_change = what;
            }
        }
    }
    Err(Error::failed(
        Code::KEPT_CHANGING,
        format!("{} could not be registered: the world kept changing", request.name),
    )
    .cause(last_change)
    .fix("find out what else is working on this registration, then run the same command again"))
}

/// Observes and plans; while the Lease is held by somebody who may be dead, waits for it to expire.
async fn preview_once_free(
    ports: &Ports,
    request: &RegisterRequest,
    show: &Arc<dyn Show>,
    stop: &Stop,
) -> Result<Preview, Error> {
    let began = Instant::now();
    let mut seen: Option<String> = None;
    loop {
        let refused = match preview(ports, request).await {
            Err(error) if error.code == Code::LEASE_HELD => error,
            other => return other,
        };
        let lease = ports.cluster.lease(&request.namespace).await;
        let version = lease.ok().flatten().map(|lease| lease.resource_version);
        match &seen {
            None => show.note(&format!("{refused}; waiting to see whether it is still alive.")),
            // Renewed since: its holder lives.
            Some(before) if version.as_ref() != Some(before) => return Err(refused),
            Some(_) => {}
        }
        seen = version;
        if began.elapsed() > LEASE_PATIENCE {
            return Err(refused);
        }
        tokio::select! {
            _ = stop.stopped() => return Err(refused),
            () = tokio::time::sleep(LEASE_LOOK) => {}
        }
    }
}

struct Attempt {
    done: Vec<String>,
    changed: bool,
    stale: Option<String>,
}

async fn attempt(
    ports: &Ports,
    request: &RegisterRequest,
    desired: &Desired,
    observed: &Observed,
    plan: &RegisterPlan,
    show: &Arc<dyn Show>,
    stop: &Stop,
) -> Result<Attempt, Error> {
    let stop_attempt = Stop::default();
    let relay = tokio::spawn({
        let (outer, inner) = (stop.clone(), stop_attempt.clone());
        async move { inner.stop(outer.stopped().await) }
    });
    let limit = request.wait.unwrap_or_default();
    let worker =
        Arc::new(RegisterWorker::new(ports.clone(), desired.clone(), observed, limit, stop_attempt.clone()));
    let reporter = Arc::new(Relay(Arc::clone(show)));
    let execution = execute(&plan.plan, Arc::clone(&worker) as _, reporter, &stop_attempt).await;
    relay.abort();

    let interrupted = execution.interrupted && !execution.not_done.is_empty();
    let undo = (execution.failure.is_some() || interrupted) && !worker.code_in_cluster();
    let not_undone = if undo { worker.undo().await } else { Vec::new() };
    if let Err(failure) = worker.release_lease().await {
        // It expires by itself; a run from this host takes it at once.
        tracing::debug!("the Lease could not be released: {failure}");
    }
    let Execution { done, failure, stale, .. } = execution;
    let error = match failure {
        Some(error) => error,
        None if interrupted => Error::new(
            Code::INTERRUPTED,
            Kind::Interrupted,
            format!("registering {} was interrupted", request.name),
        )
        .fix("run the same command again: it continues where this one ended"),
        None => {
            let changed = done.iter().any(|(step, _)| step.is_write());
            let done = done
                .into_iter()
                .map(|(step, done)| format!("{}: {}", step.describe(), done.outcome))
                .collect();
            return Ok(Attempt { done, changed, stale });
        }
    };
    Err(with_remains(error, desired, observed, &done, undo, not_undone))
}

/// The reporter of an attempt is the shower of the run.
struct Relay(Arc<dyn Show>);

impl Reporter<Step> for Relay {
    fn event(&self, event: crate::plan::Event<Step>) {
        self.0.event(event);
    }
}

/// Lists what this run and earlier ones have left, each with the command that removes it.
fn with_remains(
    mut error: Error,
    desired: &Desired,
    observed: &Observed,
    done: &[(Step, crate::plan::Done)],
    undone: bool,
    not_undone: Vec<Remains>,
) -> Error {
    let name = &desired.name;
    let did = |wanted: fn(&Step) -> bool| done.iter().any(|(step, _)| wanted(step));
    let taken_back = error.code == Code::ACTIVATION_NOT_KEPT && undone;
    let discarded = did(|step| matches!(step, Step::Discard { .. }));
    let existed = observed.registration.is_some() && !discarded;
    if did(|step| matches!(step, Step::Register(_)))
        || existed
        || (error.code == Code::ACTIVATION_NOT_KEPT && !taken_back)
    {
        error.remains.push(Remains {
            what: format!("registration {name}"),
            remove_with: format!("aws eks deregister-cluster --name {name} --region {}", observed.region),
        });
    }
    if !undone {
        let applied = done
            .iter()
            .filter(|(step, _)| {
                matches!(step, Step::Apply(_) | Step::ApplyOnceRegistered(_) | Step::Register(_))
            })
            .count();
        if applied > 0 {
            error.remains.push(Remains {
                what: format!("{applied} objects of the connector in the cluster"),
                remove_with: format!(
                    "kubectl delete namespace {}; kubectl delete clusterrole,clusterrolebinding -l \
                     app.kubernetes.io/managed-by=eksconnect",
                    desired.settings.namespace
                ),
            });
        }
    }
    error.remains.extend(not_undone);
    if did(|step| matches!(step, Step::CreateServiceLinkedRole))
        && observed.service_linked_role == Some(false)
    {
        error.remains.push(Remains {
            what: format!("role {SERVICE_LINKED_ROLE} (costs nothing, and the next run uses it)"),
            remove_with: format!("aws iam delete-service-linked-role --role-name {SERVICE_LINKED_ROLE}"),
        });
    }
    if did(|step| matches!(step, Step::CreateAgentRole { .. })) {
        let role = desired.role.name();
        error.remains.push(Remains {
            what: format!("role {role} (costs nothing, and the next run uses it)"),
            remove_with: format!(
                "aws iam delete-role-policy --role-name {role} --policy-name {ROLE_POLICY_NAME}; aws iam delete-role \
                 --role-name {role}"
            ),
        });
    }
    error
}

fn new_token() -> String {
    uuid::Uuid::new_v4().to_string()
}
