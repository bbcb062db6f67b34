//! `log`: the calls that AWS got.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use crate::aws::control::{Client, Entry};
use crate::running::Running;

/// How often a log is looked at that is followed.
const LOOK: Duration = Duration::from_millis(200);

/// Show the calls that AWS got, also those that it refused
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo sandbox log
  cargo sandbox log --follow
  cargo sandbox log --since 40 --json")]
pub(super) struct Arguments {
    /// Go on with what comes, until Ctrl-C
    #[arg(long, short)]
    follow: bool,

    /// Only calls after the one with this number
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    since: u64,

    /// One JSON object a line, with the parameters of the call
    #[arg(long)]
    json: bool,

    /// Forget all calls so far, after showing them
    #[arg(long, conflicts_with = "follow")]
    reset: bool,
}

pub(super) async fn run(
    arguments: &Arguments,
    running: &Running,
    out: &mut (dyn Write + Send),
) -> Result<ExitCode> {
    let aws = Client::new(&running.aws_endpoint);
    if !arguments.json {
        writeln!(out, "{:>5}  {:<12}  {:>6}  {:<40}  {:<36}  CALLER", "#", "TIME", "MS", "CALL", "ANSWER")?;
    }
    let mut seen = arguments.since;
    loop {
        // Up to the first that has no answer yet: it is shown with its answer, and in its place.
        let entries = aws.log(seen, None).await?;
        let answered = entries.into_iter().take_while(|entry| !arguments.follow || entry.status != 0);
        for entry in answered {
            seen = entry.sequence;
            if arguments.json {
                writeln!(out, "{}", serde_json::to_string(&entry)?)?;
            } else {
                writeln!(out, "{}", line(&entry))?;
            }
        }
        out.flush()?;
        if !arguments.follow {
            break;
        }
        sleep(LOOK).await;
    }
    if arguments.reset {
        aws.reset_log().await?;
    }
    Ok(ExitCode::SUCCESS)
}

fn line(entry: &Entry) -> String {
    let answer = match (entry.status, &entry.error) {
        (0, _) => "none".to_owned(),
        (status, Some(code)) => format!("{status} {code}"),
        (status, None) => status.to_string(),
    };
    // The date is today's, and more than milliseconds help nobody.
    let time = entry.time.split_once('T').map_or(entry.time.as_str(), |(_, time)| time);
    let time: String = time.trim_end_matches('Z').chars().take(12).collect();
    let call = format!("{} {}", entry.service, entry.operation);
    let caller = entry.principal.as_deref().unwrap_or("-");
    format!("{:>5}  {time:<12}  {:>6}  {call:<40}  {answer:<36}  {caller}", entry.sequence, entry.duration_ms)
}
