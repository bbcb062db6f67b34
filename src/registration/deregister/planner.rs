//! Decides what deregistering has to do. Pure and synchronous: execution decides nothing.

use super::belongs::{Doomed, Inside, Rules, inside, rules};
use super::request::DeregisterRequest;
use super::roles::role_steps;
use super::seen::{AccountSeen, ClusterSeen, Seen};
use super::step::{Part, Step};
use super::target::{Target, target};
use crate::error::{Code, Error};
use crate::manifest::{DEFAULT_NAMESPACE, Object, ObjectKind, ObjectRef, STATEFUL_SET};
use crate::plan::{Plan, StepId};
use crate::registration::desired::cluster_arn;
use crate::registration::observed::{Intent, Status};

/// What deregistering has to do, and what a person should know about why.
#[derive(Clone, Debug, PartialEq)]
pub struct DeregisterPlan {
    /// What goes; `None` if there is nothing.
    pub target: Option<Target>,
    /// The steps.
    pub plan: Plan<Step>,
    /// Sentences to be said before anything is done.
    pub notes: Vec<String>,
    /// What has to be agreed to first.
    pub question: Option<String>,
}

/// Plans. `request_token` tells this run from others in the Lease.
///
/// # Errors
/// What must not be removed, or is not there.
pub fn plan(request: &DeregisterRequest, seen: &Seen, request_token: &str) -> Result<DeregisterPlan, Error> {
    let Some(target) = target(request, seen)? else {
        return nothing(request, seen);
    };
    let mut notes = Vec::new();
    let mut plan = Plan::default();
    let cluster = seen.cluster.as_ref().map(|cluster| Going::new(cluster, target.theirs));
    if let Some(going) = &cluster {
        notes.extend(going.notes(&target));
    }
    let held = cluster.as_ref().and_then(|going| going.hold(&target, seen, request_token, &mut plan));
    let start: Vec<StepId> = held.into_iter().collect();
    let blind = cluster.as_ref().map(|going| going.blind(&start, &mut plan)).unwrap_or_default();
    let ready: Vec<StepId> = start.iter().copied().chain(blind).collect();
    let mut last = ready.clone();
    if let Some(account) = &seen.account {
        last = account_steps(request, account, &target, &ready, &mut plan, &mut notes)?;
    }
    if let Some(going) = &cluster {
        going.steps(&last, &mut plan);
    }
    let is_change = plan.iter().any(|(_, planned)| planned.step.is_change());
    let question = is_change.then(|| question(&target, seen));
    Ok(DeregisterPlan { target: Some(target), plan, notes, question })
}

/// There is nothing anywhere. Roles go all the same where that is as good.
fn nothing(request: &DeregisterRequest, seen: &Seen) -> Result<DeregisterPlan, Error> {
    if !request.allow_missing {
        return Err(not_there(request, seen));
    }
    let (mut plan, mut notes) = (Plan::default(), Vec::new());
    let name = request.name.as_ref().map(ToString::to_string);
    let arn = seen.account.as_ref().zip(name.as_ref());
    let arn = arn.map(|(account, name)| cluster_arn(&account.region, &account.caller.account, name));
    let target = Target { name, arn, registration: None, theirs: false };
    if let Some(account) = &seen.account {
        account_steps(request, account, &target, &[], &mut plan, &mut notes)?;
    }
    let question = (!plan.is_empty()).then(|| "Remove this?".to_owned());
    let target = target.name.is_some().then_some(target);
    Ok(DeregisterPlan { target, plan, notes, question })
}

fn not_there(request: &DeregisterRequest, seen: &Seen) -> Error {
    let place = seen
        .account
        .as_ref()
        .map(|account| format!("account {}, {}", account.caller.account, account.region));
    let what = match (&request.name, &place) {
        (Some(name), Some(place)) => format!("there is no registration {name} in {place}"),
        (None, Some(_)) => "this cluster has no connector and no registration".to_owned(),
        (_, None) => "this cluster has no connector".to_owned(),
    };
    let what = match (&request.name, &seen.cluster, &place) {
        (Some(_), Some(_), Some(_)) => format!("{what}, and nothing of it in this cluster"),
        _ => what,
    };
    Error::refused(Code::NOTHING_TO_DEREGISTER, what).fix(
        "check --name, --region, --profile and --context; where that is as good, say so with --allow-missing",
    )
}

fn account_steps(
    request: &DeregisterRequest,
    account: &AccountSeen,
    target: &Target,
    needs: &[StepId],
    plan: &mut Plan<Step>,
    notes: &mut Vec<String>,
) -> Result<Vec<StepId>, Error> {
    let mut last = needs.to_vec();
    if let Some(registration) = target.registration.as_ref().filter(|it| it.status != Status::Deleting) {
        let step = Step::Deregister {
            name: registration.name.clone(),
            status: registration.status.clone(),
            activation_id: registration.activation_id.clone(),
        };
        last = vec![plan.add(step, needs.iter().copied())];
    }
    let roles = role_steps(request, account, target, &last, plan, notes)?;
    // With the namespace goes what tells which role it was.
    last.extend(roles);
    Ok(last)
}

