//! The lines of a run, one a topic: drawn and redrawn on a terminal, written once when they are finished elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::console::{BAD, Console, DIM, GOOD};
use crate::cli::Format;
use crate::registration::{deregister, step};

/// What a line is about.
pub(super) trait Titled: Copy + Ord {
    /// As it is shown.
    fn title(self) -> &'static str;
    /// What is said of so many steps, where their number says more than their outcomes: `applied`.
    fn counted(self) -> Option<&'static str>;
    /// Whether it can take minutes of which a pipeline should hear too.
    fn is_slow(self) -> bool;
}

impl Titled for step::Topic {
    fn title(self) -> &'static str {
        self.title()
    }

    fn counted(self) -> Option<&'static str> {
        (self == Self::Objects).then_some("applied")
    }

    fn is_slow(self) -> bool {
        self == Self::Registration
    }
}

impl Titled for deregister::step::Topic {
    fn title(self) -> &'static str {
        self.title()
    }

    fn counted(self) -> Option<&'static str> {
        matches!(self, Self::Access | Self::Objects).then_some("removed")
    }

    fn is_slow(self) -> bool {
        matches!(self, Self::Namespace | Self::ServiceLinkedRole)
    }
}

/// The lines.
pub(super) struct Lines<T> {
    console: Console,
    screen: Option<MultiProgress>,
    lines: Mutex<BTreeMap<T, Line>>,
    /// What was written of a registration that takes its time, where nothing can be redrawn.
    written: Mutex<BTreeSet<String>>,
    /// Whether anything was said.
    said: AtomicBool,
}

struct Line {
    subject: String,
    /// Steps that are not finished.
    left: usize,
    total: usize,
    outcome: String,
    began: Option<Instant>,
    bar: Option<ProgressBar>,
    ended: bool,
}

/// Widths of the columns of a line.
const TITLE: usize = 19;
const SUBJECT: usize = 36;
const OUTCOME: usize = 10;

impl<T: Titled> Lines<T> {
    pub(super) fn new(console: &Console) -> Self {
        let screen = console.is_live().then(MultiProgress::new);
        let lines = Mutex::new(BTreeMap::new());
        Self {
            console: console.clone(),
            screen,
            lines,
            written: Mutex::default(),
            said: AtomicBool::default(),
        }
    }

