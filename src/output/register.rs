//! What `register` shows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use futures::future::BoxFuture;

use super::access;
use super::console::{BOLD, Console, NOTE};
use super::document::{self, Place};
use super::lines::{Lines, seconds};
use crate::access::observe::AccessPreview;
use crate::cli::Format;
use crate::error::Error;
use crate::plan::{Conversation, Event, Reporter, StepId};
use crate::registration::desired::Desired;
use crate::registration::observed::{NodeFacts, Observed};
use crate::registration::planner::RegisterPlan;
use crate::registration::register::{Preview, Registered};
use crate::registration::request::RegisterRequest;
use crate::registration::step::{SERVICE_LINKED_ROLE, Step, Topic};
use crate::registration::upgrade::Upgraded;
use crate::registration::upgrade::request::UpgradeRequest;

/// Something that a signal can end.
pub trait Interruptible {
    /// The first signal came.
    fn stopping(&self);
}

/// Shows a run of `register`.
pub struct RegisterView {
    pub(super) console: Console,
    pub(super) lines: Lines<Topic>,
    pub(super) name: String,
    provider_asked_for: bool,
    wait: Option<std::time::Duration>,
    context: String,
    server: String,
    /// Whether the place was said.
    headed: AtomicBool,
    /// Steps that began and have not ended.
    running: Mutex<BTreeMap<StepId, Step>>,
}

impl RegisterView {
    /// For a request, in a place.
    pub fn new(console: &Console, request: &RegisterRequest, context: &str, server: &str) -> Self {
        let view = Self::of(console, request.name.as_str(), request.wait, context, server);
        Self { provider_asked_for: request.provider.is_some(), ..view }
    }

    /// For upgrading: the name is known once the cluster has told it.
    pub fn of_upgrade(console: &Console, request: &UpgradeRequest, context: &str, server: &str) -> Self {
        Self::of(console, "", Some(request.wait), context, server)
    }

    pub(super) fn of(
        console: &Console,
        name: &str,
        wait: Option<std::time::Duration>,
        context: &str,
        server: &str,
    ) -> Self {
        Self {
            console: console.clone(),
            lines: Lines::new(console),
            name: name.to_owned(),
            provider_asked_for: false,
            wait,
            context: context.to_owned(),
            server: server.to_owned(),
            headed: AtomicBool::default(),
            running: Mutex::new(BTreeMap::new()),
        }
    }

    pub(super) fn place(&self) -> Place<'_> {
        Place { context: &self.context, server: &self.server }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, BTreeMap<StepId, Step>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A plan that is not executed.
    pub fn preview(&self, preview: &Preview, diff: bool) {
        match self.console.format() {
            Format::Text => {
                self.header(&preview.desired, &preview.observed, &preview.plan);
                self.console.result(&super::plan::text(preview, &self.context, diff));
            }
            Format::Json | Format::Yaml => {
                self.console.document(&document::plan(preview, &self.place(), diff));
            }
        }
    }

    /// A plan to upgrade that is not executed.
    pub fn upgrade_preview(&self, preview: &Preview, diff: bool) {
        match self.console.format() {
            Format::Text => self.preview(preview, diff),
            Format::Json | Format::Yaml => {
                let mut document = document::plan(preview, &self.place(), diff);
                document["kind"] = "UpgradePlan".into();
                self.console.document(&document);
            }
        }
    }

    /// An upgrade ended well.
    pub fn upgraded(&self, ended: &Upgraded) {
        let Upgraded { preview, done, changed, viewers, took } = ended;
        let name = &preview.desired.name;
        if self.console.format() != Format::Text {
            let ended = Registered {
                desired: preview.desired.clone(),
                observed: preview.observed.clone(),
                done: done.clone(),
                changed: *changed,
                active: true,
                took: *took,
                granted: None,
            };
            let mut document = document::registered(&ended, &self.place());
            document["kind"] = "UpgradeResult".into();
            document["viewers"] = serde_json::json!(viewers.as_ref().ok());
            if let Err(why) = viewers
                && let Some(unverified) = document["unverified"].as_array_mut()
            {
                unverified.push(not_verified(why).into());
            }
            return self.console.document(&document);
        }
        if let Err(why) = viewers {
            self.note(&not_verified(why));
        }
        let text = if *changed {
            let viewers = match viewers {
                Ok(0) | Err(_) => String::new(),
                Ok(1) => " 1 principal can view as before.".to_owned(),
                Ok(count) => format!(" {count} principals can view as before."),
            };
            format!("{BOLD}{name}{BOLD:#} is upgraded, and ACTIVE after {}.{viewers}", seconds(*took))
        } else {
            format!("{BOLD}{name}{BOLD:#} is ACTIVE and its agents are as they should be; nothing to do.")
        };
        self.console.say("");
        self.console.result(&text);
    }

    /// The run ended: nothing is drawn any more.
    pub fn end(&self, well: bool) {
        self.lines.end(well);
    }

