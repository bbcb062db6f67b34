//! A directory for the files of one process' world.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use uuid::Uuid;

/// A new directory, removed when dropped. A process that is killed cannot do that: what such ones left is removed when
/// the next workspace is made beside it. A lock, which ends with its process, tells them from those in use.
pub(crate) struct Workspace {
    directory: PathBuf,
    _lock: File,
}

impl Workspace {
    /// Makes one below `all`.
    pub(crate) fn new(all: &Path) -> Result<Self> {
        fs::create_dir_all(all).with_context(|| format!("could not make {}", all.display()))?;
        remove_abandoned(all)?;
        let directory = all.join(Uuid::new_v4().simple().to_string());
        // The lock first: a directory without one would never be removed.
        let lock = File::create(lock_of(&directory)).context("could not make a lock")?;
        lock.lock().context("could not lock")?;
        fs::create_dir(&directory).with_context(|| format!("could not make {}", directory.display()))?;
        Ok(Self { directory, _lock: lock })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // What is left is removed when the next one is made.
        drop(fs::remove_dir_all(&self.directory));
        drop(fs::remove_file(lock_of(&self.directory)));
    }
}

fn lock_of(directory: &Path) -> PathBuf {
    directory.with_extension("lock")
}

fn remove_abandoned(all: &Path) -> Result<()> {
    for entry in fs::read_dir(all).with_context(|| format!("could not read {}", all.display()))? {
        let lock = entry?.path();
        if lock.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        // Gone in the meantime, or in use.
        let Ok(file) = File::open(&lock) else { continue };
        if file.try_lock().is_err() {
            continue;
        }
        let directory = lock.with_extension("");
        if directory.exists() {
            fs::remove_dir_all(&directory)
                .with_context(|| format!("could not remove {}", directory.display()))?;
        }
        // The other process that also removes it may be quicker.
        drop(fs::remove_file(&lock));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_process_left_is_removed_and_what_is_in_use_stays() {
        let all = tempfile::tempdir().unwrap();
        let used = Workspace::new(all.path()).unwrap();
        let abandoned = all.path().join("abandoned");
        fs::create_dir(&abandoned).unwrap();
        fs::write(abandoned.join("file"), "").unwrap();
        fs::write(lock_of(&abandoned), "").unwrap();
        let other = Workspace::new(all.path()).unwrap();
        assert!(!abandoned.exists());
        assert!(used.path().exists());
        let (path, lock) = (other.path().to_owned(), lock_of(other.path()));
        drop(other);
        assert!(!path.exists() && !lock.exists());
    }
}
