//! Errors in words.

use std::fmt::Write;

use super::console::{BAD, BOLD, DIM};
use crate::error::{Error, Kind};

/// The text of an error: what was attempted, what is known, what to do, what remains.
pub(super) fn text(error: &Error, verbose: bool) -> String {
    let mut out = format!("{BAD}error[{}]{BAD:#}{BOLD}: {}{BOLD:#}", error.code, error.message);
    for fact in &error.facts {
        push_fact(&mut out, fact.label, &fact.text);
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
        let plain = anstream::adapter::strip_str(&text(&error, false)).to_string();
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
}
