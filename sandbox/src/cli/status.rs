//! `status`: what there is.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;

use crate::running::{Place, Running};

/// Show whether a world is up, and what it consists of
#[derive(clap::Args)]
#[command(after_help = "Ends with 1 if no world is up.")]
pub(super) struct Arguments {
    /// Print it as JSON, with the keys of the account
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments, place: &Place, out: &mut (dyn Write + Send)) -> Result<ExitCode> {
    let Some(running) = place.running()? else {
        let state = if place.is_claimed()? { "A world is starting" } else { "No world is up" };
        writeln!(out, "{state}")?;
        return Ok(ExitCode::FAILURE);
    };
    if arguments.json {
        serde_json::to_writer_pretty(&mut *out, &running)?;
        writeln!(out)?;
    } else {
        writeln!(out, "Up since {} (process {})\n", running.since, running.pid)?;
        write(&running, out)?;
        writeln!(out)?;
        for process in &running.processes {
            writeln!(out, "{:<8} {:<40} {}", process.pid, process.name, process.log.display())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes where AWS and the clusters are.
pub(super) fn write(running: &Running, out: &mut (dyn Write + Send)) -> Result<()> {
    let Running { aws_endpoint, account, region, .. } = running;
    writeln!(out, "AWS        {aws_endpoint}  account {account}, Region {region}")?;
    for cluster in &running.clusters {
        writeln!(out, "{:<10} {}  nodes {}", cluster.name, cluster.server, cluster.nodes.join(", "))?;
    }
    Ok(())
}
