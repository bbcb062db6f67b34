//! What `list` and `whoami` show.

use serde_json::{Value, json};

use super::console::{BOLD, Console, DIM, NOTE};
use super::document::API_VERSION;
use super::table::{Cell, Columns, Tone, table};
use super::times::at;
use crate::cli::Format;
use crate::inventory::identity::Link;
use crate::inventory::list::{Listed, Row};
use crate::inventory::whoami::{Whereis, Whoami, silent};
use crate::registration::observed::{Caller, Registration, Status};

/// `111122223333 as user/ana`.
pub(super) fn account(caller: &Caller) -> String {
    let name = caller.arn.rsplit_once(':').map_or(caller.arn.as_str(), |(_, name)| name);
    format!("{} as {name}", caller.account)
}

/// A status in its colour.
pub(super) fn status(status: &Status) -> Cell {
    let tone = match status {
        Status::Active => Tone::Good,
        Status::Failed => Tone::Bad,
        Status::Creating | Status::Pending | Status::Updating | Status::Deleting => Tone::Note,
        Status::Unknown(_) => Tone::Plain,
    };
    Cell::toned(status.to_string(), tone)
}

/// Every connected cluster.
pub fn listed(console: &Console, listed: &Listed) {
    if console.format() != Format::Text {
        return console.document(&list_document(listed));
    }
    let everywhere = listed.regions.len() > 1;
    let (word, place) = if everywhere {
        ("Regions", format!("all {}", listed.regions.len()))
    } else {
        ("Region", listed.regions.first().cloned().unwrap_or_default())
    };
    let account = account(&listed.caller);
    console.say(&format!("{BOLD}Account{BOLD:#}   {account:<36}  {BOLD}{word}{BOLD:#}  {place}"));
    for (region, why) in &listed.unreadable {
        console.say(&format!("{NOTE}‼{NOTE:#} {region} could not be read: {why}"));
    }
    for (context, why) in silent(&listed.contexts) {
        console.say(&format!("{NOTE}‼{NOTE:#} context {context} could not be asked: {why}"));
    }
    if listed.rows.is_empty() {
        let more = if everywhere { "" } else { " --all-regions looks in the others." };
        return console.result(&format!("No connected clusters.{more}"));
    }
    let mut heads = vec!["NAME", "STATUS", "PROVIDER", "REGISTERED", "CONTEXT"];
    if everywhere {
        heads.insert(0, "REGION");
    }
    let current = listed.contexts.iter().find(|context| context.current).map(|context| context.name.as_str());
    let rows = listed.rows.iter().map(|row| cells(row, everywhere, current)).collect();
    console.say("");
    console.result(&table(&Columns { heads: &heads, indent: 0, width: console.width() }, rows));
}

fn cells(row: &Row, everywhere: bool, current: Option<&str>) -> Vec<Cell> {
    let registration = &row.registration;
    let contexts: Vec<String> = row
        .contexts
        .iter()
        .map(|name| if Some(name.as_str()) == current { format!("{name} *") } else { name.clone() })
        .collect();
    let mut cells = vec![
        Cell::from(registration.name.as_str()),
        status(&registration.status),
        Cell::from(registration.provider.clone().unwrap_or_default()),
        Cell::from(registration.created_at.map(at).unwrap_or_default()),
        Cell::from(contexts.join(", ")),
    ];
    if everywhere {
        cells.insert(0, Cell::from(row.region.as_str()));
    }
    cells
}

fn list_document(listed: &Listed) -> Value {
    let rows: Vec<Value> = listed
        .rows
        .iter()
        .map(|row| {
            let mut shown = registration(&row.registration, &row.region);
            shown["contexts"] = Value::from(row.contexts.clone());
            shown
        })
        .collect();
    json!({
        "apiVersion": API_VERSION,
        "kind": "RegistrationList",
        "account": listed.caller.account,
        "regions": listed.regions,
        "registrations": rows,
        "unreadableRegions": pairs("region", &listed.unreadable),
        "unreadableContexts": pairs("context", &silent(&listed.contexts)),
    })
}

fn pairs(what: &str, pairs: &[(String, String)]) -> Vec<Value> {
    pairs.iter().map(|(name, why)| json!({ what: name, "reason": why })).collect()
}

/// A registration, as every document has it.
pub(super) fn registration(registration: &Registration, region: &str) -> Value {
    json!({
        "name": registration.name,
        "arn": registration.arn,
        "region": region,
        "status": registration.status.to_string(),
        "provider": registration.provider,
        "roleArn": registration.role_arn,
        "createdAt": registration.created_at.map(|time| time.to_string()),
        "activation": {
            "id": registration.activation_id,
            "expiry": registration.activation_expiry.map(|time| time.to_string()),
        },
        "tags": registration.tags,
    })
}

/// What ties a registration to a cluster, as documents write it.
pub(super) fn link(link: Link) -> &'static str {
    match link {
        Link::Activation => "activation",
        Link::UidTag => "uid-tag",
        Link::Name => "namespace",
    }
}

/// The registration that a cluster is.
pub fn is_registration(console: &Console, found: &Whoami, context: &str, server: &str) {
    if console.format() != Format::Text {
        return console.document(&json!({
            "apiVersion": API_VERSION,
            "kind": "Whoami",
            "account": found.caller.account,
            "registration": registration(&found.registration, &found.region),
            "contexts": [{ "name": context, "current": true, "because": link(found.link) }],
            "cluster": { "context": context, "server": server, "uid": found.cluster.uid },
            "unreadableContexts": [],
        }));
    }
    if let Some(note) = &found.cluster.unverified {
        console.say(&format!("{NOTE}‼{NOTE:#} {note}"));
    }
    let (name, because) = (&found.registration.name, found.link);
    other_region(name, &found.region, &found.here).iter().for_each(|note| console.say(note));
    console.result(&format!(
        "{context} is {BOLD}{name}{BOLD:#}, {} in {} of account {} {DIM}({because}){DIM:#}",
        found.registration.status, found.region, found.caller.account
    ));
}

/// What is said of a registration that was found in another Region than the one in use.
pub(super) fn other_region(name: &str, region: &str, here: &str) -> Option<String> {
    let note = format!("The Region in use is {here}; other commands about {name} need --region {region}.");
    (region != here).then(|| format!("{NOTE}‼{NOTE:#} {note}"))
}

/// The contexts that a registration is.
pub fn is_context(console: &Console, found: &Whereis) {
    if console.format() != Format::Text {
        let contexts: Vec<Value> = found
            .found
            .iter()
            .map(|(name, current, tie)| json!({ "name": name, "current": current, "because": link(*tie) }))
            .collect();
        return console.document(&json!({
            "apiVersion": API_VERSION,
            "kind": "Whoami",
            "account": found.caller.account,
            "registration": registration(&found.registration, &found.region),
            "contexts": contexts,
            "unreadableContexts": pairs("context", &found.silent),
        }));
    }
    for (context, why) in &found.silent {
        console.say(&format!("{NOTE}‼{NOTE:#} context {context} could not be asked: {why}"));
    }
    let name = &found.registration.name;
    let lines: Vec<String> = found
        .found
        .iter()
        .map(|(context, current, because)| {
            let current = if *current { ", the current context" } else { "" };
            format!("{name} is {BOLD}{context}{BOLD:#}{current} {DIM}({because}){DIM:#}")
        })
        .collect();
    console.result(&lines.join("\n"));
}
