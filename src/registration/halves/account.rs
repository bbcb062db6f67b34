//! The account's half: the roles, the registration, and the activation in a file for the cluster's administrator.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::account_plan::{AccountPlan, AccountRequest, AccountSeen, plan};
use super::account_worker::AccountWorker;
use crate::error::{Code, Error, Remains};
use crate::plan::{Conversation, Done, Execution, LeaseSeen, Operation, Plan, Stop, run};
use crate::ports::{ActivationFile, FileSeen, Identity, Registrations, Roles};
use crate::registration::desired::cluster_arn;
use crate::registration::handed::Handed;
use crate::registration::observe::{aid, failing, role_seen};
use crate::registration::observed::Status;
use crate::registration::remains::History;
use crate::registration::step::Step;

/// Everything that the account's half talks to.
#[derive(Clone)]
pub struct AccountPorts {
    /// STS.
    pub identity: Arc<dyn Identity>,
    /// IAM.
    pub roles: Arc<dyn Roles>,
    /// EKS.
    pub registrations: Arc<dyn Registrations>,
    /// The file for the activation.
    pub file: Arc<dyn ActivationFile>,
    /// The Region in use.
    pub region: String,
}

/// A plan and what it rests on.
#[derive(Clone, Debug)]
pub struct AccountPreview {
    /// What is wanted.
    pub request: AccountRequest,
    /// ARN of the registration.
    pub arn: String,
    /// What was seen.
    pub seen: AccountSeen,
    /// What is to be done.
    pub plan: AccountPlan,
}

impl AccountPreview {
    /// Whether executing the plan would write something.
    pub fn changes_something(&self) -> bool {
        !self.plan.plan.is_empty()
    }
}

/// How a run that ended well ended.
#[derive(Clone, Debug)]
pub struct AccountDone {
    /// What was seen before.
    pub preview: AccountPreview,
    /// The activation that the file holds now.
    pub handed: Handed,
    /// Its registration's status, as far as it is known.
    pub status: Status,
    /// What was done, as short phrases.
    pub done: Vec<String>,
    /// Whether something was changed.
    pub changed: bool,
    /// How long it took.
    pub took: Duration,
}

/// Observes and plans, and changes nothing.
///
/// # Errors
/// What could not be observed, and the conflicts of [`plan`].
pub async fn preview(ports: &AccountPorts, request: &AccountRequest) -> Result<AccountPreview, Error> {
    let file = ports.file.look()?;
    let name = request.name.as_str();
    let mut unverified = Vec::new();
    let (caller, role, linked, registration) = tokio::try_join!(
        failing("find out who is calling AWS", ports.identity.caller()),
        async { Ok(ports.roles.role(request.role.name()).await) },
        async { Ok(ports.roles.service_linked_role().await) },
        failing(format!("read the registration {name}"), ports.registrations.registration(name)),
    )?;
    let arn = cluster_arn(&ports.region, &caller.account, name);
    let seen = AccountSeen {
        now: Timestamp::now(),
        region: ports.region.clone(),
        caller,
        service_linked_role: aid(linked, "read the service-linked role", &mut unverified)?,
        agent_role: role_seen(role, &mut unverified)?,
        registration,
        file,
        path: ports.file.path(),
        unverified,
    };
    let new = || uuid::Uuid::new_v4().to_string();
    let plan = plan(request, &seen, &arn, &new(), &new())?;
    Ok(AccountPreview { request: request.clone(), arn, seen, plan })
}

/// Makes the account's half.
///
/// # Errors
/// Every error says what remains.
pub async fn register_account<C>(
    ports: &AccountPorts,
    request: &AccountRequest,
    show: &Arc<C>,
    stop: &Stop,
) -> Result<AccountDone, Error>
where
    C: Conversation<Step, AccountPreview> + 'static,
{
    let mut half = AccountHalf {
        ports,
        request,
        history: History::default(),
        current: None,
        kept: None,
        linked: None,
        resumed: false,
    };
    match run(&mut half, show, stop).await {
        Ok((preview, took)) => half.ended_well(preview, took),
        Err(error) => {
            // What an earlier run intended stays: it may prove whose a registration is.
            if half.kept.is_none()
                && !half.history.uncertain
                && !half.resumed
                && let Err(error) = ports.file.give_up()
            {
                // It holds no code, and the same command takes it over.
                tracing::debug!("{error}");
            }
            Err(half.list_remains(error))
        }
    }
}

