//! The calls of a run, as AWS' log and the API server's audit log have them: for the benchmark, and for tests that count
//! round trips.

use std::time::Duration;

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::aws::control::Entry;

/// The services that a person's tools call. The agents call others.
pub const SERVICES: [&str; 4] = ["sts", "iam", "eks", "servicequotas"];

/// The user of the cluster whose requests count.
pub const PERSON: &str = "person";

/// What the API server is to log: of each request of [`PERSON`] when it came and when it was answered.
pub const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
  - level: Metadata
    users: [person]
  - level: None
";

/// Who was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// AWS.
    Aws,
    /// The cluster.
    Cluster,
}

/// A call as its caller saw it: from when it was sent until its answer was there.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who was called.
    pub side: Side,
    /// The operation, or verb and path.
    pub name: String,
    /// When it was sent.
    pub began: Timestamp,
    /// When its answer was there.
    pub ended: Timestamp,
}

/// The calls of a person's tools in AWS' log. Its times have the latency in them already.
///
/// # Errors
/// The log cannot be read.
pub fn of_aws(log: &[Entry]) -> Result<Vec<Call>> {
    let entries = log.iter().filter(|entry| SERVICES.contains(&entry.service.as_str()));
    entries
        .map(|entry| {
            let began: Timestamp = entry.time.parse().context("AWS' log has a time that is none")?;
            let took = SignedDuration::from_millis(i64::try_from(entry.duration_ms)?);
            let name = match &entry.error {
                Some(error) => format!("{} ({error})", entry.operation),
                None => entry.operation.clone(),
            };
            Ok(Call { side: Side::Aws, name, began, ended: began + took })
        })
        .collect()
}

/// One line of the audit log (`audit.k8s.io/v1`, `Event`).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    verb: String,
    #[serde(rename = "requestURI")]
    uri: String,
    request_received_timestamp: Timestamp,
    stage_timestamp: Timestamp,
}

/// The requests in an audit log, without watches, which last as long as somebody looks. The API server saw each of them
/// after half the latency, and its answer needs the other half.
///
/// # Errors
/// The log cannot be read.
pub fn of_cluster(audit: &str, latency: Duration) -> Result<Vec<Call>> {
    let half = SignedDuration::try_from(latency / 2)?;
    let events = audit.lines().map(|line| {
        serde_json::from_str::<Event>(line).context("the audit log has a line that cannot be read")
    });
    let calls = events.map(|event| {
        let event = event?;
        let path = event.uri.split_once('?').map_or(event.uri.as_str(), |(path, _)| path);
        let dry_run = if event.uri.contains("dryRun=") { " (dry run)" } else { "" };
        Ok((event.verb != "watch").then(|| Call {
            side: Side::Cluster,
            name: format!("{} {path}{dry_run}", event.verb),
            began: event.request_received_timestamp - half,
            ended: event.stage_timestamp + half,
        }))
    });
    calls.filter_map(Result::transpose).collect()
}

/// The most calls of which each began after the one before had ended. So many depend on each other at most.
pub fn in_a_row<'a>(calls: impl Iterator<Item = &'a Call>) -> usize {
    let mut calls: Vec<&Call> = calls.collect();
    // Whichever ends first leaves the most room for others.
    calls.sort_by_key(|call| call.ended);
    let mut count = 0;
    let mut last = Timestamp::MIN;
    for call in calls {
        if call.began >= last {
            count += 1;
            last = call.ended;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_at_the_same_time_count_once() {
        let call = |began, ended| Call {
            side: Side::Aws,
            name: String::new(),
            began: Timestamp::from_second(began).unwrap(),
            ended: Timestamp::from_second(ended).unwrap(),
        };
        // A long call beside three short ones in a row, and one beside the last of them.
        let calls = [call(0, 9), call(0, 2), call(3, 4), call(4, 6), call(5, 7)];
        assert_eq!(in_a_row(calls.iter()), 3);
        assert_eq!(in_a_row(calls.iter().take(1)), 1);
        assert_eq!(in_a_row([].iter()), 0);
    }

    #[test]
    fn a_request_lasts_a_latency_longer_for_its_caller_and_watches_do_not_count() {
        let line = |verb: &str| {
            serde_json::json!({
                "verb": verb,
                "requestURI": "/api/v1/nodes?limit=500&dryRun=All",
                "requestReceivedTimestamp": "2026-01-01T00:00:01.000000Z",
                "stageTimestamp": "2026-01-01T00:00:01.500000Z",
            })
        };
        let log = format!("{}\n{}\n", line("watch"), line("list"));
        let calls = of_cluster(&log, Duration::from_secs(1)).unwrap();
        let [call] = calls.as_slice() else { panic!("{calls:?}") };
        assert_eq!(call.name, "list /api/v1/nodes (dry run)");
        assert_eq!(call.ended.duration_since(call.began), SignedDuration::from_millis(1500));
    }
}
