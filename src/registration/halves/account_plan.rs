//! Decides what the account's half of a registration has to do. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::error::{Code, Error};
use crate::plan::{Plan, StepId};
use crate::ports::FileSeen;
use crate::registration::handed::{FileIntent, Handed};
use crate::registration::name::{ClusterName, partition};
use crate::registration::observed::{Caller, Registration, RoleSeen, Status};
use crate::registration::provider::Provider;
use crate::registration::request::{CLUSTER_UID_TAG, INTENT_TAG, MANAGED_TAG, RoleChoice};
use crate::registration::roles::{RolesSeen, role_steps, uses_role};
use crate::registration::step::{NewRegistration, Step};

/// A request for the account's half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRequest {
    /// The registration's name.
    pub name: ClusterName,
    /// Its provider: there is no cluster to tell it from.
    pub provider: Provider,
    /// The agent role.
    pub role: RoleChoice,
    /// The user's tags for the registration.
    pub tags: BTreeMap<String, String>,
}

/// What was seen of the account and of the file.
#[derive(Clone, Debug)]
pub struct AccountSeen {
    /// When.
    pub now: Timestamp,
    /// The Region in use.
    pub region: String,
    /// Who calls AWS.
    pub caller: Caller,
    /// Whether the service-linked role exists; `None` where it may not be read.
    pub service_linked_role: Option<bool>,
    /// The agent role.
    pub agent_role: RoleSeen,
    /// The registration of the requested name.
    pub registration: Option<Registration>,
    /// The file for the activation.
    pub file: FileSeen,
    /// Where that is.
    pub path: String,
    /// What could not be verified, to be said.
    pub unverified: Vec<String>,
}

/// What the account's half has to do.
#[derive(Clone, Debug)]
pub struct AccountPlan {
    /// The steps.
    pub plan: Plan<Step>,
    /// Sentences to be said before anything is done.
    pub notes: Vec<String>,
    /// The intent to be written into the file, if a registration is to be made.
    pub intent: Option<FileIntent>,
}

enum Situation {
    /// It exists, and the file holds its activation.
    Known,
    /// It has to be made; `discard` one first whose code is lost.
    Fresh { discard: bool },
}

/// Plans. `id` and `token` are for a registration, should one be made.
///
/// # Errors
/// A conflict. Nothing has been changed then.
pub fn plan(
    request: &AccountRequest,
    seen: &AccountSeen,
    arn: &str,
    id: &str,
    token: &str,
) -> Result<AccountPlan, Error> {
    let mut notes = Vec::new();
    let situation = situation(request, seen, arn, &mut notes)?;
    let mut plan = Plan::default();
    let fresh = matches!(situation, Situation::Fresh { .. });
    let reserved = fresh.then(|| plan.add(Step::ReserveFile { path: seen.path.clone() }, []));
    let before: Vec<StepId> = reserved.into_iter().collect();
    let keeps_role =
        seen.registration.as_ref().is_some_and(|registration| !uses_role(registration, &request.role));
    let roles = if keeps_role && !fresh {
        Vec::new()
    } else {
        let roles = RolesSeen {
            choice: &request.role,
            caller: &seen.caller,
            service_linked_role: seen.service_linked_role,
            agent_role: &seen.agent_role,
            registered: seen.registration.is_some(),
            before: &before,
        };
        role_steps(&roles, &mut plan, &mut notes)?
    };
    let Situation::Fresh { discard } = situation else {
        return Ok(AccountPlan { plan, notes, intent: None });
    };
    let intent = match &seen.file {
        FileSeen::Intent(intent) => intent.clone(),
        FileSeen::Absent | FileSeen::Activation(_) => {
            FileIntent { arn: arn.to_owned(), id: id.to_owned(), started_at: seen.now }
        }
    };
    let name = request.name.to_string();
    let free = seen.registration.as_ref().filter(|_| discard).map(|old| {
        let (status, activation_id) = (old.status.clone(), old.activation_id.clone());
        plan.add(Step::Discard { name: name.clone(), status, activation_id }, before.clone())
    });
    let new = NewRegistration {
        name,
        provider: request.provider,
        role_arn: role_arn(request, seen),
        user_tags: request.tags.clone(),
        own_tags: [(MANAGED_TAG, "true"), (INTENT_TAG, &intent.id)]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        request_token: token.to_owned(),
    };
    plan.add(Step::Register(new), before.into_iter().chain(roles).chain(free));
    Ok(AccountPlan { plan, notes, intent: Some(intent) })
}

fn role_arn(request: &AccountRequest, seen: &AccountSeen) -> Option<String> {
    match (&seen.agent_role, &request.role) {
        (RoleSeen::Present(role), _) => Some(role.arn.clone()),
        (_, RoleChoice::Given { arn, .. }) => Some(arn.clone()),
        (RoleSeen::Unreadable, RoleChoice::Named(design)) => {
            Some(design.arn(partition(&seen.region), &seen.caller.account))
        }
        (RoleSeen::Absent, RoleChoice::Named(_)) => None,
    }
}

