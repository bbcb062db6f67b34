//! Telling the person who waits what a long step is doing.

use std::io::Write;
use std::sync::Arc;

/// Takes one short line at a time. Whoever starts something long decides where the lines go.
#[derive(Clone)]
pub struct Progress(Arc<dyn Fn(&str) + Send + Sync>);

impl Progress {
    /// Hands every line to `tell`.
    pub fn new(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// Says nothing.
    pub fn silent() -> Self {
        Self::new(|_| {})
    }

    /// Writes to the process' standard error, past the capture of the test harness: whoever runs the tests must see
    /// why the first run takes minutes.
    pub fn stderr() -> Self {
        Self::new(|line| {
            // A closed standard error must not stop the work.
            drop(writeln!(std::io::stderr(), "{line}"));
        })
    }

    /// Says one line, without its line end.
    pub fn say(&self, line: &str) {
        (self.0)(line);
    }
}