struct AccountHalf<'a> {
    ports: &'a AccountPorts,
    request: &'a AccountRequest,
    /// What was done, over all tries.
    history: History,
    /// The worker of the try that is under way or was the last.
    current: Option<Arc<AccountWorker>>,
    kept: Option<Handed>,
    /// Whether the service-linked role was there before the first try.
    linked: Option<bool>,
    /// Whether the file was begun by another run.
    resumed: bool,
}

impl Operation for AccountHalf<'_> {
    type Step = Step;
    type Seen = AccountPreview;
    type Worker = AccountWorker;

    async fn look(&self) -> Result<AccountPreview, Error> {
        preview(self.ports, self.request).await
    }

    fn plan<'a>(&self, seen: &'a AccountPreview) -> &'a Plan<Step> {
        &seen.plan.plan
    }

    async fn check_identity(&self, _: &AccountPreview) -> Result<(), Error> {
        // It asks nothing, so nobody has thought about an answer.
        Ok(())
    }

    async fn lease(&self) -> Option<LeaseSeen> {
        // The lock on the file ends with its holder.
        None
    }

    fn presume_dead(&mut self, _: String) {}

    fn worker(&mut self, seen: &AccountPreview, stop: Stop) -> Arc<AccountWorker> {
        let resumes = matches!(&seen.seen.file, FileSeen::Intent(_));
        if self.linked.is_none() {
            self.linked = Some(seen.seen.service_linked_role != Some(false));
            self.resumed = resumes;
        }
        let worker = AccountWorker::new(self.ports.clone(), seen, resumes, stop);
        Arc::clone(self.current.insert(Arc::new(worker)))
    }

    async fn ended(&mut self, worker: &AccountWorker, execution: &Execution<Step>) {
        self.history.done.extend(execution.done.iter().cloned());
        self.note(worker);
    }

    async fn abandoned(&mut self) {
        // What was made in the account is never undone, and the file is seen to at the end.
    }

    fn cut_off(&mut self, done: Vec<(Step, Done)>, in_flight: &[Step]) {
        self.history.done.extend(done);
        if let Some(worker) = self.current.take() {
            self.note(&worker);
        }
        self.history.was_cut_off(in_flight);
    }

    fn describe(&self, step: &Step) -> String {
        step.describe()
    }

    fn doing(&self) -> String {
        format!("registering {}", self.request.name)
    }
}

impl AccountHalf<'_> {
    fn note(&mut self, worker: &AccountWorker) {
        let history = &mut self.history;
        history.uncertain |= worker.may_have_left_a_registration();
        history.in_doubt.extend(worker.roles_in_doubt());
        self.kept = worker.kept().or(self.kept.take());
    }

    fn ended_well(self, preview: AccountPreview, took: Duration) -> Result<AccountDone, Error> {
        let (handed, status) = match (self.kept, &preview.seen.file) {
            (Some(handed), _) => (handed, Status::Pending),
            (None, FileSeen::Activation(handed)) => {
                let registration = preview.seen.registration.as_ref();
                let status = registration.map_or(Status::Pending, |registration| registration.status.clone());
                (handed.as_ref().clone(), status)
            }
            (None, _) => {
                return Err(Error::failed(Code::INTERNAL, "the registration ended without an activation"));
            }
        };
        let (done, changed) = self.history.summary();
        Ok(AccountDone { preview, handed, status, done, changed, took })
    }

    fn list_remains(self, mut error: Error) -> Error {
        let (name, path) = (&self.request.name, self.ports.file.path());
        if self.history.uncertain || self.kept.is_some() {
            let doubt =
                if self.kept.is_some() { "" } else { " (it may have been made; the next run finds out)" };
            error.remains.push(Remains {
                what: format!("registration {name}{doubt}, and {path}"),
                remove_with: format!(
                    "aws eks deregister-cluster --name {name} --region {}; rm {path}",
                    self.ports.region
                ),
            });
        }
        let linked_was_there = self.linked.unwrap_or(true);
        error.remains.extend(self.history.roles(linked_was_there, self.request.role.name()));
        error
    }
}
