//! One process of the control plane: it dies with us, and its death is noticed.
//!
//! The child watches its standard input, a pipe whose other end only we hold, and kills itself when that end is closed.
//! The kernel closes it whenever our process ends, by SIGKILL too, so nothing is left running; and dropping the
//! component is enough to end it. SIGKILL is deliberate: an API server that is asked to end while its etcd is gone
//! already lives on for a quarter of an hour.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::thread;

use anyhow::{Context, Error, Result, anyhow};
use tokio::sync::watch;

/// How many lines of its log explain a component's death.
const TAIL: usize = 15;

/// A process of the world, as `cargo sandbox status` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// What it is, such as `kube-apiserver of sandbox-1`.
    pub name: String,
    /// Its process id.
    pub pid: u32,
    /// The file that has what it writes.
    pub log: PathBuf,
}

/// A running process of the control plane.
pub(super) struct Component {
    process: Process,
    exit: watch::Receiver<Option<ExitStatus>>,
    life: Option<ChildStdin>,
}

impl Component {
    /// Starts `command`, which must end when its standard input does, with its output in the file `log`.
    pub(super) fn start(name: String, mut command: Command, log: PathBuf) -> Result<Self> {
        let output = File::create(&log).with_context(|| format!("could not make {}", log.display()))?;
        let mut child = command
            // Ctrl-C in a terminal reaches its whole group of processes: these end when we say so.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("could not start {name}"))?;
        let life = child.stdin.take();
        let process = Process { name, pid: child.id(), log };
        let (told, exit) = watch::channel(None);
        // A thread and not a task: a component may outlive the runtime that it was started from.
        thread::Builder::new().name("component".to_owned()).spawn(move || {
            let status = child.wait();
            told.send_replace(status.ok());
        })?;
        Ok(Self { process, exit, life })
    }

    /// What it is, for people.
    pub(super) fn process(&self) -> &Process {
        &self.process
    }

    /// Why it ended, if it did without being asked.
    pub(super) fn failure(&self) -> Option<Error> {
        let status = match *self.exit.borrow() {
            Some(status) => status.to_string(),
            // Its watcher is gone without a status: it could not be waited for.
            None if self.exit.has_changed().is_err() => "no exit status".to_owned(),
            None => return None,
        };
        let Process { name, log, .. } = &self.process;
        Some(anyhow!("{name} ended ({status}). The end of its log, {}:\n{}", log.display(), tail(log)))
    }

    /// Waits until it ended without being asked, and says why.
    pub(super) async fn failed(&self) -> Error {
        let mut exit = self.exit.clone();
        // An error means that its watcher is gone, which `failure` reports.
        drop(exit.wait_for(Option::is_some).await);
        self.failure().unwrap_or_else(|| anyhow!("{} ended", self.process.name))
    }

    /// Ends it and waits until it is gone.
    pub(super) async fn stop(mut self) {
        self.life = None;
        let mut exit = self.exit.clone();
        // An error means that there is nothing left to wait for.
        drop(exit.wait_for(Option::is_some).await);
    }
}

/// The end of a log file; what it is for must not fail because of it.
fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}
