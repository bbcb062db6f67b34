//! Waiting until the agents are ready and EKS says ACTIVE.

use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use tokio::time::{Instant, sleep, sleep_until};

use super::cause::{Agents, with_cause};
use super::observe::Ports;
use super::observed::{Registration, Status};
use crate::error::{Code, Error, Kind};
use crate::manifest::AGENT_CONTAINER;
use crate::plan::{Done, StepFailure, Stop};
use crate::ports::{AgentState, Failure, FailureKind};

/// How often EKS is asked while no agent is ready: it can only say that the activation expired.
const IDLE_POLL: Duration = Duration::from_secs(5);

/// How soon EKS is asked again once an agent is ready; doubled each time up to [`SLOWEST_POLL`].
const FIRST_POLL: Duration = Duration::from_millis(100);

/// EKS' own waiter asks every 30 s; a person is watching here.
const SLOWEST_POLL: Duration = Duration::from_secs(2);

/// How long to wait before watching again after a watch broke.
const WATCH_AGAIN: Duration = Duration::from_secs(1);

/// What is attempted while waiting.
const WATCH: &str = "watch the agents";
const ASK: &str = "read the registration's status";

/// What to wait for.
pub(super) struct Awaited<'a> {
    /// The registration.
    pub(super) name: &'a str,
    /// Where the agents live.
    pub(super) namespace: &'a str,
    /// How many there are to be.
    pub(super) replicas: u32,
    /// How long at most.
    pub(super) limit: Duration,
}

/// Waits. The agents are watched; EKS, which cannot be watched, is asked when it is likely to have something to say.
pub(super) async fn until_active(
    ports: &Ports,
    awaited: &Awaited<'_>,
    stop: &Stop,
    progress: &(dyn Fn(String) + Send + Sync),
) -> Result<Done, StepFailure> {
    let deadline = Instant::now() + awaited.limit;
    let mut agents = ports.cluster.watch_agents(awaited.namespace);
    let mut state = AgentState::default();
    let mut seen = Seen::default();
    let mut pause = IDLE_POLL;
    let mut next_poll = Instant::now() + IDLE_POLL;
    let mut last_said = String::new();

    loop {
        let say = describe(&state, &seen, awaited.replicas);
        if say != last_said {
            progress(say.clone());
            last_said = say;
        }
        if seen.status == Some(Status::Active) && state.ready >= awaited.replicas {
            return Ok(Done::new("ACTIVE"));
        }
        tokio::select! {
            _ = stop.stopped() => return Err(StepFailure::Stopped),
            () = sleep_until(deadline) => return Err(timed_out(ports, awaited, &state, &mut seen).await.into()),
            next = agents.next() => match next {
                Some(Ok(now)) => {
                    // Each further agent may be the one that makes it ACTIVE.
                    if now.ready > state.ready && seen.status != Some(Status::Active) {
                        pause = FIRST_POLL;
                        next_poll = Instant::now();
                    }
                    seen.blind =
                        now.unseen.iter().map(|it| could_not(WATCH, &it.operation, &it.message)).collect();
                    state = now;
                }
                Some(Err(failure)) => seen.blind = vec![tolerate(failure, WATCH)?],
                None => {
                    sleep(WATCH_AGAIN).await;
                    agents = ports.cluster.watch_agents(awaited.namespace);
                }
            },
            () = sleep_until(next_poll), if seen.status != Some(Status::Active) => {
                let answer = tokio::select! {
                    _ = stop.stopped() => return Err(StepFailure::Stopped),
                    () = sleep_until(deadline) => continue,
                    answer = ports.registrations.registration(awaited.name) => answer,
                };
                match answer {
                    Ok(Some(registration)) => seen.take(registration, awaited.name)?,
                    Ok(None) => return Err(removed(awaited.name).into()),
                    Err(failure) => seen.trouble = Some(tolerate(failure, ASK)?),
                }
                next_poll = Instant::now() + pause;
                pause = if state.ready == 0 { IDLE_POLL } else { (pause * 2).min(SLOWEST_POLL) };
            }
        }
    }
}

