//! etcd: one for a world.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Error, Result, bail};
use tokio::time::{Instant, sleep};

use super::assets::{Assets, Program};
use super::component::{Component, Process};

/// Where it listens for API servers, and for peers that it does not have: unix sockets, so that it needs no port. Both
/// are relative to the directory that all components run in, since a socket's path must be short (108 bytes). What
/// looks like a port belongs to the file's name: etcd wants one.
pub(super) const CLIENT_SOCKET: &str = "etcd:0";
const PEER_SOCKET: &str = "etcd:1";

/// How long it may take to listen. It takes a tenth of a second on an idle machine.
const START: Duration = Duration::from_secs(60);

/// A running etcd.
pub struct Etcd {
    component: Component,
    directory: PathBuf,
}

impl Etcd {
    /// Starts etcd with its data below `directory`, and waits until it listens. Its data need not survive: it does not
    /// sync to disk.
    ///
    /// # Errors
    /// It cannot be started, ends at once (the error has the end of its log), or does not listen in time.
    pub async fn start(assets: &Assets, directory: &Path) -> Result<Self> {
        let directory = std::path::absolute(directory)?;
        fs::create_dir_all(&directory).with_context(|| format!("could not make {}", directory.display()))?;
        let client = format!("unix://{CLIENT_SOCKET}");
        let peer = format!("unix://{PEER_SOCKET}");
        let mut command = assets.supervised(Program::Etcd);
        command
            .current_dir(&directory)
            .args(["--data-dir", "etcd", "--unsafe-no-fsync", "--log-level", "warn"])
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("default={peer}")]);
        let component = Component::start("etcd".to_owned(), command, directory.join("etcd.log"))?;
        let etcd = Self { component, directory };
        etcd.listens().await?;
        Ok(etcd)
    }

    async fn listens(&self) -> Result<()> {
        let deadline = Instant::now() + START;
        loop {
            if let Some(failure) = self.component.failure() {
                return Err(failure);
            }
            // Through the working directory of nobody: the whole path may be too long for a socket, a link is not.
            if self.directory.join(CLIENT_SOCKET).exists() {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("etcd does not listen after {} s", START.as_secs());
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The directory that the components of all its clusters run in.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        self.component.process()
    }

    /// Waits until it ended without being asked, and says why.
    pub async fn failed(&self) -> Error {
        self.component.failed().await
    }

    /// Ends it and waits until it is gone. Dropping it ends it too, without waiting.
    pub async fn stop(self) {
        self.component.stop().await;
    }
}
