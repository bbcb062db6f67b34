//! Where to print and how.

use std::io::{self, IsTerminal, Write};

use anstream::adapter::strip_str;
use anstream::{AutoStream, ColorChoice as StreamColor};
use anstyle::{AnsiColor, Style};
use serde::Serialize;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::cli::{ColorChoice, Format, GlobalArgs};
use crate::environment;
use crate::error::{Code, Error};

/// Bold.
pub(super) const BOLD: Style = Style::new().bold();
/// For what is well.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// For what failed.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
/// For what deserves attention.
pub(super) const NOTE: Style = AnsiColor::Yellow.on_default();
/// For what need not be read.
pub(super) const DIM: Style = Style::new().dimmed();

/// Where to print and how.
#[derive(Clone, Debug)]
pub struct Console {
    format: Format,
    color: ColorChoice,
    quiet: bool,
    verbosity: u8,
    live: bool,
    agreed: bool,
}

impl Console {
    /// As the options and the environment say.
    pub fn new(global: &GlobalArgs) -> Self {
        let terminal = io::stderr().is_terminal() && !environment::terminal_is_dumb();
        Self {
            format: global.output,
            color: global.color,
            quiet: global.quiet,
            verbosity: global.verbose,
            // Log lines and a live display would overwrite each other.
            live: terminal && !global.quiet && global.verbose == 0,
            agreed: global.yes,
        }
    }

    /// For when the options could not be read.
    pub fn plain(format: Format) -> Self {
        Self { format, color: ColorChoice::Auto, quiet: true, verbosity: 0, live: false, agreed: false }
    }

    /// The format of results.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether standard error is a terminal that can be redrawn.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Whether standard output is a terminal that can be redrawn, and shows text.
    pub fn is_watchable(&self) -> bool {
        self.format == Format::Text && io::stdout().is_terminal() && !environment::terminal_is_dumb()
    }

    /// The width of the terminal that the result is written to, if it is one.
    pub fn width(&self) -> Option<usize> {
        width_of(&io::stdout())
    }

    /// Shows a result in place of everything on the terminal.
    pub fn redraw(&self, text: &str) {
        let choice = self.stream_color(AutoStream::choice(&io::stdout()));
        // Home, then each line to its end, then what is left below: nothing flickers.
        let text = fitted(text, screen_of(&io::stdout()));
        let text = match choice {
            StreamColor::Never => strip_str(&text).to_string(),
            _ => text,
        };
        let text = text.replace('\n', "\x1b[K\n");
        let mut stdout = io::stdout().lock();
        if write!(stdout, "\x1b[H{text}\x1b[K\n\x1b[J").and_then(|()| stdout.flush()).is_err() {
            tracing::trace!("nobody reads the output");
        }
    }

    /// Whether technical causes are shown.
    pub fn is_verbose(&self) -> bool {
        self.verbosity > 0
    }

    /// Whether standard error is coloured.
    pub fn colors_progress(&self) -> bool {
        self.stream_color(AutoStream::choice(&io::stderr())) != StreamColor::Never
    }

    fn stream_color(&self, found: StreamColor) -> StreamColor {
        match self.color {
            ColorChoice::Auto => found,
            ColorChoice::Always => StreamColor::Always,
            ColorChoice::Never => StreamColor::Never,
        }
    }

