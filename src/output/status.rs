//! What `status` shows: both halves of a registration beside each other.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::console::{BAD, BOLD, Console, DIM, GOOD, NOTE};
use super::document::API_VERSION;
use super::inventory::{account, link, other_region, registration};
use super::table::{Cell, Columns, Tone, table};
use super::times::{at, distance};
use crate::access::grants::{Grant, Grants, Held};
use crate::access::grown::Grown;
use crate::cli::Format;
use crate::inventory::agents::{Agents, AgentsSeen};
use crate::inventory::identity::ConnectorSeen;
use crate::inventory::status::{ClusterHalf, Half, StatusSeen};
use crate::inventory::verdict::{Health, Verdict, verdict};
use crate::registration::observed::{Registration, Status};

/// Below this width the halves stand below each other.
const BESIDE: usize = 110;

/// Width of the account's half where both stand beside each other.
const LEFT: usize = 56;

/// How many viewers are named.
const VIEWERS: usize = 4;

/// Shows looks at a registration, the last one as the result.
pub struct StatusView {
    console: Console,
    watch: bool,
    /// The last line of progress, which is not repeated.
    last: Mutex<String>,
}

impl StatusView {
    /// For a run; `watch` redraws all at every look.
    pub fn new(console: &Console, watch: bool) -> Self {
        Self { console: console.clone(), watch, last: Mutex::default() }
    }

    /// A look that is not the last.
    pub fn progress(&self, seen: &StatusSeen) {
        if self.watch {
            let text = text(seen, self.console.width());
            return self.console.redraw(&text);
        }
        let line = verdict(seen).text;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != line && self.console.format() == Format::Text {
            self.console.say(&format!("{DIM}{line}{DIM:#}"));
        }
        *last = line;
    }

    /// The last look.
    pub fn result(&self, seen: &StatusSeen) {
        match self.console.format() {
            Format::Text if self.watch => self.console.redraw(&text(seen, self.console.width())),
            Format::Text => self.console.result(&text(seen, self.console.width())),
            Format::Json | Format::Yaml => self.console.document(&document(seen)),
        }
    }
}

/// A line of a half: a word and what it says.
type Fact = (&'static str, String);

fn text(seen: &StatusSeen, width: Option<usize>) -> String {
    let (left, right) = (account_half(seen), cluster_half(seen));
    let mut out =
        vec![format!("{BOLD}{}{BOLD:#}  in {} of account {}", seen.name, seen.region, account(&seen.caller))];
    out.extend(other_region(&seen.name, &seen.region, &seen.here));
    out.push(String::new());
    if width.is_none_or(|width| width >= BESIDE) {
        out.extend(beside(&left, &right));
    } else {
        out.push(format!("{BOLD}AWS{BOLD:#}"));
        out.extend(left.iter().map(|fact| format!("  {}", line(fact))));
        out.push(format!("{BOLD}Cluster{BOLD:#}"));
        out.extend(right.iter().map(|fact| format!("  {}", line(fact))));
    }
    if let Half::Own(half) = &seen.cluster {
        if let Some(agents) = half.agents.seen() {
            out.extend(pods(seen, agents, width));
            out.extend(events(seen, agents, width));
        }
        let grown =
            half.grown.iter().map(|it| format!("{}\n  {}", plain(&it.to_string()), plain(&it.command)));
        let notes: Vec<String> = half.unverified.iter().cloned().chain(grown).collect();
        if !notes.is_empty() {
            out.push(String::new());
        }
        out.extend(notes.iter().map(|note| format!("{NOTE}‼{NOTE:#} {note}")));
    }
    out.push(String::new());
    out.extend(verdict_lines(&verdict(seen)));
    out.join("\n")
}

fn line((word, text): &Fact) -> String {
    format!("{DIM}{word:<11}{DIM:#}{}", plain(text))
}

/// Words of a cluster must not steer the terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn beside(left: &[Fact], right: &[Fact]) -> Vec<String> {
    let mut lines = vec![format!("  {BOLD}{:<LEFT$}{BOLD:#}{BOLD}CLUSTER{BOLD:#}", "AWS")];
    for index in 0..left.len().max(right.len()) {
        let shown = left.get(index).map(line).unwrap_or_default();
        let length = left.get(index).map_or(0, |(_, text)| 11 + text.chars().count());
        let gap = LEFT.saturating_sub(length).max(1);
        let other = right.get(index).map(line).unwrap_or_default();
        lines.push(format!("  {shown}{}{other}", " ".repeat(gap)).trim_end().to_owned());
    }
    lines
}