fn situation(
    request: &AccountRequest,
    seen: &AccountSeen,
    arn: &str,
    notes: &mut Vec<String>,
) -> Result<Situation, Error> {
    let name = &request.name;
    if let FileSeen::Intent(intent) = &seen.file
        && intent.arn != arn
    {
        return Err(taken(seen, format!("it is being written for {}", intent.arn)));
    }
    let Some(registration) = &seen.registration else {
        return match &seen.file {
            FileSeen::Absent | FileSeen::Intent(_) => Ok(Situation::Fresh { discard: false }),
            FileSeen::Activation(handed) if handed.arn == arn => {
                Err(taken(seen, format!("it holds the activation of {arn}, which no longer exists")))
            }
            FileSeen::Activation(handed) => {
                Err(taken(seen, format!("it holds the activation of {}", handed.arn)))
            }
        };
    };
    if registration.role_arn.is_none() {
        return Err(Error::refused(
            Code::NAME_HELD,
            format!("{name} is the name of a cluster that EKS runs itself"),
        )
        .fix("choose another --name"));
    }
    match &seen.file {
        FileSeen::Activation(handed) => known(request, seen, registration, handed, notes),
        FileSeen::Intent(intent) if is_intended(registration, intent) && registration.status != Status::Active => {
            if registration.status == Status::Deleting {
                return Err(being_deleted(name));
            }
            notes.push(format!(
                "An earlier run registered {name} and ended before it could write the activation; the registration is \
                 removed and made anew."
            ));
            Ok(Situation::Fresh { discard: true })
        }
        FileSeen::Absent | FileSeen::Intent(_) => Err(Error::refused(
            Code::NAME_HELD,
            format!("the name {name} is held by a registration ({}) whose activation is not here", registration.status),
        )
        .cause("an activation code is given once, when the registration is made")
        .fix(format!(
            "name the file that was written then, choose another --name, or, if it is yours and not used, remove it: \
             aws eks deregister-cluster --name {name} --region {}",
            seen.region
        ))),
    }
}

/// The file holds an activation, and there is a registration.
fn known(
    request: &AccountRequest,
    seen: &AccountSeen,
    registration: &Registration,
    handed: &Handed,
    notes: &mut Vec<String>,
) -> Result<Situation, Error> {
    let name = &request.name;
    if handed.arn != registration.arn {
        return Err(taken(seen, format!("it holds the activation of {}", handed.arn)));
    }
    if registration.activation_id.as_ref() != Some(&handed.activation.id) {
        return Err(taken(seen, format!("it holds another activation of {name} than the registration has")));
    }
    match &registration.status {
        Status::Deleting => Err(being_deleted(name)),
        Status::Failed => Err(expired(seen, name, "the registration FAILED")),
        Status::Creating | Status::Pending if handed.expiry <= seen.now => {
            Err(expired(seen, name, "it was not used in time"))
        }
        Status::Creating | Status::Pending | Status::Active | Status::Updating | Status::Unknown(_) => {
            notes.push(format!(
                "{} holds the activation of {name}, which is {}.",
                seen.path, registration.status
            ));
            if !uses_role(registration, &request.role)
                && let Some(role) = &registration.role_arn
            {
                notes.push(format!(
                    "{name} is registered with the role {role}; a registration keeps its role."
                ));
            }
            Ok(Situation::Known)
        }
    }
}

fn taken(seen: &AccountSeen, why: String) -> Error {
    Error::refused(Code::ACTIVATION_FILE_TAKEN, format!("{} exists already", seen.path))
        .cause(why)
        .fix("name a file that does not exist with --activation-out, or remove this one if nobody needs it")
}

fn expired(seen: &AccountSeen, name: &ClusterName, why: &str) -> Error {
    Error::refused(
        Code::ACTIVATION_EXPIRED,
        format!("the activation of {name} in {} can no longer be used", seen.path),
    )
    .cause(why.to_owned())
    .fix(format!(
        "remove both and register anew: aws eks deregister-cluster --name {name} --region {}; rm {}; then run the same \
         command again",
        seen.region, seen.path
    ))
}

fn being_deleted(name: &ClusterName) -> Error {
    Error::refused(Code::BEING_DELETED, format!("registration {name} is being deleted"))
        .fix("run the same command again when it is gone")
}

/// EKS gives times in whole seconds, and its clock is not ours.
const CLOCK_TOLERANCE_SECONDS: i64 = 300;

/// A run that intends to register does so within minutes, or not at all.
const INTENT_HOLDS_SECONDS: i64 = 900;

/// Whether a registration is the one of an intent: it carries its tag. One that carries no tag of ours, for want of the
/// right to tag, is told by its time.
fn is_intended(registration: &Registration, intent: &FileIntent) -> bool {
    if let Some(id) = registration.tags.get(INTENT_TAG) {
        return *id == intent.id;
    }
    let untagged = [MANAGED_TAG, CLUSTER_UID_TAG].iter().all(|tag| !registration.tags.contains_key(*tag));
    let made_then = registration.created_at.is_some_and(|created| {
        let after = created.as_second() - intent.started_at.as_second();
        (-CLOCK_TOLERANCE_SECONDS..=INTENT_HOLDS_SECONDS).contains(&after)
    });
    untagged && made_then
}
