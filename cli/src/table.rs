//! Tables for people: a line of heads, then rows whose columns stand below each other.

use crate::color::Palette;
use crate::failure::one_line;

/// The widest column. A wider cell widens its own line alone: a server could name one of megabytes.
const COLUMN_MAX: usize = 100;

/// A table of `N` columns.
pub(crate) struct Table<const N: usize> {
    heads: [&'static str; N],
    /// The columns of numbers, which are aligned at their right.
    numbers: &'static [usize],
    rows: Vec<([String; N], Style)>,
}

/// Colours a line.
pub(crate) type Style = fn(Palette, String) -> String;

/// Leaves a line as it is.
pub(crate) fn plain(_: Palette, line: String) -> String {
    line
}

impl<const N: usize> Table<N> {
    /// Begins a table without rows.
    pub(crate) fn new(heads: [&'static str; N]) -> Table<N> {
        Table { heads, numbers: &[], rows: Vec::new() }
    }

    /// Aligns these columns at their right.
    pub(crate) fn numbers(self, numbers: &'static [usize]) -> Table<N> {
        Table { numbers, ..self }
    }

    /// Adds rows.
    pub(crate) fn rows(self, rows: impl IntoIterator<Item = [String; N]>) -> Table<N> {
        self.styled_rows(rows.into_iter().map(|row| (row, plain as Style)))
    }

    /// Adds rows with their styles. A cell stays on its line, whatever a server put into it.
    pub(crate) fn styled_rows(mut self, rows: impl IntoIterator<Item = ([String; N], Style)>) -> Table<N> {
        self.rows.extend(rows.into_iter().map(|(row, style)| (row.map(|cell| one_line(&cell)), style)));
        self
    }

    /// Returns the lines.
    pub(crate) fn text(&self, palette: Palette) -> String {
        let heads = self.heads.map(str::to_owned);
        let all = || self.rows.iter().map(|(row, _)| row).chain([&heads]);
        let width = |cells: &mut dyn Iterator<Item = &String>| {
            cells.map(|cell| cell.chars().count()).filter(|&width| width <= COLUMN_MAX).max().unwrap_or_default()
        };
        let widths: [usize; N] = std::array::from_fn(|column| width(&mut all().map(|row| &row[column])));
        let mut text = format!("{}\n", palette.strong(self.line(&heads, &widths)));
        for (row, style) in &self.rows {
            text += &format!("{}\n", style(palette, self.line(row, &widths)));
        }
        text
    }

    fn line(&self, row: &[String; N], widths: &[usize; N]) -> String {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, &width))| {
            if self.numbers.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:width$}") }
        });
        cells.collect::<Vec<String>>().join("  ").trim_end().to_owned()
    }
}
