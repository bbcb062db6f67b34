//! What is told of cells that have ended.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::evidence;
use super::fault::Blow;
use super::trial::Outcome;

/// What became of the cells that were tried.
pub struct Report {
    outcomes: Vec<Outcome>,
    of_all: usize,
    took: Duration,
    directory: PathBuf,
}

/// A line about one cell.
pub(super) fn line(outcome: &Outcome, number: usize, count: usize) -> String {
    let name = outcome.cell.name();
    let seconds = outcome.took.as_secs_f64();
    let ended = if outcome.problems.is_empty() { "well" } else { "BAD " };
    let problems: String = outcome.problems.iter().map(|problem| format!("\n        {problem}")).collect();
    format!("[{number:>3}/{count}] {ended} {seconds:>5.1} s  {name}{problems}")
}

impl Report {
    /// Of these cells, of so many in all. Keeps what those that ended badly said.
    pub(super) fn new(
        mut outcomes: Vec<Outcome>,
        of_all: usize,
        took: Duration,
        directory: &Path,
    ) -> Result<Self> {
        outcomes.sort_by_key(|outcome| outcome.cell.name());
        for outcome in outcomes.iter().filter(|outcome| !outcome.problems.is_empty()) {
            let place = evidence(directory, outcome);
            let keep = || format!("could not keep what was said in {}", place.display());
            fs::create_dir_all(&place).with_context(keep)?;
            for (run, number) in outcome.runs.iter().zip(1..) {
                fs::write(place.join(format!("run-{number}.stdout")), &run.stdout).with_context(keep)?;
                fs::write(place.join(format!("run-{number}.stderr")), &run.stderr).with_context(keep)?;
            }
        }
        Ok(Self { outcomes, of_all, took, directory: directory.to_owned() })
    }

    /// How many cells were tried.
    pub fn tried(&self) -> usize {
        self.outcomes.len()
    }

    /// The cells that ended badly, each with what is wrong.
    pub fn bad(&self) -> Vec<(String, Vec<String>)> {
        let bad = self.outcomes.iter().filter(|outcome| !outcome.problems.is_empty());
        bad.map(|outcome| (outcome.cell.name(), outcome.problems.clone())).collect()
    }

    /// A table for people, and what to do about cells that ended badly.
    ///
    /// # Errors
    /// Nobody reads it.
    pub fn write(&self, out: &mut dyn Write) -> Result<()> {
        let mut rows: BTreeMap<(&str, &str, &str), (usize, usize)> = BTreeMap::new();
        for outcome in &self.outcomes {
            let what = match outcome.cell.blow {
                Blow::Kill => "killed",
                Blow::Fault { fault, .. } => fault.name(),
            };
            let key = (outcome.cell.command.name, outcome.cell.point.call.side.name(), what);
            let (tried, well) = rows.entry(key).or_default();
            *tried += 1;
            *well += usize::from(outcome.problems.is_empty());
        }
        writeln!(out, "{:<12} {:<5} {:<14} {:>6} {:>6}", "COMMAND", "SIDE", "FAULT", "CELLS", "WELL")?;
        for ((command, side, what), (tried, well)) in &rows {
            writeln!(out, "{command:<12} {side:<5} {what:<14} {tried:>6} {well:>6}")?;
        }
        let bad = self.bad();
        for (name, problems) in &bad {
            writeln!(out, "\n{name}")?;
            for problem in problems {
                writeln!(out, "  {problem}")?;
            }
            writeln!(out, "  to try it again: cargo sandbox matrix --only '{name}'")?;
        }
        if !bad.is_empty() {
            writeln!(out, "\nWhat their runs said is in {}", self.directory.join("bad").display())?;
        }
        let well = self.tried() - bad.len();
        writeln!(
            out,
            "\n{} of {} cells tried in {:.0} s: {well} ended well, {} badly",
            self.tried(),
            self.of_all,
            self.took.as_secs_f64(),
            bad.len()
        )?;
        Ok(())
    }

    /// A row for each cell.
    pub fn json(&self) -> Value {
        let rows = self.outcomes.iter().map(|outcome| {
            json!({
                "cell": outcome.cell.name(),
                "well": outcome.problems.is_empty(),
                "problems": outcome.problems,
                "seconds": outcome.took.as_secs_f64(),
            })
        });
        rows.collect()
    }
}
