//! What a user is told when something cannot be done: a stable code, what was attempted, why it failed, what to do.

use std::fmt;

mod code;
mod from_port;
mod words;
pub use code::Code;
pub use words::words;

/// How a command ended badly; decides the exit code together with what remains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request itself is wrong; nothing was asked of AWS or of the cluster.
    Usage,
    /// The command declined, before its first change, to do what it was asked.
    Refused,
    /// Something failed on the way.
    Failed,
    /// A wait ended without the awaited state; the same command resumes.
    TimedOut,
    /// A signal ended the command.
    Interrupted,
}

/// A fact about a failure, as one aligned line: `state   PENDING`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// One word: `state`, `cause`, `fix`.
    pub label: &'static str,
    /// What is known; may span lines.
    pub text: String,
}

/// Something that the command made or found and that is still there after it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remains {
    /// What it is, for instance `registration onprem1`.
    pub what: String,
    /// The exact command that removes it.
    pub remove_with: String,
}

/// An error for the user. `Display` is the one-line message and never includes the source.
#[derive(Debug)]
pub struct Error {
    /// The stable code.
    pub code: Code,
    /// How it ended.
    pub kind: Kind,
    /// What was attempted, on which resource, in one line.
    pub message: String,
    /// What is known about the cause, and what to do, in the order to be shown.
    pub facts: Vec<Fact>,
    /// What is left behind.
    pub remains: Vec<Remains>,
    /// The technical cause.
    pub source: Option<anyhow::Error>,
}

impl Error {
    /// An error of `kind` with its stable `code` and one-line message.
    pub fn new(code: Code, kind: Kind, message: impl Into<String>) -> Self {
        Self { code, kind, message: message.into(), facts: Vec::new(), remains: Vec::new(), source: None }
    }

    /// A request that cannot be right, whatever AWS and the cluster say.
    pub fn usage(code: Code, message: impl Into<String>) -> Self {
        Self::new(code, Kind::Usage, message)
    }

    /// Declined before the first change.
    pub fn refused(code: Code, message: impl Into<String>) -> Self {
        Self::new(code, Kind::Refused, message)
    }

    /// Failed on the way.
    pub fn failed(code: Code, message: impl Into<String>) -> Self {
        Self::new(code, Kind::Failed, message)
    }

    /// Adds a line of what is known.
    #[must_use]
    pub fn fact(mut self, label: &'static str, text: impl Into<String>) -> Self {
        self.facts.push(Fact { label, text: text.into() });
        self
    }

    /// Adds the call that failed, in the words of IAM or RBAC.
    #[must_use]
    pub fn call(self, operation: &str) -> Self {
        self.fact("call", operation)
    }

    /// Adds why it failed.
    #[must_use]
    pub fn cause(self, text: impl Into<String>) -> Self {
        self.fact("cause", text)
    }

    /// Adds what to do next.
    #[must_use]
    pub fn fix(self, text: impl Into<String>) -> Self {
        self.fact("fix", text)
    }

    /// Adds the technical cause, for `-v`.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<anyhow::Error>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The process's exit code (README, "Exit codes").
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Usage => 2,
            Kind::Refused if self.remains.is_empty() => 3,
            Kind::TimedOut => 4,
            Kind::Failed if self.remains.is_empty() => 1,
            // A refusal on a second look, after the first had changed something.
            Kind::Refused | Kind::Failed => 5,
            Kind::Interrupted => 130,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| -> &(dyn std::error::Error + 'static) { source.as_ref() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_remains_turns_failed_into_five() {
        let mut error = Error::failed(Code::CLUSTER_UNREACHABLE, "x");
        assert_eq!(error.exit_code(), 1);
        error.remains.push(Remains { what: "registration a".into(), remove_with: "b".into() });
        assert_eq!(error.exit_code(), 5);
    }

    #[test]
    fn display_does_not_repeat_its_source() {
        let error = Error::failed(Code::AWS_UNREACHABLE, "outer").with_source(anyhow::anyhow!("inner"));
        assert_eq!(error.to_string(), "outer");
    }
}
