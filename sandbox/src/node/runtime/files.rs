//! A container's file system: directories and files of the node mounted over the image's root, which is empty but
//! for what the container writes.

use std::path::{Path, PathBuf};

/// One mount.
#[derive(Clone, Debug)]
pub struct Mount {
    /// Where the container sees it.
    pub path: PathBuf,
    /// Directory or, with a subPath, maybe a file on the node.
    pub source: PathBuf,
    /// Whether writing is refused.
    pub read_only: bool,
}

/// Resolves a container's paths to the node's.
#[derive(Clone, Debug)]
pub struct Files {
    mounts: Vec<Mount>,
}

impl Files {
    /// A file system of these mounts over `root`, which the container may write to unless `root_read_only`.
    pub fn new(root: PathBuf, root_read_only: bool, mounts: Vec<Mount>) -> Self {
        let mut mounts = mounts;
        mounts.push(Mount { path: PathBuf::from("/"), source: root, read_only: root_read_only });
        mounts.sort_by_key(|mount| std::cmp::Reverse(mount.path.components().count()));
        Self { mounts }
    }

    /// The node's path of a container's absolute path, and whether it may be written to.
    pub fn resolve(&self, path: &str) -> (PathBuf, bool) {
        let path = Path::new(path);
        for mount in &self.mounts {
            if let Ok(rest) = path.strip_prefix(&mount.path) {
                let source =
                    if rest.as_os_str().is_empty() { mount.source.clone() } else { mount.source.join(rest) };
                return (source, !mount.read_only);
            }
        }
        // Only a relative path gets here: a container's working directory is the root.
        self.resolve(&format!("/{}", path.display()))
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// A text in the form of Go's `open PATH: CAUSE`, which is what the real programs log.
    pub async fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        let (source, _) = self.resolve(path);
        tokio::fs::read(source).await.map_err(|error| describe("open", path, &error))
    }

    /// Reads a file of text.
    ///
    /// # Errors
    ///
    /// As [`Files::read`].
    pub async fn read_text(&self, path: &str) -> Result<String, String> {
        Ok(String::from_utf8_lossy(&self.read(path).await?).into_owned())
    }

    /// Writes a file, making its directories.
    ///
    /// # Errors
    ///
    /// A text in the form of Go's `open PATH: CAUSE`.
    pub async fn write(&self, path: &str, content: &[u8]) -> Result<(), String> {
        let (source, writable) = self.resolve(path);
        if !writable {
            return Err(format!("open {path}: read-only file system"));
        }
        if let Some(directory) = source.parent() {
            tokio::fs::create_dir_all(directory).await.map_err(|error| describe("mkdir", path, &error))?;
        }
        tokio::fs::write(source, content).await.map_err(|error| describe("open", path, &error))
    }
}

/// An error in Go's words, without the node's own path.
fn describe(action: &str, path: &str, error: &std::io::Error) -> String {
    let cause = match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        std::io::ErrorKind::IsADirectory => return format!("read {path}: is a directory"),
        std::io::ErrorKind::NotADirectory => "not a directory".to_owned(),
        _ => error.to_string(),
    };
    format!("{action} {path}: {cause}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_mount_wins_and_a_file_can_be_mounted() {
        let mount = |path: &str, source: &str, read_only| Mount {
            path: path.into(),
            source: source.into(),
            read_only,
        };
        let files = Files::new(
            "/root".into(),
            true,
            vec![mount("/etc/app", "/v/a", false), mount("/etc/app/config.json", "/v/b/config.json", true)],
        );
        assert_eq!(files.resolve("/etc/app/x"), ("/v/a/x".into(), true));
        assert_eq!(files.resolve("/etc/app/config.json"), ("/v/b/config.json".into(), false));
        assert_eq!(files.resolve("/etc/apparition"), ("/root/etc/apparition".into(), false));
        assert_eq!(files.resolve("relative"), ("/root/relative".into(), false));
    }
}