fn account_half(seen: &StatusSeen) -> Vec<Fact> {
    let Some(registration) = &seen.registration else {
        return vec![("status", "not registered".to_owned())];
    };
    let mut facts = vec![("status", registration.status.to_string())];
    if let Some(created) = registration.created_at {
        facts.push(("registered", format!("{}, {}", at(created), distance(seen.now, created))));
    }
    if let Some(activation) = activation(seen, registration) {
        facts.push(("activation", activation));
    }
    facts.extend(registration.provider.clone().map(|provider| ("provider", provider)));
    let role = registration.role_arn.as_deref().and_then(|arn| arn.rsplit('/').next());
    facts.extend(role.map(|role| ("agent role", role.to_owned())));
    facts
}

fn activation(seen: &StatusSeen, registration: &Registration) -> Option<String> {
    let expiry = registration.activation_expiry?;
    Some(match (&registration.status, expiry <= seen.now) {
        (Status::Active, _) => "used".to_owned(),
        (_, true) => format!("expired {}", distance(seen.now, expiry)),
        (_, false) => format!("expires {}, {}", at(expiry), distance(seen.now, expiry)),
    })
}

fn cluster_half(seen: &StatusSeen) -> Vec<Fact> {
    match &seen.cluster {
        Half::Silent(why) => vec![("state", format!("could not be asked: {why}"))],
        Half::Other { context } => vec![("context", format!("{context} is another cluster"))],
        Half::Own(half) => own_half(half),
    }
}

fn own_half(half: &ClusterHalf) -> Vec<Fact> {
    let version = half.version.as_deref().map(|version| version.trim_start_matches('v'));
    let version = version.map(|version| format!(", Kubernetes {version}")).unwrap_or_default();
    let mut facts = vec![("context", half.context.clone()), ("server", format!("{}{version}", half.server))];
    if let Some(ConnectorSeen { namespace, maker, .. }) = &half.connector {
        facts.push(("namespace", format!("{namespace}, by {maker}")));
    }
    match &half.agents {
        Agents::Seen(agents) => {
            facts.push(("agents", format!("{} of {} ready", agents.ready, agents.replicas)));
            facts.push(("images", images(agents)));
        }
        Agents::Absent => facts.push(("agents", "none".to_owned())),
        Agents::Unknown => facts.push(("agents", "could not be looked at".to_owned())),
    }
    if let Some(state) = state(half) {
        facts.push(("state", state));
    }
    if let Some(grants) = &half.grants {
        facts.push(("viewers", viewers(grants)));
    }
    facts.extend(half.held_by.clone().map(|holder| ("changed by", holder)));
    facts
}

fn state(half: &ClusterHalf) -> Option<String> {
    let states = half.states?;
    let replicas = half.agents.seen()?.replicas;
    let code = match half.holds_code {
        Some(true) => "; an activation code is in its Secret",
        Some(false) | None => "",
    };
    Some(format!("kept for {states} of {replicas} agents{code}"))
}

/// `connector 0.0.11, agent 3.2.2303.0`.
fn images(agents: &AgentsSeen) -> String {
    let tag = |container: &str| {
        let image = agents.images.get(container)?;
        Some(image.rsplit_once([':', '@']).map_or(image.as_str(), |(_, tag)| tag))
    };
    let named = [("connector", "connector-init"), ("agent", "connector-agent")];
    let named = named.iter().filter_map(|(word, container)| Some(format!("{word} {}", tag(container)?)));
    named.collect::<Vec<_>>().join(", ")
}

fn viewers(grants: &Grants) -> String {
    let visible: Vec<&Grant> = grants.principals.iter().filter(|it| it.held() != Held::Nothing).collect();
    if visible.is_empty() {
        return "nobody yet".to_owned();
    }
    let short = |grant: &&Grant| grant.name.rsplit(':').next().unwrap_or(&grant.name).to_owned();
    let mut names: Vec<String> = visible.iter().take(VIEWERS).map(short).collect();
    if visible.len() > VIEWERS {
        names.push(format!("and {} more", visible.len() - VIEWERS));
    }
    names.join(", ")
}

fn pods(seen: &StatusSeen, agents: &AgentsSeen, width: Option<usize>) -> Vec<String> {
    if agents.pods.is_empty() {
        return Vec::new();
    }
    let rows = agents.pods.iter().map(|pod| {
        let state = match &pod.doing {
            None => Cell::toned("ready", Tone::Good),
            Some(doing) => Cell::toned(doing.as_str(), Tone::Note),
        };
        vec![
            Cell::from(pod.name.as_str()),
            state,
            Cell::from(pod.restarts.to_string()),
            Cell::from(pod.node.clone().unwrap_or_default()),
            Cell::from(pod.created_at.map(|time| distance(seen.now, time)).unwrap_or_default()),
        ]
    });
    let heads = ["POD", "STATE", ">RESTARTS", "NODE", "MADE"];
    vec![String::new(), table(&Columns { heads: &heads, indent: 2, width }, rows.collect())]
}

