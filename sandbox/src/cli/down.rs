//! `down`: the end of a world.

use std::io::Write;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::time::sleep;

use crate::running::Place;

/// How long a world may take to end. It takes a fraction of a second.
const END: Duration = Duration::from_secs(30);

/// End the world that is up
#[derive(clap::Args)]
pub(super) struct Arguments {}

pub(super) async fn run(_: &Arguments, place: &Place, out: &mut (dyn Write + Send)) -> Result<ExitCode> {
    let Some(running) = place.running()? else {
        if place.is_claimed()? {
            bail!("the world is still starting: wait until it is ready, or end it where it was started");
        }
        writeln!(out, "No world is up")?;
        return Ok(ExitCode::SUCCESS);
    };
    // The shell's own `kill`, which every system has. The lock says that the process lives, so the id is still its.
    let told = Command::new("/bin/sh")
        .args(["-c", "kill -TERM \"$1\"", "sh", &running.pid.to_string()])
        .stdin(Stdio::null())
        .status()
        .context("could not tell the world to end")?;
    let deadline = Instant::now() + END;
    while place.is_claimed()? {
        if !told.success() || Instant::now() > deadline {
            bail!("the world did not end; its process is {}", running.pid);
        }
        sleep(Duration::from_millis(20)).await;
    }
    writeln!(out, "The world is gone")?;
    Ok(ExitCode::SUCCESS)
}
