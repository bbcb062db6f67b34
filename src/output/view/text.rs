//! The sheet as text.

use super::sheet::{Section, Sheet};
use crate::output::console::{BAD, BOLD, DIM, GOOD, NOTE};
use crate::output::table::{Cell, Columns, Tone, table};

/// The sheet as text.
pub(super) fn text(sheet: &Sheet, width: Option<usize>) -> String {
    let mut out = vec![
        format!("{BOLD}{}{BOLD:#} as {BOLD}{}{BOLD:#} may see it: {}", sheet.context, sheet.who, sheet.scope),
        format!("{DIM}{}  {}{DIM:#}", sheet.arn, sheet.server),
        String::new(),
    ];
    for figure in &sheet.figures {
        let style = match figure.tone {
            Tone::Good => GOOD,
            Tone::Bad => BAD,
            Tone::Note => NOTE,
            Tone::Dim | Tone::Plain => DIM,
        };
        out.push(
            format!("  {:<12}{:<12}{style}{}{style:#}", figure.title, figure.value, figure.note)
                .trim_end()
                .to_owned(),
        );
    }
    for section in &sheet.sections {
        out.push(String::new());
        out.extend(section_lines(section, width));
    }
    out.push(String::new());
    out.push(format!("{DIM}{}{DIM:#}", sheet.disclaimer));
    out.join("\n")
}

fn section_lines(section: &Section, width: Option<usize>) -> Vec<String> {
    let total = section.total.map(|total| format!(" ({total})")).unwrap_or_default();
    let mut out = vec![format!("{BOLD}{}{total}{BOLD:#}", section.title)];
    if !section.rows.is_empty() {
        let rows = section
            .rows
            .iter()
            .map(|row| row.iter().map(|entry| Cell::toned(entry.text.clone(), entry.tone)).collect())
            .collect();
        let heads: Vec<String> = section.heads.iter().map(|head| head.to_uppercase()).collect();
        let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
        out.push(table(&Columns { heads: &heads, indent: 2, width }, rows));
    } else if section.forbidden.is_empty() {
        out.push(format!("  {DIM}none{DIM:#}"));
    }
    out.extend(section.more.iter().map(|more| format!("  {DIM}… {more}{DIM:#}")));
    out.extend(section.forbidden.iter().map(|line| format!("  {NOTE}{line}{NOTE:#}")));
    out
}
