//! A git checkout of B, committed after A, and one that stands at A's commit.
//!
//! Every file is committed, also those that a `.gitignore` in the tree names.

use std::path::Path;

use crate::failure::Result;
use crate::invocation::Invocation;
use crate::source::made;
use crate::source::tree::{Tree, Trees};

/// The checkouts.
#[derive(Debug)]
pub(crate) struct Checkout {
    /// At A's commit.
    pub(crate) before: Tree,
    /// At B's.
    pub(crate) after: Tree,
}

impl Checkout {
    /// Makes both, unless they stand. Needs git.
    pub(crate) fn make(work: &Path, trees: &Trees) -> Result<Checkout> {
        let Trees { a, b, .. } = trees;
        let after = made::path(work, &format!("checkout-{}-{}", a.name, b.name))?;
        made::ensure(&after, |making| {
            Invocation::new("git").args(["init", "-q"]).arg(making).output()?;
            [a, b].into_iter().try_for_each(|tree| commit(tree, making))
        })?;
        let before = made::path(work, &format!("checkout-{}", a.name))?;
        made::ensure(&before, |making| {
            let clone = Invocation::new("git").args(["clone", "-q", "--shared", "--no-checkout"]);
            clone.arg(&after).arg(making).output()?;
            Invocation::new("git").arg("-C").arg(making).args(["checkout", "-q", "HEAD~1"]).output().map(drop)
        })?;
        let at = |tree: &Tree, path| Tree { path, ..tree.clone() };
        Ok(Checkout { before: at(a, before), after: at(b, after) })
    }
}

fn commit(tree: &Tree, checkout: &Path) -> Result<()> {
    let rsync = Invocation::new("rsync").args(["-rlp", "--delete", "--exclude=/.git"]);
    rsync.args([tree.content(), checkout.join("")]).output()?;
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "core.autocrlf=false"];
        let git = Invocation::new("git").arg("-C").arg(checkout).args(["-c", "gc.auto=0"]);
        git.args(identity).args(arguments).output().map(drop)
    };
    git(&["add", "-A", "-f"])?;
    git(&["commit", "-q", "-m", &tree.name])
}
