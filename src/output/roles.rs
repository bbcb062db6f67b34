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
use crate::registration::observed::{Permissions, Registration, Role};
use crate::registration::register::Preview;
use crate::registration::request::{DEFAULT_ROLE_NAME, RoleDesign};
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
    // Also of a role that does not exist: who uses it cannot do without.
    out.push(fact("used by", &users(seen)));
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
    facts
}

fn users(seen: &RolesSeen) -> String {
    let everywhere = seen.regions.len() > 1;
    let unread = match seen.unread.as_slice() {
        [] => None,
        [one] => Some(format!("could not list {one}")),
        several => Some(format!("could not list {} Regions", several.len())),
    };
    if seen.used_by.is_empty() {
        return match unread {
            Some(unread) if seen.unread.len() == seen.regions.len() => format!("not known ({unread})"),
            Some(unread) => format!("none seen; {unread}"),
            None if everywhere => "no registration in any Region".to_owned(),
            None => {
                format!("no registration in {}; --all-regions looks in the others", seen.regions.join(""))
            }
        };
    }
    let named = |(region, registration): &(String, Registration)| {
        // A role that was made anew with another path is not the one that the registration has.
        let other = match (&seen.agent, &registration.role_arn) {
            (Some(role), Some(arn)) if role.arn != *arn => format!(" (as {arn})"),
            _ => String::new(),
        };
        format!("{} in {region}{other}", registration.name)
    };
    let mut names: Vec<String> = seen.used_by.iter().take(NAMED).map(named).collect();
    if seen.used_by.len() > NAMED {
        names.push(format!("and {} more", seen.used_by.len() - NAMED));
    }
    let unread = unread.map(|unread| format!("; {unread}")).unwrap_or_default();
    format!("{}{unread}", names.join(", "))
}

fn verdict(seen: &RolesSeen) -> Vec<String> {
    let name = &seen.name;
    let named = if name == DEFAULT_ROLE_NAME { String::new() } else { format!(" --role-name {name}") };
    let create = format!("  eksconnect roles create{named}");
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
            json!({
                "region": region,
                "name": registration.name,
                "status": registration.status.to_string(),
                "roleArn": registration.role_arn,
            })
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
        "usedBy": used_by,
        "regions": seen.regions,
        "unreadRegions": seen.unread,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registration::observed::{Caller, Status};

    const AGENT: &str = "arn:aws:iam::111122223333:role/p/Agent";

    fn seen(regions: &[&str], unread: &[&str], users: &[&str]) -> RolesSeen {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let user = |arn: &&str| Registration {
            name: "onprem1".into(),
            arn: "arn:aws:eks:eu-west-1:111122223333:cluster/onprem1".into(),
            status: Status::Active,
            created_at: None,
            activation_id: None,
            activation_expiry: None,
            role_arn: Some((*arn).to_owned()),
            provider: None,
            tags: [].into(),
        };
        RolesSeen {
            caller: Caller {
                account: "111122223333".into(),
                arn: "arn:aws:iam::111122223333:user/ana".into(),
            },
            name: "Agent".into(),
            agent: Some(Role {
                arn: AGENT.into(),
                trust: manifest::AGENT_TRUST.into(),
                permissions: Permissions::Absent,
                ours: true,
                boundary: None,
                tags: [].into(),
            }),
            service_linked: Some(true),
            regions: words(regions),
            unread: words(unread),
            used_by: users.iter().map(|arn| ("eu-west-1".to_owned(), user(arn))).collect(),
            unverified: Vec::new(),
        }
    }

    #[test]
    fn where_it_could_not_be_looked_nobody_is_said_to_use_the_role() {
        const ALL: [&str; 3] = ["eu-west-1", "eu-west-2", "us-east-1"];
        let said = |regions: &[&str], unread: &[&str], who: &[&str]| users(&seen(regions, unread, who));
        assert_eq!(said(&ALL, &[], &[]), "no registration in any Region");
        assert_eq!(
            said(&ALL[..1], &[], &[]),
            "no registration in eu-west-1; --all-regions looks in the others"
        );
        assert_eq!(said(&ALL[..1], &ALL[..1], &[]), "not known (could not list eu-west-1)");
        assert_eq!(said(&ALL, &ALL, &[]), "not known (could not list 3 Regions)");
        assert_eq!(said(&ALL, &ALL[..2], &[]), "none seen; could not list 2 Regions");
        assert_eq!(said(&ALL, &ALL[1..2], &[AGENT]), "onprem1 in eu-west-1; could not list eu-west-2");
    }

    #[test]
    fn a_user_of_another_role_of_that_name_is_told_apart() {
        let other = "arn:aws:iam::111122223333:role/Agent";
        let said = users(&seen(&["eu-west-1"], &[], &[AGENT, other]));
        assert_eq!(said, format!("onprem1 in eu-west-1, onprem1 in eu-west-1 (as {other})"));
    }

    #[test]
    fn the_command_that_makes_a_role_names_it() {
        let command = |name: &str| {
            let missing = RolesSeen { name: name.into(), agent: None, ..seen(&["eu-west-1"], &[], &[]) };
            verdict(&missing).pop()
        };
        assert_eq!(command(DEFAULT_ROLE_NAME).as_deref(), Some("  eksconnect roles create"));
        assert_eq!(command("Agent").as_deref(), Some("  eksconnect roles create --role-name Agent"));
    }
}
