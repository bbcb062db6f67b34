//! What `register` shows where it makes one half.

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::account::{account_lines, added, left_lines, role_fields, role_left_as_it_is};
use super::console::{BOLD, Console};
use super::document::{self, API_VERSION};
use super::lines::seconds;
use super::plan;
use super::register::{Interruptible, RegisterView, describe_nodes};
use crate::cli::Format;
use crate::error::Error;
use crate::plan::{Conversation, Event, Reporter};
use crate::registration::halves::account::{AccountDone, AccountPreview};
use crate::registration::halves::account_plan::AccountRequest;
use crate::registration::halves::cluster::{ClusterDone, ClusterPreview, ClusterRequest};
use crate::registration::observed::Status;
use crate::registration::register::Preview;
use crate::registration::step::{SERVICE_LINKED_ROLE, Step, Topic};

/// Shows a run of one half of `register`.
pub struct HalfView {
    view: RegisterView,
    wait: Option<std::time::Duration>,
}

impl HalfView {
    /// For the account's half.
    pub fn of_account(console: &Console, request: &AccountRequest) -> Self {
        Self { view: RegisterView::of(console, request.name.as_str(), None, "", ""), wait: None }
    }

    /// For the cluster's half, in a place.
    pub fn of_cluster(console: &Console, request: &ClusterRequest, context: &str, server: &str) -> Self {
        let name = request.handed.name.as_str();
        Self { view: RegisterView::of(console, name, None, context, server), wait: request.wait }
    }

    /// The run ended: nothing is drawn any more.
    pub fn end(&self, well: bool) {
        self.view.end(well);
    }

    /// A plan of the account's half that is not executed.
    pub fn account_preview(&self, preview: &AccountPreview, diff: bool) {
        if self.view.console.format() != Format::Text {
            return self.view.console.document(&account_plan(preview, diff));
        }
        self.account_header(preview);
        self.view.console.result(&account_text(preview, diff));
    }

    /// A plan of the cluster's half that is not executed.
    pub fn cluster_preview(&self, seen: &ClusterPreview, diff: bool) {
        if self.view.console.format() != Format::Text {
            return self.view.console.document(&document::plan(&seen.preview, &self.view.place(), diff));
        }
        self.cluster_header(&seen.preview);
        self.view.console.result(&plan::text(&seen.preview, self.view.place().context, diff));
    }

    /// The account's half ended well.
    pub fn account_done(&self, ended: &AccountDone) {
        let (seen, handed) = (&ended.preview.seen, &ended.handed);
        if self.view.console.format() != Format::Text {
            return self.view.console.document(&json!({
                "apiVersion": API_VERSION,
                "kind": "RegisterAccountResult",
                "changed": ended.changed,
                "tookSeconds": ended.took.as_secs_f64(),
                "done": ended.done,
                "registration": {
                    "name": handed.name.as_str(),
                    "arn": handed.arn,
                    "account": handed.account,
                    "region": handed.region,
                    "provider": handed.provider,
                    "status": ended.status.to_string(),
                },
                "activation": {
                    "file": seen.path,
                    "id": handed.activation.id,
                    "expiry": handed.expiry.to_string(),
                },
                "unverified": seen.unverified,
            }));
        }
        let (name, path) = (&self.view.name, &seen.path);
        let until = handed.expiry.strftime("%F %R UTC");
        let text = match (&ended.status, ended.changed) {
            (Status::Active, false) => format!("{BOLD}{name}{BOLD:#} is ACTIVE; nothing to do."),
            (_, false) => format!(
                "{BOLD}{name}{BOLD:#} is registered and {path} holds its activation, valid until {until}; nothing to do."
            ),
            (_, true) => format!(
                "{BOLD}{name}{BOLD:#} is registered. {path} holds its activation, valid until {until}: a secret, for the \
                 cluster's administrator alone.\nThere, with access to the cluster:\n  eksconnect register --cluster-only \
                 --activation-file {path}"
            ),
        };
        self.view.console.say("");
        self.view.console.result(&text);
    }

    /// The cluster's half ended well.
    pub fn cluster_done(&self, ended: &ClusterDone) {
        if self.view.console.format() != Format::Text {
            return self.view.console.document(&document::connected(ended, &self.view.place()));
        }
        let name = &self.view.name;
        let ask = format!(
            "Whether EKS says ACTIVE cannot be asked without AWS: aws eks describe-cluster --name {name} --region {}",
            ended.preview.observed.region
        );
        let text = match (ended.changed, ended.ready) {
            (false, true) => {
                format!(
                    "The agents of {BOLD}{name}{BOLD:#} have their state and everything is as it should be; nothing to do.\n{ask}"
                )
            }
            (false, false) => format!("The agents of {BOLD}{name}{BOLD:#} are not ready yet; nothing to do."),
            (true, true) => {
                format!("The agents of {BOLD}{name}{BOLD:#} are ready after {}.\n{ask}", seconds(ended.took))
            }
            (true, false) => format!(
                "The agents of {BOLD}{name}{BOLD:#} are starting.\nRun the same again without --no-wait to wait for them, and \
                 to have the used activation code removed from the cluster."
            ),
        };
        self.view.console.say("");
        self.view.console.result(&text);
    }

    fn account_header(&self, preview: &AccountPreview) {
        let seen = &preview.seen;
        let caller = seen.caller.arn.rsplit_once(':').map_or(seen.caller.arn.as_str(), |(_, name)| name);
        let account = format!("{} as {caller}", seen.caller.account);
        for line in [
            format!("{BOLD}Account{BOLD:#}   {account:<36}  {BOLD}Region{BOLD:#}  {}", seen.region),
            format!("{BOLD}File{BOLD:#}      {}", seen.path),
            format!("{BOLD}Provider{BOLD:#}  {} (as asked)", preview.request.provider),
        ] {
            self.view.lines.say(&line);
        }
        for note in preview.plan.notes.iter().chain(&seen.unverified) {
            self.say_note(note);
        }
        self.view.lines.say("");
    }

