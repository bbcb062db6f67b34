//! What the sandbox takes from the environment of its process, read in this one place.

#![expect(clippy::disallowed_methods, reason = "this is the one place where the environment is read")]

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The multi-call binary of the control plane, instead of one that is found or built.
pub(crate) const CONTROLPLANE: &str = "SANDBOX_CONTROLPLANE";

/// A directory with the control plane's binaries, as the Kubernetes project's `setup-envtest` makes it.
pub(crate) const KUBEBUILDER_ASSETS: &str = "KUBEBUILDER_ASSETS";

/// The value of [`CONTROLPLANE`], unless it is empty.
pub(crate) fn controlplane() -> Option<PathBuf> {
    path(CONTROLPLANE)
}

/// The value of [`KUBEBUILDER_ASSETS`], unless it is empty.
pub(crate) fn kubebuilder_assets() -> Option<PathBuf> {
    path(KUBEBUILDER_ASSETS)
}

/// The root of the repository that this crate was compiled in. The sandbox is never installed: it runs from its own
/// repository, where the sources of the control plane are too.
pub(crate) fn repository() -> PathBuf {
    let member = Path::new(env!("CARGO_MANIFEST_DIR"));
    member.parent().unwrap_or(member).to_owned()
}

/// Cargo's target directory, where everything that the sandbox keeps lies too.
pub(crate) fn target_directory() -> PathBuf {
    match path("CARGO_TARGET_DIR") {
        Some(directory) => repository().join(directory),
        None => repository().join("target"),
    }
}

/// The cargo that runs this program, or the one on the PATH.
pub(crate) fn cargo() -> PathBuf {
    path("CARGO").unwrap_or_else(|| PathBuf::from("cargo"))
}

/// What tells a program about the terminal and the person in front of it, and nothing else.
pub(crate) fn terminal() -> Vec<(&'static str, OsString)> {
    let names = [
        "TERM",
        "COLORTERM",
        "NO_COLOR",
        "CLICOLOR",
        "CLICOLOR_FORCE",
        "COLUMNS",
        "LANG",
        "LC_ALL",
        "TMPDIR",
        "CI",
    ];
    names.into_iter().filter_map(|name| Some((name, env::var_os(name)?))).collect()
}

fn path(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}
