//! What the benchmark prints.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use serde::Serialize;

use super::case::Case;
use super::stage::Measured;
use crate::calls::{Side, in_a_row};

/// A case at a latency.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Row {
    #[serde(serialize_with = "name")]
    case: Case,
    latency_ms: u64,
    wall_s: f64,
    bound_s: f64,
    ratio: f64,
}

fn name<S: serde::Serializer>(case: &Case, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(case.name())
}

impl Row {
    /// A row of a case that took `wall` at this latency and `zero` without any.
    pub(super) fn new(case: Case, latency_ms: u64, wall: Duration, zero: Duration) -> Self {
        let latency = Duration::from_millis(latency_ms);
        let bound = latency * case.chain().all + zero;
        let milliseconds = |seconds: f64| (seconds * 1000.0).round() / 1000.0;
        Self {
            case,
            latency_ms,
            wall_s: milliseconds(wall.as_secs_f64()),
            bound_s: milliseconds(bound.as_secs_f64()),
            ratio: milliseconds(wall.as_secs_f64() / bound.as_secs_f64()),
        }
    }
}

/// All that was measured.
#[derive(Default)]
pub(super) struct Report {
    /// A row for each case and latency.
    pub(super) rows: Vec<Row>,
    /// The median run of each case at the highest latency, in milliseconds.
    pub(super) seen: BTreeMap<Case, (u64, Measured)>,
}

impl Report {
    /// The rows as one JSON document.
    pub(super) fn write_json(&self, out: &mut dyn Write) -> Result<()> {
        writeln!(out, "{}", serde_json::to_string_pretty(&self.rows)?)?;
        Ok(())
    }

    /// Tables for people.
    pub(super) fn write(&self, calls: bool, out: &mut dyn Write) -> Result<()> {
        self.write_times(out)?;
        self.write_counts(out)?;
        if calls {
            for (case, (latency, measured)) in &self.seen {
                write_calls(*case, *latency, measured, out)?;
            }
        }
        Ok(())
    }

    fn write_times(&self, out: &mut dyn Write) -> Result<()> {
        writeln!(out, "{:<20} {:>10} {:>8} {:>8} {:>6}", "CASE", "LATENCY ms", "WALL s", "BOUND s", "RATIO")?;
        for row in &self.rows {
            let Row { case, latency_ms, wall_s, bound_s, ratio } = *row;
            writeln!(out, "{:<20} {latency_ms:>10} {wall_s:>8.2} {bound_s:>8.2} {ratio:>6.2}", case.name())?;
        }
        let of = |case| self.rows.iter().filter(move |row| row.case == case);
        for fresh in of(Case::RegisterFresh) {
            let latency = fresh.latency_ms;
            if let Some(by_hand) = of(Case::AwsCliAndKubectl).find(|row| row.latency_ms == latency) {
                let times = by_hand.wall_s / fresh.wall_s;
                writeln!(
                    out,
                    "At {latency} ms aws and kubectl take {times:.1} times as long as a fresh register."
                )?;
            }
        }
        Ok(())
    }

    fn write_counts(&self, out: &mut dyn Write) -> Result<()> {
        writeln!(out, "\n{:<20} {:>10}  {:<22}  {:<26}  {:<14}", "", "", "AWS", "CLUSTER", "BOTH")?;
        writeln!(
            out,
            "{:<20} {:>10}  {:>5} {:>8} {:>7}  {:>5} {:>8} {:>7} {:>5}  {:>8} {:>7}",
            "CASE",
            "LATENCY ms",
            "CALLS",
            "IN A ROW",
            "BOUND'S",
            "CALLS",
            "IN A ROW",
            "BOUND'S",
            "CONN.",
            "IN A ROW",
            "BOUND'S"
        )?;
        for (case, (latency, measured)) in &self.seen {
            let of = |side| measured.calls.iter().filter(move |call| call.side == side);
            let chain = case.chain();
            writeln!(
                out,
                "{:<20} {latency:>10}  {:>5} {:>8} {:>7}  {:>5} {:>8} {:>7} {:>5}  {:>8} {:>7}",
                case.name(),
                of(Side::Aws).count(),
                in_a_row(of(Side::Aws)),
                chain.aws,
                of(Side::Cluster).count(),
                in_a_row(of(Side::Cluster)),
                chain.cluster,
                measured.connections,
                in_a_row(measured.calls.iter()),
                chain.all,
            )?;
        }
        Ok(())
    }
}

fn write_calls(case: Case, latency: u64, measured: &Measured, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "\n{} at {latency} ms took {:.0} ms", case.name(), measured.wall.as_secs_f64() * 1000.0)?;
    writeln!(out, "{:>8} {:>8}  {:<7}  CALL", "FROM ms", "TO ms", "OF")?;
    for call in &measured.calls {
        let since = |time: Timestamp| time.duration_since(measured.began).as_millis();
        let side = match call.side {
            Side::Aws => "AWS",
            Side::Cluster => "cluster",
        };
        writeln!(out, "{:>8} {:>8}  {side:<7}  {}", since(call.began), since(call.ended), call.name)?;
    }
    Ok(())
}
