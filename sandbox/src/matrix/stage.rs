//! Where cells run: a cluster and an account, and people who run eksconnect through the proxy.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures::future;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease as LeaseObject;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::sleep;
use uuid::Uuid;

use super::call::{Call, Side};
use super::cell::Cell;
use crate::aws::control::Entry;
use crate::pool::{Lease, LeaseOptions, lease};
use crate::proxy::Proxy;

/// Longer than any run takes on a machine that others use too.
const PATIENCE: Duration = Duration::from_secs(150);

/// How often AWS' emulator is asked whether a fault has struck.
const LOOK: Duration = Duration::from_millis(5);

/// The Lease of eksconnect, in whatever namespace.
const LEASE: &str = "eksconnect";

/// A cluster and an account.
pub(super) struct Stage {
    pub(super) lease: Lease,
    pub(super) proxy: Proxy,
    directory: PathBuf,
    binary: PathBuf,
    /// The last call of AWS before the run.
    logged: u64,
}

/// Somebody at a machine that nothing was run on before: their files are below one directory.
pub(super) struct Person {
    directory: PathBuf,
    environment: BTreeMap<String, String>,
}

/// What a run said and how it ended.
#[derive(Debug)]
pub(super) struct Run {
    /// Its process id.
    pub(super) process: u32,
    /// `None` if it was killed.
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Run {
    /// What it printed as `-o json`, nothing if that is none.
    pub(super) fn document(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_default()
    }
}

impl Stage {
    /// Takes a cluster and an account. Files go below `directory`.
    ///
    /// # Errors
    /// The world or the cluster does not start.
    pub(super) async fn new(directory: &Path, binary: &Path) -> Result<Self> {
        let lease = lease(LeaseOptions::default()).await?;
        let proxy = Proxy::start(lease.cluster()).await?;
        Ok(Self { lease, proxy, directory: directory.to_owned(), binary: binary.to_owned(), logged: 0 })
    }

    /// A cluster like new, a fresh account, no fault, and nothing seen.
    pub(super) async fn start_over(&mut self) -> Result<()> {
        self.heal().await?;
        self.lease.start_over().await?;
        self.begin().await
    }

    /// From now on counts what is called.
    pub(super) async fn begin(&mut self) -> Result<()> {
        self.proxy.begin(None);
        let log = self.lease.aws().log(0, Some(&self.lease.account().id)).await?;
        self.logged = log.last().map_or(0, |entry| entry.sequence);
        Ok(())
    }

    /// Prepares the blow of a cell.
    pub(super) async fn arm(&self, cell: &Cell) -> Result<()> {
        match cell.point.call.side {
            Side::Aws => {
                let account = self.lease.account();
                let fault = cell.blow.in_aws(&cell.point, &account.id, &self.caller());
                self.lease.aws().add_fault(fault).await?;
            }
            Side::Cluster => self.proxy.begin(Some(cell.blow.in_cluster(&cell.point))),
        }
        Ok(())
    }

    /// Takes every fault back.
    pub(super) async fn heal(&self) -> Result<()> {
        self.proxy.heal();
        self.lease.aws().clear_faults(Some(&self.lease.account().id)).await
    }

    /// Waits until the blow of a cell has struck.
    async fn struck(&self, side: Side) -> Result<()> {
        match side {
            Side::Cluster => self.proxy.struck().await,
            Side::Aws => {
                while !self.has_struck(side).await? {
                    sleep(LOOK).await;
                }
            }
        }
        Ok(())
    }

    /// Whether the blow of a cell has struck.
    pub(super) async fn has_struck(&self, side: Side) -> Result<bool> {
        Ok(match side {
            Side::Cluster => self.proxy.seen().iter().any(|seen| seen.struck),
            Side::Aws => {
                let account = Some(&self.lease.account().id);
                let faults = self.lease.aws().faults().await?;
                faults.iter().any(|each| each.fault.selector.account.as_ref() == account && each.over > 0)
            }
        })
    }

    /// The calls since [`Self::begin`], in order on each side.
    pub(super) async fn calls(&self) -> Result<Vec<Call>> {
        let caller = self.caller();
        let log = self.lease.aws().log(self.logged, Some(&self.lease.account().id)).await?;
        // The agents call too.
        let of_ours = |entry: &&Entry| entry.principal.as_ref() == Some(&caller);
        let aws = log.iter().filter(of_ours).map(Call::of_aws);
        let seen = self.proxy.seen();
        Ok(aws.chain(seen.iter().map(Call::of_cluster)).collect())
    }

    /// The requests that the proxy left without an answer.
    pub(super) fn unanswered(&self) -> Vec<Call> {
        self.proxy.seen().iter().filter(|seen| seen.status == 0).map(Call::of_cluster).collect()
    }

    fn caller(&self) -> String {
        let account = self.lease.account();
        format!("arn:aws:iam::{}:user/{}", account.id, account.user)
    }

