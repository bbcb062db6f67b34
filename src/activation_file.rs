//! The file in which an activation is handed over, and reading one that was. Together with `kubernetes/secrets.rs` the
//! only place that sees a code.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::error::{Code, Error};
use crate::ports::{ActivationFile, FileSeen};
use crate::registration::handed::{Content, FileIntent, Handed, read};

/// Nothing that is an activation is larger.
const LARGEST: u64 = 64 * 1024;

/// The owner, and nobody else.
const PRIVATE: u32 = 0o600;

/// A file that an activation is written to. While a run works on it, it holds a lock on it.
#[derive(Debug)]
pub struct OutFile {
    path: PathBuf,
    held: Mutex<Option<File>>,
}

impl OutFile {
    /// For a path.
    ///
    /// # Errors
    /// It can never be written to.
    pub fn new(path: &Path) -> Result<Self, Error> {
        let refuse = |why: &str| {
            Error::usage(
                Code::INVALID_FILE,
                format!("the activation cannot be written to {}", path.display()),
            )
            .cause(why.to_owned())
            .fix("name a file that does not exist, in a directory that does: --activation-out onprem1.json")
        };
        if path == Path::new("-") {
            return Err(refuse("the activation code is a secret, and standard output may end in a log"));
        }
        if path.file_name().is_none() || path.is_dir() {
            return Err(refuse("it is a directory"));
        }
        if !directory(path).is_dir() {
            return Err(refuse("its directory does not exist"));
        }
        Ok(Self { path: path.to_owned(), held: Mutex::new(None) })
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<File>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unusable(&self, why: &io::Error) -> Error {
        Error::failed(Code::INVALID_FILE, format!("{} cannot be written", self.path.display()))
            .cause(why.to_string())
            .fix(
                "make sure that you may write to it and that there is space, then run the same command again",
            )
    }

    /// Another run has the file open and locked.
    fn busy(&self) -> Error {
        Error::refused(
            Code::LEASE_HELD,
            format!("another run of eksconnect is working on {}", self.path.display()),
        )
        .fix("wait until it ends, then run the same command again")
    }

    /// Writes a file beside it, as private, and puts that in its place: there is never half an activation.
    fn replace(&self, document: &Value) -> io::Result<()> {
        let mut name = std::ffi::OsString::from(".");
        name.push(self.path.file_name().unwrap_or_default());
        name.push(".new");
        let beside = directory(&self.path).join(name);
        // What an earlier run left there when it died is worth nothing: its registration goes, too.
        match std::fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        write(create(&beside)?, document)?;
        let placed = std::fs::rename(&beside, &self.path).and_then(|()| settle(&self.path));
        if placed.is_err() {
            // Best effort: the code in it is about to be worthless.
            drop(std::fs::remove_file(&beside));
        }
        placed
    }

    fn content(&self) -> Result<Option<Content>, Error> {
        let text = match std::fs::metadata(&self.path) {
            Ok(metadata) if metadata.len() > LARGEST => Err(None),
            Ok(_) => std::fs::read_to_string(&self.path).map_err(Some),
            Err(error) => Err(Some(error)),
        };
        let text = match text {
            Ok(text) => text,
            Err(Some(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(Some(error)) if error.kind() != io::ErrorKind::InvalidData => {
                return Err(self.unusable(&error));
            }
            Err(_) => String::new(),
        };
        read(&text).map(Some).map_err(|_| {
            Error::refused(Code::ACTIVATION_FILE_TAKEN, format!("{} exists already", self.path.display()))
                .cause("it is no activation, and nothing is ever overwritten")
                .fix("name a file that does not exist with --activation-out")
        })
    }
}

impl ActivationFile for OutFile {
    fn path(&self) -> String {
        self.path.display().to_string()
    }

    fn look(&self) -> Result<FileSeen, Error> {
        let seen = match self.content()? {
            None => FileSeen::Absent,
            Some(Content::Activation(handed)) => FileSeen::Activation(handed),
            Some(Content::Intent(intent)) => {
                let ours = self.held().is_some();
                if !ours && !is_free(&self.path).map_err(|error| self.unusable(&error))? {
                    return Err(self.busy());
                }
                FileSeen::Intent(intent)
            }
        };
        Ok(seen)
    }

    fn reserve(&self, intent: &FileIntent, exists: bool) -> Result<bool, Error> {
        let mut held = self.held();
        if held.is_some() {
            return Ok(true);
        }
        let failed = |error: io::Error| self.unusable(&error);
        let file = if exists {
            let file = File::open(&self.path).map_err(failed)?;
            if file.try_lock().is_err() {
                return Err(self.busy());
            }
            // Whoever held the lock until now may have put the activation in its place.
            let same = std::fs::metadata(&self.path)
                .and_then(|now| Ok(now.ino() == file.metadata()?.ino()))
                .map_err(failed)?;
            let content = self.content()?;
            if !same || !matches!(&content, Some(Content::Intent(now)) if now == intent) {
                return Ok(false);
            }
            file
        } else {
            let file = match create(&self.path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
                Err(error) => return Err(failed(error)),
            };
            if file.try_lock().is_err() {
                return Err(self.busy());
            }
            let file = write(file, &intent.document()).map_err(failed)?;
            settle(&self.path).map_err(failed)?;
            file
        };
        *held = Some(file);
        Ok(true)
    }

    fn keep(&self, handed: &Handed) -> Result<(), Error> {
        let mut document = handed.document();
        document["activationCode"] = json!(handed.activation.code.expose_secret());
        self.replace(&document).map_err(|error| self.unusable(&error))
    }

    fn give_up(&self) -> Result<(), Error> {
        if self.held().take().is_none() {
            return Ok(());
        }
        std::fs::remove_file(&self.path).map_err(|error| self.unusable(&error))
    }
}

/// Reads an activation that was handed over; `-` is standard input. Returns with it what a person should know about the
/// file.
///
/// # Errors
/// It cannot be read, or is no activation.
pub fn read_handed(path: &Path) -> Result<(Handed, Vec<String>), Error> {
    let (shown, from_stdin) = (path.display(), path == Path::new("-"));
    let what = if from_stdin { "standard input".to_owned() } else { shown.to_string() };
    let refuse = |why: String| {
        Error::usage(Code::INVALID_ACTIVATION, format!("{what} cannot be used as an activation"))
            .cause(why)
            .fix("give the file that register --aws-only --activation-out wrote, or what aws eks register-cluster printed")
    };
    let mut notes = Vec::new();
    let mut text = String::new();
    let limit = LARGEST + 1;
    let took = if from_stdin {
        io::stdin().lock().take(limit).read_to_string(&mut text)
    } else {
        File::open(path).and_then(|file| {
            let mode = file.metadata()?.mode() & 0o777;
            if mode & 0o077 != 0 {
                notes.push(format!(
                    "{shown} holds an activation code and can be read by others (mode {mode:o}): chmod 600 {shown}"
                ));
            }
            file.take(limit).read_to_string(&mut text)
        })
    };
    took.map_err(|error| refuse(error.to_string()))?;
    if text.len() as u64 > LARGEST {
        return Err(refuse("it is larger than any activation".to_owned()));
    }
    match read(&text).map_err(refuse)? {
        Content::Activation(handed) => Ok((*handed, notes)),
        Content::Intent(_) => Err(refuse(
            "the run that was to write it has not finished: run register --aws-only again".to_owned(),
        )),
    }
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) | None => Path::new("."),
    }
}

/// Makes a file that did not exist, for its owner alone.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path)
}

