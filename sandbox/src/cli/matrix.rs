//! `matrix`: what becomes of commands that are killed, and of those whose calls fail.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::environment;
use crate::matrix::{Choice, Setting, names, try_out};
use crate::pool::CLUSTERS;
use crate::progress::Progress;

/// Kill commands after each of their calls, let each call fail in every way, and see that nothing is lost
///
/// Each cell is one point of a command's run and one thing that happens there. The points are those of a good run; the
/// command is killed after each call of AWS and each write to the cluster, and each call is throttled, fails, is denied,
/// loses its connection, hangs or is answered with a body that lacks its end: once, and from then on.
///
/// A cell ends well if the exit code and the error are right, nothing is left that the error does not list, no
/// activation code is to be found outside the cluster's Secret, and the same command, run again without a fault, finishes.
#[derive(clap::Args)]
#[command(after_help = "Cells are called COMMAND/SIDE/CALL/FAULT/TIMES or COMMAND/SIDE/CALL/killed.

Examples:
  cargo sandbox matrix
  cargo sandbox matrix register --list
  cargo sandbox matrix --only register/aws/eks:RegisterCluster
  cargo sandbox matrix --only register/k8s/apply:secrets/hang/lasting")]
pub(super) struct Arguments {
    /// Commands to try [default: all that the matrix has]
    commands: Vec<String>,

    /// Only this cell, or those whose names begin so; can be given several times
    #[arg(long, value_name = "CELL")]
    only: Vec<String>,

    /// Only the i-th of n parts, such as 1/10
    #[arg(long, value_name = "I/N", value_parser = part)]
    part: Option<(u64, u64)>,

    /// Only print the names of the cells
    #[arg(long)]
    list: bool,

    /// How many clusters to use at once
    #[arg(long, value_name = "N", default_value_t = CLUSTERS, value_parser = clusters)]
    clusters: usize,

    /// Try this eksconnect [default: the one of this repository, built for debugging]
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,

    /// Print a row for each cell as JSON: cell, well, problems, seconds
    #[arg(long, conflicts_with = "list")]
    json: bool,
}

fn part(text: &str) -> Result<(u64, u64)> {
    let (part, parts) = text.split_once('/').context("write it as 1/10")?;
    let (part, parts): (u64, u64) = (part.parse()?, parts.parse()?);
    ensure!((1..=parts).contains(&part), "the first part is 1, the last one the number of parts");
    Ok((part - 1, parts))
}

fn clusters(text: &str) -> Result<usize> {
    let clusters = text.parse()?;
    ensure!((1..=CLUSTERS).contains(&clusters), "from 1 to {CLUSTERS}");
    Ok(clusters)
}

/// Tries the matrix, with its files below `directory`, and writes the result to `out`.
pub(super) async fn run(
    arguments: Arguments,
    directory: &Path,
    out: &mut (dyn Write + Send),
) -> Result<ExitCode> {
    let Arguments { commands, only, part, list, clusters, binary, json } = arguments;
    let binary = match binary {
        Some(path) => std::path::absolute(path)?,
        None => build().await?,
    };
    ensure!(binary.is_file(), "there is no {}", binary.display());
    let choice = Choice { commands, only, part };
    let directory = std::path::absolute(directory)?;
    let setting = Setting { binary: &binary, directory: &directory, clusters, progress: Progress::stderr() };
    if list {
        for name in names(&choice, &setting).await? {
            writeln!(out, "{name}")?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let report = try_out(&choice, &setting).await?;
    if json {
        writeln!(out, "{:#}", report.json())?;
    } else {
        report.write(out)?;
    }
    Ok(if report.bad().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds eksconnect as the tests do. Cargo shows its own progress.
async fn build() -> Result<PathBuf> {
    let status = Command::new(environment::cargo())
        .args(["build", "--bin", "eksconnect"])
        .current_dir(environment::repository())
        .status()
        .await
        .context("could not run cargo")?;
    ensure!(status.success(), "cargo build of eksconnect failed");
    Ok(environment::target_directory().join("debug/eksconnect"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_counted_from_one() {
        assert_eq!(part("1/10").unwrap(), (0, 10));
        assert_eq!(part("10/10").unwrap(), (9, 10));
        for wrong in ["", "1", "0/10", "11/10", "a/b"] {
            part(wrong).unwrap_err();
        }
    }
}
