//! Writing rendered files into a directory.

use std::io;
use std::path::Path;

use crate::error::{Code, Error};
use crate::manifest::RenderedFile;

/// Writes the files that are not there yet as they should be; returns their names. Without `force`, none is written if
/// that would change one that exists.
///
/// # Errors
/// A file differs, or cannot be read or written.
pub fn write_files(directory: &Path, files: &[RenderedFile], force: bool) -> Result<Vec<String>, Error> {
    let unusable = |what: &Path, error: &io::Error| {
        Error::failed(Code::INVALID_FILE, format!("{} cannot be written", what.display()))
            .cause(error.to_string())
            .fix("name a directory that you may write to: --kustomize DIR")
    };
    let mut wrong = Vec::new();
    let mut changed = Vec::new();
    for file in files {
        let path = directory.join(&file.name);
        match std::fs::read(&path) {
            Ok(content) if content == file.content.as_bytes() => {}
            Ok(_) => {
                changed.push(file.name.clone());
                wrong.push(file);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => wrong.push(file),
            Err(error) => return Err(unusable(&path, &error)),
        }
    }
    if !changed.is_empty() && !force {
        return Err(Error::refused(
            Code::FILES_DIFFER,
            format!("{} has files that would be overwritten", directory.display()),
        )
        .cause(format!("these differ: {}", changed.join(", ")))
        .fix("look at them first (git diff), then add --force, or name another directory"));
    }
    if !wrong.is_empty() {
        std::fs::create_dir_all(directory).map_err(|error| unusable(directory, &error))?;
    }
    for file in &wrong {
        let path = directory.join(&file.name);
        std::fs::write(&path, &file.content).map_err(|error| unusable(&path, &error))?;
    }
    Ok(wrong.into_iter().map(|file| file.name.clone()).collect())
}
