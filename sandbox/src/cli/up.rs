//! `up`: a world until it is told to end.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use crate::aws::control::{Account, AccountSpec};
use crate::controlplane::Assets;
use crate::progress::Progress;
use crate::running::{Claim, Place, Running, RunningCluster, RunningProcess};
use crate::world::{SiteSpec, World, WorldOptions};

/// Start a world and keep it until Ctrl-C or `down`
///
/// The first start builds the Kubernetes control plane from source, which takes about six minutes.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo sandbox up
  cargo sandbox up --clusters 3 --detach")]
pub(super) struct Arguments {
    /// How many clusters it has; each takes about 600 MB of memory
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=20), value_name = "N")]
    clusters: u8,

    /// Return as soon as it is ready, and leave it running
    #[arg(long)]
    detach: bool,

    /// The Region of the environment that `env` prints
    #[arg(long, default_value = "eu-west-1")]
    region: String,
}

pub(super) async fn run(
    arguments: Arguments,
    place: &Place,
    out: &mut (dyn Write + Send),
) -> Result<ExitCode> {
    // Here and not in the detached process, so that a person sees what takes minutes.
    tokio::task::spawn_blocking(|| Assets::find(&Progress::stderr())).await??;
    if arguments.detach {
        return detach(&arguments, place, out).await;
    }
    let begun = Instant::now();
    let Some(mut claim) = place.claim()? else { bail!(already_up(place)?) };
    let sites = (1..=arguments.clusters).map(|number| (format!("sandbox-{number}"), SiteSpec::default()));
    let options = WorldOptions {
        directory: place.directory().to_owned(),
        sites: sites.collect(),
        progress: Progress::stderr(),
    };

    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    // Its terminal may go; a detached world stays.
    let mut hung_up = signal(SignalKind::hangup())?;
    let world = tokio::select! {
        world = World::start(options) => world?,
        _ = interrupted.recv() => return Ok(ExitCode::from(130)),
        _ = terminated.recv() => return Ok(ExitCode::SUCCESS),
    };
    let account = world.emulator().control().create_account(AccountSpec::default()).await?;
    let running = publish(&world, &account, arguments.region, &mut claim)?;
    writeln!(out, "Ready after {:.1} s\n", begun.elapsed().as_secs_f32())?;
    super::status::write(&running, out)?;
    writeln!(
        out,
        "\nIn another shell:  eval \"$(cargo sandbox env)\"\nCtrl-C or `cargo sandbox down` ends it."
    )?;
    out.flush()?;

    let failure = loop {
        tokio::select! {
            _ = interrupted.recv() => break None,
            _ = terminated.recv() => break None,
            _ = hung_up.recv() => {}
            failure = world.failed() => break Some(failure),
        }
    };
    world.stop().await;
    match failure {
        Some(failure) => Err(failure.context("the world broke")),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn already_up(place: &Place) -> Result<String> {
    Ok(match place.running()? {
        Some(running) => format!(
            "a world is up already, since {} (process {}): use it with `cargo sandbox env`, or end it with `cargo \
             sandbox down`",
            running.since, running.pid
        ),
        None => "a world is starting already".to_owned(),
    })
}

fn publish(world: &World, account: &Account, region: String, claim: &mut Claim) -> Result<Running> {
    let clusters = world.sites().iter().map(|site| RunningCluster {
        name: site.cluster().name().to_owned(),
        server: site.cluster().server().to_owned(),
        kubeconfig: site.cluster().kubeconfig(),
        nodes: site.nodes().iter().map(|node| node.name().to_owned()).collect(),
    });
    let processes = world.processes().into_iter().map(|process| RunningProcess {
        name: process.name,
        pid: process.pid,
        log: process.log,
    });
    let running = Running {
        pid: std::process::id(),
        since: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        aws_endpoint: world.emulator().endpoint().to_owned(),
        account: account.id.clone(),
        region,
        access_key_id: account.access_key_id.clone(),
        secret_access_key: account.secret_access_key.clone(),
        bin: world.bin(),
        clusters: clusters.collect(),
        processes: processes.collect(),
    };
    claim.publish(&running)?;
    Ok(running)
}

/// Starts the same command again in the background, and waits until its world is ready.
async fn detach(arguments: &Arguments, place: &Place, out: &mut (dyn Write + Send)) -> Result<ExitCode> {
    if place.is_claimed()? {
        bail!(already_up(place)?);
    }
    // Beside its directory, which it removes when it ends.
    let log = place.directory().with_extension("log");
    if let Some(parent) = log.parent() {
        fs::create_dir_all(parent).with_context(|| format!("could not make {}", parent.display()))?;
    }
    let output = File::create(&log).with_context(|| format!("could not make {}", log.display()))?;
    let program = std::env::current_exe().context("could not find this program")?;
    let mut child = Command::new(program)
        .args([
            "up",
            "--clusters",
            &arguments.clusters.to_string(),
            "--region",
            &arguments.region,
            "--directory",
        ])
        .arg(place.directory())
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        // Ctrl-C in this terminal is not for it.
        .process_group(0)
        .spawn()
        .context("could not start the world's process")?;
    loop {
        if let Some(running) = place.running()?.filter(|running| running.pid == child.id()) {
            super::status::write(&running, out)?;
            writeln!(out, "\nUse it:  eval \"$(cargo sandbox env)\"\nEnd it:  cargo sandbox down")?;
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(status) = child.try_wait()? {
            bail!(
                "the world did not start ({status}):\n{}",
                fs::read_to_string(&log).unwrap_or_default().trim_end()
            );
        }
        sleep(Duration::from_millis(50)).await;
    }
}
