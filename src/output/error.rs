//! Errors in words.

use std::fmt::Write;

use super::console::{BAD, BOLD, DIM};
use crate::error::{Error, Kind};

/// The text of an error: what was attempted, what is known, what to do, what remains. `width` is the terminal's.
pub(super) fn text(error: &Error, verbose: bool, width: Option<usize>) -> String {
    let mut out = format!("{BAD}error[{}]{BAD:#}{BOLD}: {}{BOLD:#}", error.code, error.message);
    for fact in &error.facts {
        // A fix has commands to be copied, which a line's end would cut.
        let text = match width.filter(|_| fact.label == "cause") {
            Some(width) => wrapped(&fact.text, width.saturating_sub(INDENT)),
            None => fact.text.clone(),
        };
        push_fact(&mut out, fact.label, &text);
    }
    push_fact(&mut out, "more", &format!("eksconnect explain {}", error.code));
    if verbose && let Some(source) = &error.source {
        push_fact(&mut out, "source", &format!("{source:#}"));
    }
    if !error.remains.is_empty() {
        let resumable = matches!(error.kind, Kind::TimedOut | Kind::Interrupted);
        let title = if resumable { "Left in place, to be resumed:" } else { "Left in place:" };
        push(&mut out, format_args!("\n\n{title}"));
        for remains in &error.remains {
            push(
                &mut out,
                format_args!("\n  {}\n    {DIM}to remove: {}{DIM:#}", remains.what, remains.remove_with),
            );
        }
    }
    out
}

/// Where the text of a fact begins.
const INDENT: usize = 10;

/// Breaks lines between words. What is longer than a line stays whole.
fn wrapped(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let mut current = String::new();
        for word in line.split(' ') {
            let length = current.chars().count() + 1 + word.chars().count();
            if !current.is_empty() && length > width {
                lines.push(std::mem::take(&mut current));
            } else if !current.is_empty() {
                current.push(' ');
            }
            current.push_str(word);
        }
        lines.push(current);
    }
    lines.join("\n")
}

fn push_fact(out: &mut String, label: &str, text: &str) {
    for (index, line) in text.lines().enumerate() {
        // Logs and messages of a cluster must not steer the terminal.
        let line: String = line.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        let label = if index == 0 { label } else { "" };
        push(out, format_args!("\n  {DIM}{label:<7}{DIM:#} {line}"));
    }
}

fn push(out: &mut String, words: std::fmt::Arguments<'_>) {
    if out.write_fmt(words).is_err() {
        tracing::trace!("writing to a String does not fail");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Code, Remains};

    #[test]
    fn facts_are_aligned_and_what_remains_is_listed() {
        let mut error =
            Error::new(Code::NOT_ACTIVE, Kind::TimedOut, "onprem1 did not become ACTIVE within 5m")
                .fact("state", "PENDING")
                .cause("first line\nsecond line")
                .fix("do this");
        error.remains.push(Remains { what: "registration onprem1".into(), remove_with: "aws …".into() });
        let plain = anstream::adapter::strip_str(&text(&error, false, None)).to_string();
        insta::assert_snapshot!(plain, @r"
        error[EKSC0412]: onprem1 did not become ACTIVE within 5m
          state   PENDING
          cause   first line
                  second line
          fix     do this
          more    eksconnect explain EKSC0412

        Left in place, to be resumed:
          registration onprem1
            to remove: aws …
        ");
    }

    #[test]
    fn a_cause_fits_the_terminal_and_a_command_stays_whole() {
        let long = "one two three four five six seven";
        let error = Error::failed(Code::INTERNAL, "x").cause(long).fix(long);
        let plain = anstream::adapter::strip_str(&text(&error, false, Some(30))).to_string();
        let lines: Vec<&str> = plain.lines().skip(1).map(str::trim_end).collect();
        assert_eq!(lines[..2], ["  cause   one two three four", "          five six seven"]);
        assert_eq!(lines[2], "  fix     one two three four five six seven");
        assert_eq!(wrapped("a-word-longer-than-the-line b", 5), "a-word-longer-than-the-line\nb");
    }
}
