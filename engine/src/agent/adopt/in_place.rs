//! Adopts a directory that is overwritten in place: its name becomes the link to the live release.
//!
//! 1. Copy the content into staging, while the site is served. This takes the time.
//! 2. Move each shared path into `shared/`, one exchange a path (`sharing`).
//! 3. Scan again, stage what changed, and publish the release. It is complete, durable and not live.
//! 4. Scan once more. If something changed since, the release is made again; what is in the store already costs little.
//! 5. Exchange the directory with a link to the release, in one step: a path through it leads to the old files or to the
//!    new ones, and never nowhere.
//! 6. Move the directory into `.cutover/original`, from where undoing takes it.
//! 7. The client runs its checks. If one fails, the directory is put back.
//! 8. Compare the directory a last time: a program that wrote into it during the exchange wrote to files that are not
//!    live any more. They are kept and named.
//!
//! The record of the adoption (`adoption`) is written before step 2. A run that is killed leaves a site that is served: the
//! directory, in which some paths are links into `shared/`, or the release. The next run sees which, and goes on.

use std::sync::Arc;

use crate::agent::clock::now;
use crate::agent::conversation::Conversation;
use crate::agent::reporter::Reporter;
use crate::agent::site::Site;
use crate::agent::site::switch::TEMPORARY;
use crate::agent::token::random_name;
use crate::agent::trash;
use crate::disk::Kind;
use crate::error::{AdoptError, Error};
use crate::event::Phase;
use crate::manifest::diff;
use crate::path::{RelativePath, Shown, shown_path};
use crate::report::AdoptReport;
use crate::scan::snapshot::Snapshot;
use crate::wire::message::{AdoptBegin, Hello};

use super::adoption::{AdoptedDirectory, Adoption, ORIGINAL, Subject};
use super::content::SiteContent;
use super::database::databases_among;
use super::ending::{end, move_original, reopen};
use super::making::{MadeRelease, Maker, StagedContent};
use super::rules::SiteRules;
use super::running::Running;
use super::sharing::{Outcome, Sharing};
use super::standing::Standing;

/// How often the release is made again because the site changed. Then the exchange comes, and the last differences are
/// named.
const RELEASES_MAX: u32 = 4;

/// The most differences that are named.
const NAMED_MAX: usize = 20;

/// The adoption of a directory.
pub(super) struct InPlace<'a> {
    /// The client.
    pub(super) conversation: &'a Conversation,
    /// Its hello.
    pub(super) hello: &'a Hello,
    /// Its request.
    pub(super) begin: &'a AdoptBegin,
    /// The manifest of the source, encoded.
    pub(super) source: &'a [u8],
    /// The directory.
    pub(super) standing: Standing,
    /// The paths that become shared, sorted.
    pub(super) shared: Vec<RelativePath>,
}

