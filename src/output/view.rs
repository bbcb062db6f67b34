//! What `view` shows: one sheet, as text or as a page; or a document.

mod document;
mod page;
mod sheet;
mod text;

use std::path::Path;

use super::console::{BOLD, Console, NOTE};
use super::document::Place;
use crate::access::picture::Picture;
use crate::cli::Format;
use crate::error::Error;

/// A picture, on standard output. `page` is where it was written to as a page, if it was.
pub fn viewed(console: &Console, picture: &Picture, context: &str, server: &str, page: Option<&Path>) {
    let place = Place { context, server };
    match (console.format(), page) {
        (Format::Json | Format::Yaml, page) => console.document(&document::document(picture, &place, page)),
        (Format::Text, Some(page)) => {
            notes(console, picture);
            console.result(&format!(
                "{BOLD}{}{BOLD:#} shows what {} may see in {context}.",
                page.display(),
                picture.principal.short()
            ));
        }
        (Format::Text, None) => {
            notes(console, picture);
            console.result(&text::text(&sheet::sheet(picture, &place), console.width()));
        }
    }
}

fn notes(console: &Console, picture: &Picture) {
    for note in &picture.notes {
        console.say(&format!("{NOTE}‼{NOTE:#} {note}"));
    }
}

/// A picture as a page that needs nothing else.
///
/// # Errors
/// The template is broken, which a test would show.
pub fn view_page(picture: &Picture, context: &str, server: &str) -> Result<String, Error> {
    page::page(&sheet::sheet(picture, &Place { context, server }))
}
