//! Waiting until the agents are ready and have their state, without asking AWS anything.

use std::time::Duration;

use futures::StreamExt;
use tokio::time::{Instant, sleep, sleep_until};

use crate::error::{Code, Error, Kind};
use crate::plan::{Done, StepFailure, Stop};
use crate::ports::{AgentState, Cluster};
use crate::registration::cause::{Agents, with_cause};
use crate::registration::wait::tolerate;

/// How soon the state Secrets are looked at again, and a broken watch is begun anew.
const AGAIN: Duration = Duration::from_secs(1);

/// What to wait for.
pub(in crate::registration) struct AwaitedAgents<'a> {
    /// The registration.
    pub(in crate::registration) name: &'a str,
    /// Where the agents live.
    pub(in crate::registration) namespace: &'a str,
    /// The Region that they connect to.
    pub(in crate::registration) region: &'a str,
    /// How the names of the Secrets with their state begin.
    pub(in crate::registration) state_prefix: &'a str,
    /// How many there are to be.
    pub(in crate::registration) replicas: u32,
    /// The activation that their state is to be of.
    pub(in crate::registration) activation_id: &'a str,
    /// How long at most.
    pub(in crate::registration) limit: Duration,
}

/// Waits. An agent gets its state once Systems Manager has accepted it; it is ready a little later.
pub(in crate::registration) async fn until_ready(
    cluster: &dyn Cluster,
    awaited: &AwaitedAgents<'_>,
    stop: &Stop,
    progress: &(dyn Fn(String) + Send + Sync),
) -> Result<Done, StepFailure> {
    let deadline = Instant::now() + awaited.limit;
    let mut agents = cluster.watch_agents(awaited.namespace);
    let mut state = AgentState::default();
    let mut trouble = None;
    let mut last_said = String::new();
    let mut next_look = Instant::now();
    loop {
        let doing = state.doing.as_ref().map(|doing| format!(": {doing}")).unwrap_or_default();
        let say = format!("{} of {} ready{doing}", state.ready, awaited.replicas);
        if say != last_said {
            progress(say.clone());
            last_said = say;
        }
        tokio::select! {
            _ = stop.stopped() => return Err(StepFailure::Stopped),
            () = sleep_until(deadline) => {
                return Err(timed_out(cluster, awaited, &state, trouble).await.into());
            }
            next = agents.next() => match next {
                Some(Ok(now)) => state = now,
                Some(Err(failure)) => trouble = Some(tolerate(failure, "watch the agents")?),
                None => {
                    sleep(AGAIN).await;
                    agents = cluster.watch_agents(awaited.namespace);
                }
            },
            () = sleep_until(next_look), if state.ready >= awaited.replicas => {
                match cluster.states(awaited.namespace, awaited.state_prefix, 0..awaited.replicas).await {
                    Ok(states) => {
                        let have = states.values().filter(|id| *id == awaited.activation_id).count();
                        if u32::try_from(have).unwrap_or(u32::MAX) >= awaited.replicas {
                            return Ok(Done::new("ready"));
                        }
                    }
                    Err(failure) => trouble = Some(tolerate(failure, "read the agents' state Secrets")?),
                }
                next_look = Instant::now() + AGAIN;
            }
        }
    }
}

async fn timed_out(
    cluster: &dyn Cluster,
    awaited: &AwaitedAgents<'_>,
    state: &AgentState,
    trouble: Option<String>,
) -> Error {
    let limit = jiff::SignedDuration::try_from(awaited.limit).unwrap_or(jiff::SignedDuration::MAX);
    let error = Error::new(
        Code::AGENTS_NOT_READY,
        Kind::TimedOut,
        format!("the agents of {} were not ready within {limit:#}", awaited.name),
    )
    .fact("state", format!("{} of {} ready", state.ready, awaited.replicas));
    let (namespace, region) = (awaited.namespace, awaited.region);
    with_cause(error, cluster, Agents { namespace, region, state, otherwise: None }, trouble.iter()).await
}
