//! Who was meant by what was written.

use super::console::{Console, DIM, NOTE};
use crate::access::principal::Resolved;

impl Console {
    /// Says who is meant, wherever it was not written so, and what may not be as it was meant.
    pub fn principals(&self, principals: &[Resolved]) {
        for line in principals.iter().flat_map(lines) {
            self.say(&line);
        }
    }
}

fn lines(resolved: &Resolved) -> Vec<String> {
    let mut lines = Vec::new();
    if !resolved.changes.is_empty() {
        lines.push(format!("Principal {}", resolved.principal));
        lines.extend(resolved.changes.iter().map(|change| format!("          {DIM}{change}{DIM:#}")));
    }
    for warning in &resolved.warnings {
        let of =
            if resolved.changes.is_empty() { format!("{}: ", resolved.principal) } else { String::new() };
        lines.push(format!("  {NOTE}‼{NOTE:#} {of}{} ({})", warning.text, warning.code));
    }
    lines
}
