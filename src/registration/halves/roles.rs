//! The roles alone: what an account's administrator makes before anybody registers. As an operation of the engine.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::error::{Code, Error};
use crate::plan::{
    Conversation, Done, Execution, LeaseSeen, Operation, Plan, StepFailure, Stop, Worker, run,
};
use crate::ports::{Identity, Roles};
use crate::registration::observe::failing;
use crate::registration::observed::{Caller, RoleSeen};
use crate::registration::remains::History;
use crate::registration::request::{RoleChoice, RoleDesign};
use crate::registration::roles::{RolesSeen, role_steps};
use crate::registration::step::Step;
use crate::registration::worker::{Progress, RoleWork};

/// Everything that making the roles talks to.
#[derive(Clone)]
pub struct RolesPorts {
    /// STS.
    pub identity: Arc<dyn Identity>,
    /// IAM.
    pub roles: Arc<dyn Roles>,
}

/// A plan and what it rests on.
#[derive(Clone, Debug)]
pub struct RolesPreview {
    /// The agent role that is wanted.
    pub choice: RoleChoice,
    /// Who calls AWS.
    pub caller: Caller,
    /// Whether the service-linked role exists.
    pub service_linked_role: bool,
    /// The agent role.
    pub agent_role: RoleSeen,
    /// The steps.
    pub plan: Plan<Step>,
    /// What a person should know about why the plan is as it is.
    pub notes: Vec<String>,
}

impl RolesPreview {
    /// Whether executing the plan would write something.
    pub fn changes_something(&self) -> bool {
        !self.plan.is_empty()
    }
}

/// How a run that ended well ended.
#[derive(Clone, Debug)]
pub struct RolesDone {
    /// What was seen before.
    pub preview: RolesPreview,
    /// ARN of the agent role.
    pub arn: String,
    /// What was done, as short phrases.
    pub done: Vec<String>,
    /// Whether something was changed.
    pub changed: bool,
    /// How long it took.
    pub took: Duration,
}

/// Looks and plans, and changes nothing. Both roles are read, or nothing is known: who registers can leave that to EKS, who
/// makes the roles cannot.
///
/// # Errors
/// The roles cannot be read; the agent role is another's and cannot be used.
pub async fn preview(ports: &RolesPorts, design: &RoleDesign) -> Result<RolesPreview, Error> {
    let name = &design.name;
    let (caller, role, linked) = tokio::try_join!(
        failing("find out who is calling AWS", ports.identity.caller()),
        failing(format!("read the agent role {name}"), ports.roles.role(name)),
        failing("read the service-linked role", ports.roles.service_linked_role()),
    )?;
    let choice = RoleChoice::Named(design.clone());
    let agent_role = role.map_or(RoleSeen::Absent, RoleSeen::Present);
    let (mut plan, mut notes) = (Plan::default(), Vec::new());
    let seen = RolesSeen {
        choice: &choice,
        caller: &caller,
        service_linked_role: Some(linked),
        agent_role: &agent_role,
        registered: false,
        before: &[],
    };
    role_steps(&seen, &mut plan, &mut notes)?;
    Ok(RolesPreview { choice, caller, service_linked_role: linked, agent_role, plan, notes })
}

/// Makes the roles, or brings them back to what they should be.
///
/// # Errors
/// Every error says what remains.
pub async fn create_roles<C>(
    ports: &RolesPorts,
    design: &RoleDesign,
    show: &Arc<C>,
    stop: &Stop,
) -> Result<RolesDone, Error>
where
    C: Conversation<Step, RolesPreview> + 'static,
{
    let mut making =
        Making { ports, design, history: History::default(), current: None, linked: None, arn: None };
    match run(&mut making, show, stop).await {
        Ok((preview, took)) => making.ended_well(preview, took),
        Err(mut error) => {
            let linked_was_there = making.linked.unwrap_or(true);
            error.remains.extend(making.history.roles(linked_was_there, &design.name));
            Err(error)
        }
    }
}

