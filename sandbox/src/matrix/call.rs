//! The calls of a good run, and the points of it at which something is made to happen.

use std::collections::BTreeMap;

use crate::aws::control::Entry;
use crate::proxy::{ANY_KIND, Asked, Seen};

/// Who is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Aws,
    Cluster,
}

impl Side {
    pub(super) const ALL: [Self; 2] = [Self::Aws, Self::Cluster];

    /// As it is called in the names of cells.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Cluster => "k8s",
        }
    }
}

/// A call of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) side: Side,
    /// `eks:RegisterCluster`, `apply:statefulsets`: what calls of the same kind have in common.
    pub(super) kind: String,
    /// As IAM or RBAC says it: `eks:RegisterCluster`, `patch statefulsets`. An error must name it so.
    pub(super) operation: String,
    /// Whether it is to change something.
    pub(super) write: bool,
}

impl Call {
    /// A call in AWS' log.
    pub(super) fn of_aws(entry: &Entry) -> Self {
        let kind = format!("{}:{}", entry.service, entry.operation);
        let reads = ["Get", "List", "Describe", "Simulate"];
        let write = !reads.iter().any(|prefix| entry.operation.starts_with(prefix));
        Self { side: Side::Aws, operation: kind.clone(), kind, write }
    }

    /// A request that the proxy saw.
    pub(super) fn of_cluster(seen: &Seen) -> Self {
        let Asked { resource, .. } = &seen.asked;
        // Which kind it is depends on chance.
        let resource = if resource == ANY_KIND { "" } else { resource };
        Self {
            side: Side::Cluster,
            kind: seen.asked.kind(),
            operation: format!("{} {resource}", seen.asked.verb_of_rbac()),
            write: seen.asked.is_write(),
        }
    }
}

/// A point of a run: the n-th call of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) call: Call,
    pub(super) nth: usize,
    /// Its kind and, where a kind has several points, which: part of the names of cells.
    pub(super) label: String,
}

/// The points of a side of a run. Each write is one. Of reads of the same kind only the first is, and the first after the
/// first write: how often something is read depends on chance, but not what is read while looking and what while doing.
pub(super) fn points(calls: &[Call]) -> Vec<Point> {
    let mut points: Vec<Point> = Vec::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut written = false;
    for call in calls {
        let nth = *counts.entry(&call.kind).and_modify(|count| *count += 1).or_insert(1);
        written |= call.write;
        let label = match (call.write, nth, written) {
            (_, 1, _) => call.kind.clone(),
            (true, nth, _) => format!("{}#{nth}", call.kind),
            (false, _, true) => format!("{}@later", call.kind),
            (false, _, false) => continue,
        };
        if !points.iter().any(|point| point.label == label) {
            points.push(Point { call: call.clone(), nth, label });
        }
    }
    // A read whose first call comes after the first write has no other point.
    let first_later: Vec<String> = calls
        .iter()
        .skip_while(|call| !call.write)
        .filter(|call| !call.write)
        .map(|call| call.kind.clone())
        .filter(|kind| !calls.iter().take_while(|call| !call.write).any(|call| call.kind == *kind))
        .collect();
    points.retain(|point| {
        let kind = point.label.strip_suffix("@later");
        kind.is_none_or(|kind| !first_later.iter().any(|later| later == kind))
    });
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(kind: &str, write: bool) -> Call {
        Call { side: Side::Aws, kind: kind.to_owned(), operation: kind.to_owned(), write }
    }

    #[test]
    fn each_write_is_a_point_and_of_reads_the_first_before_and_after_the_first_write() {
        let run = [
            call("look", false),
            call("look", false),
            call("write", true),
            call("look", false),
            call("look", false),
            call("ask", false),
            call("ask", false),
            call("write", true),
        ];
        let points = points(&run);
        let named: Vec<(&str, usize)> =
            points.iter().map(|point| (point.label.as_str(), point.nth)).collect();
        assert_eq!(named, [("look", 1), ("write", 1), ("look@later", 3), ("ask", 1), ("write#2", 2)]);
    }
}
