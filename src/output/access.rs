//! What `grant-view` and `revoke-view` show.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::access_document as document;
use super::access_plan::plan_text;
use super::console::{BOLD, Console, GOOD, NOTE};
use super::document::Place;
use super::lines::{Lines, Titled};
use super::register::Interruptible;
use crate::access::check::{Proof, ProvenHeld, kinds};
use crate::access::desired::Desired;
use crate::access::grants::Form;
use crate::access::objects::{GrantDesign, GrantRole, GrantScope};
use crate::access::observe::AccessPreview;
use crate::access::operation::AccessDone;
use crate::access::planner::PolicyByHand;
use crate::access::principal::Principal;
use crate::access::step::{Step, Topic};
use crate::cli::Format;
use crate::error::Error;
use crate::manifest::VIEWER_POLICY_NAME;
use crate::plan::{Conversation, Event, Reporter, StepId};

/// A line: a part of a grant that is made or taken away.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    topic: Topic,
    /// Whether it is taken away.
    revoked: bool,
}

impl Titled for Part {
    fn title(self) -> &'static str {
        self.topic.title()
    }

    fn counted(self) -> Option<&'static str> {
        (self.topic == Topic::Objects).then_some(if self.revoked { "removed" } else { "changed" })
    }

    fn is_slow(self) -> bool {
        false
    }
}

/// Shows a run of `grant-view` or `revoke-view`.
pub struct AccessView {
    console: Console,
    lines: Lines<Part>,
    principals: Vec<Principal>,
    /// Whether it takes away.
    revokes: bool,
    context: String,
    server: String,
    /// Steps that began and have not ended.
    running: Mutex<BTreeMap<StepId, Part>>,
}

impl AccessView {
    /// For a request about these principals, in a place.
    pub fn new(
        console: &Console,
        principals: &[Principal],
        revokes: bool,
        context: &str,
        server: &str,
    ) -> Self {
        Self {
            console: console.clone(),
            lines: Lines::new(console),
            principals: principals.to_vec(),
            revokes,
            context: context.to_owned(),
            server: server.to_owned(),
            running: Mutex::default(),
        }
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<StepId, Part>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn part(&self, topic: Topic) -> Part {
        Part { topic, revoked: self.revokes }
    }

    fn place(&self) -> Place<'_> {
        Place { context: &self.context, server: &self.server }
    }

    /// A plan that is not executed.
    pub fn preview(&self, preview: &AccessPreview, diff: bool) {
        if self.console.format() != Format::Text {
            return self.console.document(&document::plan(preview, &self.principals, &self.place(), diff));
        }
        self.header(preview);
        let mut text = plan_text(preview, &self.context, &self.who(), diff);
        text.extend(by_hand(&preview.plan.by_hand));
        self.console.result(&text.join("\n"));
    }

    /// The run ended: nothing is drawn any more.
    pub fn end(&self, well: bool) {
        self.lines.end(well);
    }

    /// The run ended well.
    pub fn done(&self, ended: &AccessDone) {
        if self.console.format() != Format::Text {
            return self.console.document(&document::result(ended, &self.principals, &self.place()));
        }
        let mut text = match &ended.preview.desired {
            Some(desired) => granted(desired, &ended.preview, &ended.proofs, &self.console),
            None => self.revoked(ended),
        };
        text.extend(by_hand(&ended.preview.plan.by_hand));
        self.console.say("");
        self.console.result(&text.join("\n"));
    }

    fn revoked(&self, ended: &AccessDone) -> Vec<String> {
        let who = self.who();
        let can = if self.principals.len() == 1 { "has" } else { "have" };
        vec![if ended.changed {
            format!(
                "{BOLD}{who}{BOLD:#} {can} no view any more: the API server refuses the connector to act so."
            )
        } else {
            format!("{BOLD}{who}{BOLD:#} {can} no view of this cluster; nothing to do.")
        }]
    }

    /// `role/Viewer, user/ana`.
    fn who(&self) -> String {
        self.principals.iter().map(Principal::short).collect::<Vec<_>>().join(", ")
    }

    fn header(&self, preview: &AccessPreview) {
        let looked = &preview.observed.looked;
        let caller = looked.caller.arn.rsplit_once(':').map_or(looked.caller.arn.as_str(), |(_, name)| name);
        let account = format!("{} as {caller}", looked.caller.account);
        for line in [
            format!("{BOLD}Account{BOLD:#}   {account:<36}  {BOLD}Region{BOLD:#}  {}", looked.region),
            format!(
                "{BOLD}Cluster{BOLD:#}   {}  {}  Kubernetes {}",
                self.context,
                self.server,
                looked.version.trim_start_matches('v')
            ),
        ] {
            self.lines.say(&line);
        }
        if let Some(desired) = preview.desired.as_ref().filter(|desired| !desired.grants.is_empty()) {
            self.lines.say(&format!("{BOLD}View{BOLD:#}      {}", scope(&desired.grants[0])));
        }
        for note in preview.plan.notes.iter().chain(&looked.unverified) {
            self.note(note);
        }
        self.lines.say("");
    }

