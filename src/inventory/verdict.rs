//! What both halves of a registration come to, in one line.

use super::agents::Agents;
use super::status::{ClusterHalf, Half, StatusSeen};
use crate::registration::observed::{Registration, Status};

/// What both halves come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How good that is.
    pub health: Health,
    /// In one line.
    pub text: String,
    /// The command that comes next, if one does.
    pub next: Option<String>,
}

/// How good a registration's state is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// As it should be.
    Good,
    /// On its way, or only one half is known.
    Waiting,
    /// It needs somebody.
    Bad,
}

impl Health {
    /// As documents write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Waiting => "waiting",
            Self::Bad => "bad",
        }
    }
}

/// The verdict.
pub fn verdict(seen: &StatusSeen) -> Verdict {
    let name = &seen.name;
    let renew = seen.register(" --renew");
    let Some(registration) = &seen.registration else {
        return bad(format!("{name} is not registered any more, and {}", still_there(seen)), Some(renew));
    };
    match registration.status {
        Status::Failed => bad(
            format!("{name} FAILED: its activation expired before an agent connected"),
            Some(seen.register("")),
        ),
        Status::Deleting => waiting(format!("{name} is being deregistered"), None),
        Status::Active => of_active(seen),
        Status::Creating | Status::Pending | Status::Updating | Status::Unknown(_) => {
            of_pending(seen, registration)
        }
    }
}

/// What a registration that is gone has left.
fn still_there(seen: &StatusSeen) -> String {
    match &seen.cluster {
        Half::Own(half) => match (&half.agents, &half.connector) {
            (Agents::Seen(_), _) => "its agents are still in the cluster".to_owned(),
            (_, Some(connector)) => format!("its namespace {} is still in the cluster", connector.namespace),
            (_, None) => "what is left of it could not be looked at".to_owned(),
        },
        Half::Silent(_) | Half::Other { .. } => "its cluster was not looked at".to_owned(),
    }
}

fn of_active(seen: &StatusSeen) -> Verdict {
    let name = &seen.name;
    match &seen.cluster {
        Half::Silent(_) => waiting(format!("{name} is ACTIVE; its cluster could not be asked"), None),
        Half::Other { context } => waiting(
            format!(
                "{name} is ACTIVE; the context {context} is another cluster, so its agents were not looked at"
            ),
            Some(format!("eksconnect whoami --name {name}{}", seen.in_region())),
        ),
        Half::Own(half) => {
            let agents = match &half.agents {
                Agents::Seen(agents) => agents,
                Agents::Unknown => {
                    return waiting(format!("{name} is ACTIVE; its agents could not be looked at"), None);
                }
                // If their state is lost too, registering says how to go on.
                Agents::Absent => {
                    let text = format!("{name} is ACTIVE, and its agents are gone from the cluster");
                    return bad(text, Some(seen.register("")));
                }
            };
            if agents.replicas == 0 {
                return bad(
                    format!("{name} is ACTIVE, and its agents are scaled to none"),
                    Some(seen.register("")),
                );
            }
            if agents.ready < agents.replicas {
                let (ready, replicas) = (agents.ready, agents.replicas);
                let text = format!("{name} is ACTIVE, and {ready} of its {replicas} agents are ready");
                return bad(with_cause(text, half), None);
            }
            let text = if agents.replicas == 1 {
                format!("{name} is ACTIVE and its agent is ready")
            } else {
                format!("{name} is ACTIVE and its {} agents are ready", agents.replicas)
            };
            Verdict { health: Health::Good, text, next: None }
        }
    }
}

fn of_pending(seen: &StatusSeen, registration: &Registration) -> Verdict {
    let (name, status) = (&seen.name, &registration.status);
    let again = Some(seen.register(""));
    if registration.activation_expiry.is_some_and(|expiry| expiry <= seen.now) {
        return bad(format!("{name} is {status}, and its activation has expired"), again);
    }
    match &seen.cluster {
        Half::Silent(_) => waiting(
            format!("{name} is {status}: no agent has connected; its cluster could not be asked"),
            None,
        ),
        Half::Other { context } => waiting(
            format!("{name} is {status}: no agent has connected; the context {context} is another cluster"),
            None,
        ),
        Half::Own(half) => match &half.agents {
            Agents::Absent => {
                bad(format!("{name} is {status}, and its agents are not in the cluster"), again)
            }
            Agents::Unknown => waiting(
                format!("{name} is {status}: no agent has connected; its agents could not be looked at"),
                None,
            ),
            Agents::Seen(agents) if agents.ready < agents.replicas || agents.replicas == 0 => {
                let (ready, replicas) = (agents.ready, agents.replicas);
                let text = format!("{name} is {status}, and {ready} of its {replicas} agents are ready");
                match half.cause {
                    Some(_) => bad(with_cause(text, half), None),
                    None => waiting(text, again),
                }
            }
            Agents::Seen(_) => waiting(
                format!("{name} is {status}: its agents are ready, and EKS has not heard from them yet"),
                again,
            ),
        },
    }
}

