//! `fault`: calls of AWS that fail.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Subcommand;

use super::knobs::{Calls, calls};
use crate::aws::control::{Client, Fault, FaultKind, When};
use crate::running::Running;

/// Make calls of AWS fail
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo sandbox fault add --operation RegisterCluster --error 503:ServiceUnavailableException
  cargo sandbox fault add --operation CreateRole --reset --after       done, but the answer is lost
  cargo sandbox fault add --service iam --hang --nth 3 --times 1
  cargo sandbox fault list
  cargo sandbox fault clear")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Add a fault
    Add(Box<AddArguments>),
    /// Show the faults, and how often each has struck
    List,
    /// Remove a fault, or all
    Clear {
        /// The number that `list` shows [default: all]
        id: Option<u64>,
    },
}

#[derive(clap::Args)]
struct AddArguments {
    #[command(flatten)]
    calls: Calls,

    #[command(flatten)]
    kind: KindArguments,

    /// Strike from the n-th such call on; 1 is the next one
    #[arg(long, default_value_t = 1, value_name = "N")]
    nth: u32,

    /// Strike so many times [default: until it is cleared]
    #[arg(long, value_name = "N")]
    times: Option<u32>,

    /// Strike after the call took effect: only its answer is lost
    #[arg(long)]
    after: bool,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct KindArguments {
    /// Answer with an error
    #[arg(long, value_name = "STATUS:CODE[:MESSAGE]", value_parser = parse_error)]
    error: Option<FaultKind>,

    /// Cut the connection
    #[arg(long)]
    reset: bool,

    /// Never answer
    #[arg(long)]
    hang: bool,

    /// Answer 200 with a body that lacks its end
    #[arg(long)]
    malformed_body: bool,
}

fn parse_error(text: &str) -> Result<FaultKind> {
    let mut parts = text.splitn(3, ':');
    let status =
        parts.next().and_then(|status| status.parse().ok()).filter(|status| (400..600).contains(status));
    let status: u16 = status.context("it begins with an HTTP status from 400 to 599")?;
    let code = parts.next().filter(|code| !code.is_empty()).context("after the status comes :CODE")?;
    let message = parts.next().unwrap_or("Injected by the sandbox.");
    Ok(FaultKind::Error { status, code: code.to_owned(), message: message.to_owned() })
}

pub(super) async fn run(
    arguments: Arguments,
    running: &Running,
    out: &mut (dyn Write + Send),
) -> Result<ExitCode> {
    let aws = Client::new(&running.aws_endpoint);
    match arguments.command {
        Command::Add(arguments) => {
            let AddArguments { calls, kind, nth, times, after } = *arguments;
            let kind = match kind {
                KindArguments { error: Some(error), .. } => error,
                KindArguments { reset: true, .. } => FaultKind::Reset,
                KindArguments { hang: true, .. } => FaultKind::Hang,
                KindArguments { .. } => FaultKind::MalformedBody,
            };
            let when = if after { When::After } else { When::Before };
            let id = aws.add_fault(Fault { selector: calls.selector(), nth, times, when, kind }).await?;
            writeln!(out, "Fault {id}")?;
        }
        Command::List => {
            for active in aws.faults().await? {
                let Fault { selector, nth, times, when, kind } = &active.fault;
                let times = times.map_or("always".to_owned(), |times| format!("{times} times"));
                let when = if *when == When::After { ", after its effect" } else { "" };
                let what = match kind {
                    FaultKind::Error { status, code, .. } => format!("{status} {code}"),
                    FaultKind::Reset => "connection cut".to_owned(),
                    FaultKind::Hang => "no answer".to_owned(),
                    FaultKind::MalformedBody => "a body without its end".to_owned(),
                };
                let calls = calls(selector);
                let struck = active.struck;
                writeln!(
                    out,
                    "{:>3}  {calls}: {what}{when}, from call {nth}, {times}; struck {struck}",
                    active.id
                )?;
            }
        }
        Command::Clear { id: Some(id) } => aws.clear_fault(id).await?,
        Command::Clear { id: None } => aws.clear_faults(None).await?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_a_status_a_code_and_perhaps_a_message() {
        let error =
            parse_error("400:InvalidRequestException:Not existing role: arn:aws:iam::1:role/r").unwrap();
        let FaultKind::Error { status, code, message } = error else { panic!("{error:?}") };
        assert_eq!((status, code.as_str()), (400, "InvalidRequestException"));
        assert_eq!(message, "Not existing role: arn:aws:iam::1:role/r");
        for wrong in ["", "400", "400:", "200:Fine", "many:Code"] {
            parse_error(wrong).unwrap_err();
        }
    }
}
