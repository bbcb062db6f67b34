//! `eksconnect completions` and `eksconnect man`: what is generated from the command itself.

use std::ffi::OsString;
use std::io;
use std::sync::Arc;

use clap::{Args, Command, ValueEnum};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::{CompleteEnv, EnvCompleter, Shells};
use clap_mangen::Man;

use super::command;
use crate::error::{Code, Error};

/// The variable by which a shell asks for completions.
const ASKED_BY: &str = "EKSCONNECT_COMPLETE";

/// The commands that name principals who are not there yet.
const NEW: [&str; 1] = ["grant-view"];

/// The name of the binary.
const BINARY: &str = "eksconnect";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  # Teach this shell
  source <(eksconnect completions bash)
  # Teach every shell from now on
  eksconnect completions bash > \\
    ~/.local/share/bash-completion/completions/eksconnect
  # The same for others
  eksconnect completions zsh > ~/.zfunc/_eksconnect
  eksconnect completions fish > ~/.config/fish/completions/eksconnect.fish

Values are completed live: contexts from the kubeconfig, for --name the registrations of the Region, and for \
    --principal those who can look into the cluster, as far as AWS and the cluster answer within two seconds.";

const MAN_EXAMPLES: &str = "\
Examples:
  # Read the page of eksconnect
  eksconnect man | man -l -
  # Read the page of a command
  eksconnect man register | man -l -
  eksconnect man roles show | man -l -
  # The names of all pages
  eksconnect man --list";

/// Arguments of `completions`.
#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// A shell that can be taught.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// Bash.
    Bash,
    /// Zsh.
    Zsh,
    /// Fish.
    Fish,
    /// Elvish.
    Elvish,
    /// PowerShell.
    Powershell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
#[command(after_help = MAN_EXAMPLES)]
pub struct ManArgs {
    /// The command: register, or roles show (default: eksconnect itself)
    #[arg(value_name = "COMMAND", conflicts_with = "list")]
    pub command: Vec<String>,
    /// List the names of all pages
    #[arg(long)]
    pub list: bool,
}

impl Shell {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
            Self::Elvish => "elvish",
            Self::Powershell => "powershell",
        }
    }

    /// The file that its packages expect.
    pub fn file(self) -> &'static str {
        match self {
            Self::Bash => "eksconnect.bash",
            Self::Zsh => "_eksconnect",
            Self::Fish => "eksconnect.fish",
            Self::Elvish => "eksconnect.elv",
            Self::Powershell => "eksconnect.ps1",
        }
    }
}

/// What teaches a shell to ask the binary.
///
/// # Errors
/// The script could not be made.
pub fn script(shell: Shell) -> Result<String, Error> {
    let mut out = Vec::new();
    let shells = Shells::builtins();
    let completer: &dyn EnvCompleter = shells
        .completer(shell.name())
        .ok_or_else(|| not_made(shell.name(), io::Error::other("not known")))?;
    completer
        .write_registration(ASKED_BY, BINARY, BINARY, BINARY, &mut out)
        .map_err(|error| not_made(shell.name(), error))?;
    let text = String::from_utf8_lossy(&out);
    Ok(format!("{}\n", text.trim()))
}

/// Values that only the world knows.
pub struct Live {
    /// Names of registrations.
    pub names: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    /// Names of contexts.
    pub contexts: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    /// Principals who can look into the cluster.
    pub principals: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
}

/// Answers a shell that asks for completions, on standard output; `false` if none asks.
///
/// # Errors
/// The shell is not known, or the answer could not be written.
pub fn answer(arguments: &[OsString], live: &Live) -> Result<bool, Error> {
    let factory = || with_live(command(arguments.first()), live);
    let asked = CompleteEnv::with_factory(factory).var(ASKED_BY).bin(BINARY).completer(BINARY);
    asked.try_complete(arguments.iter().cloned(), None).map_err(|error| {
        Error::usage(Code::COMMAND_LINE, "this shell's completions could not be made")
            .cause(error.to_string())
    })
}

fn with_live(command: Command, live: &Live) -> Command {
    let contexts = candidates(&live.contexts);
    let named = |sub: Command| {
        let new = NEW.contains(&sub.get_name());
        sub.mut_args(|argument| match argument.get_long() {
            Some("name") => argument.add(candidates(&live.names)),
            // Who is granted something has it not yet.
            Some("principal") if !new => argument.add(candidates(&live.principals)),
            Some(_) | None => argument,
        })
    };
    command.mut_arg("context", |argument| argument.add(contexts)).mut_subcommands(named)
}

fn candidates(values: &Arc<dyn Fn() -> Vec<String> + Send + Sync>) -> ArgValueCandidates {
    let values = Arc::clone(values);
    ArgValueCandidates::new(move || values().into_iter().map(CompletionCandidate::new).collect())
}

/// Every manual page, by the name of its file.
///
/// # Errors
/// A page could not be made.
pub fn pages() -> Result<Vec<(String, String)>, Error> {
    let mut command = command(None);
    command.build();
    let mut pages = Vec::new();
    collect(&command, &mut pages)?;
    Ok(pages)
}

/// The page of one command.
///
/// # Errors
/// There is no such command.
pub fn page(words: &[String]) -> Result<String, Error> {
    let file = format!("{}.1", [&[BINARY.to_owned()], words].concat().join("-"));
    let found = pages()?.into_iter().find(|(name, _)| *name == file);
    found.map(|(_, text)| text).ok_or_else(|| {
        Error::usage(Code::COMMAND_LINE, format!("there is no command {}", words.join(" ")))
            .fix("eksconnect man --list names all pages")
    })
}

fn collect(command: &Command, pages: &mut Vec<(String, String)>) -> Result<(), Error> {
    let man = Man::new(command.clone());
    let mut out = Vec::new();
    man.render(&mut out).map_err(|error| not_made("man", error))?;
    // The heading says what the first line does.
    let text = String::from_utf8_lossy(&out).replace(".SH EXTRA\nExamples:\n", ".SH EXAMPLES\n");
    pages.push((man.get_filename(), text));
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        collect(sub, pages)?;
    }
    Ok(())
}

fn not_made(what: &str, error: io::Error) -> Error {
    Error::failed(Code::INTERNAL, format!("the {what} page or script could not be made")).with_source(error)
}
