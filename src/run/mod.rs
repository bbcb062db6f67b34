//! One run of the binary: arguments in, exit code out. The one place where adapters are wired.

mod access;
mod complete;
mod deregister;
mod gc;
mod grant_view;
mod inventory;
mod list_views;
mod register;
mod render;
mod revoke_view;
mod roles;
mod upgrade;
mod verify_view;
mod view;
mod viewing;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind;
use tokio::signal::unix::{SignalKind, signal};

use crate::access::connector::ViewPorts;
use crate::cli::{self, Command, DryRun, Format};
use crate::environment;
use crate::error::{Code, Error};
use crate::output::{self, Console, Interruptible};
use crate::plan::{Stop, StopReason};
use crate::ports::Cluster;
use crate::registration::observe::Ports;
use crate::{aws, kubernetes};

/// The exit code of a dry run that found something to change, where `--detailed-exitcode` asks for it.
const CHANGES_PENDING: u8 = 7;

/// The exit code of a command that looked and found something wanting.
const FINDINGS: u8 = 6;

/// Runs. Help, versions and explanations touch no network, no SDK client and no kubeconfig.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.collect();
    match cli::answer(&arguments, &complete::live(&arguments)) {
        Ok(true) => return ExitCode::SUCCESS,
        Ok(false) => {}
        Err(error) => {
            Console::plain(Format::Text).error(&error);
            return ExitCode::from(error.exit_code());
        }
    }
    let cli = match cli::parse(cli::command(arguments.first()), &arguments) {
        Ok(cli) => cli,
        Err(error) => return refuse_command_line(&arguments, &error),
    };
    let console = Console::new(&cli.global);
    let ended = match &cli.command {
        Command::Explain(explain) => explain.code().map(|code| {
            console.page(code);
            ExitCode::SUCCESS
        }),
        Command::Deregister(args) => {
            in_runtime(&console, deregister::deregister(&console, &cli.global, args))
        }
        Command::Upgrade(args) => in_runtime(&console, upgrade::upgrade(&console, &cli.global, args)),
        Command::Gc(args) => in_runtime(&console, gc::gc(&console, &cli.global, args)),
        Command::GrantView(args) => in_runtime(&console, grant_view::grant_view(&console, &cli.global, args)),
        Command::RevokeView(args) => {
            in_runtime(&console, revoke_view::revoke_view(&console, &cli.global, args))
        }
        Command::IamPolicy(args) => args.request(cli.global.region.as_deref()).map(|request| {
            output::policy(&console, &request, args.language);
            ExitCode::SUCCESS
        }),
        Command::Completions(args) => cli::script(args.shell).map(|script| {
            output::completions(&console, args.shell, &script);
            ExitCode::SUCCESS
        }),
        Command::Man(args) => manual(&console, args),
        Command::List(args) => in_runtime(&console, inventory::list(&console, &cli.global, args)),
        Command::Whoami(args) => in_runtime(&console, inventory::whoami(&console, &cli.global, args)),
        Command::Status(args) => in_runtime(&console, inventory::status(&console, &cli.global, args)),
        Command::Roles(args) => in_runtime(&console, roles::roles(&console, &cli.global, args)),
        Command::Render(args) => in_runtime(&console, render::render(&console, &cli.global, args)),
        Command::Register(args) => in_runtime(&console, register::register(&console, &cli.global, args)),
        Command::View(args) => in_runtime(&console, view::view(&console, &cli.global, args)),
        Command::ListViews(args) => in_runtime(&console, list_views::list_views(&console, &cli.global, args)),
        Command::VerifyView(args) => {
            in_runtime(&console, verify_view::verify_view(&console, &cli.global, args))
        }
    };
    match ended {
        Ok(code) => code,
        Err(mut error) => {
            for remains in &mut error.remains {
                remains.remove_with = cli.global.there(&remains.remove_with);
            }
            console.error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn manual(console: &Console, args: &cli::ManArgs) -> Result<ExitCode, Error> {
    if args.list {
        let names: Vec<String> = cli::pages()?.into_iter().map(|(name, _)| name).collect();
        output::manuals(console, &names);
    } else {
        output::manual(console, &cli::page(&args.command)?);
    }
    Ok(ExitCode::SUCCESS)
}

/// clap's own words for people; for `-o json` the one document that was promised.
fn refuse_command_line(arguments: &[OsString], error: &clap::Error) -> ExitCode {
    let about_itself = matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    match wanted_format(arguments) {
        Some(format) if !about_itself => {
            let text = error.to_string();
            let mut lines = text
                .lines()
                .map(|line| line.trim().trim_start_matches("error: "))
                .filter(|line| !line.is_empty());
            let message = lines.next().unwrap_or_default().to_owned();
            let rest: Vec<&str> = lines.take_while(|line| !line.starts_with("Usage:")).collect();
            let error = Error::usage(Code::COMMAND_LINE, message);
            let error = if rest.is_empty() { error } else { error.cause(rest.join("\n")) };
            Console::plain(format).error(&error);
        }
        _ if about_itself => {
            if error.print().is_err() {
                // Nobody reads it any more.
                return ExitCode::from(2);
            }
        }
        _ => {
            let text = error.render().ansi().to_string();
            let coded = text.replacen("error:", &format!("error[{}]:", Code::COMMAND_LINE), 1);
            Console::plain(Format::Text).write_stderr(coded.trim_end());
        }
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

fn wanted_format(arguments: &[OsString]) -> Option<Format> {
    let words: Vec<&str> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
    let named = |name: &str| match name {
        "json" => Some(Format::Json),
        "yaml" => Some(Format::Yaml),
        _ => None,
    };
    let asked_for = words.iter().enumerate().find_map(|(index, word)| match *word {
        "-o" | "--output" => words.get(index + 1).and_then(|value| named(value)),
        word => {
            let value = word.strip_prefix("--output=").or_else(|| word.strip_prefix("-o="));
            value.or_else(|| word.strip_prefix("-o")).and_then(named)
        }
    });
    asked_for.or_else(|| environment::output_format().as_deref().and_then(named))
}

fn in_runtime(
    console: &Console,
    work: impl Future<Output = Result<ExitCode, Error>>,
) -> Result<ExitCode, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| {
        Error::failed(Code::INTERNAL, "the asynchronous runtime could not be started").with_source(error)
    })?;
    console.start_logging();
    let ended = runtime.block_on(work);
    // A credential plugin that still waits for something must not hold up the end.
    runtime.shutdown_background();
    ended
}

/// Everything that registering talks to.
fn register_ports(aws: &aws::Connected, cluster: kubernetes::Connected) -> Ports {
    Ports {
        identity: Arc::new(aws::Sts::new(aws)),
        roles: Arc::new(aws::Iam::new(aws)),
        registrations: Arc::new(aws::Eks::new(aws)),
        quotas: Arc::new(aws::ServiceQuotas::new(aws)),
        region: aws.region.clone(),
        cluster: Arc::new(kubernetes::KubernetesCluster::new(cluster)),
    }
}

/// Everything that looking at access in the cluster talks to.
fn view_ports(cluster: kubernetes::Connected) -> ViewPorts {
    let cluster = Arc::new(kubernetes::KubernetesCluster::new(cluster));
    ViewPorts { cluster: Arc::clone(&cluster) as Arc<dyn Cluster>, access: cluster }
}

/// How a dry run ends.
fn previewed(dry: DryRun, changes: bool) -> ExitCode {
    if dry.detailed_exitcode && changes { ExitCode::from(CHANGES_PENDING) } else { ExitCode::SUCCESS }
}

/// The first signal asks for an end, the second for one at once.
fn listen<V: Interruptible + Send + Sync + 'static>(stop: &Stop, view: &Arc<V>) -> Result<(), Error> {
    let unusable = |error: std::io::Error| {
        Error::failed(Code::INTERNAL, "signals cannot be listened for").with_source(error)
    };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(unusable)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(unusable)?;
    let (stop, view) = (stop.clone(), Arc::clone(view));
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        next().await;
        stop.stop(StopReason::Interrupted);
        view.stopping();
        next().await;
        stop.stop_at_once();
    });
    Ok(())
}