fn with_cause(text: String, half: &ClusterHalf) -> String {
    match &half.cause {
        Some(cause) => format!("{text}: {}", cause.lines().next().unwrap_or_default()),
        None => text,
    }
}

fn bad(text: String, next: Option<String>) -> Verdict {
    Verdict { health: Health::Bad, text, next }
}

fn waiting(text: String, next: Option<String>) -> Verdict {
    Verdict { health: Health::Waiting, text, next }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::inventory::agents::AgentsSeen;
    use crate::registration::observed::Caller;

    fn seen(status: Option<Status>, cluster: Half) -> StatusSeen {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        StatusSeen {
            now,
            caller: Caller {
                account: "111122223333".into(),
                arn: "arn:aws:iam::111122223333:user/ana".into(),
            },
            here: "eu-west-1".into(),
            region: "eu-west-1".into(),
            name: "onprem1".into(),
            registration: status.map(|status| Registration {
                name: "onprem1".into(),
                arn: "arn:aws:eks:eu-west-1:111122223333:cluster/onprem1".into(),
                status,
                created_at: Some(now),
                activation_id: Some("id-1".into()),
                activation_expiry: Some(now + SignedDuration::from_hours(72)),
                role_arn: Some("arn:aws:iam::111122223333:role/Agent".into()),
                provider: Some("OTHER".into()),
                tags: [].into(),
            }),
            cluster,
        }
    }

    fn own(agents: Option<(u32, u32)>, cause: Option<&str>) -> Half {
        let seen = |(ready, replicas)| Agents::Seen(AgentsSeen { ready, replicas, ..AgentsSeen::default() });
        let agents = agents.map_or(Agents::Absent, seen);
        Half::Own(Box::new(ClusterHalf {
            context: "here".into(),
            server: "https://127.0.0.1:6443".into(),
            version: None,
            uid: "uid-1".into(),
            link: None,
            connector: None,
            agents,
            states: None,
            holds_code: None,
            held_by: None,
            grants: None,
            grown: Vec::new(),
            cause: cause.map(str::to_owned),
            unverified: Vec::new(),
        }))
    }

    #[test]
    fn one_line_for_each_state() {
        let silent = || Half::Silent("refused".into());
        let unseen = || match own(None, None) {
            Half::Own(half) => Half::Own(Box::new(ClusterHalf { agents: Agents::Unknown, ..*half })),
            other => other,
        };
        let expired = |cluster| {
            let mut seen = seen(Some(Status::Pending), cluster);
            seen.now += SignedDuration::from_hours(73);
            seen
        };
        let states = [
            seen(Some(Status::Active), own(Some((2, 2)), None)),
            seen(Some(Status::Active), own(Some((1, 1)), None)),
            seen(Some(Status::Active), own(Some((1, 2)), Some("pod eks-connector-1 is not scheduled\nmore"))),
            seen(Some(Status::Active), own(None, None)),
            seen(Some(Status::Active), Half::Other { context: "there".into() }),
            seen(Some(Status::Active), silent()),
            seen(Some(Status::Pending), own(Some((0, 2)), None)),
            seen(Some(Status::Pending), own(Some((2, 2)), None)),
            seen(Some(Status::Pending), own(Some((0, 2)), Some("cannot pull the image"))),
            seen(Some(Status::Pending), silent()),
            expired(silent()),
            seen(Some(Status::Failed), silent()),
            seen(None, own(Some((2, 2)), None)),
            seen(Some(Status::Active), unseen()),
            seen(Some(Status::Pending), unseen()),
            seen(None, unseen()),
        ];
        let lines: Vec<String> = states
            .iter()
            .map(verdict)
            .map(|verdict| format!("{:<8}{}", verdict.health.as_str(), verdict.text))
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn what_comes_next_comes_in_the_registrations_region() {
        let mut failed = seen(Some(Status::Failed), Half::Silent("refused".into()));
        assert_eq!(verdict(&failed).next.unwrap(), "eksconnect register --name onprem1");
        failed.here = "eu-west-3".into();
        assert_eq!(verdict(&failed).next.unwrap(), "eksconnect register --name onprem1 --region eu-west-1");
    }
}