    /// Whether somebody sits at a terminal, to be asked and to be told.
    pub fn is_attended(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Whether only the result and errors are shown.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Asks for agreement on the terminal, unless `--yes` has given it.
    ///
    /// # Errors
    /// There is nobody to ask, or the answer is no.
    pub async fn agree(&self, question: &str) -> Result<(), Error> {
        if self.agreed {
            return Ok(());
        }
        if !self.is_attended() {
            return Err(Error::refused(
                Code::NOT_AGREED,
                "this needs to be agreed to, and there is nobody to ask",
            )
            .cause(question)
            .fix("add --yes if you want that"));
        }
        let prompt = format!("{BOLD}{question}{BOLD:#} [y/N] ");
        let choice = self.stream_color(AutoStream::choice(&io::stderr()));
        let mut stderr = AutoStream::new(io::stderr(), choice);
        if write!(stderr, "{prompt}").and_then(|()| stderr.flush()).is_err() {
            tracing::trace!("nobody reads the question");
        }
        // A thread of its own: reading cannot be ended, and an interrupt must not wait for it.
        let read = tokio::task::spawn_blocking(|| {
            let mut answer = String::new();
            io::stdin().read_line(&mut answer).map(|_| answer)
        });
        let answer = match read.await {
            Ok(Ok(answer)) => answer.trim().to_lowercase(),
            Ok(Err(_)) | Err(_) => String::new(),
        };
        if matches!(answer.as_str(), "y" | "yes") {
            return Ok(());
        }
        Err(Error::refused(Code::NOT_AGREED, "nothing was changed, as you did not agree"))
    }

    /// A line of progress, unless `--quiet`.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            self.write_stderr(line);
        }
    }

    /// A line that even `--quiet` shows.
    pub fn write_stderr(&self, line: &str) {
        let choice = self.stream_color(AutoStream::choice(&io::stderr()));
        write_line(&mut AutoStream::new(io::stderr(), choice), line);
    }

    /// The result, for people.
    pub fn result(&self, text: &str) {
        let choice = self.stream_color(AutoStream::choice(&io::stdout()));
        write_line(&mut AutoStream::new(io::stdout(), choice), text);
    }

    /// The result, as the one document of `-o json|yaml`.
    pub fn document(&self, document: &impl Serialize) {
        let text = match self.format {
            Format::Yaml => serde_yaml::to_string(document).map_err(|error| error.to_string()),
            Format::Json | Format::Text => {
                serde_json::to_string_pretty(document).map_err(|error| error.to_string())
            }
        };
        match text {
            Ok(text) => write_line(&mut io::stdout().lock(), text.trim_end()),
            Err(why) => self.write_stderr(&format!("the result could not be written: {why}")),
        }
    }

    /// The page of an error code.
    pub fn page(&self, code: Code) {
        match self.format {
            Format::Text => self.result(code.page().trim_end()),
            Format::Json | Format::Yaml => self.document(&super::document::page(code)),
        }
    }

    /// An error: in words on standard error, with `-o json|yaml` as the document on standard output.
    pub fn error(&self, error: &Error) {
        match self.format {
            Format::Text => {
                self.write_stderr(&super::error::text(error, self.is_verbose(), terminal_width()));
            }
            Format::Json | Format::Yaml => self.document(&super::document::error(error)),
        }
    }

    /// Starts logging, if asked for: only our own targets, for the AWS SDK and kube log whole bodies.
    pub fn start_logging(&self) {
        let level = match self.verbosity {
            0 => return,
            1 => Level::DEBUG,
            _ => Level::TRACE,
        };
        let own = Targets::new().with_target("eksconnect", level);
        let layer = fmt::layer()
            .with_writer(io::stderr)
            .with_ansi(self.colors_progress())
            .with_target(false)
            .without_time()
            .with_filter(own);
        if tracing_subscriber::registry().with(layer).try_init().is_err() {
            self.write_stderr(&format!("{}: logging was started before", Code::INTERNAL));
        }
    }
}

/// The width of the terminal, if standard error is one.
fn terminal_width() -> Option<usize> {
    width_of(&io::stderr())
}

fn width_of(stream: &impl rustix::fd::AsFd) -> Option<usize> {
    screen_of(stream).map(|(columns, _)| columns)
}

/// Columns and rows.
fn screen_of(stream: &impl rustix::fd::AsFd) -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    (size.ws_col > 0).then_some((usize::from(size.ws_col), usize::from(size.ws_row)))
}

/// What of a text fits the screen, with one row left for the cursor: its beginning, and its last paragraph, which says what
/// it comes to. Where more were written, the screen would scroll, and nothing could be redrawn in its place.
fn fitted(text: &str, screen: Option<(usize, usize)>) -> String {
    let Some((columns, rows)) = screen.filter(|(_, rows)| *rows > 0) else { return text.to_owned() };
    let height = |line: &str| strip_str(line).to_string().chars().count().max(1).div_ceil(columns);
    let room = rows.saturating_sub(1);
    if text.lines().map(height).sum::<usize>() <= room {
        return text.to_owned();
    }
    let (body, end) = text.rsplit_once("\n\n").unwrap_or(("", text));
    let mut left = room.saturating_sub(end.lines().map(height).sum::<usize>() + 1);
    let mut shown: Vec<&str> = body
        .lines()
        .take_while(|line| {
            let fits = height(line) <= left;
            left = left.saturating_sub(height(line));
            fits
        })
        .collect();
    shown.push("…");
    shown.extend(end.lines());
    shown.join("\n")
}

/// Somebody who closes the pipe does not want to read the rest; there is nobody to tell either.
fn write_line(to: &mut impl Write, line: &str) {
    if writeln!(to, "{line}").and_then(|()| to.flush()).is_err() {
        tracing::trace!("nobody reads the output");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_redrawn_fits_the_screen_and_keeps_its_end() {
        let text = "onprem1\n\nAWS\n  status ACTIVE\n\n\u{1b}[1mx\u{1b}[0m is ACTIVE\nnext";
        assert_eq!(fitted(text, None), text);
        assert_eq!(fitted(text, Some((20, 8))), text);
        let lower = "onprem1\n\nAWS\n…\n\u{1b}[1mx\u{1b}[0m is ACTIVE\nnext";
        assert_eq!(fitted(text, Some((20, 7))), lower);
        // What is wider than the screen takes more than one row of it.
        assert_eq!(fitted(text, Some((8, 7))), "onprem1\n\n…\n\u{1b}[1mx\u{1b}[0m is ACTIVE\nnext");
    }
}
