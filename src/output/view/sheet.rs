//! A picture as a sheet: sections with tables of short texts. Text and page show the same sheet.

use jiff::Timestamp;
use serde::Serialize;

use crate::access::picture::quantity::{bytes, count};
use crate::access::picture::{
    EventRow, NamespaceRow, NodeRow, Part, Picture, PodRow, Refusal, Row, WorkloadKind, WorkloadRow,
};
use crate::access::scope::Scope;
use crate::access::verification::Verdict;
use crate::output::document::Place;
use crate::output::table::Tone;

/// The sheet.
#[derive(Debug, Serialize)]
pub(super) struct Sheet {
    /// `role/Viewer`.
    pub(super) who: String,
    /// The whole ARN.
    pub(super) arn: String,
    /// The cluster, by its context.
    pub(super) context: String,
    /// Its API server.
    pub(super) server: String,
    /// `all namespaces`, or which.
    pub(super) scope: String,
    /// When it was taken, in UTC.
    pub(super) taken_at: String,
    /// What it is and what not.
    pub(super) disclaimer: &'static str,
    /// The most important numbers.
    pub(super) figures: Vec<Figure>,
    /// The rest.
    pub(super) sections: Vec<Section>,
}

/// A number with what it counts.
#[derive(Debug, Serialize)]
pub(super) struct Figure {
    pub(super) title: &'static str,
    pub(super) value: String,
    pub(super) note: String,
    pub(super) tone: Tone,
}

/// A table with its title.
#[derive(Debug, Serialize)]
pub(super) struct Section {
    pub(super) title: &'static str,
    /// How many there are, where that can be seen.
    pub(super) total: Option<u64>,
    /// Heads; one that begins with `>` is of a column of numbers.
    pub(super) heads: Vec<&'static str>,
    pub(super) rows: Vec<Vec<Entry>>,
    /// What is left out.
    pub(super) more: Option<String>,
    /// What may not be seen.
    pub(super) forbidden: Vec<String>,
}

/// A cell.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    pub(super) text: String,
    pub(super) tone: Tone,
}

impl Entry {
    fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }
}