/// What EKS said last.
#[derive(Default)]
struct Seen {
    status: Option<Status>,
    expiry: Option<Timestamp>,
    /// Why it could not be asked.
    trouble: Option<String>,
    /// Why the agents, or some of what they do, cannot be watched.
    blind: Vec<String>,
}

impl Seen {
    fn take(&mut self, registration: Registration, name: &str) -> Result<(), Error> {
        self.trouble = None;
        self.expiry = registration.activation_expiry;
        if registration.status == Status::Failed {
            return Err(Error::failed(Code::REGISTRATION_FAILED, format!("the registration {name} FAILED"))
                .cause("EKS says so when the activation expired before an agent connected")
                .fix("run the same command again: it removes the registration and makes it anew"));
        }
        self.status = Some(registration.status);
        Ok(())
    }
}

fn describe(state: &AgentState, seen: &Seen, replicas: u32) -> String {
    let ready = format!("{} of {replicas} ready", state.ready);
    match (&state.doing, &seen.status) {
        (Some(doing), _) => format!("{ready}: {doing}"),
        (None, Some(status)) if state.ready >= replicas => format!("{ready}, {status}"),
        (None, _) => ready,
    }
}

/// A wait lives through what passes; it ends with what will not.
pub(super) fn tolerate(failure: Failure, attempting: &str) -> Result<String, StepFailure> {
    match failure.kind {
        FailureKind::Unavailable
        | FailureKind::Unreachable
        | FailureKind::Conflict
        | FailureKind::NotFound
        | FailureKind::Malformed => Ok(could_not(attempting, &failure.operation, &failure.message)),
        FailureKind::Denied
        | FailureKind::NoCredentials
        | FailureKind::CredentialSource
        | FailureKind::ExpiredCredentials
        | FailureKind::RejectedCredentials
        | FailureKind::Rejected
        | FailureKind::LimitExceeded
        | FailureKind::NotPropagated
        | FailureKind::ServiceLinkedRoleMissing
        | FailureKind::Certificate => Err(failure.into_error(attempting).into()),
    }
}

fn could_not(attempting: &str, operation: &str, message: &str) -> String {
    format!("could not {attempting} ({operation}): {message}")
}

fn removed(name: &str) -> Error {
    Error::failed(
        Code::REGISTRATION_GONE,
        format!("the registration {name} was removed while it was being awaited"),
    )
    .cause("somebody or something else has deregistered it")
    .fix("find out who did (CloudTrail, DeregisterCluster), then run the same command again")
}

async fn timed_out(ports: &Ports, awaited: &Awaited<'_>, state: &AgentState, seen: &mut Seen) -> Error {
    // While no agent is ready EKS is hardly asked, and an answer may have been on its way.
    match ports.registrations.registration(awaited.name).await {
        Ok(Some(registration)) => {
            if let Err(failed) = seen.take(registration, awaited.name) {
                return failed;
            }
        }
        Ok(None) => return removed(awaited.name),
        Err(failure) => {
            seen.trouble = Some(could_not(ASK, &failure.operation, &failure.message));
        }
    }
    let limit = jiff::SignedDuration::try_from(awaited.limit).unwrap_or(jiff::SignedDuration::MAX);
    let error = Error::new(
        Code::NOT_ACTIVE,
        Kind::TimedOut,
        format!("{} did not become ACTIVE within {limit:#}", awaited.name),
    );
    let status = seen.status.as_ref().map_or_else(|| "not known".to_owned(), ToString::to_string);
    let expiry =
        seen.expiry.map(|expiry| format!("; the activation is valid until {}", expiry.strftime("%F %R UTC")));
    let ready = format!("{} of {} ready", state.ready, awaited.replicas);
    let error = error.fact("state", format!("{status}, {ready}{}", expiry.unwrap_or_default()));
    let otherwise = (state.ready >= awaited.replicas).then(|| {
        format!(
            "the agents are ready, but EKS has not heard from them; their log tells of no error: kubectl logs -n {} \
             eks-connector-0 {AGENT_CONTAINER}",
            awaited.namespace
        )
    });
    let agents = Agents { namespace: awaited.namespace, region: &ports.region, state, otherwise };
    with_cause(error, ports.cluster.as_ref(), agents, seen.trouble.iter().chain(&seen.blind)).await
}
