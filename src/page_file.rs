//! Writing a page into a file that is not somebody else's.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use crate::error::{Code, Error};

/// Refuses a file that exists, before anything is asked of anybody.
///
/// # Errors
/// It exists and is not to be overwritten.
pub fn check(path: &Path, force: bool) -> Result<(), Error> {
    if force || !path.exists() { Ok(()) } else { Err(taken(path)) }
}

/// Writes it; never over a file that exists, unless `force` says so.
///
/// # Errors
/// It exists and is not to be overwritten, or it cannot be written.
pub fn write(path: &Path, page: &str, force: bool) -> Result<(), Error> {
    let opened =
        if force { File::create(path) } else { OpenOptions::new().write(true).create_new(true).open(path) };
    match opened.and_then(|mut file| file.write_all(page.as_bytes())) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(taken(path)),
        Err(error) => Err(Error::failed(Code::INVALID_FILE, format!("{} cannot be written", path.display()))
            .cause(error.to_string())
            .fix("name a file in a directory that you may write to: --html FILE")),
    }
}

fn taken(path: &Path) -> Error {
    Error::refused(Code::PAGE_TAKEN, format!("{} exists already", path.display()))
        .fix("name another file, or add --force to overwrite it")
}
