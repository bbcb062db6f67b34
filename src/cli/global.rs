//! The options of every command.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use jiff::SignedDuration;

use crate::aws::AwsSettings;
use crate::environment;
use crate::kubernetes::ClusterSettings;

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON document.
    Json,
    /// One YAML document.
    Yaml,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR or TERM=dumb is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The options of every command, each also as a variable `EKSCONNECT_…`.
#[derive(Debug, Args)]
pub struct GlobalArgs {
    /// AWS Region (default: AWS_REGION, then the profile's)
    #[arg(long, global = true, value_name = "REGION", env = "EKSCONNECT_REGION", help_heading = WHERE, hide_env = true)]
    pub region: Option<String>,
    /// AWS profile (default: AWS_PROFILE, then the AWS tools' own order)
    #[arg(long, global = true, value_name = "NAME", env = "EKSCONNECT_PROFILE", help_heading = WHERE, hide_env = true)]
    pub profile: Option<String>,
    /// Context of the kubeconfig (default: its current context)
    #[arg(long, global = true, value_name = "NAME", env = "EKSCONNECT_CONTEXT", help_heading = WHERE, hide_env = true)]
    pub context: Option<String>,
    /// Kubeconfig file (default: KUBECONFIG, then ~/.kube/config, then the pod's own cluster)
    #[arg(long, global = true, value_name = "FILE", env = "EKSCONNECT_KUBECONFIG", help_heading = WHERE, hide_env = true)]
    pub kubeconfig: Option<PathBuf>,
    /// How long one request to AWS or to the cluster may take
    #[arg(
        long,
        global = true,
        value_name = "DURATION",
        env = "EKSCONNECT_TIMEOUT",
        default_value = "30s",
        value_parser = duration,
        help_heading = HOW_LONG,
        hide_env = true
    )]
    pub timeout: Duration,
    /// Agree to every question beforehand, as a pipeline must
    #[arg(short, long, global = true, env = "EKSCONNECT_YES", help_heading = WHERE, hide_env = true)]
    pub yes: bool,
    /// Format of the result on standard output
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        env = "EKSCONNECT_OUTPUT",
        default_value = "text",
        help_heading = OUTPUT,
        hide_env = true
    )]
    pub output: Format,
    /// Show only the result and errors
    #[arg(short, long, global = true, env = "EKSCONNECT_QUIET", help_heading = OUTPUT, hide_env = true)]
    pub quiet: bool,
    /// Show every request (-v) and more of it (-vv)
    #[arg(short, long, global = true, action = ArgAction::Count, env = "EKSCONNECT_VERBOSE", help_heading = OUTPUT, hide_env = true)]
    pub verbose: u8,
    /// When to colour
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        env = "EKSCONNECT_COLOR",
        default_value = "auto",
        help_heading = OUTPUT,
        hide_env = true
    )]
    pub color: ColorChoice,
}

/// Headings of `--help`.
pub(super) const WHERE: &str = "Where";
pub(super) const HOW_LONG: &str = "How long";
pub(super) const OUTPUT: &str = "Output";

impl GlobalArgs {
    /// What they say about AWS.
    pub fn aws(&self) -> AwsSettings {
        AwsSettings {
            region: self.region.clone(),
            profile: self.profile.clone(),
            profile_from_environment: environment::aws_profile(),
            max_attempts: environment::aws_max_attempts(),
            attempt_timeout: self.timeout,
        }
    }

    /// Commands to be run where this one was: with its options that say where that is.
    pub fn there(&self, commands: &str) -> String {
        let option = |name: &str, value: Option<&str>| {
            value
                .map(|value| format!(" --{name} {}", shlex::try_quote(value).unwrap_or(value.into())))
                .unwrap_or_default()
        };
        let kubeconfig = self.kubeconfig.as_ref().map(|path| path.display().to_string());
        let cluster =
            option("kubeconfig", kubeconfig.as_deref()) + &option("context", self.context.as_deref());
        let account = option("profile", self.profile.as_deref());
        let placed = |command: &str| match command.split_once(' ') {
            Some(("kubectl", rest)) => format!("kubectl{cluster} {rest}"),
            Some(("aws", rest)) => format!("aws{account} {rest}"),
            Some(("eksconnect", rest)) => format!("eksconnect{account}{cluster} {rest}"),
            _ => command.to_owned(),
        };
        commands.split("; ").map(placed).collect::<Vec<_>>().join("; ")
    }

    /// What they say about the cluster.
    pub fn cluster(&self) -> ClusterSettings {
        ClusterSettings {
            kubeconfig: self.kubeconfig.clone(),
            from_environment: environment::kubeconfig_files(),
            context: self.context.clone(),
            attempt_timeout: self.timeout,
            // Where somebody is there, the plugin may be showing them where to log in.
            plugin_timeout: if io::stdin().is_terminal() {
                self.timeout.max(TO_LOG_IN)
            } else {
                self.timeout
            },
        }
    }
}

/// How long a person may take to log in.
const TO_LOG_IN: Duration = Duration::from_secs(5 * 60);

/// As long as an activation can be used: nothing is worth waiting for longer.
const LONGEST: Duration = Duration::from_secs(72 * 60 * 60);

/// Reads a duration as people write it: `90s`, `5m`, `1h30m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let duration: SignedDuration = text.parse().map_err(|_| "write it as 30s, 5m or 1h30m".to_owned())?;
    match Duration::try_from(duration) {
        Ok(duration) if !duration.is_zero() && duration <= LONGEST => Ok(duration),
        Ok(_) | Err(_) => Err("it must be more than nothing and at most 72h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_commands_go_where_this_one_went() {
        let here = parsed(&["list"]);
        let commands = "kubectl delete namespace a; aws eks deregister-cluster --name b; rm c";
        assert_eq!(here.there(commands), commands);
        let there = parsed(&["list", "--context", "it's b", "--kubeconfig", "/k/c", "--profile", "p"]);
        assert_eq!(
            there.there(commands),
            r#"kubectl --kubeconfig /k/c --context "it's b" delete namespace a; aws --profile p eks deregister-cluster --name b; rm c"#
        );
        assert_eq!(
            there.there("eksconnect upgrade"),
            r#"eksconnect --profile p --kubeconfig /k/c --context "it's b" upgrade"#
        );
    }

    fn parsed(arguments: &[&str]) -> GlobalArgs {
        let arguments: Vec<std::ffi::OsString> =
            std::iter::once("eksconnect").chain(arguments.iter().copied()).map(Into::into).collect();
        crate::cli::parse(crate::cli::command(None), &arguments).unwrap().global
    }

    #[test]
    fn durations_as_people_write_them() {
        for (text, seconds) in [("90s", 90), ("5m", 300), ("1h30m", 5400), ("1h 30m", 5400)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "5", "-5m", "0s", "soon", "73h", "9223372036854775807s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