    /// Somebody who has never run anything.
    pub(super) fn person(&self) -> Result<Person> {
        let directory = self.directory.join(Uuid::new_v4().simple().to_string());
        let (home, temporary) = (directory.join("home"), directory.join("tmp"));
        for each in [&home, &temporary] {
            fs::create_dir_all(each).with_context(|| format!("could not make {}", each.display()))?;
        }
        let kubeconfig = home.join("kubeconfig");
        let original = self.lease.kubeconfig();
        let text = fs::read_to_string(&original)
            .with_context(|| format!("could not read {}", original.display()))?;
        let text = text.replace(self.lease.cluster().server(), &self.proxy.server());
        fs::write(&kubeconfig, text).with_context(|| format!("could not write {}", kubeconfig.display()))?;
        let mut environment = self.lease.env();
        for (name, path) in [("HOME", &home), ("TMPDIR", &temporary), ("KUBECONFIG", &kubeconfig)] {
            environment.insert(name.to_owned(), path.display().to_string());
        }
        Ok(Person { directory, environment })
    }

    /// Starts eksconnect with everything that it can say, and the result as a document.
    fn start(&self, person: &Person, arguments: &[&str]) -> Result<Child> {
        Command::new(&self.binary)
            .args(arguments)
            .args(["-o", "json", "-vvv", "--yes"])
            .env_clear()
            .envs(&person.environment)
            .current_dir(&person.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("could not run {}", self.binary.display()))
    }

    /// Runs eksconnect to its end.
    pub(super) async fn run(&self, person: &Person, arguments: &[&str]) -> Result<Run> {
        ended(self.start(person, arguments)?, future::pending()).await
    }

    /// Runs eksconnect until the blow of a cell has struck on this side, and kills it then.
    pub(super) async fn run_until_struck(
        &self,
        person: &Person,
        arguments: &[&str],
        side: Side,
    ) -> Result<Run> {
        ended(self.start(person, arguments)?, self.struck(side)).await
    }

    /// Runs what a command needs to have been run before.
    pub(super) async fn prepare(&self, before: &[&[&str]]) -> Result<()> {
        for arguments in before {
            let person = self.person()?;
            let run = self.run(&person, arguments).await?;
            ensure!(run.code == Some(0), "{} did not end well:\n{}", arguments.join(" "), run.stderr);
        }
        Ok(())
    }

    /// Makes it look as if the run that holds the Lease had been on another machine, and the Lease had expired since:
    /// nobody waits for that here.
    pub(super) async fn forget_machine(&self) -> Result<()> {
        let client = self.lease.client().await?;
        let all: Api<LeaseObject> = Api::all(client.clone());
        let named = ListParams::default().fields(&format!("metadata.name={LEASE}"));
        let changes = all.list(&named).await?.items.into_iter().filter_map(|lease| {
            let spec = lease.spec.as_ref()?;
            let held = spec.holder_identity.as_deref().is_some_and(|holder| !holder.is_empty());
            let seconds = i64::from(spec.lease_duration_seconds.unwrap_or_default()) + 1;
            let then = Timestamp::now().checked_sub(SignedDuration::from_secs(seconds)).ok()?;
            let then = then.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
            let patch = json!({ "spec": { "holderIdentity": "elsewhere/boot/1/1", "renewTime": then } });
            held.then(|| (lease.namespace().unwrap_or_default(), patch))
        });
        let client = &client;
        future::try_join_all(changes.map(async |(namespace, patch)| {
            let api: Api<LeaseObject> = Api::namespaced(client.clone(), &namespace);
            api.patch(LEASE, &PatchParams::default(), &Patch::Merge(patch)).await
        }))
        .await
        .context("could not change the Lease of eksconnect")?;
        Ok(())
    }
}

impl Person {
    /// Everything in their files: home, temporary and working directory.
    pub(super) fn files(&self) -> Result<Vec<(PathBuf, Vec<u8>)>> {
        let mut files = Vec::new();
        let mut directories = vec![self.directory.clone()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(&directory)? {
                let path = entry?.path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    let content = fs::read(&path)?;
                    files.push((path, content));
                }
            }
        }
        Ok(files)
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        // What is left is removed with the directory of the whole matrix.
        drop(fs::remove_dir_all(&self.directory));
    }
}

/// Waits for the end of a run. It is killed, as `kill -9` does, as soon as `when` has come; one that does not end by itself
/// is killed too, and that is an error.
async fn ended(mut child: Child, when: impl Future<Output = Result<()>>) -> Result<Run> {
    let process = child.id().unwrap_or_default();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let said = future::join(everything(stdout), everything(stderr));
    let end = async {
        tokio::select! {
            status = child.wait() => return Ok(status?),
            struck = when => struck?,
            () = sleep(PATIENCE) => bail!("it does not end within {} s", PATIENCE.as_secs()),
        }
        child.start_kill().context("could not kill it")?;
        Ok(child.wait().await?)
    };
    // What it says must be taken from it, or it would wait for that.
    let (status, (stdout, stderr)) = future::join(end, said).await;
    Ok(Run { process, code: status?.code(), stdout, stderr })
}

async fn everything(stream: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        // What breaks off is what it said.
        drop(stream.read_to_end(&mut bytes).await);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
