//! What `roles` shows.

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::account::{account_lines, left_lines, role_fields, role_left_as_it_is};
use super::console::{BAD, BOLD, Console, DIM, GOOD, NOTE};
use super::document::{self, API_VERSION};
use super::inventory::account;
use super::register::{Interruptible, RegisterView};
use crate::cli::Format;
use crate::error::Error;
use crate::inventory::roles::{RolesSeen, Usable};
use crate::manifest;
use crate::plan::{Conversation, Event, Reporter};
use crate::registration::halves::roles::{RolesDone, RolesPreview};
use crate::registration::observed::{Permissions, Role};
use crate::registration::register::Preview;
use crate::registration::request::RoleDesign;
use crate::registration::role_drift::RolePart;
use crate::registration::step::{SERVICE_LINKED_ROLE, Step, Topic};

/// How many registrations are named.
const NAMED: usize = 6;

/// Both roles as they are.
pub fn roles(console: &Console, seen: &RolesSeen) {
    if console.format() != Format::Text {
        return console.document(&roles_document(seen));
    }
    console.say(&format!("{BOLD}Account{BOLD:#}   {}", account(&seen.caller)));
    for note in &seen.unverified {
        console.say(&format!("{NOTE}‼{NOTE:#} {note}"));
    }
    console.say("");
    let linked = match seen.service_linked {
        Some(true) => "exists",
        Some(false) => "does not exist",
        None => "not known",
    };
    let agent = if seen.agent.is_some() { "exists" } else { "does not exist" };
    let line =
        |title: &str, name: &str, state: &str| format!("{BOLD}{title:<19}{BOLD:#}  {name:<36}  {state}");
    let mut out = vec![line("Service-linked role", SERVICE_LINKED_ROLE, linked)];
    out.push(line("Agent role", &seen.name, agent));
    out.extend(seen.agent.iter().flat_map(|role| role_facts(seen, role)));
    out.push(String::new());
    out.extend(verdict(seen));
    console.result(&out.join("\n"));
}

fn fact(word: &str, text: &str) -> String {
    format!("  {DIM}{word:<11}{DIM:#}{text}")
}

fn role_facts(seen: &RolesSeen, role: &Role) -> Vec<String> {
    let trust = if manifest::trusts_ssm(&role.trust) {
        "lets Systems Manager assume it"
    } else {
        "does not let Systems Manager assume it"
    };
    let permissions = match &role.permissions {
        Permissions::Unreadable => "may not be read",
        Permissions::Absent => "no inline policy of eksconnect's",
        Permissions::Inline(_) if seen.parts_that_differ().contains(&RolePart::Permissions) => {
            "an inline policy that was changed"
        }
        Permissions::Inline(_) => "an inline policy, as it should be",
    };
    let tags: Vec<String> = role.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mut facts = vec![
        fact("arn", &role.arn),
        fact("made by", if role.ours { "eksconnect" } else { "others" }),
        fact("trust", trust),
        fact("permits", permissions),
    ];
    facts.extend(role.boundary.iter().map(|boundary| fact("bounded by", boundary)));
    if !tags.is_empty() {
        facts.push(fact("tags", &tags.join(", ")));
    }
    facts.push(fact("used by", &users(seen)));
    facts
}

fn users(seen: &RolesSeen) -> String {
    let everywhere = seen.regions.len() > 1;
    let place = if everywhere { "any Region".to_owned() } else { seen.regions.join("") };
    if seen.used_by.is_empty() {
        let more = if everywhere { "" } else { "; --all-regions looks in the others" };
        return format!("no registration in {place}{more}");
    }
    let named = |(region, registration): &(String, _)| {
        let registration: &crate::registration::observed::Registration = registration;
        format!("{} in {region}", registration.name)
    };
    let mut names: Vec<String> = seen.used_by.iter().take(NAMED).map(named).collect();
    if seen.used_by.len() > NAMED {
        names.push(format!("and {} more", seen.used_by.len() - NAMED));
    }
    names.join(", ")
}

fn verdict(seen: &RolesSeen) -> Vec<String> {
    let name = &seen.name;
    let create = "  eksconnect roles create".to_owned();
    match seen.usable() {
        Usable::Yes => vec![format!("{GOOD}✓{GOOD:#} Clusters can be registered with them.")],
        Usable::OnceMade => {
            vec![format!("{NOTE}…{NOTE:#} What is missing is made by registering, or beforehand:"), create]
        }
        Usable::NotTrusted => {
            vec![format!(
                "{BAD}✗{BAD:#} The agents cannot assume {name} (sts:AssumeRole by ssm.amazonaws.com)."
            )]
        }
        Usable::OtherPermissions => vec![format!(
            "{NOTE}‼{NOTE:#} Whether {name} permits what the agents need is not known: its inline policy is not \
             eksconnect's."
        )],
    }
}