    /// The run ended well.
    pub fn registered(&self, ended: &Registered) {
        if self.console.format() != Format::Text {
            return self.console.document(&document::registered(ended, &self.place()));
        }
        let name = &self.name;
        let text = match (ended.changed, ended.active) {
            (false, true) => {
                format!("{BOLD}{name}{BOLD:#} is ACTIVE and everything is as it should be; nothing to do.")
            }
            (false, false) => {
                format!("{BOLD}{name}{BOLD:#} is registered and not ACTIVE yet; nothing to do.")
            }
            (true, true) => format!("{BOLD}{name}{BOLD:#} is ACTIVE after {}.", seconds(ended.took)),
            (true, false) => format!(
                "{BOLD}{name}{BOLD:#} is registered; its agents are starting.\nTo wait until it is ACTIVE, and to have \
                 the used activation code removed:\n  eksconnect register --name {name}"
            ),
        };
        let mut lines = vec![text];
        if let Some(granted) = &ended.granted {
            let desired = granted.preview.desired.iter();
            lines.extend(desired.flat_map(|desired| {
                access::granted(desired, &granted.preview, &granted.proofs, &self.console)
            }));
        }
        let first = ended.active && !ended.observed.has_agents();
        if first && ended.granted.is_none() && !self.console.is_quiet() {
            lines.push(
                "To let yourself view its workloads in the console:\n  eksconnect grant-view --principal self"
                    .to_owned(),
            );
        }
        self.console.say("");
        self.console.result(&lines.join("\n"));
    }

    fn header(&self, desired: &Desired, observed: &Observed, plan: &RegisterPlan) {
        let caller =
            observed.caller.arn.rsplit_once(':').map_or(observed.caller.arn.as_str(), |(_, name)| name);
        let account = format!("{} as {caller}", observed.caller.account);
        let cluster = &observed.cluster;
        let nodes = cluster.nodes.as_deref().map(describe_nodes).unwrap_or_default();
        let because =
            if self.provider_asked_for { "as asked".to_owned() } else { cluster.provider.because.clone() };
        for line in [
            format!("{BOLD}Account{BOLD:#}   {account:<36}  {BOLD}Region{BOLD:#}  {}", observed.region),
            format!(
                "{BOLD}Cluster{BOLD:#}   {}  {}  Kubernetes {}{nodes}",
                self.context,
                self.server,
                cluster.version.trim_start_matches('v')
            ),
            format!("{BOLD}Provider{BOLD:#}  {} ({because})", desired.provider),
        ] {
            self.lines.say(&line);
        }
        self.notes(observed, plan);
    }

    fn notes(&self, observed: &Observed, plan: &RegisterPlan) {
        for note in plan.notes.iter().chain(&observed.unverified) {
            self.note(note);
        }
        self.lines.say("");
    }

    fn announce(&self, seen: &Preview) {
        let Preview { desired, observed, plan, granting } = seen;
        let name = desired.name.as_str();
        let viewers = viewers(granting.as_ref());
        for topic in Topic::ALL {
            let steps = plan.plan.iter().filter(|(_, planned)| planned.step.topic() == Some(topic)).count();
            let subject = match topic {
                Topic::ServiceLinkedRole => SERVICE_LINKED_ROLE,
                Topic::AgentRole => desired.role.name(),
                Topic::Registration => name,
                Topic::Objects => desired.settings.namespace.as_str(),
                Topic::Agent => "",
                Topic::Views => viewers.as_str(),
            };
            match (steps, topic) {
                (0, Topic::Agent) => {}
                (0, Topic::Views) if viewers.is_empty() => {}
                (0, Topic::Views) => self.lines.settled(topic, subject, "in order"),
                (0, Topic::ServiceLinkedRole) if observed.service_linked_role.is_none() => {}
                (0, Topic::Objects) => self.lines.settled(topic, subject, "in order"),
                (0, _) => self.lines.settled(topic, subject, "exists"),
                (steps, topic) => self.lines.expect(topic, subject, steps),
            }
        }
    }
}

/// What is said where it was not looked at whether grants work.
fn not_verified(why: &str) -> String {
    format!("Whether grants work as before was not verified ({why}).")
}

impl Interruptible for RegisterView {
    fn stopping(&self) {
        self.lines.say("Interrupted: finishing the requests in flight (interrupt again to end at once).");
    }
}

/// `role/Viewer`, or how many.
fn viewers(granting: Option<&AccessPreview>) -> String {
    let grants = granting.and_then(|granting| granting.desired.as_ref()).map(|desired| &desired.grants[..]);
    match grants.unwrap_or_default() {
        [] => String::new(),
        [one] => one.principal.short().to_owned(),
        several => format!("{} principals", several.len()),
    }
}

/// `, 3 nodes linux/amd64`.
pub(super) fn describe_nodes(nodes: &[NodeFacts]) -> String {
    let kinds: BTreeSet<String> = nodes.iter().map(|node| format!("{}/{}", node.os, node.arch)).collect();
    let kinds: Vec<String> = kinds.into_iter().collect();
    match nodes.len() {
        0 => ", no nodes".to_owned(),
        1 => format!(", 1 node {}", kinds.join(" ")),
        count => format!(", {count} nodes {}", kinds.join(" ")),
    }
}

impl Conversation<Step, Preview> for RegisterView {
    fn planned(&self, seen: &Preview) {
        // Going back after an upgrade has a plan too, for the same place.
        if self.headed.swap(true, Ordering::Relaxed) {
            self.notes(&seen.observed, &seen.plan);
        } else {
            self.header(&seen.desired, &seen.observed, &seen.plan);
        }
        if seen.plan.question.is_some() {
            // What is agreed to is shown whole, before any line of progress.
            self.console.say(&super::plan::text(seen, &self.context, false));
            self.console.say("");
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

impl Reporter<Step> for RegisterView {
    fn event(&self, event: Event<Step>) {
        match event {
            Event::Started { id, step } => {
                if let Some(topic) = step.topic() {
                    self.lines.begin(topic);
                    if let Some(wait) = self.wait.filter(|_| topic == Topic::Agent && !self.console.is_live())
                    {
                        self.lines.say(&format!("    Waiting until ACTIVE, up to {}.", seconds(wait)));
                    }
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
