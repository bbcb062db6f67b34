//! What nobody needs any more: registrations of ours that can never become ACTIVE, roles of ours that nothing uses, and a
//! connector of ours without a registration. Pure.

use jiff::{SignedDuration, Timestamp};

use super::planner::{DeregisterPlan, Going};
use super::request::GcRequest;
use super::roles::{is_role, what_others_gave};
use super::seen::{AccountSeen, ClusterSeen, OwnRole, Seen};
use super::step::Step;
use super::target::Target;
use crate::plan::{Plan, StepId};
use crate::registration::desired::cluster_arn;
use crate::registration::observed::{Registration, Status};
use crate::registration::proof::prove_by;
use crate::registration::request::MANAGED_TAG;

/// How old something has to be where nothing else is said, as people write it.
pub const USUAL_AGE: &str = "1h";

/// Plans. `request_token` tells this run from others in the Lease.
pub fn plan(request: &GcRequest, seen: &Seen, request_token: &str) -> DeregisterPlan {
    let mut plan = Plan::default();
    let mut notes = Vec::new();
    // What is from after this may still be of use.
    let age = SignedDuration::try_from(request.older_than).unwrap_or(SignedDuration::MAX);
    let before = seen.now.saturating_sub(age).unwrap_or(Timestamp::MIN);
    let dead: Vec<&Registration> = match &seen.account {
        Some(account) => account.all.iter().filter(|it| is_dead(it, before)).collect(),
        None => Vec::new(),
    };
    let cluster = seen.cluster.as_ref().and_then(|cluster| orphan(cluster, seen, &dead, &mut notes));
    let going = cluster.as_ref().map(|(cluster, target)| (Going::new(cluster, true), target));
    if let Some((going, target)) = &going {
        notes.extend(going.notes(target));
    }
    let held = going.as_ref().and_then(|(going, target)| going.hold(target, seen, request_token, &mut plan));
    let start: Vec<StepId> = held.into_iter().collect();
    let blind = going.as_ref().map(|(going, _)| going.blind(&start, &mut plan)).unwrap_or_default();
    let ready: Vec<StepId> = start.into_iter().chain(blind).collect();
    let mut last = ready.clone();
    for registration in dead.iter().filter(|it| it.status != Status::Deleting) {
        let step = Step::Deregister {
            name: registration.name.clone(),
            status: registration.status.clone(),
            activation_id: registration.activation_id.clone(),
        };
        last.push(plan.add(step, ready.iter().copied()));
    }
    if let Some(account) = &seen.account {
        roles(account, before, &dead, &last.clone(), &mut plan, &mut notes);
        notes.extend(other_regions(account, before, age));
    }
    if let Some((going, _)) = &going {
        going.steps(&last, &mut plan);
    }
    let is_change = plan.iter().any(|(_, planned)| planned.step.is_change());
    let question = is_change.then(|| "All of this is of no use any more. Remove it?".to_owned());
    DeregisterPlan { target: going.map(|(_, target)| target.clone()), plan, notes, question }
}

/// Whether a registration is ours and can never become ACTIVE, and that not only since a moment ago: a FAILED one may still
/// be looked at, or just be made anew.
fn is_dead(registration: &Registration, before: Timestamp) -> bool {
    if registration.tags.get(MANAGED_TAG).is_none_or(|value| value != "true") {
        return false;
    }
    let expiry = registration.activation_expiry;
    match registration.status {
        // It failed when its activation expired, if not before.
        Status::Failed => expiry.is_none_or(|expiry| expiry < before),
        Status::Creating | Status::Pending => expiry.is_some_and(|expiry| expiry < before),
        Status::Active | Status::Updating | Status::Deleting | Status::Unknown(_) => false,
    }
}

/// The cluster, if it has a connector of ours and no registration that could ever use it.
fn orphan<'a>(
    cluster: &'a ClusterSeen,
    seen: &Seen,
    dead: &[&Registration],
    notes: &mut Vec<String>,
) -> Option<(&'a ClusterSeen, Target)> {
    let ours = cluster.installed.as_ref().map_or_else(
        || cluster.live.as_ref().is_some_and(|live| live.ours || live.mark.is_some()),
        |installed| installed.ours,
    );
    let arn = cluster.told_arn().filter(|_| ours)?;
    let account = seen.account.as_ref()?;
    let name = arn.rsplit('/').next().unwrap_or_default();
    if arn != cluster_arn(&account.region, &account.caller.account, name) {
        notes.push(format!(
            "The connector of this cluster belongs to {arn}, in another account or Region; whether that still exists is not \
             looked at."
        ));
        return None;
    }
    let evidence = cluster.evidence();
    let lives = |it: &&Registration| {
        !dead.iter().any(|dead| dead.arn == it.arn) && prove_by(it, &evidence).is_proven()
    };
    if account.all.iter().any(|it| lives(&it)) {
        return None;
    }
    let target =
        Target { name: Some(name.to_owned()), arn: Some(arn.to_owned()), registration: None, theirs: true };
    Some((cluster, target))
}

