//! What `deregister` shows.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use serde_json::Value;

use super::console::{BOLD, Console, DIM, NOTE};
use super::deregister_document as document;
use super::lines::{Lines, seconds};
use super::register::Interruptible;
use crate::cli::Format;
use crate::error::Error;
use crate::plan::{Conversation, Event, Reporter, StepId};
use crate::registration::deregister::seen::ClusterSeen;
use crate::registration::deregister::step::{Step, Topic};
use crate::registration::deregister::{DeregisterPreview, Deregistered};
use crate::registration::observed::Registration;
use crate::registration::step::SERVICE_LINKED_ROLE;

/// A cluster by the names that a person has for it.
#[derive(Clone, Debug)]
pub struct Where {
    /// Context of the kubeconfig.
    pub context: String,
    /// Address of the API server.
    pub server: String,
}

/// Which command it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// `deregister`.
    Deregister,
    /// `gc`.
    Collect,
    /// `roles delete`.
    Roles,
}

/// Shows a run of `deregister`, of `gc` or of `roles delete`.
pub struct DeregisterView {
    console: Console,
    lines: Lines<Topic>,
    /// The cluster, if it is worked on.
    place: Option<Where>,
    removal: Removal,
    /// Steps that began and have not ended.
    running: Mutex<BTreeMap<StepId, Step>>,
}

