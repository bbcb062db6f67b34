//! Waiting until a registration is ACTIVE.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::agents::Agents;
use super::status::{Half, StatusPorts, StatusSeen, look};
use crate::error::{Code, Error, Kind};
use crate::manifest::{AGENT_CONTAINER, DEFAULT_NAMESPACE, STATEFUL_SET};
use crate::registration::observed::Status;

/// How often is looked while waiting or watching: a person is there, and both sides answer quickly.
pub const PAUSE: Duration = Duration::from_secs(2);

/// Looks until the registration is ACTIVE; `show` gets every look.
///
/// # Errors
/// As [`look`]; the registration FAILED, is not there, or did not become ACTIVE within `limit`, with the first visible
/// cause.
pub async fn until_active(
    ports: &StatusPorts,
    name: Option<&str>,
    limit: Duration,
    show: &dyn Fn(&StatusSeen),
) -> Result<StatusSeen, Error> {
    let deadline = Instant::now() + limit;
    loop {
        let seen = look(ports, name).await?;
        show(&seen);
        match seen.registration.as_ref().map(|registration| &registration.status) {
            Some(Status::Active) => return Ok(seen),
            Some(Status::Failed) => return Err(failed(&seen)),
            None => {
                return Err(super::whoami::no_registration(&seen.name, &seen.region, &seen.caller, None));
            }
            Some(_) => {}
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(timed_out(&seen, limit));
        }
        sleep(PAUSE.min(left)).await;
    }
}

fn failed(seen: &StatusSeen) -> Error {
    let name = &seen.name;
    Error::failed(Code::REGISTRATION_FAILED, format!("the registration {name} FAILED"))
        .cause("EKS says so when the activation expired before an agent connected")
        .fix(format!("{} removes the registration and makes it anew", seen.register("")))
}

fn timed_out(seen: &StatusSeen, limit: Duration) -> Error {
    let name = &seen.name;
    let limit = jiff::SignedDuration::try_from(limit).unwrap_or(jiff::SignedDuration::MAX);
    let registration = seen.registration.as_ref();
    let status = registration.map_or_else(|| "not known".to_owned(), |it| it.status.to_string());
    let expiry = registration
        .and_then(|registration| registration.activation_expiry)
        .map(|expiry| format!("; the activation is valid until {}", expiry.strftime("%F %R UTC")));
    let cause = match &seen.cluster {
        Half::Silent(why) => format!("not known, since the cluster could not be asked: {why}"),
        Half::Other { context } => {
            format!(
                "not known, since the context {context} is another cluster; name its context with --context"
            )
        }
        Half::Own(half) => match (&half.cause, &half.agents) {
            (Some(cause), _) => cause.clone(),
            (None, Agents::Absent) => "its agents are not in the cluster".to_owned(),
            (None, Agents::Unknown) => "not known, since its agents could not be looked at".to_owned(),
            (None, Agents::Seen(agents)) if agents.ready < agents.replicas => {
                let doing =
                    agents.pods.iter().find_map(|pod| Some(format!("{} {}", pod.name, pod.doing.as_ref()?)));
                let ready = format!("{} of {} agents are ready", agents.ready, agents.replicas);
                doing.map_or(ready.clone(), |doing| format!("{ready}: {doing}"))
            }
            (None, Agents::Seen(_)) => {
                let connector = half.connector.as_ref();
                let namespace = connector.map_or(DEFAULT_NAMESPACE, |connector| connector.namespace.as_str());
                let set = connector.and_then(|connector| connector.set.as_deref()).unwrap_or(STATEFUL_SET);
                format!(
                    "its agents are ready, but EKS has not heard from them: look at the agent's log (kubectl logs -n \
                     {namespace} {set}-0 {AGENT_CONTAINER})"
                )
            }
        },
    };
    Error::new(Code::NOT_ACTIVE, Kind::TimedOut, format!("{name} did not become ACTIVE within {limit:#}"))
        .fact("state", format!("{status}{}", expiry.unwrap_or_default()))
        .cause(cause)
        .fix(format!("remove the cause, then {} continues", seen.register("")))
}
