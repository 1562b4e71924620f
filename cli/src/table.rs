//! Tables for people: a line of heads, then rows whose columns stand below each other.
//!
//! If the terminal is too narrow for all columns, the least important ones are left out, and a last line names them.

use crate::color::Palette;
use crate::failure::one_line;

/// The widest column. A wider cell widens its own line alone: a server could name one of megabytes.
const COLUMN_MAX: usize = 100;

/// The text between two columns.
const GAP: &str = "  ";

/// A table of `N` columns.
pub(crate) struct Table<const N: usize> {
    heads: [&'static str; N],
    /// The columns of numbers, which are aligned at their right.
    numbers: &'static [usize],
    /// The columns that a narrow terminal does not show, the first to go first.
    dispensable: &'static [usize],
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
        Table { heads, numbers: &[], dispensable: &[], rows: Vec::new() }
    }

    /// Aligns these columns at their right.
    pub(crate) fn numbers(self, numbers: &'static [usize]) -> Table<N> {
        Table { numbers, ..self }
    }

    /// Leaves these columns out on a terminal that is too narrow, the first one first.
    pub(crate) fn dispensable(self, dispensable: &'static [usize]) -> Table<N> {
        Table { dispensable, ..self }
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
        let hidden = self.hidden(&widths, palette.columns());
        let mut text = format!("{}\n", palette.strong(self.line(&heads, &widths, hidden)));
        for (row, style) in &self.rows {
            text += &format!("{}\n", style(palette, self.line(row, &widths, hidden)));
        }
        if !hidden.is_empty() {
            let names: Vec<&str> = (0..N).filter(|at| hidden.contains(at)).map(|at| self.heads[at]).collect();
            text += &format!("A wider terminal shows too: {}\n", names.join(", "));
        }
        text
    }

    /// Returns the columns to leave out, so that a line fits.
    fn hidden(&self, widths: &[usize; N], columns: Option<usize>) -> &'static [usize] {
        let width = |hidden: &[usize]| {
            let shown = (0..N).filter(|at| !hidden.contains(at)).map(|at| widths[at] + GAP.len());
            shown.sum::<usize>() - GAP.len()
        };
        let most = columns.unwrap_or(usize::MAX);
        let enough = (0..=self.dispensable.len()).find(|&count| width(&self.dispensable[..count]) <= most);
        &self.dispensable[..enough.unwrap_or(self.dispensable.len())]
    }

    fn line(&self, row: &[String; N], widths: &[usize; N], hidden: &[usize]) -> String {
        let shown = row.iter().zip(widths).enumerate().filter(|(column, _)| !hidden.contains(column));
        let cells = shown.map(|(column, (cell, &width))| {
            if self.numbers.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:width$}") }
        });
        cells.collect::<Vec<String>>().join(GAP).trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_terminal_has_the_columns_that_matter() {
        let table = Table::new(["NAME", "SIZE", "OWN", "WHO"]).numbers(&[1, 2]).dispensable(&[2, 1]);
        let table = table.rows([["release".to_owned(), "1.0 GB".to_owned(), "12 B".to_owned(), "anna".to_owned()]]);
        let check = |columns: Option<usize>, expected: &str| {
            assert_eq!(table.text(Palette::plain().of_width(columns)), expected, "{columns:?}");
        };
        let whole = "NAME       SIZE   OWN  WHO\nrelease  1.0 GB  12 B  anna\n";
        check(None, whole);
        check(Some(27), whole);
        let two = "NAME       SIZE  WHO\nrelease  1.0 GB  anna\nA wider terminal shows too: OWN\n";
        check(Some(26), two);
        check(Some(21), two);
        let one = "NAME     WHO\nrelease  anna\nA wider terminal shows too: SIZE, OWN\n";
        check(Some(20), one);
        // What matters is shown in any case.
        check(Some(5), one);
    }
}