    fn with<R>(&self, change: impl FnOnce(&mut BTreeMap<T, Line>) -> R) -> R {
        change(&mut self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A line of text above the lines.
    pub(super) fn say(&self, text: &str) {
        self.said.store(true, Ordering::Relaxed);
        match &self.screen {
            Some(screen) => screen.suspend(|| self.console.say(text)),
            None => self.console.say(text),
        }
    }

    /// Announces a topic of which nothing has to be done.
    pub(super) fn settled(&self, topic: T, subject: &str, outcome: &str) {
        self.say(&finished(topic, subject, outcome, None));
    }

    /// Announces a topic of `steps` steps.
    pub(super) fn expect(&self, topic: T, subject: &str, steps: usize) {
        let bar = self.screen.as_ref().map(|screen| {
            let bar = screen.add(ProgressBar::new_spinner().with_style(waiting()));
            // Where there is no subject, what it is doing takes that place: a narrow terminal shows it too.
            let subject = if subject.is_empty() { String::new() } else { format!("  {subject:<SUBJECT$}") };
            bar.set_prefix(format!("{:<TITLE$}{subject}", topic.title()));
            bar.tick();
            bar
        });
        let line = Line {
            subject: subject.to_owned(),
            left: steps,
            total: steps,
            outcome: String::new(),
            began: None,
            bar,
            ended: false,
        };
        self.with(|lines| lines.insert(topic, line));
    }

    /// A step of the topic began.
    pub(super) fn begin(&self, topic: T) {
        self.with(|lines| {
            let Some(line) = lines.get_mut(&topic) else { return };
            line.began.get_or_insert_with(Instant::now);
            if let Some(bar) = &line.bar {
                bar.set_style(running(self.console.colors_progress()));
                bar.enable_steady_tick(Duration::from_millis(100));
            }
        });
    }

    /// Where the topic stands.
    pub(super) fn progress(&self, topic: T, text: &str) {
        // Minutes may pass while IAM's changes spread; a pipeline should not have to guess. Agents change too often.
        if self.screen.is_none() && topic.is_slow() {
            let first = self.written.lock().unwrap_or_else(PoisonError::into_inner).insert(text.to_owned());
            if first {
                self.say(&format!("    {}: {text}", topic.title()));
            }
        }
        self.with(|lines| {
            if let Some(bar) = lines.get(&topic).and_then(|line| line.bar.as_ref()) {
                bar.set_message(text.to_owned());
            }
        });
    }

    /// A step of the topic is done; with the last one, so is its line.
    pub(super) fn done(&self, topic: T, outcome: &str) {
        let ended = self.with(|lines| {
            let line = lines.get_mut(&topic)?;
            line.left = line.left.saturating_sub(1);
            // Of several the first word says it: a role is created, then given its policy.
            if line.outcome.is_empty() {
                outcome.clone_into(&mut line.outcome);
            }
            if let Some(bar) = line.bar.as_ref().filter(|_| line.total > 1) {
                bar.set_message(format!("{} of {}", line.total - line.left, line.total));
            }
            if line.left > 0 {
                return None;
            }
            line.ended = true;
            let outcome = match topic.counted() {
                Some(done) => format!("{} {done}", line.total),
                None => line.outcome.clone(),
            };
            let text = finished(topic, &line.subject, &outcome, line.began.map(|began| began.elapsed()));
            Some((text, line.bar.take()))
        });
        if let Some((text, bar)) = ended {
            self.finish(bar, &text);
        }
    }

    /// A step of the topic failed.
    pub(super) fn failed(&self, topic: T) {
        let ended = self.with(|lines| {
            let line = lines.get_mut(&topic).filter(|line| !line.ended)?;
            line.ended = true;
            let text = row(
                &format!("{BAD}✗{BAD:#}"),
                topic,
                &line.subject,
                "",
                line.began.map(|began| began.elapsed()),
            );
            Some((text, line.bar.take()))
        });
        if let Some((text, bar)) = ended {
            self.finish(bar, &text);
        }
    }

    /// Takes what is unfinished off the screen. What went wrong, if it did, is said apart from what was said before.
    pub(super) fn end(&self, well: bool) {
        self.with(|lines| {
            for line in lines.values_mut() {
                if let Some(bar) = line.bar.take() {
                    bar.finish_and_clear();
                }
            }
        });
        if !well && self.said.load(Ordering::Relaxed) && self.console.format() == Format::Text {
            self.console.say("");
        }
    }

    /// Turns a live line into a written one.
    fn finish(&self, bar: Option<ProgressBar>, text: &str) {
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        self.say(text);
    }
}

fn finished<T: Titled>(topic: T, subject: &str, outcome: &str, took: Option<Duration>) -> String {
    row(&format!("{GOOD}✓{GOOD:#}"), topic, subject, outcome, took)
}

fn row<T: Titled>(mark: &str, topic: T, subject: &str, outcome: &str, took: Option<Duration>) -> String {
    let took = took.map(|took| format!("{DIM}{:>8}{DIM:#}", seconds(took))).unwrap_or_default();
    let row = format!("  {mark} {:<TITLE$}  {subject:<SUBJECT$}  {outcome:<OUTCOME$}{took}", topic.title());
    row.trim_end().to_owned()
}

/// `0.4 s`, `12 s`, `2 min 5 s`.
pub(super) fn seconds(took: Duration) -> String {
    let all = took.as_secs_f64();
    if all < 9.95 {
        format!("{all:.1} s")
    } else if all < 119.5 {
        format!("{all:.0} s")
    } else {
        match (took.as_secs() / 60, took.as_secs() % 60) {
            (minutes, 0) => format!("{minutes} min"),
            (minutes, seconds) => format!("{minutes} min {seconds} s"),
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn waiting() -> ProgressStyle {
    style("  · {prefix}")
}

fn running(colored: bool) -> ProgressStyle {
    let template = if colored {
        "  {spinner:.cyan} {prefix}  {wide_msg} {elapsed:>4.dim}"
    } else {
        "  {spinner} {prefix}  {wide_msg} {elapsed:>4}"
    };
    style(template).tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        for (millis, text) in [
            (0, "0.0 s"),
            (440, "0.4 s"),
            (9_949, "9.9 s"),
            (12_400, "12 s"),
            (125_000, "2 min 5 s"),
            (300_000, "5 min"),
        ] {
            assert_eq!(seconds(Duration::from_millis(millis)), text);
        }
    }
}
