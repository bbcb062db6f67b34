//! The benchmark: what connecting a cluster costs on a slow line, beside what it must cost, and beside what a person
//! pays who types it all.

mod by_hand;
mod case;
mod list;
mod report;
mod stage;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use tokio::process::Command;

use self::case::Case;
use self::report::{Report, Row};
use self::stage::{Measured, Stage};
use crate::environment;
use crate::progress::Progress;
use crate::workspace::Workspace;

/// Measure how long connecting a cluster takes when AWS and the cluster are far away
///
/// Each case runs at each latency, in a world that is gone afterwards. Every answer of STS, IAM and EKS is late by the
/// latency, and so is every exchange with the cluster, by a relay that holds back each direction by half of it. TLS
/// handshakes with the cluster cost what they cost in life; TCP's own do not, nor has the emulator of AWS TLS. The
/// agents' own calls and the nodes' are not delayed.
///
/// The bound is the number of round trips of the case that must wait for each other, one TLS handshake with the cluster
/// among them, times the latency, plus the median
/// time of the same case at 0 ms, in which are the agents and the computing. The ratio is the time over the bound. It
/// may come below 1: agents also start while requests are on their way.
///
/// The number of round trips is a constant of each case. The second table holds it against what AWS and the API server
/// logged at the highest latency. "In a row" are the most calls of which each began after the one before had ended.
#[derive(clap::Args)]
#[command(after_help = "Cases:
  register-fresh        eksconnect register, with a new account and a new cluster
  register-again        the same once more: there is nothing to do
  grant-view            eksconnect grant-view, for a role that exists, in a registered cluster
  aws-cli-and-kubectl   by hand, as the user guide says: aws five times, kubectl apply,
                        aws eks describe-cluster until ACTIVE

Examples:
  cargo sandbox bench
  cargo sandbox bench --registrations 10,100,1000      how `eksconnect list` grows instead
  cargo sandbox bench --case register-fresh --latency 200 --calls
  cargo sandbox bench --runs 5 --json --binary target/release/eksconnect")]
pub(crate) struct Arguments {
    /// Only this case; can be given several times [default: all]
    #[arg(long = "case", value_name = "CASE", value_enum, hide_possible_values = true)]
    cases: Vec<Case>,

    /// Latency of every round trip; can be given several times. 0 is measured in any case, for the bound
    #[arg(long = "latency", value_name = "MILLISECONDS", default_values_t = [0, 50, 200], value_delimiter = ',')]
    latencies: Vec<u64>,

    /// How often each is measured; the median counts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,

    /// Measure instead the time and the memory of `eksconnect list` with so many registrations
    #[arg(long, value_name = "N", value_delimiter = ',', conflicts_with_all = ["cases", "calls"])]
    registrations: Vec<u32>,

    /// Measure this eksconnect [default: the one of this repository, built for release]
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,

    /// Print the rows as JSON: case, latency_ms, wall_s, bound_s, ratio
    #[arg(long)]
    json: bool,

    /// Print also every call of a median run, at the highest latency
    #[arg(long, conflicts_with = "json")]
    calls: bool,
}

/// How large the program may be that people download, in bytes. Looked at here and not for every change, since a build
/// for release takes minutes.
const LARGEST: u64 = 20_000_000;

/// Measures, with its files below `directory`, and writes the result to `out`.
pub(crate) async fn run(
    arguments: Arguments,
    directory: &Path,
    out: &mut (dyn Write + Send),
) -> Result<ExitCode> {
    let Arguments { mut cases, mut latencies, runs, registrations, binary, json, calls } = arguments;
    if cases.is_empty() {
        cases = Case::value_variants().to_vec();
    }
    latencies.sort_unstable();
    latencies.dedup();
    let built_elsewhere = binary.is_some();
    let binary = match binary {
        Some(path) => std::path::absolute(path)?,
        None => build().await?,
    };
    ensure!(binary.is_file(), "there is no {}", binary.display());
    let size = std::fs::metadata(&binary)?.len();
    ensure!(
        built_elsewhere || size <= LARGEST,
        "eksconnect has {size} bytes, and may have {LARGEST}: find out which dependency it is"
    );

    if !registrations.is_empty() {
        let workspace = Workspace::new(&std::path::absolute(directory)?)?;
        list::measure(&binary, workspace.path(), &registrations, runs, json, out).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let progress = Progress::stderr();
    let aws_cli = if cases.contains(&Case::AwsCliAndKubectl) {
        let made = tokio::task::spawn_blocking(crate::python::environment).await?;
        Some(made.context("there is no AWS CLI to measure: choose other cases with --case")?)
    } else {
        None
    };
    let workspace = Workspace::new(&std::path::absolute(directory)?)?;
    let mut stage = Stage::new(workspace.path(), binary, aws_cli).await?;
    let mut report = Report::default();
    for case in cases {
        let mut at_zero = None;
        // The bound of every latency needs what the case takes without any.
        let measured = std::iter::once(0).chain(latencies.iter().copied().filter(|latency| *latency > 0));
        for latency in measured {
            let mut results = Vec::new();
            for number in 1..=runs {
                let measured = stage.measure(case, Duration::from_millis(latency)).await?;
                let seconds = measured.wall.as_secs_f64();
                progress
                    .say(&format!("{} at {latency} ms, run {number} of {runs}: {seconds:.2} s", case.name()));
                results.push(measured);
            }
            let measured = median(results).context("nothing was measured")?;
            let zero = *at_zero.get_or_insert(measured.wall);
            if latencies.contains(&latency) {
                report.rows.push(Row::new(case, latency, measured.wall, zero));
            }
            // Ascending, so that the last is the highest.
            report.seen.insert(case, (latency, measured));
        }
    }
    if json {
        report.write_json(out)?;
    } else {
        report.write(calls, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The run in the middle; of two the slower one.
fn median(mut results: Vec<Measured>) -> Option<Measured> {
    results.sort_by_key(|measured| measured.wall);
    let middle = results.len() / 2;
    results.into_iter().nth(middle)
}

/// Builds eksconnect as people get it. Cargo shows its own progress.
async fn build() -> Result<PathBuf> {
    let status = Command::new(environment::cargo())
        .args(["build", "--release", "--bin", "eksconnect"])
        .current_dir(environment::repository())
        .status()
        .await
        .context("could not run cargo")?;
    ensure!(status.success(), "cargo build of eksconnect failed");
    Ok(environment::target_directory().join("release/eksconnect"))
}