impl DeregisterView {
    /// For a run that works on the cluster at `place`, if on any.
    pub fn new(console: &Console, place: Option<Where>, removal: Removal) -> Self {
        Self {
            console: console.clone(),
            lines: Lines::new(console),
            place,
            removal,
            running: Mutex::new(BTreeMap::new()),
        }
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<StepId, Step>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn context(&self) -> &str {
        self.place.as_ref().map(|place| place.context.as_str()).unwrap_or_default()
    }

    /// A plan that is not executed.
    pub fn preview(&self, preview: &DeregisterPreview) {
        if self.console.format() != Format::Text {
            return self.console.document(&document::plan(preview, self.removal, self.place.as_ref()));
        }
        self.header(preview);
        let mut text = self.plan_text(preview);
        text.push(format!("{DIM}Nothing was removed.{DIM:#}"));
        self.console.result(&text.join("\n"));
    }

    /// The run ended: nothing is drawn any more.
    pub fn end(&self, well: bool) {
        self.lines.end(well);
    }

    /// The run ended well.
    pub fn deregistered(&self, ended: &Deregistered) {
        if self.console.format() != Format::Text {
            return self.console.document(&document::result(ended, self.removal, self.place.as_ref()));
        }
        let name = name_of(&ended.preview);
        let places: Vec<String> = [
            ended.preview.seen.account.as_ref().map(|account| format!("account {}", account.caller.account)),
            self.place.as_ref().map(|place| format!("cluster {}", place.context)),
        ]
        .into_iter()
        .flatten()
        .collect();
        let (place, took) = (places.join(" and "), seconds(ended.took));
        let text = match (self.removal, ended.changed) {
            (Removal::Deregister, true) => {
                let kept = kept_namespace(&ended.preview);
                let kept = kept.map(|namespace| format!(" Namespace {namespace} stays.")).unwrap_or_default();
                format!("{BOLD}{name}{BOLD:#} is gone from {place} after {took}.{kept}")
            }
            (Removal::Deregister, false) => format!("There is nothing of {name} in {place}; nothing to do."),
            (Removal::Collect, true) => {
                format!("What was of no use any more is gone from {place} after {took}.")
            }
            (Removal::Collect, false) => format!("There is nothing to remove in {place}; nothing to do."),
            (Removal::Roles, true) => {
                let gone = ended.preview.plan.plan.iter().filter_map(|(_, planned)| role_of(&planned.step));
                format!("Gone from {place}: {BOLD}{}{BOLD:#}.", gone.collect::<Vec<_>>().join(", "))
            }
            (Removal::Roles, false) => format!("There is no such role in {place}; nothing to do."),
        };
        self.console.say("");
        self.console.result(&text);
    }

    fn header(&self, preview: &DeregisterPreview) {
        if let Some(account) = &preview.seen.account {
            let caller =
                account.caller.arn.rsplit_once(':').map_or(account.caller.arn.as_str(), |(_, name)| name);
            let as_caller = format!("{} as {caller}", account.caller.account);
            self.lines.say(&format!(
                "{BOLD}Account{BOLD:#}   {as_caller:<36}  {BOLD}Region{BOLD:#}  {}",
                account.region
            ));
        }
        if let Some(place) = &self.place {
            self.lines.say(&format!("{BOLD}Cluster{BOLD:#}   {}  {}", place.context, place.server));
        }
        for note in &preview.plan.notes {
            self.note(note);
        }
        self.lines.say("");
    }

    /// What executing the plan would remove.
    fn plan_text(&self, preview: &DeregisterPreview) -> Vec<String> {
        let removed = |what: &str| format!("  {NOTE}-{NOTE:#} {what}");
        let (mut account, mut cluster) = (Vec::new(), Vec::new());
        for (_, planned) in preview.plan.plan.iter() {
            match &planned.step {
                Step::HoldLease { .. } => {}
                Step::Delete { object, .. } | Step::StopAgents { object, .. } => {
                    cluster.push(removed(&object.to_string()));
                }
                Step::Unmark(object) => {
                    cluster.push(format!("  {NOTE}~{NOTE:#} {} (eksconnect's marks)", object.reference));
                }
                Step::Deregister { name, .. } => {
                    let target = preview.plan.target.as_ref().and_then(|it| it.registration.as_ref());
                    let all = preview.seen.account.iter().flat_map(|account| &account.all);
                    let registration = target.into_iter().chain(all).find(|it| it.name == *name);
                    let about = registration.map(about).unwrap_or_default();
                    account.push(removed(&format!("registration {name}{about}")));
                }
                Step::DeleteRole { role, .. } => account.push(removed(&format!("role         {role}"))),
                Step::DeleteServiceLinkedRole => {
                    account.push(removed(&format!("role         {SERVICE_LINKED_ROLE}")));
                }
                Step::AwaitNamespace { namespace } => {
                    let inside = preview.seen.cluster.as_ref().map(inside).unwrap_or_default();
                    let namespace = format!("{namespace}");
                    match cluster.iter_mut().find(|line| line.ends_with(&namespace)) {
                        Some(line) => line.push_str(&inside),
                        None => cluster.push(format!("  {DIM}·{DIM:#} {namespace} is being deleted already")),
                    }
                }
            }
        }
        let mut out = Vec::new();
        if account.is_empty() && cluster.is_empty() {
            out.push("There is nothing to remove.".to_owned());
            return out;
        }
        if let Some(seen) = preview.seen.account.as_ref().filter(|_| !account.is_empty()) {
            out.push(format!(
                "{BOLD}To be removed from account {}, {}:{BOLD:#}",
                seen.caller.account, seen.region
            ));
            out.append(&mut account);
        }
        if !cluster.is_empty() {
            out.push(format!("{BOLD}To be removed from cluster {}:{BOLD:#}", self.context()));
            out.append(&mut cluster);
        }
        out
    }

    fn announce(&self, preview: &DeregisterPreview) {
        let name = name_of(preview);
        let namespace =
            preview.seen.cluster.as_ref().map(|cluster| cluster.namespace.as_str()).unwrap_or_default();
        for topic in Topic::ALL {
            let steps: Vec<&Step> = preview
                .plan
                .plan
                .iter()
                .map(|(_, planned)| &planned.step)
                .filter(|step| step.topic() == Some(topic))
                .collect();
            let subject = match topic {
                Topic::Registration => steps.iter().find_map(|step| deregistered(step)).unwrap_or(&name),
                Topic::Objects | Topic::Namespace => namespace,
                Topic::ServiceLinkedRole => SERVICE_LINKED_ROLE,
                Topic::Access => "",
                Topic::AgentRole => steps.iter().find_map(|step| role_of(step)).unwrap_or_default(),
            };
            if !steps.is_empty() {
                self.lines.expect(topic, subject, steps.len());
            }
        }
    }
}

fn name_of(preview: &DeregisterPreview) -> String {
    let name = preview.plan.target.as_ref().and_then(|target| target.name.clone());
    name.unwrap_or_else(|| "the connector".to_owned())
}

/// The connector's namespace, if it stays.
fn kept_namespace(preview: &DeregisterPreview) -> Option<&str> {
    let cluster = preview.seen.cluster.as_ref().filter(|cluster| cluster.live.is_some())?;
    let goes = |step: &Step| matches!(step, Step::AwaitNamespace { .. });
    let stays = !preview.plan.plan.iter().any(|(_, planned)| goes(&planned.step));
    let theirs = preview.plan.target.as_ref().is_some_and(|target| target.theirs);
    (stays && theirs).then_some(cluster.namespace.as_str())
}

fn deregistered(step: &Step) -> Option<&str> {
    match step {
        Step::Deregister { name, .. } => Some(name),
        Step::HoldLease { .. }
        | Step::Delete { .. }
        | Step::DeleteRole { .. }
        | Step::StopAgents { .. }
        | Step::Unmark(_)
        | Step::DeleteServiceLinkedRole
        | Step::AwaitNamespace { .. } => None,
    }
}

fn role_of(step: &Step) -> Option<&str> {
    match step {
        Step::DeleteRole { role, .. } => Some(role),
        Step::DeleteServiceLinkedRole => Some(SERVICE_LINKED_ROLE),
        Step::HoldLease { .. }
        | Step::Delete { .. }
        | Step::Deregister { .. }
        | Step::StopAgents { .. }
        | Step::Unmark(_)
        | Step::AwaitNamespace { .. } => None,
    }
}

/// ` (ACTIVE, OTHER, made 2026-11-25)`.
fn about(registration: &Registration) -> String {
    let made = registration.created_at.map(|at| format!("made {}", at.strftime("%F")));
    let parts: Vec<String> = [Some(registration.status.to_string()), registration.provider.clone(), made]
        .into_iter()
        .flatten()
        .collect();
    format!(" ({})", parts.join(", "))
}

/// ` with 14 objects of the connector`.
fn inside(cluster: &ClusterSeen) -> String {
    let own = |metadata: &Value| metadata["ownerReferences"].as_array().is_none_or(Vec::is_empty);
    let of_every = ["Event", "Endpoints", "EndpointSlice", "PodMetrics"];
    let count = cluster
        .contents
        .objects
        .iter()
        .filter(|it| own(&it.metadata) && !of_every.contains(&it.kind.as_str()))
        .filter(|it| !matches!(it.name(), "default" | "kube-root-ca.crt"))
        .count();
    if count == 0 { String::new() } else { format!(" with the {count} objects in it") }
}

impl Interruptible for DeregisterView {
    fn stopping(&self) {
        self.lines.say("Interrupted: finishing the requests in flight (interrupt again to end at once).");
    }
}

impl Conversation<Step, DeregisterPreview> for DeregisterView {
    fn planned(&self, seen: &DeregisterPreview) {
        self.header(seen);
        if seen.plan.question.is_some() {
            // What is agreed to is shown whole, before any line of progress.
            for line in self.plan_text(seen) {
                self.lines.say(&line);
            }
            self.lines.say("");
        }
        self.announce(seen);
    }

    fn ask<'a>(&'a self, question: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.console.agree(question))
    }

    fn note(&self, text: &str) {
        self.lines.say(&format!("{NOTE}‼{NOTE:#} {text}"));
    }
}

impl Reporter<Step> for DeregisterView {
    fn event(&self, event: Event<Step>) {
        match event {
            Event::Started { id, step } => {
                if let Some(topic) = step.topic() {
                    self.lines.begin(topic);
                }
                self.running().insert(id, step);
            }
            Event::Progress { id, text } => {
                let topic = self.running().get(&id).and_then(Step::topic);
                if let Some(topic) = topic {
                    self.lines.progress(topic, &text);
                }
            }
            Event::Finished { id, outcome, .. } => {
                let topic = self.running().remove(&id).and_then(|step| step.topic());
                if let Some(topic) = topic {
                    self.lines.done(topic, &outcome);
                }
            }
            Event::Failed { id, .. } => {
                let topic = self.running().remove(&id).and_then(|step| step.topic());
                if let Some(topic) = topic {
                    self.lines.failed(topic);
                }
            }
        }
    }
}
