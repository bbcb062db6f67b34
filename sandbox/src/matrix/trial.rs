//! One cell: strike, look, run again, look again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use aws_lc_rs::digest;

use super::cell::Cell;
use super::expectation::Expectations;
use super::fault::{Blow, Fault};
use super::judge::{Struck, always};
use super::stage::{Run, Stage};
use super::standing::{Codes, Standing};

/// How a cell ended.
pub(super) struct Outcome {
    pub(super) cell: Cell,
    /// What is wrong; nothing if it ended well.
    pub(super) problems: Vec<String>,
    /// The runs, for whoever looks into it.
    pub(super) runs: Vec<Run>,
    /// The requests of the first run to the cluster, a line each.
    pub(super) requests: String,
    pub(super) took: Duration,
}

/// What a good run of a command leaves.
pub(super) struct Reference {
    /// How things stand before it.
    pub(super) before: Standing,
    /// How things stand after it.
    pub(super) after: Standing,
    pub(super) expectations: Expectations,
}

/// Tries a cell. Whatever goes wrong with the trial itself is a problem of the cell.
pub(super) async fn try_cell(stage: &mut Stage, cell: Cell, reference: &Reference) -> Outcome {
    let began = Instant::now();
    let mut trial =
        Trial { cell: &cell, reference, problems: Vec::new(), runs: Vec::new(), requests: String::new() };
    if let Err(error) = trial.run(stage).await {
        trial.problems.push(format!("{error:#}"));
    }
    let Trial { problems, runs, requests, .. } = trial;
    Outcome { cell, problems, runs, requests, took: began.elapsed() }
}

struct Trial<'a> {
    cell: &'a Cell,
    reference: &'a Reference,
    problems: Vec<String>,
    runs: Vec<Run>,
    requests: String,
}

impl Trial<'_> {
    async fn run(&mut self, stage: &mut Stage) -> Result<()> {
        let cell = self.cell;
        let rule = self.reference.expectations.of(cell)?;
        stage.start_over().await?;
        stage.prepare(cell.command.before).await?;
        stage.begin().await?;
        stage.arm(cell).await?;

        let mut arguments = cell.command.arguments.to_vec();
        if matches!(cell.blow, Blow::Fault { fault: Fault::Hang, .. }) {
            arguments.extend(["--timeout", "2s"]);
        }
        arguments.extend(rule.iter().flat_map(|rule| &rule.arguments).map(String::as_str));
        let person = stage.person()?;
        let first = match rule {
            None => stage.run_until_struck(&person, &arguments, cell.point.call.side).await?,
            Some(_) => stage.run(&person, &arguments).await?,
        };
        if !stage.has_struck(cell.point.call.side).await? {
            self.problems.push("the call never came".to_owned());
        }
        let beside = stage.beside(cell);
        self.requests = stage.proxy.seen().iter().map(ToString::to_string).collect();
        stage.heal().await?;
        self.problems.extend(always(&first, &person, &codes(stage).await?));
        if let Some(rule) = rule {
            let (before, now) = (&self.reference.before, Standing::look(&stage.lease).await?);
            let kept = if cell.command.removes { &self.reference.after } else { before };
            let struck = Struck { cell, rule, run: &first, beside, before, kept, now: &now };
            self.problems.extend(struck.problems());
        }
        let went_well = first.code == Some(0);
        self.runs.push(first);

        if rule.is_none() && from_elsewhere(&cell.name()) {
            stage.forget_machine().await?;
        }
        // Somebody else, with nothing of what the first one had.
        let person = stage.person()?;
        let second = stage.run(&person, cell.command.arguments).await.context("the second run")?;
        let mut problems = always(&second, &person, &codes(stage).await?);
        if second.code != Some(0) {
            problems.push(format!("its exit code is {:?}", second.code));
        } else if went_well
            && !rule.is_some_and(|rule| rule.unfinished)
            && second.document()["changed"] == true
        {
            problems.push(format!("it found something to do: {}", second.document()["done"]));
        }
        let now = Standing::look(&stage.lease).await?;
        // Of a process that was killed it is known that it holds nothing any more.
        problems.extend(now.held_by(second.process).map(|lease| format!("{lease} is still held by it")));
        problems.extend(now.differences(&self.reference.after));
        self.runs.push(second);
        self.problems.extend(problems.into_iter().map(|problem| format!("run again: {problem}")));
        Ok(())
    }
}

/// Whether a cell's second run is as from another machine. Half of them are, and always the same.
fn from_elsewhere(cell: &str) -> bool {
    let digest = digest::digest(&digest::SHA256, cell.as_bytes());
    digest.as_ref().first().is_some_and(|first| first % 2 == 0)
}

async fn codes(stage: &Stage) -> Result<Codes> {
    let codes = stage.lease.aws().activation_codes(Some(&stage.lease.account().id)).await?;
    Ok(Codes::new(codes))
}
