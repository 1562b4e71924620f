//! OSTree: a commit here, its objects to the server, a checkout of hardlinks there.
//!
//! OSTree pulls over HTTP, one request an object, and has no push. Two ways bring a commit over ssh: `rsync` of the objects,
//! as its own scripts for repositories do, which is the faster; and a static delta, which has the fewest bytes and takes
//! long to make. Of a whole tree that would be minutes for more bytes than rsync sends, so a first deploy goes by rsync.
//!
//! Repositories are `bare-user-only`: that needs no root, and releases can be hardlinks (`checkout -U -H`). OSTree makes
//! objects durable that it writes itself, as is its default.

use std::path::{Path, PathBuf};

use crate::failure::Result;
use crate::lab::{Lab, Line};
use crate::process::Invocation;
use crate::record::Sample;
use crate::rival::{Releases, first_line, is_deploy, keep, repository, shell, take_back, word};
use crate::scenario::Scenario;
use crate::tool::{Place, Tool};
use crate::tree::Tree;

/// OSTree, and how objects come to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ostree {
    /// With rsync.
    Objects,
    /// In one static delta.
    Delta,
}

/// Where there is no commit on the client that a delta could begin with.
const NO_BASE: [Scenario; 3] = [Scenario::First, Scenario::Cold, Scenario::Incompressible];

/// The words that a line is made of, each ready for a shell.
struct Words {
    here: String,
    there: String,
    release: String,
    remote: String,
    shell: String,
}

impl Words {
    fn new(lab: &Lab, place: &Place, release: &Path, line: Line) -> Words {
        let there = repository(&place.server);
        Words {
            here: word(&repository(&place.client)),
            remote: word(Path::new(&lab.remote(&there))),
            there: word(&there),
            release: word(release),
            shell: lab.remote_shell(line),
        }
    }

    /// A client that never deployed has no repository yet.
    fn commit(&self, tree: &Tree) -> String {
        format!(
            "ostree --repo={0} init --mode=bare-user-only; new=$(ostree --repo={0} commit --branch=site --canonical-permissions --no-xattrs --tree=dir={1})",
            self.here,
            word(&tree.path)
        )
    }

    /// `$new` is expanded on the client: it is a hash.
    fn checkout(&self) -> String {
        format!("ostree --repo={} checkout -U -H $new {}", self.there, self.release)
    }

    /// What stands has the same size and mtime, which is the same for all objects; the reference has another mtime.
    fn send_objects(&self, ssh: &Invocation) -> String {
        let Words { here, remote, shell, .. } = self;
        format!("rsync -az --zc=zstd -e '{shell}' {here}/objects {here}/refs {remote}/; {ssh} \"{}\"", self.checkout())
    }

    fn send_delta(&self, ssh: &Invocation, received: &str) -> String {
        let Words { here, there, .. } = self;
        format!(
            "ostree --repo={here} static-delta generate --from=$old --to=$new --inline --min-fallback-size=0 \
             --filename={here}/delta > /dev/null; {ssh} \"set -e; cat > {received}; \
             ostree --repo={there} static-delta apply-offline {received}; rm {received}; {}\" < {here}/delta",
            self.checkout()
        )
    }
}

impl Tool for Ostree {
    fn name(&self) -> &'static str {
        "ostree"
    }

    fn title(&self) -> String {
        match self {
            Ostree::Objects => "ostree, rsync of objects".to_owned(),
            Ostree::Delta => "ostree, static delta".to_owned(),
        }
    }

    fn version(&self) -> Option<String> {
        let text = Invocation::new("ostree").arg("--version").text().ok()?;
        let version = text.lines().find_map(|line| line.trim().strip_prefix("Version:"))?;
        Some(format!("ostree {}, {}", version.trim().trim_matches('\''), first_line("rsync", &["--version"])?))
    }

    fn joins(&self, scenario: Scenario) -> bool {
        is_deploy(scenario) && (*self == Ostree::Objects || !NO_BASE.contains(&scenario))
    }

    fn set_up(&self, lab: &Lab, place: &Place) -> Result<()> {
        Releases::create(lab, place)?;
        let there = word(&repository(&place.server));
        lab.on_server(&format!("ostree --repo={there} init --mode=bare-user-only")).map(drop)
    }

    fn deploy(&self, lab: &Lab, tree: &Tree, place: &Place, line: Line) -> Result<Sample> {
        let is_first = Releases::read(lab, place)?.newest().is_none();
        let words = Words::new(lab, place, &Releases::make_way(lab, place)?, line);
        place.ensure_client()?;
        let (commit, ssh) = (words.commit(tree), lab.ssh(line));
        let script = if *self == Ostree::Objects || is_first {
            format!("{commit}; {}", words.send_objects(&ssh))
        } else {
            let delta = words.send_delta(&ssh, &word(&place.server.join("delta")));
            format!("old=$(ostree --repo={} rev-parse site); {commit}; {delta}", words.here)
        };
        let (_, sample) = lab.measure(&shell(&script), line)?;
        keep(lab, place, line)?;
        Ok(sample)
    }

    fn release(&self, lab: &Lab, place: &Place) -> Result<PathBuf> {
        Releases::newest_of(lab, place)
    }

    fn undo(&self, lab: &Lab, place: &Place) -> Result<bool> {
        take_back(lab, place)
    }
}