    fn announce(&self, preview: &AccessPreview) {
        let who = if self.principals.len() == 1 {
            self.who()
        } else {
            format!("{} principals", self.principals.len())
        };
        for topic in [Topic::Objects, Topic::Policy, Topic::Verification] {
            let steps = preview.plan.plan.iter().filter(|(_, planned)| planned.step.topic() == topic).count();
            let subject = if topic == Topic::Policy { VIEWER_POLICY_NAME } else { who.as_str() };
            let line = self.part(topic);
            match (steps, topic) {
                (0, Topic::Objects) => self.lines.settled(line, subject, "in order"),
                (0, Topic::Policy | Topic::Verification) => {}
                (count, _) => self.lines.expect(line, subject, count),
            }
        }
    }
}

impl Interruptible for AccessView {
    fn stopping(&self) {
        self.lines.say("Interrupted: finishing the requests in flight (interrupt again to end at once).");
    }
}

impl Conversation<Step, AccessPreview> for AccessView {
    fn planned(&self, seen: &AccessPreview) {
        self.header(seen);
        if seen.plan.question.is_some() {
            self.console.say(&plan_text(seen, &self.context, &self.who(), false).join("\n"));
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

impl Reporter<Step> for AccessView {
    fn event(&self, event: Event<Step>) {
        match event {
            Event::Started { id, step } => {
                let part = self.part(step.topic());
                self.lines.begin(part);
                self.running().insert(id, part);
            }
            Event::Progress { id, text } => {
                let topic = self.running().get(&id).copied();
                if let Some(topic) = topic {
                    self.lines.progress(topic, &text);
                }
            }
            Event::Finished { id, outcome, .. } => {
                let topic = self.running().remove(&id);
                if let Some(topic) = topic {
                    self.lines.done(topic, &outcome);
                }
            }
            Event::Failed { id } => {
                let topic = self.running().remove(&id);
                if let Some(topic) = topic {
                    self.lines.failed(topic);
                }
            }
        }
    }
}

/// `28 kinds of objects in every namespace`.
pub(super) fn scope(design: &GrantDesign) -> String {
    let place = match &design.scope {
        GrantScope::Cluster => "in every namespace".to_owned(),
        GrantScope::Namespaces(places) if places.len() == 1 => format!("in namespace {}", places.join(", ")),
        GrantScope::Namespaces(places) => format!("in namespaces {}", places.join(", ")),
    };
    match &design.role {
        GrantRole::ConsoleView => format!("{} kinds of objects {place}", kinds(design)),
        GrantRole::Given(role) => format!("what ClusterRole {} lets read {place}", role.meta.name),
    }
}

/// What became of each grant.
pub(super) fn granted(
    desired: &Desired,
    preview: &AccessPreview,
    proofs: &[Proof],
    console: &Console,
) -> Vec<String> {
    desired.grants.iter().flat_map(|design| of_grant(design, preview, proofs, console)).collect()
}

fn of_grant(
    design: &GrantDesign,
    preview: &AccessPreview,
    proofs: &[Proof],
    console: &Console,
) -> Vec<String> {
    let who = design.principal.short();
    let (who, scope) = (format!("{BOLD}{who}{BOLD:#}"), scope(design));
    let Some(proof) = proofs.iter().find(|proof| proof.principal == design.principal) else {
        let of_policy = |step: &Step| matches!(step, Step::AttachPolicy { principal, .. } if *principal == design.principal);
        let attached = preview.plan.plan.iter().any(|(_, planned)| of_policy(&planned.step));
        let mut lines = vec![if attached {
            format!("{who} has this grant in the cluster already, and its policy in IAM now.")
        } else {
            format!("{who} has this grant already; nothing to do.")
        }];
        if !console.is_quiet() {
            lines.push(format!(
                "To have it proven:\n  eksconnect verify-view --principal {}",
                design.principal.arn()
            ));
        }
        return lines;
    };
    vec![proven(&who, &scope, proof)]
}

fn proven(who: &str, scope: &str, proof: &Proof) -> String {
    match &proof.held {
        ProvenHeld::ViewOnly => format!(
            "{GOOD}✓{GOOD:#} {who} can view {scope}. The API server refuses the connector everything else in its name."
        ),
        ProvenHeld::ToThePrincipal => format!(
            "{GOOD}✓{GOOD:#} {who} can view {scope}. The connector is not held to that: it can do whatever RBAC allows {who}."
        ),
        ProvenHeld::NotShown(why) => format!(
            "{GOOD}✓{GOOD:#} {who} can view {scope}.\n{NOTE}‼{NOTE:#} That the connector can do nothing else in its name is not proven: {why}"
        ),
        ProvenHeld::NotAsked(why) => {
            format!("The grant to {who} is in place, and not proven: {why}")
        }
    }
}

/// Policies that somebody else has to attach.
pub(super) fn by_hand(policies: &[PolicyByHand]) -> Vec<String> {
    let mut lines = Vec::new();
    for policy in policies {
        let pretty = serde_json::from_str::<Value>(&policy.document)
            .and_then(|document| serde_json::to_string_pretty(&document))
            .unwrap_or_else(|_| policy.document.clone());
        lines.push(format!(
            "\nThe policy that {} needs, to be added by whoever may: {}.\n{pretty}",
            policy.principal.short(),
            policy.because
        ));
    }
    lines
}

/// A form as documents name it.
pub(super) fn form_word(form: Form) -> Value {
    json!(match form {
        Form::Constrained => "constrained",
        Form::Documented => "documented",
    })
}
