//! What `list-views` shows.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::console::{BAD, BOLD, Console, DIM, NOTE};
use super::document::{API_VERSION, Place};
use super::table::{Cell, Columns, Tone, table};
use crate::access::grants::Scope;
use crate::access::observed::IamState;
use crate::access::principal::Principal;
use crate::access::views::{ActsAs, Advice, Iam, RightsState, Severity, View, Views, advice_on_anyone};
use crate::cli::Format;
use crate::manifest::DEFAULT_NAMESPACE;

/// Everybody who can view, or nearly.
pub fn listed_views(console: &Console, found: &Views, context: &str, server: &str) {
    match console.format() {
        Format::Json | Format::Yaml => console.document(&document(found, &Place { context, server })),
        Format::Text => {
            for note in &found.notes {
                console.say(&format!("{NOTE}‼{NOTE:#} {note}"));
            }
            console.result(&text(found, context, console.width()));
        }
    }
}

fn text(found: &Views, context: &str, width: Option<usize>) -> String {
    let mut out = Vec::new();
    if found.views.is_empty() {
        let place = match found.namespace.as_str() {
            DEFAULT_NAMESPACE => String::new(),
            other => format!(" --namespace {other}"),
        };
        out.push(format!(
            "Nobody can view {BOLD}{context}{BOLD:#} through the connector. To let yourself:\n  eksconnect grant-view \
             --principal self{place}"
        ));
    } else {
        let heads = ["PRINCIPAL", "SCOPE", "IMPERSONATION", "RBAC", "IAM", "MADE BY"];
        let whole = accounts(found).len() > 1;
        let rows = found.views.iter().map(|view| row(view, whole)).collect();
        out.push(table(&Columns { heads: &heads, indent: 0, width }, rows));
    }
    let advice: Vec<Advice> = found
        .views
        .iter()
        .flat_map(|view| view.advice.iter().cloned())
        .chain(found.anyone.iter().map(advice_on_anyone))
        .collect();
    if !advice.is_empty() {
        out.push(String::new());
    }
    out.extend(advice.iter().flat_map(advice_lines));
    out.join("\n")
}

fn accounts(found: &Views) -> BTreeSet<&str> {
    found.views.iter().filter_map(|view| view.principal.as_ref()).map(Principal::account).collect()
}

fn row(view: &View, whole: bool) -> Vec<Cell> {
    let name = match &view.principal {
        Some(principal) if !whole => principal.short().to_owned(),
        Some(_) | None => view.name.clone(),
    };
    let scope = match &view.scope {
        Scope::Nowhere => Cell::toned("–", Tone::Dim),
        Scope::Cluster => Cell::from("cluster"),
        Scope::Namespaces(names) => {
            Cell::from(format!("ns {}", names.iter().map(String::as_str).collect::<Vec<_>>().join(",")))
        }
    };
    let impersonation = match view.impersonation {
        ActsAs::Missing => Cell::toned("✗", Tone::Bad),
        ActsAs::NotHonoured => Cell::toned("✗ not honoured", Tone::Bad),
        ActsAs::ViewOnly => Cell::toned("view-only", Tone::Good),
        ActsAs::Anything => Cell::toned("anything", Tone::Bad),
    };
    let rights = match view.rights {
        RightsState::Missing => Cell::toned("✗", Tone::Bad),
        RightsState::Present => Cell::toned("✓", Tone::Good),
    };
    let iam = match &view.iam {
        Iam::Known(IamState::Allowed) => Cell::toned("✓", Tone::Good),
        Iam::Known(IamState::Lacks(_)) | Iam::Absent => Cell::toned("✗", Tone::Bad),
        Iam::Known(IamState::Unknown(_)) => Cell::toned("?", Tone::Note),
    };
    let makers: Vec<String> = view.makers.iter().map(ToString::to_string).collect();
    vec![name.into(), scope, impersonation, rights, iam, makers.join(", ").into()]
}

fn advice_lines(advice: &Advice) -> Vec<String> {
    let (sign, style) = match advice.severity {
        Severity::Loose => ("‼", BAD),
        Severity::Missing => ("✗", BAD),
        Severity::Note => ("‼", NOTE),
    };
    let text: String = advice.text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    let mut lines = vec![format!("{style}{sign}{style:#} {text}")];
    lines.extend(advice.command.iter().map(|command| format!("  {DIM}{command}{DIM:#}")));
    lines
}

fn document(found: &Views, place: &Place<'_>) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": "Views",
        "context": place.context,
        "server": place.server,
        "version": found.version,
        "namespace": found.namespace,
        "registration": found.registration,
        "constrainsImpersonation": found.constrains,
        "views": found.views.iter().map(view).collect::<Vec<_>>(),
        "anyone": found.anyone.iter().map(|one| json!({
            "role": one.role.name,
            "binding": one.binding.name,
            "madeBy": one.maker.to_string(),
            "advice": advised(&advice_on_anyone(one)),
        })).collect::<Vec<_>>(),
        "notes": found.notes,
    })
}

fn view(view: &View) -> Value {
    let (iam, lacks, why) = match &view.iam {
        Iam::Absent => ("absent", Vec::new(), None),
        Iam::Known(IamState::Allowed) => ("present", Vec::new(), None),
        Iam::Known(IamState::Lacks(actions)) => {
            ("missing", actions.iter().map(|(action, _)| action.as_str()).collect(), None)
        }
        Iam::Known(IamState::Unknown(why)) => ("unknown", Vec::new(), Some(why)),
    };
    json!({
        "principal": view.name,
        "canonical": view.principal.is_some(),
        "scope": match &view.scope {
            Scope::Nowhere => "nowhere",
            Scope::Cluster => "cluster",
            Scope::Namespaces(_) => "namespaces",
        },
        "namespaces": match &view.scope {
            Scope::Namespaces(names) => names.iter().collect(),
            Scope::Nowhere | Scope::Cluster => Vec::new(),
        },
        "impersonation": match view.impersonation {
            ActsAs::Missing => "missing",
            ActsAs::NotHonoured => "notHonoured",
            ActsAs::ViewOnly => "viewOnly",
            ActsAs::Anything => "anything",
        },
        "rbac": match view.rights {
            RightsState::Missing => "missing",
            RightsState::Present => "present",
        },
        "iam": iam,
        "iamLacks": lacks,
        "iamUnknown": why,
        "madeBy": view.makers.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "advice": view.advice.iter().map(advised).collect::<Vec<_>>(),
    })
}

fn advised(advice: &Advice) -> Value {
    json!({
        "severity": match advice.severity {
            Severity::Loose => "loose",
            Severity::Missing => "missing",
            Severity::Note => "note",
        },
        "text": advice.text,
        "command": advice.command,
    })
}
