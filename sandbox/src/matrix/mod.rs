//! The matrix: a command is killed after each call that it makes, and each of its calls fails in every way that there is.
//! Whatever happens, the same command must finish afterwards, and nothing may be lost, left behind unsaid, or leaked.
//!
//! It is made from the calls of a good run, so that a call that is new joins it by itself. How each cell must end is
//! written down beforehand, in a table a command beside this file (`register.yaml`).

mod call;
mod cell;
mod command;
mod expectation;
mod fault;
mod judge;
mod report;
mod stage;
mod standing;
mod trial;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use futures::future;

use self::cell::{Cell, cells};
use self::command::{COMMANDS, Command};
use self::expectation::Expectations;
pub use self::report::Report;
use self::stage::Stage;
use self::standing::Standing;
use self::trial::{Outcome, Reference, try_cell};
use crate::progress::Progress;
use crate::workspace::Workspace;

/// What of the matrix is tried.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// The commands by name; all if there are none.
    pub commands: Vec<String>,
    /// Cells by name, or the first parts of names; all if there are none.
    pub only: Vec<String>,
    /// One part of so many: the number, counted from 0, and how many there are.
    pub part: Option<(u64, u64)>,
}

/// Where and with what it is tried.
pub struct Setting<'a> {
    /// The eksconnect that is tried.
    pub binary: &'a Path,
    /// Where files go. Those of cells that end badly stay.
    pub directory: &'a Path,
    /// How many clusters are used at once, at most [`crate::pool::CLUSTERS`].
    pub clusters: usize,
    /// Where each cell is said that has ended.
    pub progress: Progress,
}

/// Tries what was chosen.
///
/// # Errors
/// There is nothing of that name, a good run does not end well, or the world does not start. A cell that ends badly is
/// no error: the report says so.
pub async fn try_out(choice: &Choice, setting: &Setting<'_>) -> Result<Report> {
    let began = Instant::now();
    let commands = chosen_commands(choice)?;
    let workspace = Workspace::new(&std::path::absolute(setting.directory)?.join("runs"))?;
    let mut stage = Stage::new(workspace.path(), setting.binary).await?;
    let mut references = BTreeMap::new();
    let mut all = Vec::new();
    for command in commands {
        let (reference, cells) = good_run(&mut stage, command).await?;
        references.insert(command.name, reference);
        all.extend(cells);
    }
    let of_all = all.len();
    let chosen = chosen_cells(choice, all);
    ensure!(!chosen.is_empty(), "no cell is called so; see them all with --list");

    let count = chosen.len();
    let queue = Mutex::new(chosen.into_iter().rev().collect::<Vec<Cell>>());
    let ended = Mutex::new(Vec::new());
    let work = async |first: Option<Stage>| -> Result<()> {
        let mut stage = first;
        while let Some(cell) = take(&queue) {
            let mut place = match stage.take() {
                Some(place) => place,
                None => Stage::new(workspace.path(), setting.binary).await?,
            };
            let reference = references.get(cell.command.name).context("a command without a good run")?;
            let outcome = try_cell(&mut place, cell, reference).await;
            // Whatever went wrong, the next one gets another cluster.
            stage = outcome.problems.is_empty().then_some(place);
            let mut ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
            let number = ended.len() + 1;
            setting.progress.say(&report::line(&outcome, number, count));
            ended.push(outcome);
        }
        Ok(())
    };
    let workers = setting.clusters.clamp(1, count);
    let mut firsts = vec![Some(stage)];
    firsts.resize_with(workers, || None);
    future::try_join_all(firsts.into_iter().map(work)).await?;
    let outcomes = ended.into_inner().unwrap_or_else(PoisonError::into_inner);
    Report::new(outcomes, of_all, began.elapsed(), setting.directory)
}

/// The names of all cells that were chosen, in the order in which they are tried.
///
/// # Errors
/// As [`try_out`].
pub async fn names(choice: &Choice, setting: &Setting<'_>) -> Result<Vec<String>> {
    let workspace = Workspace::new(&std::path::absolute(setting.directory)?.join("runs"))?;
    let mut stage = Stage::new(workspace.path(), setting.binary).await?;
    let mut all = Vec::new();
    for command in chosen_commands(choice)? {
        all.extend(good_run(&mut stage, command).await?.1);
    }
    Ok(chosen_cells(choice, all).iter().map(Cell::name).collect())
}

fn take(queue: &Mutex<Vec<Cell>>) -> Option<Cell> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

fn chosen_commands(choice: &Choice) -> Result<Vec<&'static Command>> {
    for name in &choice.commands {
        let known: Vec<&str> = COMMANDS.iter().map(|command| command.name).collect();
        ensure!(
            known.contains(&name.as_str()),
            "the matrix has no command {name}: it has {}",
            known.join(", ")
        );
    }
    let wanted = |command: &&Command| {
        let by_cell = choice.only.iter().any(|only| only.split('/').next() == Some(command.name));
        (choice.commands.is_empty() || choice.commands.iter().any(|name| name == command.name))
            && (choice.only.is_empty() || by_cell)
    };
    let commands: Vec<_> = COMMANDS.iter().filter(wanted).collect();
    ensure!(!commands.is_empty(), "no cell is called so: names begin with a command, such as register/aws");
    Ok(commands)
}

fn chosen_cells(choice: &Choice, cells: Vec<Cell>) -> Vec<Cell> {
    let wanted = |(index, cell): &(u64, Cell)| {
        (choice.only.is_empty() || choice.only.iter().any(|only| cell.is_one_of(only)))
            && choice.part.is_none_or(|(part, parts)| index % parts.max(1) == part)
    };
    (0..).zip(cells).filter(wanted).map(|(_, cell)| cell).collect()
}

/// Runs a command well and takes note of its calls and of what it leaves.
async fn good_run(stage: &mut Stage, command: &'static Command) -> Result<(Reference, Vec<Cell>)> {
    let expectations = Expectations::parse(command.expectations).context(command.name)?;
    stage.start_over().await?;
    stage.prepare(command.before).await?;
    let before = Standing::look(&stage.lease).await?;
    stage.begin().await?;
    let person = stage.person()?;
    let run = stage.run(&person, command.arguments).await?;
    ensure!(run.code == Some(0), "without any fault {} does not end well:\n{}", command.name, run.stderr);
    let calls = stage.calls().await?;
    let after = Standing::look(&stage.lease).await?;
    let mut problems = (command.goal)(&after);
    problems.extend(after.holding_code.iter().map(|named| format!("{named} holds an activation code")));
    problems.extend(after.held.keys().map(|named| format!("{named} is held")));
    ensure!(
        problems.is_empty(),
        "without any fault {} does not do its work: {}",
        command.name,
        problems.join("; ")
    );
    let cells = cells(command, &calls);
    ensure!(!cells.is_empty(), "{} calls nobody", command.name);
    Ok((Reference { before, after, expectations }, cells))
}

/// Where the runs of a cell that ended badly are kept.
fn evidence(directory: &Path, outcome: &Outcome) -> PathBuf {
    directory.join("bad").join(outcome.cell.name().replace(['/', ':'], "_"))
}
