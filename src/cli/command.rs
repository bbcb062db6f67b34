//! The whole command as clap sees it: how it is called, how its help is arranged.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::builder::StyledStr;
use clap::builder::styling::{AnsiColor, Styles};
use clap::{Command, CommandFactory, FromArgMatches};

use super::Cli;

/// The name under which kubectl finds it as a plugin.
const AS_PLUGIN: &str = "kubectl-eksconnect";

/// The commands by what people want, each group under a heading. A command that is in none is shown under [`MORE`].
const GROUPS: &[(&str, &[&str])] = &[
    ("Begin here", &["register", "grant-view", "status"]),
    ("See what there is", &["list", "whoami", "list-views", "verify-view", "view"]),
    ("Change it", &["revoke-view", "upgrade", "deregister", "gc"]),
    ("Many at once", &["fleet"]),
    ("Find out what is wrong", &["doctor", "audit", "support-bundle", "explain"]),
    ("Prepare", &["roles", "iam-policy", "render", "completions", "man"]),
];

/// Heading of the commands that are in no group.
const MORE: &str = "More";

/// What a command's help begins with: what it does, then how it is used.
const COMMANDS_HELP: &str = "{about}{after-help}\n\n{usage-heading} {usage}\n\n{all-args}";

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::BrightWhite.on_default().bold())
    .usage(AnsiColor::BrightWhite.on_default().bold())
    .literal(AnsiColor::Cyan.on_default());

/// The command, named as it was called.
pub fn command(called: Option<&OsString>) -> Command {
    let mut command = Cli::command().styles(STYLES);
    if called.is_some_and(|called| Path::new(called).file_stem() == Some(OsStr::new(AS_PLUGIN))) {
        command = command.bin_name("kubectl eksconnect");
    }
    let groups = groups(&command);
    let template = format!(
        "{{about}}\n\n{{usage-heading}} {{usage}}\n{groups}\n{}\n{{options}}\n\nEach command's --help begins with \
         examples.",
        heading("Options of every command")
    );
    command.mut_subcommands(arranged).help_template(StyledStr::from(template))
}

/// Parses what was written.
///
/// # Errors
/// What is wrong with it, or the help that was asked for.
pub fn parse(mut command: Command, arguments: &[OsString]) -> Result<Cli, clap::Error> {
    let matches = command.try_get_matches_from_mut(arguments)?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

fn arranged(command: Command) -> Command {
    command.mut_subcommands(arranged).help_template(COMMANDS_HELP)
}

fn heading(text: &str) -> String {
    let style = STYLES.get_header();
    format!("{style}{text}:{style:#}")
}

fn groups(command: &Command) -> String {
    let known: Vec<&Command> = command.get_subcommands().filter(|each| !each.is_hide_set()).collect();
    let width = known.iter().map(|each| each.get_name().len()).max().unwrap_or(0);
    let line = |each: &&Command| {
        let style = STYLES.get_literal();
        let about = each.get_about().map(ToString::to_string).unwrap_or_default();
        format!("  {style}{:<width$}{style:#}  {about}\n", each.get_name())
    };
    let mut out = String::new();
    let mut section = |title: &str, members: Vec<&&Command>| {
        if !members.is_empty() {
            out.push_str(&format!("\n{}\n", heading(title)));
            out.extend(members.into_iter().map(line));
        }
    };
    for (title, names) in GROUPS {
        let members =
            names.iter().filter_map(|name| known.iter().find(|each| each.get_name() == *name)).collect();
        section(title, members);
    }
    let grouped = |each: &&&Command| GROUPS.iter().any(|(_, names)| names.contains(&each.get_name()));
    section(MORE, known.iter().filter(|each| !grouped(each)).collect());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(mut command: Command) -> String {
        command.render_long_help().to_string()
    }

    #[test]
    fn every_command_is_in_a_group_and_its_help_begins_with_examples() {
        let mut command = command(None);
        // What is of every command reaches the others then.
        command.build();
        assert!(
            !help(command.clone()).contains("\nMore:"),
            "name new commands in GROUPS:\n{}",
            help(command)
        );
        for each in command.get_subcommands() {
            let pages: Vec<&Command> =
                if each.has_subcommands() { each.get_subcommands().collect() } else { vec![each] };
            for page in pages {
                let text = help(page.clone());
                let (examples, usage) = (text.find("Examples:"), text.find("Usage:"));
                assert!(examples.is_some() && examples < usage, "{}:\n{text}", page.get_name());
            }
        }
    }

    #[test]
    fn examples_fit_a_terminal_and_prose_fills_it() {
        let mut all = command(None).term_width(1000);
        all.build();
        let list = help(all.clone());
        let list = list.lines().take_while(|line| !line.starts_with("Options")).skip(1);
        for line in list {
            assert!(line.chars().count() <= 80, "{line}");
        }
        let mut left = vec![&all];
        while let Some(page) = left.pop() {
            left.extend(page.get_subcommands().filter(|sub| !sub.is_hide_set()));
            let text = help(page.clone());
            let (Some(from), Some(to)) = (text.find("Examples:"), text.find("Usage:")) else { continue };
            let lines: Vec<&str> = text[from..to].lines().collect();
            for line in &lines {
                // A command that is cut in two cannot be copied.
                assert!(!line.starts_with(' ') || line.chars().count() <= 80, "{}: {line}", page.get_name());
            }
            for pair in lines.windows(2) {
                // Prose that is broken by hand is broken once more where the terminal ends.
                let prose = pair.iter().all(|line| !line.is_empty() && !line.starts_with(' '));
                assert!(!prose, "{}: {pair:?}", page.get_name());
            }
        }
    }

    #[test]
    fn as_a_plugin_of_kubectl_it_says_so() {
        let called = OsString::from("/usr/local/bin/kubectl-eksconnect");
        assert!(help(command(Some(&called))).contains("Usage: kubectl eksconnect"));
        let error = parse(command(Some(&called)), &[called.clone(), "list".into(), "--nonsense".into()]);
        assert!(error.unwrap_err().to_string().contains("Usage: kubectl eksconnect list"));
        assert!(help(command(None)).contains("Usage: eksconnect"));
    }

    #[test]
    fn a_wrong_command_gets_the_nearest_right_one() {
        let arguments = ["eksconnect", "registr"].map(OsString::from);
        let error = parse(command(None), &arguments).unwrap_err().to_string();
        assert!(error.contains("'register'"), "{error}");
    }
}
