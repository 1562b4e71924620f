//! The name of a branch or tag that a user may have meant.

/// The most letters that may differ.
const EDITS_MAX: usize = 2;

/// Finds the nearest name: the same on a remote, else one with few other letters.
pub(super) fn near_name(name: &str, names: &[String]) -> Option<String> {
    let on_remote = |known: &&String| known.split_once('/').is_some_and(|(_, branch)| branch == name);
    if let Some(known) = names.iter().find(on_remote) {
        return Some(known.clone());
    }
    // Of a short name, few letters are most of it.
    let most = EDITS_MAX.min(name.chars().count() / 3);
    let near = names.iter().map(|known| (edits(name, known, most), known));
    near.filter(|&(edits, _)| edits <= most).min_by_key(|&(edits, _)| edits).map(|(_, known)| known.clone())
}

/// Counts the letters to add, remove, replace or exchange with the next. Counts no further than one more than `most`.
fn edits(one: &str, other: &str, most: usize) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    if one.len().abs_diff(other.len()) > most {
        return most + 1;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for at in 0..one.len() {
        let mut next = vec![at + 1];
        for column in 0..other.len() {
            let is_other = one[at] != other[column];
            let mut least = (row[column] + usize::from(is_other)).min(row[column + 1] + 1).min(next[column] + 1);
            if at > 0 && column > 0 && one[at] == other[column - 1] && one[at - 1] == other[column] {
                least = least.min(before[column - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_on_a_remote_or_has_few_other_letters() {
        let names = ["main", "release/2.0", "v1.10", "v1.2", "origin/HEAD", "origin/feature/cart"].map(str::to_owned);
        let check =
            |name: &str, expected: Option<&str>| assert_eq!(near_name(name, &names).as_deref(), expected, "{name}");
        check("feature/cart", Some("origin/feature/cart"));
        check("mian", Some("main"));
        check("mani", Some("main"));
        check("man", Some("main"));
        check("maim", Some("main"));
        check("v1.3", Some("v1.2"));
        check("relaese/2.0", Some("release/2.0"));
        check("master", None);
        check("", None);
        check("x", None);
    }
}
