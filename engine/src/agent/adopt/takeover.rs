//! Takes the releases of another tool over, where they are.
//!
//! The trees stay as they are: nothing in them is changed or moved, and `current` keeps its target. Each release gets a
//! record and a manifest, and its content comes into the store, so that the next deploy sends only differences. Content
//! that releases have in common is stored once. A release that was taken over is compared by its content, because its
//! files have the modes and times of the other tool. It is pinned: it stays until somebody unpins it.
//!
//! The log of the tool says who deployed what. The order of the names is the order in which the releases were live; one
//! that is newer than the live one was rolled back or never live, and is bad.

use crate::agent::conversation::Conversation;
use crate::agent::site::Site;
use crate::disk::{Dir, Kind};
use crate::error::Error;
use crate::path::{RelativePath, push_name, shown_path};
use crate::pin::Pin;
use crate::release::{Bad, Marks, Provenance, ReleaseId};
use crate::report::AdoptReport;
use crate::wire::message::Hello;

use super::adoption::{AdoptedTool, Adoption, Subject};
use super::content::SiteContent;
use super::lister::check_depth;
use super::making::{Kept, Maker, StagedContent};
use super::rules::SiteRules;
use super::standing::Standing;
use super::tool::{ForeignRelease, Tool};
use crate::agent::clock::now;

/// The deploy path of a tool, to take over.
pub(super) struct TakeOver<'a> {
    /// The client.
    pub(super) conversation: &'a Conversation,
    /// Its hello.
    pub(super) hello: &'a Hello,
    /// The tool.
    pub(super) tool: &'a Tool,
}

impl TakeOver<'_> {
    /// Takes it over.
    pub(super) fn run(self, mut site: Site) -> Result<AdoptReport, Error> {
        let tool = self.tool;
        let adopted = AdoptedTool {
            tool: tool.name.to_owned(),
            current: tool.current.clone(),
            live: tool.live.clone(),
            releases: tool.ids(),
            is_complete: false,
        };
        let by = self.hello.provenance.person();
        let adoption = match Adoption::read(&site.layout)? {
            // An earlier run was killed, or the tool was at work since. Releases of Cutover are no releases of the tool.
            Some(Adoption { by, at, subject: Subject::Tool(known) }) => {
                let is_of_tool = |id: &ReleaseId| known.releases.contains(id) || site.releases.find(id).is_none();
                let releases = adopted.releases.into_iter().filter(is_of_tool).collect();
                Adoption { by, at, subject: Subject::Tool(AdoptedTool { releases, ..adopted }) }
            }
            _ => Adoption { by, at: now(), subject: Subject::Tool(adopted) },
        };
        adoption.write(&site.lock, &site.layout)?;
        let mut previous = None;
        let mut objects_new = 0;
        for (at, release) in tool.releases.iter().enumerate() {
            if site.releases.find(&release.id).is_none() {
                let next = tool.releases.get(at + 1);
                objects_new += self.take(&mut site, release, previous.as_ref(), next)?;
            }
            previous = Some(release.id.clone());
        }
        adoption.complete().write(&site.lock, &site.layout)?;
        site.read_again()?;
        let live = site.releases.known(&tool.live)?;
        Ok(AdoptReport {
            site: shown_path(&tool.root),
            deploy_path: shown_path(&tool.root),
            tool: Some(tool.name.to_owned()),
            release: live.id.clone(),
            files: live.files,
            bytes: live.bytes,
            objects_new,
            linked: false,
            shared: Vec::new(),
            shared_now: Vec::new(),
            original: None,
            changed: Vec::new(),
            changed_left_out: 0,
            releases: tool.ids(),
            warnings: Vec::new(),
        })
    }

    /// Takes one release over. Returns the number of new objects.
    fn take(
        &self,
        site: &mut Site,
        release: &ForeignRelease,
        previous: Option<&ReleaseId>,
        next: Option<&ForeignRelease>,
    ) -> Result<u64, Error> {
        let name = release.id.as_str().as_bytes();
        let standing = Standing {
            path: site.layout.releases.path_of(name),
            parent: site.layout.releases.duplicate()?,
            name: name.to_vec(),
            dir: site.layout.releases.open_own_dir(name)?,
        };
        let mut special = Vec::new();
        find_special(&standing.dir, &[], &mut special)?;
        let rules = SiteRules::new(&special, &[]);
        let content =
            SiteContent { standing: &standing, rules: &rules, is_linked: false, conversation: self.conversation };
        let provenance = self.provenance(release);
        let maker = Maker { content, policy: &self.hello.policy, provenance: &provenance, reporter: self.conversation };
        let mut staged = StagedContent::begin(site)?;
        if let Err(error) = maker.stage(site, &mut staged) {
            staged.abandon(site);
            return Err(error);
        }
        let is_newer = self.is_newer(&release.id);
        let went_live = if is_newer { Vec::new() } else { vec![release.made] };
        let live_turn = if is_newer { 0 } else { site.releases.next_turn() };
        let retired = next.filter(|_| !is_newer && release.id != self.tool.live).map(|next| next.made);
        let kept = Kept {
            id: release.id.clone(),
            created: release.made,
            went_live,
            live_turn,
            retired,
            previous: previous.filter(|_| !is_newer).cloned(),
            marks: self.marks(release, is_newer),
        };
        self.conversation.check_client()?;
        maker.keep_in_place(site, staged, kept)
    }

    /// Returns whether a release is newer than the live one.
    fn is_newer(&self, id: &ReleaseId) -> bool {
        let place = |id: &ReleaseId| self.tool.releases.iter().position(|release| release.id == *id);
        place(id) > place(&self.tool.live)
    }

    fn marks(&self, release: &ForeignRelease, is_newer: bool) -> Marks {
        let by = self.hello.provenance.person();
        let tool = self.tool.name;
        let reason = match (release.is_bad, is_newer) {
            (true, _) => Some(format!("{tool} had marked it as bad")),
            (false, true) => Some(format!("{tool} had another release live when it was taken over")),
            (false, false) => None,
        };
        let bad = reason.map(|reason| Bad { reason, at: now(), by: by.clone(), left_for: None });
        let pinned = Some(Pin { until: None, note: Some(format!("taken over from {tool}")), by });
        Marks { bad, pinned, migrations: Vec::new() }
    }

    fn provenance(&self, release: &ForeignRelease) -> Provenance {
        Provenance {
            who: release.who.clone().unwrap_or_else(|| self.tool.name.to_lowercase()),
            from: self.tool.name.to_lowercase(),
            commit: release.commit.clone(),
            branch: release.branch.clone(),
            dirty: None,
            version: String::new(),
            job: None,
        }
    }
}

/// Finds the sockets, fifos and devices of a tree, which no manifest has.
fn find_special(dir: &Dir, path: &[u8], special: &mut Vec<RelativePath>) -> Result<(), Error> {
    check_depth(path)?;
    for name in dir.names()? {
        let Some(stat) = dir.stat(&name)? else { continue };
        let mut own = path.to_vec();
        push_name(&mut own, &name);
        match stat.kind {
            Kind::Other => special.extend(RelativePath::parse(&own)),
            Kind::Directory => find_special(&dir.open_dir(&name)?, &own, special)?,
            Kind::File | Kind::Symlink => {}
        }
    }
    Ok(())
}
