//! Has the API server decide, and IAM. Both take a moment until they know of a change: access rules spread, and the API server
//! remembers for ten seconds that somebody may be impersonated (`impersonation/cache.go` of Kubernetes 1.36).

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::future::join_all;

use super::{AccessWorker, Progress};
use crate::access::check::{GrantCheck, Proof, ProvenHeld, Read};
use crate::access::desired::not_constrained;
use crate::access::grants::{Form, grants};
use crate::access::observe::iam_state;
use crate::access::observed::IamState;
use crate::access::principal::Principal;
use crate::error::{Code, Error};
use crate::manifest::SERVICE_ACCOUNT;
use crate::plan::{Done, StepFailure};
use crate::ports::{Acting, Asked, Failure, FailureKind};
use crate::rbac::{Evaluator, Mode, Request, Through, Who};

/// How long a decision is waited for.
const DECIDED_WITHIN: Duration = Duration::from_secs(30);

/// After how long the API server is taken not to know what it goes on refusing.
const REFUTED_AFTER: Duration = Duration::from_secs(10);

/// How long between two questions, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What whoever may be impersonated may be asked for.
const HARMLESS: [(&str, &str); 2] =
    [("/api/v1/namespaces?limit=1", "list namespaces"), ("/version", "get /version")];

/// What came back.
enum Answer {
    /// The read is allowed, whether or not there is anything.
    Allowed,
    /// The connector may not be the principal, or not ask for that as the principal.
    NotImpersonated(String),
    /// The principal may not.
    Forbidden(String),
    /// Neither a yes nor a no.
    Unclear(String),
}

impl Answer {
    fn of(answer: Result<Asked, Failure>) -> Self {
        match answer {
            Ok(asked) if asked.is_refused_impersonation() => Self::NotImpersonated(asked.message),
            Ok(asked) if asked.is_ok() || asked.status == 404 => Self::Allowed,
            Ok(asked) if asked.status == 403 => Self::Forbidden(asked.message),
            Ok(asked) => Self::Unclear(format!("{}: {}", asked.status, asked.message)),
            Err(failure) => Self::Unclear(failure.message),
        }
    }

    fn words(&self) -> &str {
        match self {
            Self::Allowed => "it was allowed",
            Self::NotImpersonated(words) | Self::Forbidden(words) | Self::Unclear(words) => words,
        }
    }
}

impl AccessWorker {
    pub(super) async fn verify(&self, check: GrantCheck, progress: &Progress) -> Result<Done, StepFailure> {
        let who = check.principal.short().to_owned();
        let acting = match self.acting().await {
            Ok(acting) => acting,
            Err(failure) if matches!(failure.kind, FailureKind::Denied | FailureKind::NotFound) => {
                let why = format!("{}: {}", failure.operation, failure.message);
                let held = ProvenHeld::NotAsked(why);
                self.prove(Proof { principal: check.principal, allowed: 0, held });
                return Ok(Done::unchanged("not proven"));
            }
            Err(failure) => return Err(failure.into_error("act as the connector").into()),
        };
        let arn = check.principal.arn();
        let (mut allowed, mut refused) =
            (check.allowed.iter().collect::<Vec<_>>(), check.refused.iter().collect::<Vec<_>>());
        let (began, mut pause) = (Instant::now(), FIRST_PAUSE);
        loop {
            let (open, still) =
                tokio::join!(ask(acting.as_ref(), arn, &allowed), ask(acting.as_ref(), arn, &refused));
            let open: Vec<(&Read, Answer)> =
                open.into_iter().filter(|(_, answer)| !matches!(answer, Answer::Allowed)).collect();
            let still: Vec<(&Read, Answer)> = still
                .into_iter()
                .filter(|(_, answer)| !matches!(answer, Answer::NotImpersonated(_)))
                .collect();
            if open.is_empty() && still.is_empty() {
                break;
            }
            let took = began.elapsed();
            if took > REFUTED_AFTER && is_refutation(&check, &open) {
                return self.refute(&check);
            }
            if took > DECIDED_WITHIN {
                return self.undecided(&check, &open, &still);
            }
            progress(match open.len() {
                0 => format!("{who}: waiting until what is not listed is refused"),
                count => format!("{who}: {count} kinds are not allowed yet"),
            });
            allowed = open.into_iter().map(|(read, _)| read).collect();
            refused = still.into_iter().map(|(read, _)| read).collect();
            self.rest(&mut pause).await?;
        }
        let held = match (check.form, &check.refused) {
            (Form::Constrained, Some(_)) => ProvenHeld::ViewOnly,
            (Form::Constrained, None) => {
                ProvenHeld::NotShown("the connector may ask for everything as anybody".to_owned())
            }
            (Form::Documented, _) => ProvenHeld::ToThePrincipal,
        };
        let outcome = if held == ProvenHeld::ViewOnly { "view-only" } else { "can view" };
        self.prove(Proof { allowed: check.allowed.len(), principal: check.principal, held });
        Ok(Done::unchanged(outcome))
    }

