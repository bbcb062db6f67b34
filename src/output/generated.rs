//! What `completions` and `man` show.

use serde_json::json;

use super::console::Console;
use super::document::API_VERSION;
use crate::cli::{Format, Shell};

/// What teaches a shell.
pub fn completions(console: &Console, shell: Shell, script: &str) {
    match console.format() {
        Format::Text => console.result(script.trim_end()),
        Format::Json | Format::Yaml => console.document(&json!({
            "apiVersion": API_VERSION,
            "kind": "Completions",
            "shell": shell.name(),
            "file": shell.file(),
            "script": script,
        })),
    }
}

/// A manual page.
pub fn manual(console: &Console, page: &str) {
    match console.format() {
        Format::Text => console.result(page.trim_end()),
        Format::Json | Format::Yaml => console.document(&json!({
            "apiVersion": API_VERSION,
            "kind": "ManualPage",
            "roff": page,
        })),
    }
}

/// The names of all pages.
pub fn manuals(console: &Console, names: &[String]) {
    match console.format() {
        Format::Text => console.result(&names.join("\n")),
        Format::Json | Format::Yaml => console.document(&json!({
            "apiVersion": API_VERSION,
            "kind": "ManualPages",
            "pages": names,
        })),
    }
}
