//! Granting and revoking, as operations of the engine. Neither takes the Lease: every principal has objects of its own, and those of
//! others are changed only as they were seen.

use std::sync::Arc;
use std::time::Duration;

use super::check::Proof;
use super::observe::{AccessPorts, AccessPreview, check_identity, observe_grants, observe_revoking};
use super::observed::IamState;
use super::principal::Principal;
use super::request::{GrantRequest, RevokeRequest};
use super::step::Step;
use super::worker::{AccessWorker, CREATED};
use crate::error::{Error, Remains};
use crate::plan::{Conversation, Done, Execution, LeaseSeen, Operation, Plan, Stop, run};
use crate::registration::place::in_namespace;
use crate::registration::worker::kubectl_delete;

/// What is to be done about who may view.
#[derive(Clone, Copy, Debug)]
pub enum AccessRequest<'a> {
    /// Let them.
    Grant(&'a GrantRequest),
    /// Let them no more.
    Revoke(&'a RevokeRequest),
}

/// How a run that ended well ended.
#[derive(Clone, Debug)]
pub struct AccessDone {
    /// What was seen before the last try, but for what IAM allows by now; and what was planned.
    pub preview: AccessPreview,
    /// What was done, as short phrases.
    pub done: Vec<String>,
    /// Whether something was changed.
    pub changed: bool,
    /// What the API server decided about the grants.
    pub proofs: Vec<Proof>,
    /// Whether the API server turned out not to constrain impersonation.
    pub refuted: bool,
    /// How long it took.
    pub took: Duration,
}

impl AccessRequest<'_> {
    fn principals(&self) -> &[Principal] {
        match self {
            Self::Grant(request) => &request.principals,
            Self::Revoke(request) => &request.principals,
        }
    }

    async fn look(&self, ports: &AccessPorts, refuted: bool) -> Result<AccessPreview, Error> {
        match self {
            Self::Grant(request) => observe_grants(ports, request, false, refuted).await,
            Self::Revoke(request) => observe_revoking(ports, request).await,
        }
    }
}

/// Observes and plans, and changes nothing.
///
/// # Errors
/// What could not be observed, and what is refused.
pub async fn preview(ports: &AccessPorts, request: AccessRequest<'_>) -> Result<AccessPreview, Error> {
    request.look(ports, false).await
}

/// Grants or revokes.
///
/// # Errors
/// Every error says what remains.
pub async fn execute<C>(
    ports: &AccessPorts,
    request: AccessRequest<'_>,
    show: &Arc<C>,
    stop: &Stop,
) -> Result<AccessDone, Error>
where
    C: Conversation<Step, AccessPreview> + 'static,
{
    let mut operation =
        Access { ports, request, refuted: false, done: Vec::new(), in_doubt: Vec::new(), proofs: Vec::new() };
    match run(&mut operation, show, stop).await {
        Ok((seen, took)) => Ok(operation.ended_well(seen, took)),
        Err(mut error) => {
            error.remains.extend(operation.remains());
            Err(error)
        }
    }
}

/// A run, over all its tries.
struct Access<'a> {
    ports: &'a AccessPorts,
    request: AccessRequest<'a>,
    /// Whether the API server has shown that it does not constrain impersonation.
    refuted: bool,
    done: Vec<(Step, Done)>,
    /// What may have been done: the answers were lost, or never came.
    in_doubt: Vec<Step>,
    proofs: Vec<Proof>,
}

