//! `access`: callers with less than full access.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::{fs, io};

use anyhow::{Context, Result};

use super::env::{self, Shell};
use crate::aws::control::{CallerSpec, Client};
use crate::running::Running;

/// Make a caller who may do just what a policy says, and print what makes a shell be that caller
#[derive(clap::Args)]
#[command(after_help = "Examples:
  eval \"$(cargo sandbox access --user ci --policy policy.json)\"
  eval \"$(cargo sandbox access --role deployer --policy policy.json)\"
  eval \"$(cargo sandbox access --user late --expired)\"
  eval \"$(cargo sandbox env)\"              full access again")]
pub(super) struct Arguments {
    #[command(flatten)]
    who: Who,

    /// A file with the caller's only IAM policy, or - for standard input [default: full access]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// Make its credentials temporary, with a session token; a role's always are
    #[arg(long)]
    session_token: bool,

    /// Make its credentials temporary and expired
    #[arg(long)]
    expired: bool,

    /// The shell that reads it
    #[arg(long, value_enum, default_value_t = Shell::Sh)]
    shell: Shell,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Who {
    /// An IAM user of this name
    #[arg(long, value_name = "NAME")]
    user: Option<String>,

    /// A session of an IAM role of this name
    #[arg(long, value_name = "NAME")]
    role: Option<String>,
}

pub(super) async fn run(
    arguments: &Arguments,
    running: &Running,
    out: &mut (dyn Write + Send),
) -> Result<ExitCode> {
    let policy = arguments.policy.as_ref().map(|path| -> Result<serde_json::Value> {
        let read = || format!("could not read {}", path.display());
        let mut text = String::new();
        if path.as_os_str() == "-" {
            io::stdin().read_to_string(&mut text).with_context(read)?;
        } else {
            text = fs::read_to_string(path).with_context(read)?;
        }
        serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))
    });
    let policy = policy.transpose()?;
    let mut spec = match &arguments.who {
        Who { role: Some(role), .. } => CallerSpec::role(role, "sandbox", policy),
        Who { user, .. } => CallerSpec::user(user.as_deref().unwrap_or_default(), policy),
    };
    spec.session_token |= arguments.session_token || arguments.expired;
    spec.expired = arguments.expired;

    let caller = Client::new(&running.aws_endpoint).add_caller(&running.account, spec).await?;
    writeln!(out, "# {}", caller.arn)?;
    env::set(arguments.shell, "AWS_ACCESS_KEY_ID", &caller.access_key_id, out)?;
    env::set(arguments.shell, "AWS_SECRET_ACCESS_KEY", &caller.secret_access_key, out)?;
    match &caller.session_token {
        Some(token) => env::set(arguments.shell, "AWS_SESSION_TOKEN", token, out)?,
        None => env::unset(arguments.shell, "AWS_SESSION_TOKEN", out)?,
    }
    Ok(ExitCode::SUCCESS)
}
