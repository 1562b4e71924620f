//! A file of another tool, read whole, with its lines.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The largest file that is read. Configurations of this size were made by a program.
const BYTES_MAX: u64 = 16 << 20;

/// The longest text that a message shows of a line.
const SHOWN_CHARACTERS: usize = 100;

/// A file of text.
#[derive(Debug, Clone)]
pub(crate) struct SourceFile {
    /// The name, from the directory of the config.
    pub(crate) name: String,
    /// The text.
    pub(crate) text: String,
    /// The offset of each line.
    lines: Vec<usize>,
}

impl SourceFile {
    /// Reads a file.
    pub(crate) fn read(directory: &Path, path: &Path) -> Result<SourceFile, Failure> {
        let name = path.display().to_string();
        let unreadable =
            |reason: &dyn ToString| Failure::usage(format!("Could not read `{name}`")).because(&reason.to_string());
        let mut bytes = Vec::new();
        let file = File::open(directory.join(path)).map_err(|error| unreadable(&error))?;
        file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
        if bytes.len() as u64 > BYTES_MAX {
            return Err(unreadable(&"It has more than 16 MiB"));
        }
        let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
        let text = text.ok_or_else(|| unreadable(&"It is not UTF-8 text"))?;
        Ok(SourceFile::new(name, text))
    }

    /// Makes a file of a text.
    pub(crate) fn new(name: impl Into<String>, text: impl Into<String>) -> SourceFile {
        let text = text.into();
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let lines = [0].into_iter().chain(breaks).collect();
        SourceFile { name: name.into(), text, lines }
    }

    /// Returns the line of an offset, from 1.
    pub(crate) fn line_of(&self, offset: usize) -> usize {
        self.lines.partition_point(|&start| start <= offset)
    }

    /// Returns the text of a line, shortened.
    pub(crate) fn line(&self, number: usize) -> String {
        let start = self.lines.get(number.saturating_sub(1)).copied().unwrap_or(self.text.len());
        let line = self.text[start..].lines().next().unwrap_or_default().trim();
        match line.char_indices().nth(SHOWN_CHARACTERS) {
            Some((at, _)) => format!("{}…", &line[..at]),
            None => line.to_owned(),
        }
    }
}

/// Returns the first of these files that exists in a directory.
pub(crate) fn first_of(directory: &Path, names: &[&str]) -> Option<PathBuf> {
    names.iter().map(PathBuf::from).find(|name| directory.join(name).is_file())
}

/// Returns the files of a directory with this ending, sorted by name.
pub(crate) fn files_in(directory: &Path, folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory.join(folder)).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| Path::new(folder).join(entry.file_name()))
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .collect();
    found.sort();
    found
}

/// Returns the failure if there is none of the files of a tool.
pub(crate) fn none_found(tool: &str, names: &str) -> Failure {
    Failure::usage(format!("There is no configuration of {tool} here: {names}"))
        .hint("Name its file with `--file PATH`, or go to the directory of the application")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_has_a_line_and_a_line_has_a_text() {
        let file = SourceFile::new("a", "one\n  two\n\nlast");
        assert_eq!([0, 3, 4, 9, 10, 11, 14].map(|at| file.line_of(at)), [1, 1, 2, 2, 3, 4, 4]);
        assert_eq!([1, 2, 3, 4, 5].map(|line| file.line(line)), ["one", "two", "", "last", ""]);
        assert_eq!(SourceFile::new("a", "é".repeat(200)).line(1), format!("{}…", "é".repeat(100)));
    }
}