impl Operation for Access<'_> {
    type Step = Step;
    type Seen = AccessPreview;
    type Worker = AccessWorker;

    async fn look(&self) -> Result<AccessPreview, Error> {
        self.request.look(self.ports, self.refuted).await
    }

    fn plan<'b>(&self, seen: &'b AccessPreview) -> &'b Plan<Step> {
        &seen.plan.plan
    }

    fn question(&self, seen: &AccessPreview) -> Option<String> {
        seen.plan.question.clone()
    }

    async fn check_identity(&self, seen: &AccessPreview) -> Result<(), Error> {
        check_identity(self.ports, &seen.observed.looked).await
    }

    async fn lease(&self) -> Option<LeaseSeen> {
        None
    }

    fn presume_dead(&mut self, _version: String) {}

    fn worker(&mut self, seen: &AccessPreview, stop: Stop) -> Arc<AccessWorker> {
        Arc::new(AccessWorker::new(self.ports.clone(), seen, stop))
    }

    async fn ended(&mut self, worker: &AccessWorker, execution: &Execution<Step>) {
        self.refuted |= worker.is_refuted();
        self.proofs = worker.proofs();
        self.in_doubt.extend(worker.in_doubt());
        self.done.extend(execution.done.iter().cloned());
    }

    async fn abandoned(&mut self) {}

    fn cut_off(&mut self, done: Vec<(Step, Done)>, in_flight: &[Step]) {
        self.in_doubt.extend(in_flight.iter().filter(|step| step.is_write()).cloned());
        self.done.extend(done);
    }

    fn describe(&self, step: &Step) -> String {
        step.describe()
    }

    fn doing(&self) -> String {
        let who: Vec<&str> = self.request.principals().iter().map(Principal::short).collect();
        match self.request {
            AccessRequest::Grant(_) => format!("letting {} view", who.join(", ")),
            AccessRequest::Revoke(_) => format!("taking the view from {}", who.join(", ")),
        }
    }
}

impl Access<'_> {
    fn ended_well(self, mut preview: AccessPreview, took: Duration) -> AccessDone {
        for (step, _) in &self.done {
            if let Step::AwaitAllowed { principal, .. } = step {
                preview.observed.iam.insert(principal.clone(), IamState::Allowed);
            }
        }
        let changed = self.done.iter().any(|(step, done)| step.is_write() && !done.unchanged);
        let phrase = |(step, done): &(Step, Done)| format!("{}: {}", step.describe(), done.outcome);
        let done = self.done.iter().map(phrase).collect();
        AccessDone { preview, done, changed, proofs: self.proofs, refuted: self.refuted, took }
    }

    /// What a run that ended badly leaves, with the command that removes it.
    fn remains(&self) -> Vec<Remains> {
        match self.request {
            AccessRequest::Grant(request) => left_of_grants(request, &self.done, &self.in_doubt),
            AccessRequest::Revoke(request) => self.left_of_revoking(request),
        }
    }

    fn left_of_revoking(&self, request: &RevokeRequest) -> Vec<Remains> {
        let wrote = self.done.iter().any(|(step, _)| step.is_write()) || !self.in_doubt.is_empty();
        let principals = request.principals.iter().filter(|_| wrote);
        principals
            .map(|principal| Remains {
                what: format!("what may be left of the access of {}", principal.short()),
                remove_with: revoke(
                    principal.arn(),
                    &request.namespace,
                    request.detach_policy,
                    request.name.as_deref(),
                ),
            })
            .collect()
    }
}

/// What a run leaves that made grants and ended badly, with the commands that remove it.
pub(crate) fn left_of_grants(
    request: &GrantRequest,
    done: &[(Step, Done)],
    in_doubt: &[Step],
) -> Vec<Remains> {
    let mut remains = Vec::new();
    for principal in &request.principals {
        let is_theirs = |step: &Step| step.gives_to() == Some(principal.arn());
        let what = if done.iter().any(|(step, _)| is_theirs(step)) {
            format!("the grant to {}, or a part of it", principal.short())
        } else if in_doubt.iter().any(is_theirs) {
            format!("a part of the grant to {}, which may have been made", principal.short())
        } else {
            continue;
        };
        let remove_with =
            revoke(principal.arn(), &request.namespace, request.attach_policy, request.name.as_deref());
        remains.push(Remains { what, remove_with });
    }
    let made = done.iter().filter(|(_, done)| done.outcome == CREATED).map(|(step, _)| (step, true));
    for (step, certain) in made.chain(in_doubt.iter().map(|step| (step, false))) {
        if step.gives_to().is_none()
            && let Step::Apply(object) = step
        {
            let doubt = if certain { "" } else { " (it may have been made)" };
            remains.push(Remains {
                what: format!("{}, which gives nobody anything by itself{doubt}", object.reference),
                remove_with: kubectl_delete(&object.reference),
            });
        }
    }
    remains
}

/// The command that takes a grant away.
fn revoke(arn: &str, namespace: &str, detach: bool, name: Option<&str>) -> String {
    let mut command = format!("eksconnect revoke-view --principal {arn}");
    command.push_str(&in_namespace(namespace));
    if detach {
        command.push_str(" --detach-iam-policy");
        if let Some(name) = name {
            command.push_str(&format!(" --name {name}"));
        }
    }
    command
}
