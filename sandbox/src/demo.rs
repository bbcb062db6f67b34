//! The newcomer's tour: the real `eksconnect` connects a cluster, as a person would do it.
//!
//! What it shows at the end is asked of AWS with a signed call and of the cluster with kubectl. It succeeds only if AWS
//! says ACTIVE, and if the second run changed nothing.

mod describe;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use crate::aws::control::{Account, AccountSpec};
use crate::environment;
use crate::progress::Progress;
use crate::workspace::Workspace;
use crate::world::{SiteSpec, World, WorldOptions};

const REGION: &str = "eu-west-1";
const NAME: &str = "onprem1";

/// Show eksconnect connecting a cluster, in a world that is gone afterwards
///
/// Builds what is missing first: eksconnect, and once the Kubernetes control plane, which takes about six minutes. Ends
/// with 0 only if the cluster really became ACTIVE.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Show this eksconnect instead of the one of this repository
    #[arg(long, value_name = "FILE")]
    eksconnect: Option<PathBuf>,
}

/// Runs the tour, with its files below `directory`. What it shows goes to `out` and, of the programs it runs, to where this process writes.
pub(crate) async fn run(
    arguments: Arguments,
    directory: &Path,
    out: &mut (dyn Write + Send),
) -> Result<ExitCode> {
    let eksconnect = match arguments.eksconnect {
        Some(path) => std::path::absolute(path)?,
        None => build().await?,
    };
    ensure!(eksconnect.is_file(), "there is no {}", eksconnect.display());

    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let workspace = Workspace::new(directory)?;
    let begun = Instant::now();
    // Dropped, and so stopped, wherever it is.
    let tour = async {
        let options = WorldOptions {
            directory: workspace.path().to_owned(),
            sites: vec![("onprem".to_owned(), SiteSpec::default())],
            progress: Progress::stderr(),
        };
        let world = World::start(options).await?;
        writeln!(
            out,
            "A world is up after {:.1} s: AWS, and a Kubernetes cluster with two nodes",
            begun.elapsed().as_secs_f32()
        )?;
        let outcome = Tour::new(&world, &eksconnect, workspace.path(), out).await?.run().await;
        world.stop().await;
        outcome
    };
    tokio::select! {
        outcome = tour => outcome?,
        _ = interrupted.recv() => return Ok(ExitCode::from(130)),
        _ = terminated.recv() => bail!("told to end"),
    }
    writeln!(
        out,
        "\n{NAME} is ACTIVE. Everything is stopped again, after {:.0} s.",
        begun.elapsed().as_secs_f32()
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Builds eksconnect as `cargo` would for a person, who sees cargo's own progress.
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

/// A person at a shell, in a world.
struct Tour<'a> {
    world: &'a World,
    account: Account,
    variables: Vec<(&'static str, OsString)>,
    out: &'a mut (dyn Write + Send),
}

impl<'a> Tour<'a> {
    async fn new(
        world: &'a World,
        eksconnect: &Path,
        directory: &Path,
        out: &'a mut (dyn Write + Send),
    ) -> Result<Self> {
        let account = world.emulator().control().create_account(AccountSpec::default()).await?;
        let link = world.bin().join("eksconnect");
        std::os::unix::fs::symlink(eksconnect, &link)
            .with_context(|| format!("could not make {}", link.display()))?;
        let home = directory.join("home");
        std::fs::create_dir_all(&home).with_context(|| format!("could not make {}", home.display()))?;
        let site = world.sites().first().context("the world has no cluster")?;
        let mut path = world.bin().into_os_string();
        path.push(":/usr/local/bin:/usr/bin:/bin");
        let variables = vec![
            ("AWS_ENDPOINT_URL", world.emulator().endpoint().into()),
            ("AWS_REGION", REGION.into()),
            ("AWS_ACCESS_KEY_ID", account.access_key_id.clone().into()),
            ("AWS_SECRET_ACCESS_KEY", account.secret_access_key.clone().into()),
            ("KUBECONFIG", site.cluster().kubeconfig().into()),
            ("NO_PROXY", "127.0.0.1,localhost".into()),
            ("HOME", home.into()),
            ("PATH", path),
        ];
        Ok(Self { world, account, variables, out })
    }

    async fn run(mut self) -> Result<()> {
        let shown = ["AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "KUBECONFIG"];
        let environment = self.variables.iter().filter(|(name, _)| shown.contains(name));
        let environment: Vec<_> =
            environment.map(|(name, value)| format!("export {name}={}", value.display())).collect();
        self.say(&format!("$ {}", environment.join("\n$ ")))?;

        let register = ["eksconnect", "register", "--name", NAME];
        self.command(&register).await?;

        // Asked of AWS itself: what the second run tells of itself would prove less.
        let aws = self.world.emulator().control();
        let calls = aws.log(0, Some(&self.account.id)).await?.last().map_or(0, |entry| entry.sequence);
        self.command(&register).await?;
        let changing: Vec<_> = aws
            .log(calls, Some(&self.account.id))
            .await?
            .into_iter()
            .map(|entry| entry.operation)
            .filter(|operation| {
                let reads = ["Get", "List", "Describe", "Simulate"];
                // The agents go on all the time.
                let agents = ["CreateControlChannel", "RequestManagedInstanceRoleToken"];
                !reads.iter().any(|read| operation.starts_with(read)) && !agents.contains(&operation.as_str())
            })
            .collect();
        ensure!(
            changing.is_empty(),
            "the second run was not to change anything, but called {}",
            changing.join(", ")
        );

        self.say("What AWS says of it (DescribeCluster, signed like any call):")?;
        let described =
            describe::cluster(self.world.emulator().endpoint(), REGION, &self.account, NAME).await?;
        writeln!(self.out, "{}", serde_json::to_string_pretty(&described)?)?;

        self.command(&["kubectl", "get", "pods", "--namespace", "eks-connector"]).await?;
        let status = described["cluster"]["status"].as_str().unwrap_or("nothing");
        ensure!(status == "ACTIVE", "DescribeCluster says {status} of {NAME}, not ACTIVE");
        Ok(())
    }

    fn say(&mut self, line: &str) -> Result<()> {
        writeln!(self.out, "\n{line}")?;
        self.out.flush()?;
        Ok(())
    }

    /// Shows a command line and runs it. It has this process' terminal, so that it looks as it does to a person.
    async fn command(&mut self, line: &[&str]) -> Result<()> {
        self.say(&format!("$ {}", line.join(" ")))?;
        let (program, arguments) = line.split_first().context("an empty command line")?;
        let status = Command::new(self.world.bin().join(program))
            .args(arguments)
            .env_clear()
            .envs(environment::terminal())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .status()
            .await
            .with_context(|| format!("could not run {program}"))?;
        ensure!(status.success(), "`{}` failed ({status})", line.join(" "));
        Ok(())
    }
}