fn write(mut file: File, document: &Value) -> io::Result<File> {
    let mut text = serde_json::to_string_pretty(document)?;
    text.push('\n');
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(file)
}

/// Makes a file's name survive a crash of the machine.
fn settle(path: &Path) -> io::Result<()> {
    File::open(directory(path))?.sync_all()
}

fn is_free(path: &Path) -> io::Result<bool> {
    match File::open(path)?.try_lock() {
        Ok(()) => Ok(true),
        Err(std::fs::TryLockError::WouldBlock) => Ok(false),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn intent() -> FileIntent {
        FileIntent { arn: "arn".into(), id: "id".into(), started_at: Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn one_run_at_a_time_and_one_that_died_is_taken_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        let [first, second] = [OutFile::new(&path).unwrap(), OutFile::new(&path).unwrap()];
        assert!(matches!(first.look(), Ok(FileSeen::Absent)));
        assert!(first.reserve(&intent(), false).unwrap());
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(matches!(first.look(), Ok(FileSeen::Intent(_))), "its own is no obstacle");
        assert_eq!(second.look().unwrap_err().code, Code::LEASE_HELD);
        assert_eq!(second.reserve(&intent(), true).unwrap_err().code, Code::LEASE_HELD);
        assert!(!second.reserve(&intent(), false).unwrap(), "nothing is overwritten");
        drop(first);
        assert!(matches!(second.look(), Ok(FileSeen::Intent(seen)) if seen == intent()));
        assert!(second.reserve(&intent(), true).unwrap());
        second.give_up().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn what_is_not_ours_is_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        std::fs::write(&path, "precious").unwrap();
        let file = OutFile::new(&path).unwrap();
        assert_eq!(file.look().unwrap_err().code, Code::ACTIVATION_FILE_TAKEN);
        assert!(!file.reserve(&intent(), false).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}
