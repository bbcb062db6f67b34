//! The one place that reads the environment, so that tests can be hermetic. (clap reads the `EKSCONNECT_…` variables of
//! its options, the AWS SDK and kube those of their own.)
#![expect(clippy::disallowed_methods, reason = "this is the one place")]

use std::path::PathBuf;

/// The profile that the AWS tools would use.
pub fn aws_profile() -> Option<String> {
    non_empty("AWS_PROFILE")
}

/// How often the AWS tools would try a request.
pub fn aws_max_attempts() -> Option<String> {
    std::env::var("AWS_MAX_ATTEMPTS").ok()
}

/// Whether the terminal can do no more than print (`TERM=dumb`).
pub fn terminal_is_dumb() -> bool {
    non_empty("TERM").is_some_and(|term| term == "dumb")
}

/// The files that `KUBECONFIG` names.
pub fn kubeconfig_files() -> Vec<PathBuf> {
    let paths = std::env::var_os("KUBECONFIG").unwrap_or_default();
    std::env::split_paths(&paths).filter(|path| !path.as_os_str().is_empty()).collect()
}

/// The format of `EKSCONNECT_OUTPUT`, for when the command line could not be understood.
pub fn output_format() -> Option<String> {
    non_empty("EKSCONNECT_OUTPUT")
}

/// An option of every command that is set by its variable, for when the command line is not complete yet.
pub fn option(variable: &str) -> Option<String> {
    non_empty(variable)
}

fn non_empty(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