fn delete(doomed: &[Doomed], needs: &[StepId], plan: &mut Plan<Step>) -> Vec<StepId> {
    let steps = doomed.iter().map(|it| Step::Delete {
        object: it.object.clone(),
        uid: it.uid.clone(),
        part: if it.access { Part::Access } else { Part::Objects },
    });
    steps.map(|step| plan.add(step, needs.iter().copied())).collect()
}

/// What goes of the cluster.
pub(super) struct Going<'a> {
    cluster: &'a ClusterSeen,
    rules: Rules,
    inside: Inside,
    theirs: bool,
}

impl<'a> Going<'a> {
    pub(super) fn new(cluster: &'a ClusterSeen, theirs: bool) -> Self {
        let rules = rules(cluster, theirs);
        let inside = inside(cluster, &rules, theirs);
        Self { cluster, rules, inside, theirs }
    }

    fn namespace(&self) -> ObjectRef {
        ObjectRef::new(ObjectKind::Namespace, &self.cluster.namespace, &self.cluster.namespace)
    }

    /// Whether the whole namespace goes: nobody else has anything in it, and it was made for the connector.
    fn namespace_goes(&self) -> bool {
        let made_for_it = |ours: bool| ours || (self.theirs && self.cluster.namespace == DEFAULT_NAMESPACE);
        let live = self.cluster.live.as_ref();
        live.is_some_and(|live| made_for_it(live.ours))
            && self.inside.foreign.is_empty()
            && self.cluster.contents.unreadable.is_empty()
    }

    fn is_terminating(&self) -> bool {
        self.cluster.live.as_ref().is_some_and(|live| live.terminating)
    }

    /// Takes away, first of all, that the connector can act as others: a binding that is left would serve whoever has the
    /// service account next.
    pub(super) fn blind(&self, needs: &[StepId], plan: &mut Plan<Step>) -> Vec<StepId> {
        delete(&self.rules.impersonation, needs, plan)
    }

    /// The Lease, where there is a place for it. In a namespace that goes already nothing can be made.
    pub(super) fn hold(
        &self,
        target: &Target,
        seen: &Seen,
        token: &str,
        plan: &mut Plan<Step>,
    ) -> Option<StepId> {
        self.cluster.live.as_ref().filter(|live| !live.terminating)?;
        let before = self.cluster.lease.as_ref();
        let told = before.and_then(|lease| lease.intent.as_ref());
        let registration = target.registration.as_ref();
        let arn =
            target.arn.clone().or_else(|| told.map(|intent| intent.cluster_arn.clone())).unwrap_or_default();
        // What proves a registration to be this cluster's must still do so for the next run.
        let same = told.filter(|intent| intent.cluster_arn == arn && intent.cluster_uid == self.cluster.uid);
        let role = registration.and_then(|it| it.role_arn.as_deref()).and_then(|arn| arn.rsplit('/').next());
        let intent = Intent {
            cluster_arn: arn.clone(),
            role: role
                .map(str::to_owned)
                .or_else(|| same.map(|intent| intent.role.clone()))
                .unwrap_or_default(),
            provider: registration
                .and_then(|it| it.provider.clone())
                .or_else(|| same.map(|intent| intent.provider.clone()))
                .unwrap_or_default(),
            request_token: token.to_owned(),
            cluster_uid: self.cluster.uid.clone(),
            started_at: same.map_or(seen.now, |intent| intent.started_at),
        };
        let step = Step::HoldLease {
            namespace: self.cluster.namespace.clone(),
            seen: before.map(|lease| lease.resource_version.clone()),
            intent,
        };
        Some(plan.add(step, []))
    }