impl<T: Into<String>> From<T> for Entry {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

/// What every sheet says of itself.
const DISCLAIMER: &str = "This is what the API server allows this principal through the connector. It is not a \
                          picture of the AWS console, which may show less, or otherwise.";

/// The sheet of a picture.
pub(super) fn sheet(picture: &Picture, place: &Place<'_>) -> Sheet {
    let mut sections = vec![nodes(picture), namespaces(picture)];
    sections.extend(picture.workloads.iter().filter_map(|(kind, part)| workloads(picture, *kind, part)));
    sections.extend([pods(picture), events(picture)]);
    Sheet {
        who: picture.principal.short().to_owned(),
        arn: picture.principal.arn().to_owned(),
        context: place.context.to_owned(),
        server: place.server.to_owned(),
        scope: match &picture.scope {
            Scope::Cluster => "all namespaces".to_owned(),
            Scope::Namespaces(names) if names.len() == 1 => format!("namespace {}", joined(names)),
            Scope::Namespaces(names) => format!("namespaces {}", joined(names)),
        },
        taken_at: picture.taken_at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        disclaimer: DISCLAIMER,
        figures: figures(picture),
        sections,
    }
}

fn joined<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    names.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn figures(picture: &Picture) -> Vec<Figure> {
    let server = match picture.server.rows.first() {
        None => Figure {
            title: "API server",
            value: "forbidden".to_owned(),
            note: String::new(),
            tone: Tone::Note,
        },
        Some(server) => {
            let (note, tone) = match server.ready {
                Some(true) => ("healthy", Tone::Good),
                Some(false) => ("not healthy", Tone::Bad),
                None => ("its health may not be seen", Tone::Note),
            };
            let version = server.version.trim_start_matches('v');
            Figure { title: "Kubernetes", value: version.to_owned(), note: note.to_owned(), tone }
        }
    };
    let workloads = picture.workloads.iter().map(|(_, part)| part);
    let of_workloads = workloads.fold((0, 0, 0), |(total, unwell, forbidden), part| {
        (total + part.total(), unwell + part.unwell, forbidden + usize::from(part.is_forbidden()))
    });
    let all_forbidden = of_workloads.2 == picture.workloads.len();
    vec![
        server,
        figure(
            "Nodes",
            picture.nodes.total(),
            picture.nodes.unwell,
            "not ready",
            picture.nodes.is_forbidden(),
        ),
        figure("Workloads", of_workloads.0, of_workloads.1, "not as they should be", all_forbidden),
        figure("Pods", picture.pods.total(), picture.pods.unwell, "in trouble", picture.pods.is_forbidden()),
    ]
}

fn figure(title: &'static str, total: u64, unwell: u64, what: &str, forbidden: bool) -> Figure {
    let (value, note, tone) = match (forbidden, total, unwell) {
        (true, ..) => ("forbidden".to_owned(), String::new(), Tone::Note),
        (_, 0, _) => ("0".to_owned(), "none".to_owned(), Tone::Dim),
        (_, total, 0) => (total.to_string(), "all well".to_owned(), Tone::Good),
        (_, total, unwell) => (total.to_string(), format!("{unwell} {what}"), Tone::Bad),
    };
    Figure { title, value, note, tone }
}

fn section<T: Row>(
    title: &'static str,
    what: &str,
    heads: &[&'static str],
    part: &Part<T>,
    row: impl Fn(&T) -> Vec<Entry>,
) -> Section {
    Section {
        title,
        total: (!part.is_forbidden()).then(|| part.total()),
        heads: heads.to_vec(),
        rows: part.rows.iter().map(row).collect(),
        more: (part.more > 0).then(|| format!("{} more are not shown (--limit 0 shows more)", part.more)),
        forbidden: forbidden(what, &part.refusals),
    }
}

/// What was refused, in words: of several namespaces in one line.
fn forbidden(what: &str, refusals: &[Refusal]) -> Vec<String> {
    let mut lines = Vec::new();
    for by in [Verdict::RefusedByImpersonation, Verdict::RefusedByRbac, Verdict::Unknown] {
        let of_it: Vec<&Refusal> = refusals.iter().filter(|refusal| refusal.by == by).collect();
        let Some(first) = of_it.first() else { continue };
        let names: Vec<String> = of_it.iter().filter_map(|refusal| refusal.namespace.clone()).collect();
        let place = if names.is_empty() { String::new() } else { format!(" in {}", joined(&names)) };
        lines.push(match by {
            Verdict::RefusedByImpersonation => {
                format!("Forbidden: the connector may not list {what}{place} in the principal's name.")
            }
            Verdict::RefusedByRbac => format!("Forbidden: the principal has no right to list {what}{place}."),
            Verdict::Unknown | Verdict::Allowed => {
                format!("Could not be read{place}: {}", first.message)
            }
        });
    }
    lines
}

fn nodes(picture: &Picture) -> Section {
    let heads = ["Name", "Status", "Roles", "Version", ">CPU", ">Memory", ">Pods", "Platform", ">Age"];
    section("Nodes", "nodes", &heads, &picture.nodes, |node: &NodeRow| {
        let mut status = vec![if node.ready { "Ready" } else { "NotReady" }];
        status.extend(node.conditions.iter().map(String::as_str));
        let roles = if node.roles.is_empty() { "–".to_owned() } else { joined(&node.roles) };
        vec![
            node.name.clone().into(),
            Entry::toned(status.join(", "), tone(node.is_well())),
            roles.into(),
            node.version.clone().into(),
            count(node.capacity.cpu).into(),
            bytes(node.capacity.memory).into(),
            count(node.capacity.pods).into(),
            node.platform.clone().into(),
            age(picture, node.created),
        ]
    })
}

fn namespaces(picture: &Picture) -> Section {
    section(
        "Namespaces",
        "namespaces",
        &["Name", "Status", ">Age"],
        &picture.namespaces,
        |row: &NamespaceRow| {
            vec![
                row.name.clone().into(),
                Entry::toned(row.phase.clone(), tone(row.is_well())),
                age(picture, row.created),
            ]
        },
    )
}

/// A kind of which there is nothing and of which nothing is refused has no section.
fn workloads(picture: &Picture, kind: WorkloadKind, part: &Part<WorkloadRow>) -> Option<Section> {
    if part.total() == 0 && part.refusals.is_empty() {
        return None;
    }
    let (title, what, amount) = match kind {
        WorkloadKind::Deployment => ("Deployments", "deployments", ">Ready"),
        WorkloadKind::DaemonSet => ("DaemonSets", "daemonsets", ">Ready"),
        WorkloadKind::StatefulSet => ("StatefulSets", "statefulsets", ">Ready"),
        WorkloadKind::ReplicaSet => ("ReplicaSets", "replicasets", ">Ready"),
        WorkloadKind::Job => ("Jobs", "jobs", ">Done"),
        WorkloadKind::CronJob => ("CronJobs", "cronjobs", ">Running"),
    };
    let state = if kind == WorkloadKind::CronJob { "Schedule" } else { "Status" };
    Some(section(title, what, &["Namespace", "Name", amount, state, ">Age"], part, |row| {
        let amount = match row.wanted {
            Some(wanted) => format!("{}/{wanted}", row.ready),
            None => row.ready.to_string(),
        };
        vec![
            row.namespace.clone().into(),
            row.name.clone().into(),
            amount.into(),
            Entry::toned(row.state.clone(), if row.wanted.is_none() { Tone::Plain } else { tone(row.well) }),
            age(picture, row.created),
        ]
    }))
}

fn pods(picture: &Picture) -> Section {
    let heads = ["Namespace", "Name", ">Ready", "Status", ">Restarts", "Node", ">Age"];
    section("Pods", "pods", &heads, &picture.pods, |pod: &PodRow| {
        vec![
            pod.namespace.clone().into(),
            pod.name.clone().into(),
            format!("{}/{}", pod.ready, pod.containers).into(),
            Entry::toned(pod.status.clone(), tone(pod.well)),
            pod.restarts.to_string().into(),
            pod.node.clone().unwrap_or_else(|| "–".to_owned()).into(),
            age(picture, pod.created),
        ]
    })
}

fn events(picture: &Picture) -> Section {
    let heads = [">Last seen", "Type", "Reason", "Object", "Message"];
    section("Recent events", "events", &heads, &picture.events, |event: &EventRow| {
        let (kind, tone) = if event.warning { ("Warning", Tone::Note) } else { ("Normal", Tone::Plain) };
        let message = match event.count {
            0 | 1 => event.message.clone(),
            count => format!("{} (×{count})", event.message),
        };
        vec![
            age(picture, event.at),
            Entry::toned(kind, tone),
            event.reason.clone().into(),
            event.object.clone().into(),
            message.into(),
        ]
    })
}

fn tone(well: bool) -> Tone {
    if well { Tone::Good } else { Tone::Bad }
}

fn age(picture: &Picture, since: Option<Timestamp>) -> Entry {
    let Some(since) = since else { return "–".into() };
    duration(picture.taken_at.as_second() - since.as_second()).into()
}

/// As kubectl writes ages, but shorter: one unit says enough.
fn duration(seconds: i64) -> String {
    match seconds {
        ..0 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        172_800..63_072_000 => format!("{}d", seconds / 86_400),
        _ => format!("{}y", seconds / 31_536_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        for (seconds, text) in
            [(-5, "0s"), (90, "90s"), (600, "10m"), (10_000, "2h"), (864_000, "10d"), (94_608_000, "3y")]
        {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn refusals_say_who_refuses_and_where() {
        let refusal = |namespace: Option<&str>, by| Refusal {
            namespace: namespace.map(str::to_owned),
            by,
            message: "m".to_owned(),
        };
        let lines = forbidden(
            "pods",
            &[
                refusal(Some("web"), Verdict::RefusedByRbac),
                refusal(Some("db"), Verdict::RefusedByRbac),
                refusal(None, Verdict::RefusedByImpersonation),
            ],
        );
        assert_eq!(
            lines,
            [
                "Forbidden: the connector may not list pods in the principal's name.",
                "Forbidden: the principal has no right to list pods in web, db.",
            ]
        );
    }
}
