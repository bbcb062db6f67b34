//! Knobs of AWS: how slow it is, how late it knows, how much it allows, what time it is.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;

use crate::aws::control::{Client, Latency, Selector, SettingsChange, SettingsPatch};
use crate::running::Running;

/// Delay AWS' answers, or show the delays
#[derive(clap::Args)]
#[command(after_help = "Of several delays the most specific holds.

Examples:
  cargo sandbox latency 200
  cargo sandbox latency 3000 --service eks --operation RegisterCluster
  cargo sandbox latency 0                  no delay any more")]
pub(super) struct LatencyArguments {
    /// Milliseconds that each call takes at least [default: show the delays]
    milliseconds: Option<u64>,

    #[command(flatten)]
    calls: Calls,
}

/// Which calls.
#[derive(clap::Args)]
pub(super) struct Calls {
    /// Only calls of this service
    #[arg(long, value_name = "NAME", value_parser = ["eks", "iam", "sts", "ssm", "ssmmessages", "servicequotas"])]
    service: Option<String>,

    /// Only calls of this operation, such as RegisterCluster
    #[arg(long, value_name = "NAME")]
    operation: Option<String>,
}

impl Calls {
    pub(super) fn selector(&self) -> Selector {
        Selector { service: self.service.clone(), operation: self.operation.clone(), account: None }
    }
}

/// How a selector is shown.
pub(super) fn calls(selector: &Selector) -> String {
    let any = || "any".to_owned();
    let service = selector.service.clone().unwrap_or_else(any);
    format!("{service} {}", selector.operation.clone().unwrap_or_else(any))
}

pub(super) async fn latency(
    arguments: &LatencyArguments,
    running: &Running,
    out: &mut (dyn Write + Send),
) -> Result<ExitCode> {
    let aws = Client::new(&running.aws_endpoint);
    if let Some(milliseconds) = arguments.milliseconds {
        aws.set_latency(Latency { selector: arguments.calls.selector(), milliseconds }).await?;
    }
    for latency in aws.latencies().await? {
        writeln!(out, "{:>6} ms  {}", latency.milliseconds, calls(&latency.selector))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Set how long EKS does not see what was changed in IAM
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo sandbox propagation --role 8000
  cargo sandbox propagation --role 0 --service-linked-role 0")]
pub(super) struct PropagationArguments {
    /// Milliseconds during which a new role, or a changed trust policy, is not seen
    #[arg(long, value_name = "MILLISECONDS", required_unless_present = "service_linked_role")]
    role: Option<u64>,

    /// Milliseconds during which a new service-linked role is propagating
    #[arg(long, value_name = "MILLISECONDS")]
    service_linked_role: Option<u64>,
}

pub(super) async fn propagation(arguments: &PropagationArguments, running: &Running) -> Result<ExitCode> {
    let settings = SettingsPatch {
        iam_propagation_ms: arguments.role,
        service_linked_role_propagation_ms: arguments.service_linked_role,
        ..SettingsPatch::default()
    };
    set(running, None, settings).await
}

/// Set how many clusters may be registered in a Region
#[derive(clap::Args)]
pub(super) struct QuotaArguments {
    /// The quota; AWS' default is 10
    clusters: u64,

    /// Only this Region [default: all]
    #[arg(long)]
    region: Option<String>,
}

pub(super) async fn quota(arguments: &QuotaArguments, running: &Running) -> Result<ExitCode> {
    let settings =
        SettingsPatch { registered_clusters: Some(arguments.clusters), ..SettingsPatch::default() };
    set(running, arguments.region.clone(), settings).await
}

/// Set after how long an activation that nobody used expires
#[derive(clap::Args)]
pub(super) struct ExpiryArguments {
    /// Seconds; AWS' default is 259200, which is 72 hours
    seconds: u64,
}

pub(super) async fn expiry(arguments: &ExpiryArguments, running: &Running) -> Result<ExitCode> {
    let settings =
        SettingsPatch { activation_expiry_seconds: Some(arguments.seconds), ..SettingsPatch::default() };
    set(running, None, settings).await
}

async fn set(running: &Running, region: Option<String>, settings: SettingsPatch) -> Result<ExitCode> {
    let change = SettingsChange { account: Some(running.account.clone()), region, settings };
    Client::new(&running.aws_endpoint).change_settings(change).await?;
    Ok(ExitCode::SUCCESS)
}

/// Move AWS' clock, and show its time
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo sandbox clock                      the time
  cargo sandbox clock 259200               72 hours later: activations have expired")]
pub(super) struct ClockArguments {
    /// Seconds to move it by
    #[arg(allow_negative_numbers = true)]
    seconds: Option<i64>,
}

pub(super) async fn clock(
    arguments: &ClockArguments,
    running: &Running,
    out: &mut (dyn Write + Send),
) -> Result<ExitCode> {
    let aws = Client::new(&running.aws_endpoint);
    let now = match arguments.seconds {
        Some(seconds) => aws.move_clock(seconds).await?,
        None => aws.clock().await?,
    };
    writeln!(out, "{now}")?;
    Ok(ExitCode::SUCCESS)
}
