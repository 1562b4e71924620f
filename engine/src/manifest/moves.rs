//! Finds the files that moved, among the differences of two manifests: their content is gone at one path and new at
//! another. Touches no disk.
//!
//! Several files may have one content. Then a file goes first to a path with the same name in another directory; the rest
//! are paired in the order of their paths. So the same two manifests always have the same moves. Empty files do not move:
//! all of them are alike.

use std::collections::HashMap;

use crate::hash::Hash;
use crate::manifest::diff::Difference;
use crate::report::Change;

/// A file that moved: the places of both paths in the list of differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Move {
    /// The path before.
    pub(crate) from: usize,
    /// The path after.
    pub(crate) to: usize,
}

/// The paths of one content.
#[derive(Default)]
struct Paths {
    gone: Vec<usize>,
    new: Vec<usize>,
}

/// Finds the moves. They are in the order of the paths after.
pub(crate) fn find(differences: &[Difference]) -> Vec<Move> {
    let mut contents: HashMap<Hash, Paths> = HashMap::new();
    for (at, difference) in differences.iter().enumerate() {
        let Some(hash) = difference.moving else { continue };
        let paths = contents.entry(hash).or_default();
        match difference.change {
            Change::New => paths.new.push(at),
            Change::Removed => paths.gone.push(at),
            _ => {}
        }
    }
    let mut moves: Vec<Move> = contents.into_values().flat_map(|paths| pair(differences, paths)).collect();
    moves.sort_unstable_by_key(|found| found.to);
    moves
}

fn pair(differences: &[Difference], paths: Paths) -> Vec<Move> {
    let Paths { mut gone, mut new } = paths;
    if gone.is_empty() || new.is_empty() {
        return Vec::new();
    }
    let name = |at: usize| differences[at].path.rsplit(|&byte| byte == b'/').next();
    let mut by_name: HashMap<_, Vec<usize>> = HashMap::new();
    gone.iter().rev().for_each(|&from| by_name.entry(name(from)).or_default().push(from));
    let mut moves = Vec::new();
    new.retain(|&to| match by_name.get_mut(&name(to)).and_then(Vec::pop) {
        Some(from) => {
            moves.push(Move { from, to });
            false
        }
        None => true,
    });
    let mut paired: Vec<usize> = moves.iter().map(|found| found.from).collect();
    paired.sort_unstable();
    gone.retain(|from| paired.binary_search(from).is_err());
    moves.extend(gone.into_iter().zip(new).map(|(from, to)| Move { from, to }));
    moves
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(path: &str, change: Change, content: &str) -> Difference {
        Difference {
            path: path.as_bytes().to_vec(),
            change,
            bytes_before: Some(1),
            bytes_after: Some(1),
            moving: Some(Hash::of(content.as_bytes())),
        }
    }

    fn check(gone: &[(&str, &str)], new: &[(&str, &str)], expected: &[(&str, &str)]) {
        let gone = gone.iter().map(|(path, content)| difference(path, Change::Removed, content));
        let new = new.iter().map(|(path, content)| difference(path, Change::New, content));
        let mut differences: Vec<Difference> = gone.chain(new).collect();
        differences.sort_by(|one, other| one.path.cmp(&other.path));
        let path = |at: usize| String::from_utf8(differences[at].path.clone()).unwrap();
        let found: Vec<(String, String)> =
            find(&differences).into_iter().map(|Move { from, to }| (path(from), path(to))).collect();
        let expected: Vec<(String, String)> =
            expected.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_file_moves_where_its_content_is_new() {
        check(&[("a/x", "1"), ("b", "2")], &[("c/x", "1"), ("d", "3")], &[("a/x", "c/x")]);
        check(&[("a", "1")], &[], &[]);
        check(&[], &[("a", "1")], &[]);
    }

    #[test]
    fn of_equal_files_the_name_decides_and_then_the_order_of_paths() {
        check(&[("a/x", "1"), ("a/y", "1")], &[("b/y", "1"), ("c/x", "1")], &[("a/y", "b/y"), ("a/x", "c/x")]);
        check(&[("a", "1"), ("b", "1"), ("c", "1")], &[("x", "1"), ("y", "1")], &[("a", "x"), ("b", "y")]);
        check(&[("d/n", "1"), ("e/n", "1")], &[("f/n", "1"), ("g/m", "1")], &[("d/n", "f/n"), ("e/n", "g/m")]);
    }
}
