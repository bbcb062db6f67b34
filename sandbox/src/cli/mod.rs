//! The command line of the sandbox.

mod access;
mod down;
mod env;
mod fault;
mod knobs;
mod log;
mod matrix;
mod status;
mod up;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use crate::running::{Place, Running};
use crate::{bench, demo, environment};

/// Run a whole world on loopback to try eksconnect in: Kubernetes clusters and AWS
#[derive(Parser)]
#[command(
    name = "cargo sandbox",
    bin_name = "cargo sandbox",
    after_help = "Examples:
  cargo sandbox up                        start a world; Ctrl-C ends it
  eval \"$(cargo sandbox env)\"             use it in another shell
  eksconnect register --name onprem1
  kubectl get pods -n eks-connector
  cargo sandbox log                       the calls that AWS got"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,

    /// Where the world keeps its files; each directory has a world of its own [default: below cargo's target]
    #[arg(long, global = true, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    Up(up::Arguments),
    Down(down::Arguments),
    Env(env::Arguments),
    Status(status::Arguments),
    Log(log::Arguments),
    Latency(knobs::LatencyArguments),
    Fault(fault::Arguments),
    Propagation(knobs::PropagationArguments),
    Quota(knobs::QuotaArguments),
    Expiry(knobs::ExpiryArguments),
    Clock(knobs::ClockArguments),
    Access(access::Arguments),
    Demo(demo::Arguments),
    Bench(bench::Arguments),
    Matrix(matrix::Arguments),
}

/// Parses and runs a command line. What it shows goes to `out`, what it is doing to standard error.
///
/// # Errors
/// What was asked for could not be done. Wrong usage is no error: clap has explained it, and the exit code says it.
pub async fn run(
    arguments: impl Iterator<Item = OsString>,
    out: &mut (dyn Write + Send),
) -> Result<ExitCode> {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            error.print().context("could not explain the usage")?;
            return Ok(ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2)));
        }
    };
    let Arguments { command, directory } = arguments;
    let directory = |name: &str| {
        directory.clone().unwrap_or_else(|| environment::target_directory().join("sandbox").join(name))
    };
    let place = Place::new(&directory("world"))?;
    match command {
        Command::Up(arguments) => up::run(arguments, &place, out).await,
        Command::Down(arguments) => down::run(&arguments, &place, out).await,
        Command::Env(arguments) => env::run(&arguments, &running(&place)?, out),
        Command::Status(arguments) => status::run(&arguments, &place, out),
        Command::Log(arguments) => log::run(&arguments, &running(&place)?, out).await,
        Command::Latency(arguments) => knobs::latency(&arguments, &running(&place)?, out).await,
        Command::Fault(arguments) => fault::run(arguments, &running(&place)?, out).await,
        Command::Propagation(arguments) => knobs::propagation(&arguments, &running(&place)?).await,
        Command::Quota(arguments) => knobs::quota(&arguments, &running(&place)?).await,
        Command::Expiry(arguments) => knobs::expiry(&arguments, &running(&place)?).await,
        Command::Clock(arguments) => knobs::clock(&arguments, &running(&place)?, out).await,
        Command::Access(arguments) => access::run(&arguments, &running(&place)?, out).await,
        Command::Demo(arguments) => demo::run(arguments, &directory("demo"), out).await,
        Command::Bench(arguments) => bench::run(arguments, &directory("bench"), out).await,
        Command::Matrix(arguments) => matrix::run(arguments, &directory("matrix"), out).await,
    }
}

fn running(place: &Place) -> Result<Running> {
    place.running()?.context("no world is up: start one with `cargo sandbox up`")
}