fn roles(
    account: &AccountSeen,
    before: Timestamp,
    dead: &[&Registration],
    needs: &[StepId],
    plan: &mut Plan<Step>,
    notes: &mut Vec<String>,
) {
    let Some(roles) = &account.roles else { return };
    for OwnRole { role, policies, created_at } in &roles.own {
        let name = role.arn.rsplit('/').next().unwrap_or_default();
        let used = roles.registrations.iter().any(|(_, it)| {
            !dead.iter().any(|dead| dead.arn == it.arn) && is_role(it.role_arn.as_deref(), name)
        });
        let young = created_at.is_none_or(|at| at > before);
        if used || young {
            continue;
        }
        if let Some(why) = what_others_gave(policies) {
            notes.push(format!("The role {name} is used by no registration and is kept: {why}."));
            continue;
        }
        let step = Step::DeleteRole { role: name.to_owned(), policies: policies.inline.clone() };
        plan.add(step, needs.iter().copied());
    }
}

/// The Regions that have garbage too, each with the command that removes what this one would.
fn other_regions(account: &AccountSeen, before: Timestamp, age: SignedDuration) -> Vec<String> {
    let Some(roles) = &account.roles else { return Vec::new() };
    let mut regions: Vec<&str> = roles
        .registrations
        .iter()
        .filter(|(region, it)| *region != account.region && is_dead(it, before))
        .map(|(region, _)| region.as_str())
        .collect();
    regions.dedup();
    // Written without spaces, it needs no quotes.
    let age = format!("{age:#}").replace(' ', "");
    let older = if age == USUAL_AGE { String::new() } else { format!(" --older-than {age}") };
    let note = |region: &str| {
        format!("There is more of that in {region}: eksconnect gc --region {region} --aws-only{older}")
    };
    regions.into_iter().map(note).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registration::deregister::seen::RolesSeen;
    use crate::registration::observed::Caller;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn registration(status: Status, expiry: Option<i64>) -> Registration {
        Registration {
            name: "onprem1".into(),
            arn: "arn:aws:eks:us-east-1:111122223333:cluster/onprem1".into(),
            status,
            created_at: Some(at(0)),
            activation_id: None,
            activation_expiry: expiry.map(at),
            role_arn: Some("arn:aws:iam::111122223333:role/Agent".into()),
            provider: None,
            tags: [(MANAGED_TAG.to_owned(), "true".to_owned())].into(),
        }
    }

    #[test]
    fn what_failed_or_expired_a_moment_ago_is_left() {
        let cases = [
            (Status::Failed, Some(99), true),
            (Status::Failed, Some(101), false),
            (Status::Failed, None, true),
            (Status::Pending, Some(99), true),
            (Status::Pending, Some(101), false),
            (Status::Pending, None, false),
            (Status::Active, Some(99), false),
        ];
        for (status, expiry, dead) in cases {
            let registration = registration(status, expiry);
            assert_eq!(is_dead(&registration, at(100)), dead, "{} {expiry:?}", registration.status);
        }
    }

    #[test]
    fn for_other_regions_the_same_age_is_asked_for() {
        let account = AccountSeen {
            caller: Caller {
                account: "111122223333".into(),
                arn: "arn:aws:iam::111122223333:user/ana".into(),
            },
            region: "eu-west-1".into(),
            named: None,
            all: Vec::new(),
            roles: Some(RolesSeen {
                registrations: vec![("us-east-1".into(), registration(Status::Failed, Some(99)))],
                ..RolesSeen::default()
            }),
        };
        let said = |age| other_regions(&account, at(100), age);
        let command = "There is more of that in us-east-1: eksconnect gc --region us-east-1 --aws-only";
        assert_eq!(said(SignedDuration::from_secs(60 * 60)), [command]);
        assert_eq!(said(SignedDuration::from_secs(1)), [format!("{command} --older-than 1s")]);
        assert_eq!(said(SignedDuration::from_secs(90 * 60)), [format!("{command} --older-than 1h30m")]);
        assert_eq!(said(SignedDuration::from_millis(1)), [format!("{command} --older-than 1ms")]);
    }
}