fn roles_document(seen: &RolesSeen) -> Value {
    let used_by: Vec<Value> = seen
        .used_by
        .iter()
        .map(|(region, registration)| {
            json!({ "region": region, "name": registration.name, "status": registration.status.to_string() })
        })
        .collect();
    let differs: Vec<String> = seen.parts_that_differ().iter().map(ToString::to_string).collect();
    let agent = seen.agent.as_ref().map(|role| {
        json!({
            "arn": role.arn,
            "ours": role.ours,
            "trusted": manifest::trusts_ssm(&role.trust),
            "differs": differs,
            "permissionsBoundary": role.boundary,
            "tags": role.tags,
            "usedBy": used_by,
        })
    });
    json!({
        "apiVersion": API_VERSION,
        "kind": "Roles",
        "account": seen.caller.account,
        "name": seen.name,
        "agentRole": agent,
        "serviceLinkedRole": seen.service_linked,
        "regions": seen.regions,
        "usable": match seen.usable() {
            Usable::Yes => "yes",
            Usable::OnceMade => "once-made",
            Usable::NotTrusted => "not-trusted",
            Usable::OtherPermissions => "other-permissions",
        },
        "unverified": seen.unverified,
    })
}

/// Shows a run of `roles create`.
pub struct RolesView {
    view: RegisterView,
}

impl RolesView {
    /// For a role.
    pub fn new(console: &Console, design: &RoleDesign) -> Self {
        Self { view: RegisterView::of(console, &design.name, None, "", "") }
    }

    /// The run ended: nothing is drawn any more.
    pub fn end(&self, well: bool) {
        self.view.end(well);
    }

    /// A plan that is not executed.
    pub fn preview(&self, preview: &RolesPreview, diff: bool) {
        if self.view.console.format() != Format::Text {
            return self.view.console.document(&plan_document(preview, diff));
        }
        self.header(preview);
        self.view.console.result(&plan_text(preview, diff));
    }

    /// The roles are there.
    pub fn created(&self, ended: &RolesDone) {
        if self.view.console.format() != Format::Text {
            return self.view.console.document(&json!({
                "apiVersion": API_VERSION,
                "kind": "RolesResult",
                "account": ended.preview.caller.account,
                "changed": ended.changed,
                "tookSeconds": ended.took.as_secs_f64(),
                "done": ended.done,
                "agentRole": ended.arn,
                "notes": ended.preview.notes,
            }));
        }
        let text = if ended.changed {
            format!(
                "{BOLD}{}{BOLD:#} and {SERVICE_LINKED_ROLE} are there: clusters can be registered.",
                ended.arn
            )
        } else {
            format!("{BOLD}{}{BOLD:#} and {SERVICE_LINKED_ROLE} are there; nothing to do.", ended.arn)
        };
        self.view.console.say("");
        self.view.console.result(&text);
    }

    fn header(&self, preview: &RolesPreview) {
        self.view.lines.say(&format!("{BOLD}Account{BOLD:#}   {}", account(&preview.caller)));
        for note in &preview.notes {
            self.say_note(note);
        }
        self.view.lines.say("");
    }

    fn say_note(&self, text: &str) {
        Conversation::<Step, Preview>::note(&self.view, text);
    }
}

fn plan_text(preview: &RolesPreview, diff: bool) -> String {
    let (seen, choice) = (&preview.agent_role, &preview.choice);
    let mut out = left_lines(seen, choice, diff);
    if !preview.changes_something() {
        out.push("The roles are there; nothing would change.".to_owned());
        return out.join("\n");
    }
    out.push(format!("{BOLD}Would change in account {}:{BOLD:#}", preview.caller.account));
    let steps = preview.plan.iter();
    out.extend(steps.flat_map(|(_, planned)| account_lines(&planned.step, seen, choice, diff)));
    out.push(format!("{DIM}Nothing was changed.{DIM:#}"));
    out.join("\n")
}

fn plan_document(preview: &RolesPreview, diff: bool) -> Value {
    let (seen, choice) = (&preview.agent_role, &preview.choice);
    let steps: Vec<Value> = preview
        .plan
        .iter()
        .map(|(_, planned)| {
            let mut step = json!({ "action": planned.step.describe(), "changes": planned.step.is_write() });
            if let Some(part) = document::role_part(&planned.step).filter(|_| diff) {
                step["diff"] = document::field_changes(&role_fields(seen, choice, part));
            }
            step
        })
        .collect();
    let mut plan = json!({
        "apiVersion": API_VERSION,
        "kind": "RolesPlan",
        "account": preview.caller.account,
        "changes": preview.changes_something(),
        "steps": steps,
        "notes": preview.notes,
    });
    if diff {
        plan["leftAsItIs"] = document::left_as_it_is(&role_left_as_it_is(seen, choice), choice.name());
    }
    plan
}

impl Interruptible for RolesView {
    fn stopping(&self) {
        self.view.stopping();
    }
}

impl Reporter<Step> for RolesView {
    fn event(&self, event: Event<Step>) {
        self.view.event(event);
    }
}

impl Conversation<Step, RolesPreview> for RolesView {
    fn planned(&self, seen: &RolesPreview) {
        self.header(seen);
        for (topic, subject) in
            [(Topic::ServiceLinkedRole, SERVICE_LINKED_ROLE), (Topic::AgentRole, seen.choice.name())]
        {
            match seen.plan.iter().filter(|(_, planned)| planned.step.topic() == Some(topic)).count() {
                0 => self.view.lines.settled(topic, subject, "exists"),
                steps => self.view.lines.expect(topic, subject, steps),
            }
        }
    }

    fn ask<'a>(&'a self, question: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.view.console.agree(question))
    }

    fn note(&self, text: &str) {
        self.say_note(text);
    }
}
