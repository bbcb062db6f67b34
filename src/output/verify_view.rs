//! What `verify-view` shows.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::console::{BAD, BOLD, Console, DIM, GOOD, NOTE};
use super::document::{API_VERSION, Place};
use super::table::{Cell, Columns, Tone, table};
use crate::access::questions::Topic;
use crate::access::scope::Scope;
use crate::access::verification::{Answer, Beyond, Means, Verdict, Verification};
use crate::access::viewable::RESOURCES;
use crate::cli::Format;

/// What was found out.
pub fn verified_view(console: &Console, found: &Verification, context: &str, server: &str) {
    match console.format() {
        Format::Json | Format::Yaml => console.document(&document(found, &Place { context, server })),
        Format::Text => {
            let version = found
                .version
                .as_deref()
                .map(|version| format!("  Kubernetes {}", version.trim_start_matches('v')));
            console.say(&format!("{BOLD}Principal{BOLD:#}  {}", found.principal));
            console.say(&format!(
                "{BOLD}Cluster{BOLD:#}    {context}  {server}{}, connector in {}",
                version.unwrap_or_default(),
                found.namespace
            ));
            for note in &found.notes {
                console.say(&format!("{NOTE}‼{NOTE:#} {note}"));
            }
            console.say("");
            console.result(&text(found, console.width()));
        }
    }
}

fn text(found: &Verification, width: Option<usize>) -> String {
    let mut out = vec![format!("Decided {}.", decided(found)), String::new()];
    out.push(matrix(found, width));
    if found.answers.iter().any(|answer| answer.verdict != Verdict::Allowed) {
        out.push(String::new());
        out.extend(legend(found));
    }
    out.push(String::new());
    out.push(format!("{BOLD}Beyond viewing{BOLD:#}"));
    out.push(beyond_table(found, width));
    out.push(String::new());
    out.extend(conclusion(found));
    out.join("\n")
}

fn decided(found: &Verification) -> String {
    match found.means {
        Means::Acting => format!(
            "by the API server, asked as the connector asks it: with the token of {}/{}, in the principal's name",
            found.namespace,
            crate::manifest::SERVICE_ACCOUNT
        ),
        Means::Reviews => {
            "by the API server, asked what the connector and the principal may do (SubjectAccessReview)"
                .to_owned()
        }
        Means::Rules => "here, from the cluster's access rules; the API server was not asked".to_owned(),
    }
}

/// A row a kind, a column a place. Namespaces of which the same is true share a column.
fn matrix(found: &Verification, width: Option<usize>) -> String {
    let cell = |resource: &'static str, group: &'static str, place: Option<&str>| -> Option<Cell> {
        let of_it = found.answers.iter().filter(|answer| match &answer.question.topic {
            Topic::Kind { viewable, namespace, .. } => {
                (viewable.resource, viewable.group) == (resource, group) && namespace.as_deref() == place
            }
            Topic::Path(_) | Topic::Beyond(_) => false,
        });
        let of_it: Vec<&Answer> = of_it.collect();
        (!of_it.is_empty()).then(|| summary(&of_it))
    };
    let mut places: Vec<(Vec<&str>, Vec<Cell>)> = Vec::new();
    for place in found.scope.places().into_iter().flatten() {
        let column = |viewable: &crate::access::viewable::Viewable| {
            cell(viewable.resource, viewable.group, Some(place)).unwrap_or_default()
        };
        let cells: Vec<Cell> = RESOURCES.iter().map(column).collect();
        match places.iter_mut().find(|(_, known)| *known == cells) {
            Some((names, _)) => names.push(place),
            None => places.push((vec![place], cells)),
        }
    }
    let whole = if found.scope == Scope::Cluster { "ALL NAMESPACES" } else { "CLUSTER" };
    let heads: Vec<String> = ["KIND".to_owned(), whole.to_owned()]
        .into_iter()
        .chain(places.iter().map(|(names, _)| names.join(", ")))
        .collect();
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for (index, viewable) in RESOURCES.iter().enumerate() {
        let mut row = vec![
            Cell::from(viewable.name()),
            cell(viewable.resource, viewable.group, None).unwrap_or_default(),
        ];
        row.extend(places.iter().map(|(_, cells)| cells.get(index).cloned().unwrap_or_default()));
        rows.push(row);
    }
    rows.push(vec![Cell::from("version, health, discovery"), paths(found)]);
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    table(&Columns { heads: &heads, indent: 2, width }, rows)
}

/// What is true of several questions in one word.
fn summary(answers: &[&Answer]) -> Cell {
    let refused: Vec<&&Answer> = answers.iter().filter(|answer| answer.verdict != Verdict::Allowed).collect();
    let Some(first) = refused.first() else { return Cell::toned("✓", Tone::Good) };
    let by = match first.verdict {
        Verdict::RefusedByImpersonation => "impersonation",
        Verdict::RefusedByRbac => "RBAC",
        Verdict::Unknown | Verdict::Allowed => "not known",
    };
    let tone = if first.verdict == Verdict::Unknown { Tone::Note } else { Tone::Bad };
    if refused.len() == answers.len() {
        return Cell::toned(format!("✗ {by}"), tone);
    }
    let verbs: Vec<&str> = refused
        .iter()
        .filter_map(|answer| match &answer.question.topic {
            Topic::Kind { verb, .. } => Some(*verb),
            Topic::Path(_) | Topic::Beyond(_) => None,
        })
        .collect();
    Cell::toned(format!("✗ {by} ({})", verbs.join(", ")), tone)
}

