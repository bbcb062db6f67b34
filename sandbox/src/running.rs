//! The world that `up` runs, as the other commands find it: a file says what there is, locks say whether it lives.
//!
//! The process that runs the world holds a lock beside its directory, and one on the file that it wrote itself. The
//! kernel releases them however that process ends. So a file that a dead world left is never taken for a living one,
//! whatever process ids mean by then, and not even while the next world is about to remove it.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// A running world: all that a person or a program needs to use it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Running {
    /// The process that runs it.
    pub(crate) pid: u32,
    /// When it was ready, RFC 3339.
    pub(crate) since: String,
    /// URL of all AWS services.
    pub(crate) aws_endpoint: String,
    /// Id of the account.
    pub(crate) account: String,
    /// The Region in the environment that `env` prints.
    pub(crate) region: String,
    /// Keys of a user who may do everything.
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    /// A directory for the PATH, with kubectl.
    pub(crate) bin: PathBuf,
    pub(crate) clusters: Vec<RunningCluster>,
    pub(crate) processes: Vec<RunningProcess>,
}

/// A cluster of a running world.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunningCluster {
    pub(crate) name: String,
    pub(crate) server: String,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) nodes: Vec<String>,
}

/// A process of a running world, beside the one that runs it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RunningProcess {
    pub(crate) name: String,
    pub(crate) pid: u32,
    pub(crate) log: PathBuf,
}

/// Where a world lives: a directory for its files, and beside it its lock.
#[derive(Clone, Debug)]
pub(crate) struct Place(PathBuf);

/// The right to run a world at a place. It ends with the process.
pub(crate) struct Claim {
    place: Place,
    published: Option<File>,
    _lock: File,
}

impl Place {
    /// The place with this directory.
    pub(crate) fn new(directory: &Path) -> Result<Self> {
        Ok(Self(std::path::absolute(directory)?))
    }

    /// The directory of its files.
    pub(crate) fn directory(&self) -> &Path {
        &self.0
    }

    fn lock(&self) -> PathBuf {
        self.0.with_extension("lock")
    }

    fn file(&self) -> PathBuf {
        self.0.join("world.json")
    }

    /// Claims it for a world, and removes what a former one left there. None if a world runs there.
    pub(crate) fn claim(&self) -> Result<Option<Claim>> {
        if let Some(parent) = self.0.parent() {
            fs::create_dir_all(parent).with_context(|| format!("could not make {}", parent.display()))?;
        }
        let lock =
            File::create(self.lock()).with_context(|| format!("could not make {}", self.lock().display()))?;
        // Somebody who just looks whether a world runs has the lock for a moment.
        let mut attempts = 20;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if attempts == 0 => return Ok(None),
                Err(TryLockError::WouldBlock) => attempts -= 1,
                Err(TryLockError::Error(error)) => {
                    return Err(error).context("could not lock the world's directory");
                }
            }
            thread::sleep(Duration::from_millis(10));
        }
        if self.0.exists() {
            fs::remove_dir_all(&self.0).with_context(|| format!("could not remove {}", self.0.display()))?;
        }
        fs::create_dir(&self.0).with_context(|| format!("could not make {}", self.0.display()))?;
        Ok(Some(Claim { place: self.clone(), published: None, _lock: lock }))
    }

    /// Whether a process holds the claim, ready or not.
    pub(crate) fn is_claimed(&self) -> Result<bool> {
        match File::open(self.lock()) {
            Ok(lock) => is_locked(&lock),
            Err(_) => Ok(false),
        }
    }

    /// The world that runs there and is ready.
    pub(crate) fn running(&self) -> Result<Option<Running>> {
        let path = self.file();
        let Ok(mut file) = File::open(&path) else { return Ok(None) };
        if !is_locked(&file)? {
            return Ok(None);
        }
        let understand = || format!("could not understand {}", path.display());
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(understand)?;
        serde_json::from_str(&text).map(Some).with_context(understand)
    }
}

/// Whether another process holds a lock of this file.
fn is_locked(file: &File) -> Result<bool> {
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error).context("could not look at a lock of the world"),
    }
}

impl Claim {
    /// Says that the world is ready, and what it is.
    pub(crate) fn publish(&mut self, running: &Running) -> Result<()> {
        let path = self.place.file();
        // Whole and locked, or not there at all: somebody may be waiting for it.
        let unfinished = path.with_extension("unfinished");
        let write = || format!("could not write {}", unfinished.display());
        let mut file = File::create(&unfinished).with_context(write)?;
        file.lock().with_context(write)?;
        file.write_all(&serde_json::to_vec_pretty(running)?).with_context(write)?;
        fs::rename(&unfinished, &path).with_context(|| format!("could not make {}", path.display()))?;
        self.published = Some(file);
        Ok(())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next world.
        drop(fs::remove_dir_all(self.place.directory()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> Running {
        Running {
            pid: 1,
            since: String::new(),
            aws_endpoint: String::new(),
            account: String::new(),
            region: String::new(),
            access_key_id: String::new(),
            secret_access_key: String::new(),
            bin: PathBuf::new(),
            clusters: Vec::new(),
            processes: Vec::new(),
        }
    }

    #[test]
    fn a_place_holds_one_world_and_a_dead_one_is_no_world() {
        let parent = tempfile::tempdir().unwrap();
        let place = Place::new(&parent.path().join("world")).unwrap();
        assert!(place.running().unwrap().is_none());
        let mut claim = place.claim().unwrap().unwrap();
        assert!(place.running().unwrap().is_none(), "it is not ready");
        claim.publish(&running()).unwrap();
        assert_eq!(place.running().unwrap().unwrap().pid, 1);
        assert!(place.claim().unwrap().is_none());

        // A world that is killed leaves its file, and its locks are released by the kernel.
        let left = fs::read(place.file()).unwrap();
        drop(claim);
        fs::create_dir(place.directory()).unwrap();
        fs::write(place.file(), left).unwrap();
        assert!(place.running().unwrap().is_none());
        // Nor is it one while the next world claims the place.
        let claim = File::open(place.lock()).unwrap();
        claim.lock().unwrap();
        assert!(place.is_claimed().unwrap() && place.running().unwrap().is_none());
        claim.unlock().unwrap();
        drop(place.claim().unwrap().unwrap());
    }
}