fn events(seen: &StatusSeen, agents: &AgentsSeen, width: Option<usize>) -> Vec<String> {
    if agents.events.is_empty() {
        return Vec::new();
    }
    let rows = agents.events.iter().map(|event| {
        let tone = if event.warning { Tone::Note } else { Tone::Plain };
        let often = if event.count > 1 { format!(" ({} times)", event.count) } else { String::new() };
        vec![
            Cell::toned(event.at.map(|time| distance(seen.now, time)).unwrap_or_default(), Tone::Dim),
            Cell::from(event.object.as_str()),
            Cell::toned(event.reason.as_str(), tone),
            Cell::from(event.message.as_str()).and(&often),
        ]
    });
    let heads = ["LAST EVENTS", "OF", "REASON", "MESSAGE"];
    vec![String::new(), table(&Columns { heads: &heads, indent: 2, width }, rows.collect())]
}

fn verdict_lines(verdict: &Verdict) -> Vec<String> {
    let mark = match verdict.health {
        Health::Good => format!("{GOOD}✓{GOOD:#}"),
        Health::Waiting => format!("{NOTE}…{NOTE:#}"),
        Health::Bad => format!("{BAD}✗{BAD:#}"),
    };
    let mut lines = vec![format!("{mark} {}.", plain(&verdict.text))];
    lines.extend(verdict.next.iter().map(|next| format!("  {next}")));
    lines
}

fn document(seen: &StatusSeen) -> Value {
    let verdict = verdict(seen);
    json!({
        "apiVersion": API_VERSION,
        "kind": "RegistrationStatus",
        "account": seen.caller.account,
        "region": seen.region,
        "name": seen.name,
        "verdict": { "health": verdict.health.as_str(), "text": verdict.text, "next": verdict.next },
        "registration": seen.registration.as_ref().map(|it| registration(it, &seen.region)),
        "cluster": cluster_document(&seen.cluster),
    })
}

fn cluster_document(half: &Half) -> Value {
    match half {
        Half::Silent(why) => json!({ "state": "unreadable", "reason": why }),
        Half::Other { context } => json!({ "state": "another", "context": context }),
        Half::Own(half) => json!({
            "state": "own",
            "context": half.context,
            "server": half.server,
            "version": half.version,
            "uid": half.uid,
            "because": half.link.map(link),
            "namespace": half.connector.as_ref().map(|it| it.namespace.as_str()),
            "madeBy": half.connector.as_ref().map(|it| it.maker.to_string()),
            "agents": half.agents.seen().map(agents_document),
            "statesKept": half.states,
            "holdsActivationCode": half.holds_code,
            "changedBy": half.held_by,
            "viewers": half.grants.as_ref().map(viewers_document),
            "grown": half.grown.iter().map(grown_document).collect::<Vec<_>>(),
            "cause": half.cause,
            "unverified": half.unverified,
        }),
    }
}

fn agents_document(agents: &AgentsSeen) -> Value {
    let pods: Vec<Value> = agents
        .pods
        .iter()
        .map(|pod| {
            json!({
                "name": pod.name,
                "ready": pod.ready,
                "doing": pod.doing,
                "restarts": pod.restarts,
                "node": pod.node,
                "createdAt": pod.created_at.map(|time| time.to_string()),
            })
        })
        .collect();
    let events: Vec<Value> = agents
        .events
        .iter()
        .map(|event| {
            json!({
                "at": event.at.map(|time| time.to_string()),
                "type": if event.warning { "Warning" } else { "Normal" },
                "object": event.object,
                "reason": event.reason,
                "message": event.message,
                "count": event.count,
            })
        })
        .collect();
    json!({
        "replicas": agents.replicas,
        "ready": agents.ready,
        "images": agents.images,
        "pods": pods,
        "lastEvents": events,
    })
}

fn viewers_document(grants: &Grants) -> Vec<Value> {
    let held = |grant: &Grant| match grant.held() {
        Held::Nothing => "nothing",
        Held::Ceiling => "view-only",
        Held::Anything => "anything",
    };
    grants.principals.iter().map(|it| json!({ "principal": it.name, "held": held(it) })).collect()
}

fn grown_document(grown: &Grown) -> Value {
    json!({
        "principal": grown.principal.arn(),
        "clusterRole": grown.role,
        "above": grown.above,
        "mendWith": grown.command,
    })
}