    /// The API server does not know the constrained form.
    fn refute(&self, check: &GrantCheck) -> Result<Done, StepFailure> {
        self.refuted.store(true, Ordering::Release);
        if check.may_fall_back {
            return Err(StepFailure::Stale(
                "the API server does not constrain impersonation, as it turned out".to_owned(),
            ));
        }
        Err(not_constrained(&self.version).into())
    }

    fn undecided(
        &self,
        check: &GrantCheck,
        open: &[(&Read, Answer)],
        still: &[(&Read, Answer)],
    ) -> Result<Done, StepFailure> {
        let who = check.principal.short();
        if let Some((read, answer)) = open.first() {
            return Err(Error::failed(
                Code::GRANT_NOT_SEEN,
                format!("{who} cannot view, though the grant is in place"),
            )
            .cause(format!("{} as {who}, through the connector: {}", read.what, answer.words()))
            .fact("state", format!("{} of {} reads are not allowed", open.len(), check.allowed.len()))
            .fix(format!(
                "look for what refuses it (an authoriser beside RBAC?), then: eksconnect verify-view --principal {}",
                check.principal.arn()
            ))
            .into());
        }
        let why = still.first().map_or_else(String::new, |(read, answer)| {
            format!("{} as {who}, through the connector: {}", read.what, answer.words())
        });
        if !check.may_fall_back {
            return Err(Error::failed(
                Code::NOT_HELD,
                format!("{who} can view, but the connector is not held to viewing"),
            )
            .cause(why)
            .fix("see what else lets the connector ask for that: another grant, or an authoriser beside RBAC")
            .into());
        }
        let held = ProvenHeld::NotShown(why);
        self.prove(Proof { allowed: check.allowed.len(), principal: check.principal.clone(), held });
        Ok(Done::unchanged("can view"))
    }

    pub(super) async fn verify_revoked(
        &self,
        principal: &Principal,
        progress: &Progress,
    ) -> Result<Done, StepFailure> {
        let acting = match self.acting().await {
            Ok(acting) => acting,
            Err(failure) if matches!(failure.kind, FailureKind::Denied | FailureKind::NotFound) => {
                return self.revoked_by_the_rules(principal).await;
            }
            Err(failure) => return Err(failure.into_error("act as the connector").into()),
        };
        let reads = HARMLESS.map(|(path, what)| Read { path: path.to_owned(), what: what.to_owned() });
        let (began, mut pause) = (Instant::now(), FIRST_PAUSE);
        loop {
            let answers = ask(acting.as_ref(), principal.arn(), &reads.iter().collect::<Vec<_>>()).await;
            let open = answers.iter().find(|(_, answer)| !matches!(answer, Answer::NotImpersonated(_)));
            let Some((read, answer)) = open else { return Ok(Done::unchanged("refused")) };
            if began.elapsed() > DECIDED_WITHIN {
                let cause = format!(
                    "{} as {}, through the connector: {}",
                    read.what,
                    principal.short(),
                    answer.words()
                );
                return Err(self.still_allowed(principal, cause).await.into());
            }
            progress(format!(
                "{}: the API server remembers for 10 s whom the connector may be",
                principal.short()
            ));
            self.rest(&mut pause).await?;
        }
    }

