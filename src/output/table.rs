//! Tables without lines: columns that are aligned, and fit the terminal.

use comfy_table::{Attribute, CellAlignment, Color, ContentArrangement, Table, presets};
use serde::Serialize;

/// How a cell is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Tone {
    /// As it is.
    #[default]
    Plain,
    /// Well.
    Good,
    /// Failed.
    Bad,
    /// Deserves attention.
    Note,
    /// Need not be read.
    Dim,
}

/// A cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// With a tone.
    pub(super) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }

    /// With more text.
    pub(super) fn and(self, more: &str) -> Self {
        Self { text: self.text + more, ..self }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

/// The columns of numbers are aligned at their right.
pub(super) struct Columns<'a> {
    /// The heads; one that begins with `>` is of a column of numbers.
    pub(super) heads: &'a [&'a str],
    /// How far the whole table is indented.
    pub(super) indent: usize,
    /// The width of the terminal, if there is one.
    pub(super) width: Option<usize>,
}

/// The table, without an end of line at its end. What names of a cluster have in them cannot steer the terminal.
pub(super) fn table(columns: &Columns<'_>, rows: Vec<Vec<Cell>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).enforce_styling().style_text_only();
    if let Some(width) =
        columns.width.and_then(|width| u16::try_from(width.saturating_sub(columns.indent)).ok())
    {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.max(NARROWEST));
    }
    if !columns.heads.is_empty() {
        let heads = columns
            .heads
            .iter()
            .map(|head| comfy_table::Cell::new(head.trim_start_matches('>')).add_attribute(Attribute::Bold));
        table.set_header(heads.collect::<Vec<_>>());
    }
    for row in rows {
        table.add_row(row.iter().map(shown).collect::<Vec<_>>());
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, GAP));
        if columns.heads.get(index).is_some_and(|head| head.starts_with('>')) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let indent = " ".repeat(columns.indent);
    let lines: Vec<String> = table.lines().map(|line| format!("{indent}{}", line.trim_end())).collect();
    lines.join("\n")
}

/// Spaces between two columns.
const GAP: u16 = 2;

/// Below this a table is broken by the terminal, which is better read than a column of single letters.
const NARROWEST: u16 = 60;

fn shown(cell: &Cell) -> comfy_table::Cell {
    let text: String = cell.text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    let shown = comfy_table::Cell::new_owned(text);
    match cell.tone {
        Tone::Plain => shown,
        Tone::Good => shown.fg(Color::DarkGreen),
        Tone::Bad => shown.fg(Color::DarkRed).add_attribute(Attribute::Bold),
        Tone::Note => shown.fg(Color::DarkYellow),
        Tone::Dim => shown.add_attribute(Attribute::Dim),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(width: Option<usize>, rows: Vec<Vec<Cell>>) -> String {
        let columns = Columns { heads: &["NAME", ">READY", "STATUS"], indent: 2, width };
        anstream::adapter::strip_str(&table(&columns, rows)).to_string()
    }

    #[test]
    fn columns_are_aligned_and_numbers_at_their_right() {
        let rows = vec![
            vec!["web".into(), "1/2".into(), Cell::toned("Running", Tone::Good)],
            vec!["a-longer-name".into(), "10/10".into(), "".into()],
        ];
        insta::assert_snapshot!(plain(None, rows), @r"
          NAME           READY  STATUS
          web              1/2  Running
          a-longer-name  10/10
        ");
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        let text = plain(None, vec![vec!["a\u{1b}[2Jb\nc".into(), "".into(), "".into()]]);
        assert!(!text.contains('\u{1b}') && text.lines().count() == 2, "{text:?}");
    }

    #[test]
    fn a_table_fits_the_terminal() {
        let text = plain(Some(72), vec![vec!["word ".repeat(40).into(), "1".into(), "x".into()]]);
        assert!(text.lines().all(|line| line.chars().count() <= 72), "{text}");
    }
}
