//! B after A by a client that never deployed, as in a fresh CI runner: without state, and all mtimes are new. Once more
//! from a git checkout that holds A's files as well.

use std::fs;
use std::path::{Path, PathBuf};

use crate::contest::{Client, Contender, Job, installed, race};
use crate::cutover::{self, Cutover};
use crate::failure::{Context, Result};
use crate::lab::{Lab, Line};
use crate::made;
use crate::process::Invocation;
use crate::record::{Outcome, Sample, Track};
use crate::row::{Aim, Rows};
use crate::scenario::Scenario;
use crate::tool::{Change, Place, Tool};
use crate::tree::Tree;

/// The rival.
const RSYNC: &str = "rsync -rlpzc --link-dest";

pub(super) fn run(lab: &Lab) -> Result<Outcome> {
    let trees = lab.trees();
    let (tools, skipped) = installed(lab, Scenario::Cold);
    let job = Job { client: Client::New, ..Job::next(Scenario::Cold, &trees.a, &trees.b) };
    let checkout = Checkout::of(lab);
    let mut contenders: Vec<Contender<'_>> = tools.iter().map(|tool| Contender::of(lab, &**tool, &job)).collect();
    let is_wanted = lab.settings().wants(cutover::NAME);
    if let (Ok(checkout), true) = (&checkout, is_wanted) {
        contenders.push(Contender::of(lab, checkout, &job));
    }
    let mut tracks = race(lab, &contenders)?;
    tracks.extend(skipped);
    if let (Err(why), true) = (&checkout, is_wanted) {
        tracks.push(Track::skipped(cutover::NAME, Checkout::TITLE.to_owned(), why.clone()));
    }

    let mut rows = Rows::of(lab, &tracks);
    rows.wire(RSYNC, Some(Aim::OursAtMost(2_200_000.0)));
    rows.round_trips(RSYNC, Some(Aim::OursAtMost(4.0)));
    rows.seconds(RSYNC, None);
    rows.costs(RSYNC);
    let mut with = Rows::of(lab, &tracks).about(Checkout::TITLE).words("from a git checkout: ");
    with.wire(RSYNC, Some(Aim::OursAtMost(800_000.0)));
    with.round_trips(RSYNC, Some(Aim::OursAtMost(4.0)));
    with.seconds(RSYNC, None);
    let rows = rows.finish().into_iter().chain(with.finish()).collect();
    Ok(Outcome { rows, tracks, ..Outcome::default() })
}

/// Cutover with a source that is a git checkout of B, committed after A.
///
/// git's own files are left out of a deploy; a file `REVISION` is added, which names the commit.
struct Checkout {
    /// At A's commit: what is deployed from it has that in its record.
    first: Tree,
    tree: Tree,
    deployed: Tree,
}

impl Checkout {
    /// Its name in tables.
    const TITLE: &str = "cutover deploy, git checkout";

    /// Makes the checkout, unless it stands; says why not.
    fn of(lab: &Lab) -> std::result::Result<Checkout, String> {
        Checkout::make(lab).map_err(|failure| failure.to_string())
    }

    fn make(lab: &Lab) -> Result<Checkout> {
        let trees = lab.trees();
        let path = made::path(lab, &format!("checkout-{}-{}", trees.a.name, trees.b.name))?;
        if !path.is_dir() {
            let making = path.with_extension("making");
            made::remove(&making)?;
            Invocation::new("git").args(["init", "-q"]).arg(&making).output()?;
            for tree in [&trees.a, &trees.b] {
                commit(tree, &making)?;
            }
            fs::rename(&making, &path).context(|| format!("Could not rename `{}`", making.display()))?;
        }
        let before = made::path(lab, &format!("checkout-{}", trees.a.name))?;
        if !before.is_dir() {
            let making = before.with_extension("making");
            made::remove(&making)?;
            let clone = Invocation::new("git").args(["clone", "-q", "--shared", "--no-checkout"]);
            clone.arg(&path).arg(&making).output()?;
            Invocation::new("git").arg("-C").arg(&making).args(["checkout", "-q", "HEAD~1"]).output()?;
            fs::rename(&making, &before).context(|| format!("Could not rename `{}`", making.display()))?;
        }
        let at = |tree: &Tree, path| Tree { path, ..tree.clone() };
        Ok(Checkout { first: at(&trees.a, before), tree: at(&trees.b, path), deployed: trees.b.clone() })
    }
}

/// Brings the checkout to a tree, every file of it, also those that a `.gitignore` in it names.
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

impl Tool for Checkout {
    fn name(&self) -> &'static str {
        cutover::NAME
    }

    fn title(&self) -> String {
        Checkout::TITLE.to_owned()
    }

    fn version(&self) -> Option<String> {
        Cutover::default().version()
    }

    fn joins(&self, scenario: Scenario) -> bool {
        scenario == Scenario::Cold
    }

    fn deploy(&self, lab: &Lab, tree: &Tree, place: &Place, line: Line) -> Result<Sample> {
        let is_next = tree.path == self.deployed.path;
        Cutover::default().deploy(lab, if is_next { &self.tree } else { &self.first }, place, line)
    }

    fn settle(&self, lab: &Lab, _base: &Tree, place: &Place) -> Result<()> {
        Cutover::default().settle(lab, &self.first, place)
    }

    fn release(&self, lab: &Lab, place: &Place) -> Result<PathBuf> {
        Cutover::default().release(lab, place)
    }

    /// The commit is named in a file that B has not; where that is gone, the release must be B.
    fn check(&self, lab: &Lab, change: Change<'_>, place: &Place, sample: &Sample) -> Result<()> {
        let revision = self.release(lab, place)?.join("REVISION");
        lab.on_server(&format!("rm {}", revision.display()))?;
        Cutover::default().check(lab, change, place, sample)
    }
}
