//! Where the control plane's binaries are.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail, ensure};

use super::build;
use crate::environment;
use crate::progress::Progress;

/// One of the programs that make up a control plane, or kubectl.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    Etcd,
    KubeApiserver,
    KubeControllerManager,
    KubeScheduler,
    Kubectl,
}

impl Program {
    const ALL: [Self; 5] =
        [Self::Etcd, Self::KubeApiserver, Self::KubeControllerManager, Self::KubeScheduler, Self::Kubectl];

    /// The name of its binary.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::KubeScheduler => "kube-scheduler",
            Self::Kubectl => "kubectl",
        }
    }
}

/// The binaries of a control plane.
#[derive(Clone, Debug)]
pub struct Assets(Source);

#[derive(Clone, Debug)]
enum Source {
    /// Our own binary, which is all of the programs: its first argument, or the name it is called by, says which.
    MultiCall(PathBuf),
    /// One binary a program.
    Directory(PathBuf),
}

/// Runs its arguments as a child that is killed when standard input ends: what our own binary does by itself.
const SUPERVISOR: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- &
child=$!
{ cat <&3 >/dev/null; kill -9 "$child"; } 2>/dev/null &
watch=$!
exec 3<&-
wait "$child"
status=$?
kill "$watch" 2>/dev/null
exit "$status"
"#;

impl Assets {
    /// Finds the binaries, or builds them.
    ///
    /// In this order: the multi-call binary that `SANDBOX_CONTROLPLANE` names; the directory that
    /// `KUBEBUILDER_ASSETS` names; the binary built before from the same sources; a build with the Go toolchain, which
    /// takes about six minutes once and says so to `progress`. Blocks while it builds.
    ///
    /// # Errors
    /// A variable that names something unusable, no Go toolchain, or a failed build.
    pub fn find(progress: &Progress) -> Result<Self> {
        if let Some(binary) = environment::controlplane() {
            ensure!(
                binary.is_file(),
                "{} names {}, which is not a file",
                environment::CONTROLPLANE,
                binary.display()
            );
            return Ok(Self(Source::MultiCall(std::path::absolute(binary)?)));
        }
        if let Some(directory) = environment::kubebuilder_assets() {
            return Self::in_directory(&directory);
        }
        let sources = environment::repository().join("sandbox/controlplane");
        let output = environment::target_directory().join("sandbox");
        Ok(Self(Source::MultiCall(build::find_or_build(&sources, &output, progress)?)))
    }

    fn in_directory(directory: &Path) -> Result<Self> {
        let missing: Vec<_> = Program::ALL
            .into_iter()
            .map(Program::name)
            .filter(|name| !directory.join(name).is_file())
            .collect();
        if !missing.is_empty() {
            bail!(
                "{} names {}, which lacks {}. Add them, or unset the variable to build all of them from source",
                environment::KUBEBUILDER_ASSETS,
                directory.display(),
                missing.join(", ")
            );
        }
        Ok(Self(Source::Directory(std::path::absolute(directory)?)))
    }

    /// How to call kubectl: the program, and the arguments that come before kubectl's own. The multi-call binary is
    /// kubectl too when it is called by that name, through a link for example.
    pub fn kubectl(&self) -> (PathBuf, Vec<String>) {
        match &self.0 {
            Source::MultiCall(binary) => (binary.clone(), vec![Program::Kubectl.name().to_owned()]),
            Source::Directory(directory) => (directory.join(Program::Kubectl.name()), Vec::new()),
        }
    }

    /// The file that a link called `kubectl` may point to.
    pub fn kubectl_target(&self) -> PathBuf {
        self.kubectl().0
    }

    /// A command that runs a program and kills it as soon as the command's standard input, a pipe, is closed.
    pub(super) fn supervised(&self, program: Program) -> Command {
        match &self.0 {
            Source::MultiCall(binary) => {
                let mut command = Command::new(binary);
                command.arg(program.name()).env("SANDBOX_DIE_WITH_STDIN", "1");
                command
            }
            Source::Directory(directory) => {
                let mut command = Command::new("/bin/sh");
                command.args(["-c", SUPERVISOR, "sh"]).arg(directory.join(program.name()));
                command
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_lacks_programs_is_refused_and_the_message_names_them() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["etcd", "kube-apiserver", "kubectl"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let error = Assets::in_directory(directory.path()).unwrap_err().to_string();
        assert!(error.contains("lacks kube-controller-manager, kube-scheduler."), "{error}");
    }
}