impl InPlace<'_> {
    /// Adopts the directory.
    pub(super) fn run(self, mut site: Site) -> Result<AdoptReport, Error> {
        let adopted = self.begin_adoption(&site)?;
        let databases = databases_among(&[&self.standing.dir, &site.layout.shared], self.shared.iter())?;
        let rules = SiteRules::new(&self.shared, &databases);
        let maker = self.maker(&rules);
        let mut content = StagedContent::begin(&site)?;
        let prepared = self.prepare(&maker, &mut site, &mut content);
        let (moved, gone) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                content.abandon(&site);
                return Err(error);
            }
        };
        let made = self.make_current(&maker, &mut site, content)?;
        let adopted = AdoptedDirectory { release: Some(made.id.clone()), ..adopted };
        self.note(&site, &adopted)?;
        self.exchange(&mut site, &adopted, &made)?;
        let kept = self.keep_original(&site, &adopted);
        reopen(&mut site, &self.standing.path)?;
        end(self.conversation, self.hello, &mut site, &made.id)?;
        let (changed, changed_left_out) = self.changed_since(&maker, &made.snapshot);
        let original = match kept {
            Ok(()) => site.layout.private.path_of(ORIGINAL),
            Err(error) => {
                self.conversation.warn(error.with_cause());
                self.standing.parent.path_of(adopted.beside.as_bytes())
            }
        };
        if let Some(programs) = Running::find_in(&original).names() {
            self.conversation.warn(format!(
                "Programs run in the old directory still, `{}`: {programs}. Restart them: until then, what they write to files \
                 that are not shared is not in the site",
                shown_path(&original)
            ));
        }
        let manifest = &made.snapshot.manifest;
        Ok(AdoptReport {
            site: shown_path(&self.standing.path),
            deploy_path: site.layout.root.path().display().to_string(),
            tool: None,
            release: made.id,
            files: manifest.files(),
            bytes: manifest.bytes(),
            objects_new: made.objects_new,
            linked: self.begin.link,
            shared: self.shared.iter().filter(|path| !gone.contains(path)).map(ToString::to_string).collect(),
            shared_now: moved.iter().map(ToString::to_string).collect(),
            original: Some(shown_path(&original)),
            changed,
            changed_left_out,
            releases: Vec::new(),
            warnings: Vec::new(),
        })
    }

    fn maker<'m>(&'m self, rules: &'m SiteRules) -> Maker<'m> {
        let content = SiteContent {
            standing: &self.standing,
            rules,
            is_linked: self.begin.link,
            conversation: self.conversation,
        };
        let Hello { policy, provenance, .. } = self.hello;
        Maker { content, policy, provenance, reporter: self.conversation }
    }

    /// Notes that the adoption begins, or continues one that was begun.
    fn begin_adoption(&self, site: &Site) -> Result<AdoptedDirectory, Error> {
        // Of one that nothing leads back to, the new one takes the place.
        let known = Adoption::read(&site.layout)?.filter(|adoption| !adoption.is_over());
        let mut adopted = match known.map(|adoption| adoption.subject) {
            Some(Subject::Directory(known)) if known.site == self.standing.path => known,
            Some(Subject::Directory(other)) => return Err(self.other_begun(&shown_path(&other.site))),
            Some(Subject::Tool(_)) => return Err(self.other_begun(&shown_path(site.layout.root.path()))),
            None => AdoptedDirectory {
                site: self.standing.path.clone(),
                beside: format!(".{}{TEMPORARY}{}", Shown(&self.standing.name), random_name()?),
                shared: Vec::new(),
                release: None,
                is_linked: false,
                is_original_removed: false,
            },
        };
        // What was to be shared and is to be kept now did not move, or it moves back when this is undone.
        let sharing = Sharing::new(&self.standing.dir, &site.layout)?;
        adopted.shared.retain(|path| !self.begin.keep.contains(path) || sharing.is_shared(path).unwrap_or(true));
        adopted.shared.extend(self.shared.iter().cloned());
        adopted.shared.sort_unstable();
        adopted.shared.dedup();
        adopted.is_linked |= self.begin.link;
        Adoption::keep_source(&site.lock, &site.layout, self.source)?;
        self.note(site, &adopted)?;
        Ok(adopted)
    }

    fn note(&self, site: &Site, adopted: &AdoptedDirectory) -> Result<(), Error> {
        let (by, at) = match Adoption::read(&site.layout)?.filter(|adoption| !adoption.is_over()) {
            Some(known) => (known.by, known.at),
            None => (self.hello.provenance.person(), now()),
        };
        Adoption { by, at, subject: Subject::Directory(adopted.clone()) }.write(&site.lock, &site.layout)
    }

    fn other_begun(&self, begun: &str) -> Error {
        AdoptError::OtherBegun { begun: begun.to_owned(), wanted: shown_path(&self.standing.path) }.into()
    }

    /// Stages the content, moves the shared paths, and stages what changed meanwhile. Returns the paths that moved now, and
    /// those that are in neither place.
    fn prepare(
        &self,
        maker: &Maker<'_>,
        site: &mut Site,
        content: &mut StagedContent,
    ) -> Result<(Vec<RelativePath>, Vec<RelativePath>), Error> {
        maker.stage(site, content)?;
        self.conversation.check_client()?;
        let mut sharing = Sharing::new(&self.standing.dir, &site.layout)?;
        let (mut moved, mut gone) = (Vec::new(), Vec::new());
        for path in &self.shared {
            match sharing.share(path)? {
                Outcome::Moved => moved.push(path.clone()),
                Outcome::Gone => gone.push(path.clone()),
                Outcome::There | Outcome::Stays => {}
            }
        }
        sharing.end_sharing(&self.shared)?;
        for path in &gone {
            self.conversation.warn(format!("`{path}` is not shared: nothing is there any more"));
        }
        maker.stage(site, content)?;
        Ok((moved, gone))
    }

    /// Publishes the release, and makes it again while the site changes.
    fn make_current(&self, maker: &Maker<'_>, site: &mut Site, content: StagedContent) -> Result<MadeRelease, Error> {
        let mut made = maker.publish(site, content)?;
        for _ in 1..RELEASES_MAX {
            let now = maker.content.scan(Some(&made.snapshot))?;
            if now.manifest.root() == made.snapshot.manifest.root() {
                break;
            }
            let mut content = StagedContent::begin(site)?;
            content.snapshot = Some(now);
            if let Err(error) = maker.stage(site, &mut content) {
                content.abandon(site);
                return Err(error);
            }
            let newer = maker.publish(site, content)?;
            trash::discard_release(&site.lock, &site.layout, &made.id)?;
            site.releases.records.retain(|record| record.id != made.id);
            made = newer;
        }
        Ok(made)
    }

    /// Exchanges the directory with the link to the release.
    fn exchange(&self, site: &mut Site, adopted: &AdoptedDirectory, made: &MadeRelease) -> Result<(), Error> {
        self.conversation.began(Phase::Switch);
        self.conversation.begin_switch(&made.id)?;
        site.layout.put_current(&site.lock, Some(adopted.site.clone()))?;
        let Standing { parent, name, .. } = &self.standing;
        let (beside, target) = (adopted.beside.as_bytes(), site.layout.current.target(&made.id));
        // A run that was killed may have left a link to another release.
        if parent.stat(beside)?.is_some_and(|stat| stat.kind == Kind::Symlink) {
            parent.remove_file(beside)?;
        }
        let is_exchanged = parent.symlink(&target, beside).and_then(|()| self.exchange_with(beside));
        if !matches!(is_exchanged, Ok(true)) {
            let is_removed = parent.remove_file(beside);
            let is_forgotten = site.layout.put_current(&site.lock, None);
            // The first error is the reason.
            is_exchanged?;
            is_removed?;
            is_forgotten?;
            return Err(AdoptError::NoExchange(shown_path(parent.path())).into());
        }
        if parent.stat(beside)?.map(|stat| stat.id()) != Some(self.standing.dir.own_stat()?.id()) {
            // Somebody put another directory there in this moment: it gets its name back.
            parent.exchange(beside, parent, name)?;
            parent.remove_file(beside)?;
            site.layout.put_current(&site.lock, None)?;
            return Err(AdoptError::SiteReplaced(shown_path(&self.standing.path)).into());
        }
        parent.sync()?;
        self.conversation.ended(Phase::Switch);
        match parent.read_link(name)? {
            Some(now) if now == target => Ok(()),
            _ => Err(AdoptError::SiteReplaced(shown_path(&self.standing.path)).into()),
        }
    }

    /// Exchanges the name of the site with another one beside it, if the site is still the directory that was copied.
    fn exchange_with(&self, beside: &[u8]) -> Result<bool, Error> {
        let Standing { parent, name, path, .. } = &self.standing;
        if !self.standing.is_in_place()? {
            return Err(AdoptError::SiteReplaced(shown_path(path)).into());
        }
        parent.exchange(beside, parent, name)
    }

    /// Moves the directory into `.cutover/`.
    fn keep_original(&self, site: &Site, adopted: &AdoptedDirectory) -> Result<(), Error> {
        move_original(&self.standing.parent, adopted.beside.as_bytes(), &site.layout.private)
    }

    /// Returns the paths of the directory that changed after the last scan, and the number of further ones.
    fn changed_since(&self, maker: &Maker<'_>, last: &Arc<Snapshot>) -> (Vec<String>, u64) {
        let now = match maker.content.scan(Some(last)) {
            Ok(now) => now,
            Err(error) => {
                self.conversation.warn(format!("The old directory was not compared: {}", error.with_cause()));
                return (Vec::new(), 0);
            }
        };
        let mut paths = Vec::new();
        let mut left_out = 0;
        diff::compare(Some(&last.manifest), &now.manifest, |difference| {
            if paths.len() < NAMED_MAX {
                paths.push(Shown(&difference.path).to_string());
            } else {
                left_out += 1;
            }
        });
        (paths, left_out)
    }
}

/// Returns the paths to share, sorted: none twice, and none in another one.
pub(super) fn sorted_apart(mut paths: Vec<RelativePath>) -> Result<Vec<RelativePath>, Error> {
    paths.sort_unstable_by(|one, other| one.as_bytes().cmp(other.as_bytes()));
    paths.dedup();
    for path in &paths {
        if let Some(outer) = paths.iter().find(|outer| *outer != path && path.is_within(outer)) {
            return Err(AdoptError::SharedTwice { path: path.to_string(), outer: outer.to_string() }.into());
        }
    }
    Ok(paths)
}