fn paths(found: &Verification) -> Cell {
    let paths = found.answers.iter().filter(|answer| matches!(answer.question.topic, Topic::Path(_)));
    let paths: Vec<&Answer> = paths.collect();
    let refused: Vec<&Answer> =
        paths.iter().filter(|answer| answer.verdict != Verdict::Allowed).copied().collect();
    if refused.is_empty() || refused.len() == paths.len() {
        return summary(&paths);
    }
    summary(&refused).and(&format!(" ({} of {})", refused.len(), paths.len()))
}

fn legend(found: &Verification) -> Vec<String> {
    let has = |verdict| found.answers.iter().any(|answer| answer.verdict == verdict);
    let mut out = Vec::new();
    let mut explain = |verdict, words: &str| {
        if has(verdict) {
            out.push(format!("  {DIM}{words}{DIM:#}"));
        }
    };
    explain(
        Verdict::RefusedByImpersonation,
        "impersonation: the connector may not ask for that in the principal's name",
    );
    explain(Verdict::RefusedByRbac, "RBAC: the principal itself has no right to it");
    explain(Verdict::Unknown, "not known: the API server was too busy to say");
    out
}

fn beyond_table(found: &Verification, width: Option<usize>) -> String {
    let mut by_verdict: BTreeMap<usize, (Vec<&str>, Cell)> = BTreeMap::new();
    for (index, answer) in found.beyond.iter().enumerate() {
        let cell = match answer.verdict {
            Verdict::RefusedByImpersonation => Cell::toned("✓ refused by impersonation", Tone::Good),
            Verdict::RefusedByRbac => {
                Cell::toned("refused by RBAC: the principal has no right to it", Tone::Note)
            }
            Verdict::Allowed => Cell::toned("‼ allowed", Tone::Bad),
            Verdict::Unknown => Cell::toned("not known", Tone::Note),
        };
        let words = answer.words().unwrap_or_default();
        match by_verdict.values_mut().find(|(_, known)| *known == cell) {
            Some((all, _)) => all.push(words),
            None => drop(by_verdict.insert(index, (vec![words], cell))),
        }
    }
    let rows = by_verdict.into_values().map(|(words, cell)| vec![Cell::from(words.join(", ")), cell]);
    table(&Columns { heads: &[], indent: 2, width }, rows.collect())
}

fn conclusion(found: &Verification) -> Vec<String> {
    let short = found.principal.short();
    let mut out = Vec::new();
    let held = match found.held() {
        Beyond::Held => "and nothing else through the connector",
        Beyond::UpToThePrincipal | Beyond::Exceeded(_) | Beyond::Unknown => "",
    };
    match (found.mend(), held.is_empty()) {
        (None, false) => out.push(format!(
            "{GOOD}✓{GOOD:#} {BOLD}{short}{BOLD:#} may view all that the console asks for, {held}."
        )),
        (None, true) => out.push(format!(
            "{GOOD}✓{GOOD:#} {BOLD}{short}{BOLD:#} may view all that the console asks for."
        )),
        (Some(command), _) => out.push(format!(
            "{BAD}✗{BAD:#} {BOLD}{short}{BOLD:#} lacks {} of {} things that the console asks for:\n  {command}",
            found.missing(),
            found.answers.len()
        )),
    }
    let tighten = found.tighten().filter(|_| found.is_complete());
    let then = tighten.map(|command| format!(" From Kubernetes 1.36 on this tightens it:\n  {command}"));
    let then = then.unwrap_or_default();
    match found.held() {
        Beyond::Held => {}
        Beyond::Exceeded(words) => out.push(format!(
            "{BAD}‼{BAD:#} It is not held to viewing: through the connector it can also {}.{then}",
            words.join(", ")
        )),
        Beyond::UpToThePrincipal => out.push(format!(
            "{NOTE}‼{NOTE:#} It is not held to viewing: the connector may do whatever the principal's own rights allow.{then}"
        )),
        Beyond::Unknown => {
            out.push(format!("{NOTE}‼{NOTE:#} Whether it is held to viewing could not be found out."));
        }
    }
    out
}

fn document(found: &Verification, place: &Place<'_>) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": "ViewVerification",
        "principal": found.principal.arn(),
        "context": place.context,
        "server": place.server,
        "version": found.version,
        "namespace": found.namespace,
        "decidedBy": match found.means {
            Means::Acting => "acting",
            Means::Reviews => "reviews",
            Means::Rules => "rules",
        },
        "namespaces": match &found.scope {
            Scope::Cluster => Value::Null,
            Scope::Namespaces(names) => json!(names),
        },
        "complete": found.is_complete(),
        "missing": found.missing(),
        "heldToViewing": match found.held() {
            Beyond::Held => Some(true),
            Beyond::UpToThePrincipal | Beyond::Exceeded(_) => Some(false),
            Beyond::Unknown => None,
        },
        "mendWith": found.mend(),
        "tightenWith": found.tighten(),
        "checks": found.answers.iter().map(check).collect::<Vec<_>>(),
        "beyond": found.beyond.iter().map(check).collect::<Vec<_>>(),
        "notes": found.notes,
    })
}

fn check(answer: &Answer) -> Value {
    let mut check = match &answer.question.topic {
        Topic::Kind { viewable, verb, namespace } => json!({
            "verb": verb,
            "group": viewable.group,
            "resource": viewable.resource,
            "namespace": namespace,
        }),
        Topic::Path(path) => json!({ "verb": "get", "path": path }),
        Topic::Beyond(words) => json!({ "what": words }),
    };
    check["verdict"] = json!(match answer.verdict {
        Verdict::Allowed => "allowed",
        Verdict::RefusedByImpersonation => "refusedByImpersonation",
        Verdict::RefusedByRbac => "refusedByRbac",
        Verdict::Unknown => "unknown",
    });
    check["because"] = json!(answer.because);
    check
}
