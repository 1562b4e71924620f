//! How much changed between two trees: what the bytes of a deploy are drawn over.

use std::path::Path;

use crate::failure::{Failure, Result};
use crate::process::Invocation;
use crate::record::Outcome;

/// The fact that says it: the bytes of all files that are new at their path or hold other content, whole.
pub(crate) const FACT: &str = "changed_bytes";

/// Notes in a scenario's facts how much changed.
pub(crate) fn note(outcome: &mut Outcome, base: &Path, next: &Path) -> Result<()> {
    outcome.facts.insert(FACT.to_owned(), bytes(base, next)?);
    Ok(())
}

fn bytes(base: &Path, next: &Path) -> Result<u64> {
    let rsync = Invocation::new("rsync").args(["-rlcn", "--out-format=%i %l"]);
    let rsync = rsync.args([next.join(""), base.join("")]);
    let text = rsync.text()?;
    sum(&text).ok_or_else(|| Failure::new(format!("`{rsync}` printed a file without a length")))
}

/// Adds up the lengths of files that would be sent.
fn sum(lines: &str) -> Option<u64> {
    let files = lines.lines().filter(|line| line.starts_with(">f"));
    files.map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_count_and_directories_do_not() {
        assert_eq!(sum(">f+++++++++ 100\ncd+++++++++ 4096\n>fcs....... 23\ncL+++++++++ 9\n"), Some(123));
        assert_eq!(sum(""), Some(0));
        assert_eq!(sum(">f+++++++++\n"), None);
    }
}