    /// Without the connector, or the right to act as it, the rules tell.
    async fn revoked_by_the_rules(&self, principal: &Principal) -> Result<Done, StepFailure> {
        let rules = self.ports.access.rules().await;
        let rules =
            rules.map_err(|failure| failure.into_error("read the roles and bindings of the cluster"))?;
        let found = grants(&rules, &self.namespace);
        match found.of(principal).filter(|grant| !grant.impersonation.is_empty()) {
            None => Ok(Done::unchanged("refused, by the rules")),
            Some(grant) => {
                let cause = grant.impersonation.iter().map(|one| one.role.to_string()).collect::<Vec<_>>();
                Err(self
                    .still_allowed(principal, format!("it is named by {}", cause.join(", ")))
                    .await
                    .into())
            }
        }
    }

    async fn still_allowed(&self, principal: &Principal, cause: String) -> Error {
        let error =
            Error::failed(Code::STILL_ALLOWED, format!("{} can still be asked for", principal.short()))
                .cause(cause);
        let chain = self.chain(principal).await;
        let error = match chain {
            Some(chain) => error.fact("by", chain),
            None => error.fact("by", "no rule of RBAC: another authoriser allows it"),
        };
        error.fix("take that away, then run the same command again")
    }

    /// By which rule the connector may still be the principal.
    async fn chain(&self, principal: &Principal) -> Option<String> {
        let rules = self.ports.access.rules().await.ok()?;
        let connector = Who::service_account(&self.namespace, SERVICE_ACCOUNT);
        let evaluator = Evaluator::new(&rules);
        let request = Request::on("list", "", "namespaces");
        match evaluator.through(&connector, principal.arn(), &request, true) {
            Through::NotImpersonated { .. } => None,
            Through::Forbidden(who) | Through::Allowed(who, _) => {
                let verb = match who.mode {
                    Mode::Legacy => Request::on("impersonate", "", "users"),
                    Mode::UserInfo | Mode::ServiceAccount | Mode::ArbitraryNode => {
                        Request::on("impersonate:user-info", "authentication.k8s.io", "users")
                    }
                };
                let asked = verb.named(principal.arn());
                evaluator.chains(&connector, &asked).next().map(|chain| chain.to_string())
            }
        }
    }

    pub(super) async fn await_allowed(
        &self,
        principal: &Principal,
        arn: &str,
        cluster_arn: &str,
        progress: &Progress,
    ) -> Result<Done, StepFailure> {
        let (began, mut pause) = (Instant::now(), FIRST_PAUSE);
        loop {
            let state = iam_state(self.ports.principals.as_ref(), arn, cluster_arn).await;
            let attempting = format!("ask IAM what {} may do", principal.short());
            let state = state.map_err(|failure| failure.into_error(&attempting))?;
            let IamState::Lacks(lacks) = state else { return Ok(Done::unchanged("allowed")) };
            if began.elapsed() > DECIDED_WITHIN {
                let actions: Vec<&str> = lacks.iter().map(|(action, _)| action.as_str()).collect();
                return Err(Error::failed(
                    Code::IAM_NOT_ALLOWED,
                    format!("IAM does not let {} view, though its policy says so", principal.short()),
                )
                .cause(format!("still not allowed: {}", actions.join(", ")))
                .fix("look for a policy that denies it, a permissions boundary, or a policy of the organization")
                .into());
            }
            progress(format!("{}: IAM does not allow it yet", principal.short()));
            self.rest(&mut pause).await?;
        }
    }

    /// Waits before the next question, unless the run is to end.
    async fn rest(&self, pause: &mut Duration) -> Result<(), StepFailure> {
        tokio::select! {
            _ = self.stop.stopped() => return Err(StepFailure::Stopped),
            () = tokio::time::sleep(*pause) => {}
        }
        *pause = (*pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}

async fn ask<'a>(acting: &dyn Acting, arn: &str, reads: &[&'a Read]) -> Vec<(&'a Read, Answer)> {
    join_all(reads.iter().map(|read| async move { (*read, Answer::of(acting.ask(arn, &read.path).await)) }))
        .await
}

/// Whether what is refused is the documented form, and all of it: then the constrained one was not tried.
fn is_refutation(check: &GrantCheck, open: &[(&Read, Answer)]) -> bool {
    let documented = |answer: &Answer| matches!(answer, Answer::NotImpersonated(message) if !message.contains(":user-info"));
    check.form == Form::Constrained
        && open.len() == check.allowed.len()
        && open.iter().all(|(_, answer)| documented(answer))
}