    fn cluster_header(&self, preview: &Preview) {
        let (desired, observed) = (&preview.desired, &preview.observed);
        let nodes = observed.cluster.nodes.as_deref().map(describe_nodes).unwrap_or_default();
        let place = self.view.place();
        for line in [
            format!("{BOLD}For{BOLD:#}       {}", desired.arn),
            format!(
                "{BOLD}Cluster{BOLD:#}   {}  {}  Kubernetes {}{nodes}",
                place.context,
                place.server,
                observed.cluster.version.trim_start_matches('v')
            ),
        ] {
            self.view.lines.say(&line);
        }
        for note in preview.plan.notes.iter().chain(&observed.unverified) {
            self.say_note(note);
        }
        self.view.lines.say("");
    }

    fn say_note(&self, text: &str) {
        Conversation::<Step, Preview>::note(&self.view, text);
    }

    fn announce(&self, plan: &crate::plan::Plan<Step>, subjects: &[(Topic, &str)]) {
        for (topic, subject) in subjects {
            let steps = plan.iter().filter(|(_, planned)| planned.step.topic() == Some(*topic)).count();
            match (steps, topic) {
                (0, Topic::Agent) => {}
                (0, Topic::Objects) => self.view.lines.settled(*topic, subject, "in order"),
                (0, _) => self.view.lines.settled(*topic, subject, "exists"),
                (steps, _) => self.view.lines.expect(*topic, subject, steps),
            }
        }
    }
}

/// What executing the plan of the account's half would do.
fn account_text(preview: &AccountPreview, diff: bool) -> String {
    let (seen, request) = (&preview.seen, &preview.request);
    let steps = preview.plan.plan.iter();
    let mut lines: Vec<String> = steps
        .flat_map(|(_, planned)| account_lines(&planned.step, &seen.agent_role, &request.role, diff))
        .collect();
    lines.extend(preview.plan.intent.iter().map(|_| added(&format!("file         {}", seen.path))));
    let mut out = left_lines(&seen.agent_role, &request.role, diff);
    if lines.is_empty() {
        out.push(format!("{} is as it should be; nothing would change.", request.name));
        return out.join("\n");
    }
    out.push(format!("{BOLD}Would change in account {}, {}:{BOLD:#}", seen.caller.account, seen.region));
    out.append(&mut lines);
    out.push("Nothing was changed.".to_owned());
    out.join("\n")
}

fn account_plan(preview: &AccountPreview, diff: bool) -> Value {
    let (seen, request) = (&preview.seen, &preview.request);
    let steps: Vec<Value> = preview
        .plan
        .plan
        .iter()
        .map(|(_, planned)| {
            let mut step = json!({ "action": planned.step.describe(), "changes": planned.step.is_write() });
            if let Some(part) = document::role_part(&planned.step).filter(|_| diff) {
                step["diff"] = document::field_changes(&role_fields(&seen.agent_role, &request.role, part));
            }
            step
        })
        .collect();
    let mut plan = json!({
        "apiVersion": API_VERSION,
        "kind": "RegisterAccountPlan",
        "account": seen.caller.account,
        "region": seen.region,
        "registration": preview.arn,
        "provider": request.provider.as_str(),
        "file": seen.path,
        "changes": preview.changes_something(),
        "steps": steps,
        "notes": preview.plan.notes,
        "unverified": seen.unverified,
    });
    if diff {
        let left = role_left_as_it_is(&seen.agent_role, &request.role);
        plan["leftAsItIs"] = document::left_as_it_is(&left, request.role.name());
    }
    plan
}

impl Interruptible for HalfView {
    fn stopping(&self) {
        self.view.stopping();
    }
}

impl Reporter<Step> for HalfView {
    fn event(&self, event: Event<Step>) {
        if let (Event::Started { step: Step::AwaitAgents { .. }, .. }, Some(wait)) = (&event, self.wait)
            && !self.view.console.is_live()
        {
            self.view.lines.say(&format!("    Waiting until the agents are ready, up to {}.", seconds(wait)));
        }
        self.view.event(event);
    }
}

impl Conversation<Step, AccountPreview> for HalfView {
    fn planned(&self, seen: &AccountPreview) {
        self.account_header(seen);
        let mut subjects = vec![
            (Topic::AgentRole, seen.request.role.name()),
            (Topic::Registration, seen.request.name.as_str()),
        ];
        if seen.seen.service_linked_role.is_some() {
            subjects.insert(0, (Topic::ServiceLinkedRole, SERVICE_LINKED_ROLE));
        }
        self.announce(&seen.plan.plan, &subjects);
    }

    fn ask<'a>(&'a self, question: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.view.console.agree(question))
    }

    fn note(&self, text: &str) {
        self.say_note(text);
    }
}

impl Conversation<Step, ClusterPreview> for HalfView {
    fn planned(&self, seen: &ClusterPreview) {
        let preview = &seen.preview;
        self.cluster_header(preview);
        if preview.plan.question.is_some() {
            // What is agreed to is shown whole, before any line of progress.
            self.view.console.say(&plan::text(preview, self.view.place().context, false));
            self.view.console.say("");
        }
        let namespace = preview.desired.settings.namespace.as_str();
        self.announce(&preview.plan.plan, &[(Topic::Objects, namespace), (Topic::Agent, "")]);
    }

    fn ask<'a>(&'a self, question: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.view.console.agree(question))
    }

    fn note(&self, text: &str) {
        self.say_note(text);
    }
}
