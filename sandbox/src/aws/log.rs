//! The log of every call.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::service::Member;

/// One call that the emulator received.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Position in the log, from 1, in the order in which calls were received.
    pub sequence: u64,
    /// When it was received, on the emulator's clock (RFC 3339).
    pub time: String,
    /// Signing name of the service; empty if it could not be told.
    pub service: String,
    /// Operation; for unknown ones what the request asked for.
    pub operation: String,
    /// Account of the caller.
    pub account: Option<String>,
    /// Region of the credential scope or of the host.
    pub region: Option<String>,
    /// ARN of the caller, or id of the managed instance.
    pub principal: Option<String>,
    /// HTTP status of the answer; 0 when none was given (reset, hang, not answered yet).
    pub status: u16,
    /// Error code of the answer.
    pub error: Option<String>,
    /// Parameters, secrets left out.
    pub parameters: Map<String, Value>,
    /// From the request's arrival to its answer, in milliseconds.
    pub duration_ms: u64,
}

/// The calls so far.
#[derive(Debug, Default)]
pub(crate) struct Log {
    entries: Vec<Entry>,
    /// Calls that were removed by a reset: numbers never repeat.
    removed: u64,
}

impl Log {
    /// Enters a call and gives its number.
    pub(crate) fn begin(&mut self, mut entry: Entry) -> u64 {
        entry.sequence = self.removed + self.entries.len() as u64 + 1;
        let sequence = entry.sequence;
        self.entries.push(entry);
        sequence
    }

    /// Completes the entry of a call, unless a reset removed it.
    pub(crate) fn finish(&mut self, sequence: u64, complete: impl FnOnce(&mut Entry)) {
        let index = sequence.checked_sub(self.removed + 1).and_then(|index| usize::try_from(index).ok());
        if let Some(entry) = index.and_then(|index| self.entries.get_mut(index)) {
            complete(entry);
        }
    }

    /// The entries after a number, of one account or of all.
    pub(crate) fn since(&self, sequence: u64, account: Option<&str>) -> Vec<Entry> {
        let wanted = |entry: &&Entry| {
            entry.sequence > sequence && account.is_none_or(|only| entry.account.as_deref() == Some(only))
        };
        self.entries.iter().filter(wanted).cloned().collect()
    }

    pub(crate) fn reset(&mut self) {
        self.removed += self.entries.len() as u64;
        self.entries.clear();
    }
}

/// The input without its secret members.
pub(crate) fn redact(input: &Map<String, Value>, members: &[Member]) -> Map<String, Value> {
    let mut shown = input.clone();
    for member in members.iter().filter(|member| member.secret) {
        if let Some(value) = shown.get_mut(member.name) {
            *value = Value::from("(secret)");
        }
    }
    shown
}
