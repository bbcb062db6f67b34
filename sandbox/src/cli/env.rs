//! `env`: what a shell needs to use the world.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::running::Running;

/// Print what makes a shell use the world
///
/// Credentials and clusters that the shell used before are out of the way then; a new shell has them again.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  eval \"$(cargo sandbox env)\"
  cargo sandbox env --shell fish | source
  eval \"$(cargo sandbox env --cluster sandbox-2)\"")]
pub(super) struct Arguments {
    /// The shell that reads it
    #[arg(long, value_enum, default_value_t = Shell::Sh)]
    shell: Shell,

    /// The cluster that kubectl's current context names [default: the first]
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Shell {
    /// Any shell like Bourne's: bash, zsh, dash
    Sh,
    /// fish
    Fish,
}

impl Shell {
    fn quoted(self, value: &str) -> String {
        match self {
            Self::Sh => format!("'{}'", value.replace('\'', "'\\''")),
            Self::Fish => format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'")),
        }
    }
}

/// What would lead the tools elsewhere: they prefer it to what is printed.
const UNSET: [&str; 7] = [
    "AWS_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL_EKS",
    "AWS_ENDPOINT_URL_IAM",
    "AWS_ENDPOINT_URL_SERVICE_QUOTAS",
    "AWS_ENDPOINT_URL_SSM",
    "AWS_ENDPOINT_URL_STS",
];

pub(super) fn run(
    arguments: &Arguments,
    running: &Running,
    out: &mut (dyn Write + Send),
) -> Result<ExitCode> {
    let shell = arguments.shell;
    for name in UNSET {
        unset(shell, name, out)?;
    }
    for (name, value) in variables(running, arguments.cluster.as_deref())? {
        set(shell, name, &value, out)?;
    }
    let bin = shell.quoted(&running.bin.display().to_string());
    match shell {
        Shell::Sh => writeln!(out, "export PATH={bin}:\"$PATH\"")?,
        Shell::Fish => writeln!(out, "set -gx PATH {bin} $PATH")?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes what sets a variable.
pub(super) fn set(shell: Shell, name: &str, value: &str, out: &mut (dyn Write + Send)) -> Result<()> {
    let value = shell.quoted(value);
    match shell {
        Shell::Sh => writeln!(out, "export {name}={value}")?,
        Shell::Fish => writeln!(out, "set -gx {name} {value}")?,
    }
    Ok(())
}

/// Writes what removes a variable.
pub(super) fn unset(shell: Shell, name: &str, out: &mut (dyn Write + Send)) -> Result<()> {
    match shell {
        Shell::Sh => writeln!(out, "unset {name}")?,
        Shell::Fish => writeln!(out, "set -e {name}")?,
    }
    Ok(())
}

/// The variables that lead AWS' and Kubernetes' tools into the world.
fn variables(running: &Running, cluster: Option<&str>) -> Result<Vec<(&'static str, String)>> {
    let first = match cluster {
        Some(name) => {
            running.clusters.iter().position(|cluster| cluster.name == name).with_context(|| {
                let names: Vec<_> = running.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
                format!("the world has no cluster {name}; it has {}", names.join(", "))
            })?
        }
        None => 0,
    };
    // Of several files kubectl takes the current context of the first, and the contexts of all.
    let chosen = running.clusters.iter().skip(first).take(1);
    let others =
        running.clusters.iter().enumerate().filter(|(index, _)| *index != first).map(|(_, other)| other);
    let kubeconfigs: Vec<_> =
        chosen.chain(others).map(|cluster| cluster.kubeconfig.display().to_string()).collect();
    Ok(vec![
        ("AWS_ENDPOINT_URL", running.aws_endpoint.clone()),
        ("AWS_REGION", running.region.clone()),
        // The AWS CLI from PyPI reads only this one.
        ("AWS_DEFAULT_REGION", running.region.clone()),
        ("AWS_ACCESS_KEY_ID", running.access_key_id.clone()),
        ("AWS_SECRET_ACCESS_KEY", running.secret_access_key.clone()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ("KUBECONFIG", kubeconfigs.join(":")),
        // The AWS SDKs send even what is for loopback to a proxy.
        ("NO_PROXY", "127.0.0.1,localhost".to_owned()),
        ("no_proxy", "127.0.0.1,localhost".to_owned()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_safe_from_its_shell() {
        assert_eq!(Shell::Sh.quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(Shell::Fish.quoted(r"it's \"), r"'it\'s \\'");
    }
}