struct Making<'a> {
    ports: &'a RolesPorts,
    design: &'a RoleDesign,
    /// What was done, over all tries.
    history: History,
    /// The worker of the try that is under way or was the last.
    current: Option<Arc<RolesWorker>>,
    /// Whether the service-linked role was there before the first try.
    linked: Option<bool>,
    /// ARN of the agent role that was made.
    arn: Option<String>,
}

impl Operation for Making<'_> {
    type Step = Step;
    type Seen = RolesPreview;
    type Worker = RolesWorker;

    async fn look(&self) -> Result<RolesPreview, Error> {
        preview(self.ports, self.design).await
    }

    fn plan<'a>(&self, seen: &'a RolesPreview) -> &'a Plan<Step> {
        &seen.plan
    }

    async fn check_identity(&self, _: &RolesPreview) -> Result<(), Error> {
        // It asks nothing, so nobody has thought about an answer.
        Ok(())
    }

    async fn lease(&self) -> Option<LeaseSeen> {
        // IAM lets a role be made once; who comes second finds it.
        None
    }

    fn presume_dead(&mut self, _: String) {}

    fn worker(&mut self, seen: &RolesPreview, _: Stop) -> Arc<RolesWorker> {
        self.linked.get_or_insert(seen.service_linked_role);
        let roles = Arc::clone(&self.ports.roles);
        let roles = RoleWork::new(roles, Some(seen.service_linked_role), &seen.agent_role);
        Arc::clone(self.current.insert(Arc::new(RolesWorker { roles })))
    }

    async fn ended(&mut self, worker: &RolesWorker, execution: &Execution<Step>) {
        self.history.done.extend(execution.done.iter().cloned());
        self.note(worker);
    }

    async fn abandoned(&mut self) {
        // What was made in the account is never undone.
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
        format!("making the agent role {}", self.design.name)
    }
}

impl Making<'_> {
    fn note(&mut self, worker: &RolesWorker) {
        self.history.in_doubt.extend(worker.roles.in_doubt());
        self.arn = worker.roles.made_arn().cloned().or(self.arn.take());
    }

    fn ended_well(self, preview: RolesPreview, took: Duration) -> Result<RolesDone, Error> {
        let arn = match (self.arn, &preview.agent_role) {
            (Some(arn), _) => arn,
            (None, RoleSeen::Present(role)) => role.arn.clone(),
            (None, RoleSeen::Absent | RoleSeen::Unreadable) => {
                return Err(Error::failed(Code::INTERNAL, "the agent role was not made, and nothing failed"));
            }
        };
        let done = &self.history.done;
        let changed = done.iter().any(|(step, done)| step.is_write() && !done.unchanged);
        let done = done.iter().map(|(step, done)| format!("{}: {}", step.describe(), done.outcome)).collect();
        Ok(RolesDone { preview, arn, done, changed, took })
    }
}

/// Does the steps of one try.
struct RolesWorker {
    roles: RoleWork,
}

impl Worker<Step> for RolesWorker {
    fn work(self: Arc<Self>, step: Step, _: Progress) -> BoxFuture<'static, Result<Done, StepFailure>> {
        Box::pin(async move {
            match step {
                Step::CreateServiceLinkedRole => self.roles.create_service_linked_role().await,
                Step::CreateAgentRole(design) => self.roles.create(&design).await,
                Step::PutAgentPolicy { role } => self.roles.put_policy(&role).await,
                Step::ChangeAgentRole { role, change } => self.roles.change(&role, &change).await,
                Step::Apply(_)
                | Step::ApplyPullSecret(_)
                | Step::ApplyActivationSecret(_)
                | Step::Replace { .. }
                | Step::Remove { .. }
                | Step::HoldLease { .. }
                | Step::ReserveFile { .. }
                | Step::KeepActivation
                | Step::Discard { .. }
                | Step::Register(_)
                | Step::ApplyOnceRegistered(_)
                | Step::AwaitActive { .. }
                | Step::AwaitAgents { .. }
                | Step::SpendCode { .. }
                | Step::Access(_) => Err(Error::failed(
                    Code::INTERNAL,
                    format!("there are only roles here: {}", step.describe()),
                )
                .into()),
            }
        })
    }
}