    pub(super) fn steps(&self, needs: &[StepId], plan: &mut Plan<Step>) {
        let inside_too = !self.namespace_goes() && !self.is_terminating();
        let set = ObjectRef::new(ObjectKind::StatefulSet, &self.cluster.namespace, STATEFUL_SET);
        let agents = self.cluster.installed.as_ref().filter(|installed| installed.ours || self.theirs);
        let stopped: Vec<StepId> = match agents {
            _ if self.is_terminating() => needs.to_vec(),
            None => needs.to_vec(),
            Some(agents) if inside_too => {
                let step = Step::StopAgents { object: set, uid: agents.uid.clone() };
                vec![plan.add(step, needs.iter().copied())]
            }
            Some(agents) => {
                let step = Step::Delete { object: set, uid: agents.uid.clone(), part: Part::Objects };
                vec![plan.add(step, needs.iter().copied())]
            }
        };
        // What is in a namespace that goes, goes with it.
        let goes_by_itself =
            |object: &ObjectRef| !inside_too && object.namespace.as_ref() == Some(&self.cluster.namespace);
        let others: Vec<Doomed> =
            self.rules.others.iter().filter(|it| !goes_by_itself(&it.object)).cloned().collect();
        let mut last = delete(&others, &stopped, plan);
        if let Some((name, uid)) = &self.cluster.constraints {
            let object = ObjectRef::new(ObjectKind::SecurityContextConstraints, "", name);
            let doomed = Doomed { object, uid: uid.clone(), access: false };
            last.extend(delete(&[doomed], &stopped, plan));
        }
        last.extend(stopped);
        if inside_too {
            last.extend(delete(&self.inside.own, &last.clone(), plan));
            // As long as it may have more of ours, the next run must find it.
            let all_seen = self.cluster.contents.unreadable.is_empty();
            if self.cluster.live.as_ref().is_some_and(|live| live.marked && all_seen) {
                let namespace = self.namespace();
                let body = serde_json::json!({
                    "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace.name },
                });
                plan.add(Step::Unmark(Object { reference: namespace, body }), last);
            }
            return;
        }
        let Some(live) = &self.cluster.live else { return };
        if !live.terminating {
            let step =
                Step::Delete { object: self.namespace(), uid: live.uid.clone(), part: Part::Namespace };
            last = vec![plan.add(step, last)];
        }
        plan.add(Step::AwaitNamespace { namespace: self.namespace() }, last);
    }

    pub(super) fn notes(&self, target: &Target) -> Vec<String> {
        const SHOWN: usize = 5;
        let mut notes: Vec<String> = self.rules.notes.iter().take(SHOWN).cloned().collect();
        if self.rules.notes.len() > SHOWN {
            notes.push(format!("And {} more bindings like that.", self.rules.notes.len() - SHOWN));
        }
        let namespace = &self.cluster.namespace;
        if !self.theirs
            && let Some(installed) = self.cluster.installed.as_ref().filter(|it| !it.ours)
        {
            notes.push(format!(
                "The connector in namespace {namespace} uses the activation {}, which is not that of {}; it is kept.",
                installed.activation_id.as_deref().unwrap_or("that it does not tell"),
                target.name.as_deref().unwrap_or("this registration"),
            ));
        }
        let stays = self.cluster.live.is_some() && !self.namespace_goes() && !self.is_terminating();
        if stays && self.theirs {
            notes.push(self.why_namespace_stays());
        }
        notes
    }

    fn why_namespace_stays(&self) -> String {
        const SHOWN: usize = 3;
        const KINDS_SHOWN: usize = 5;
        let namespace = &self.cluster.namespace;
        let foreign = &self.inside.foreign;
        let unreadable = &self.cluster.contents.unreadable;
        if !unreadable.is_empty() {
            let mut kinds: Vec<String> = unreadable.iter().take(KINDS_SHOWN).cloned().collect();
            if unreadable.len() > KINDS_SHOWN {
                kinds.push(format!("{} more", unreadable.len() - KINDS_SHOWN));
            }
            return format!(
                "Namespace {namespace} is kept, since what is in it could not all be listed: {}.",
                kinds.join(", ")
            );
        }
        if foreign.is_empty() {
            return format!("Namespace {namespace} is kept: it was not made for the connector.");
        }
        let mut shown: Vec<String> = foreign.iter().take(SHOWN).cloned().collect();
        if foreign.len() > SHOWN {
            shown.push(format!("{} more", foreign.len() - SHOWN));
        }
        format!("Namespace {namespace} is kept: it has what is not the connector's ({}).", shown.join(", "))
    }
}

/// What is said when it is asked. The plan itself is shown above it.
fn question(target: &Target, seen: &Seen) -> String {
    let name = target.name.as_deref().unwrap_or("the connector");
    let mut parts = Vec::new();
    if let Some(registration) = &target.registration {
        let blind = match registration.status {
            Status::Active | Status::Updating => {
                " From then on nobody can look into the cluster through EKS."
            }
            Status::Creating | Status::Pending | Status::Deleting | Status::Failed | Status::Unknown(_) => "",
        };
        parts.push(format!("The registration {name} ({}) is removed.{blind}", registration.status));
        if seen.cluster.is_none() {
            parts.push(
                "The cluster is not looked at: its agents, if it still has any, stay without use.".to_owned(),
            );
        }
    } else {
        parts.push(format!("What is left of {name} in the cluster is removed."));
    }
    parts.push("Go on?".to_owned());
    parts.join("\n")
}
