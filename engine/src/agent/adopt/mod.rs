//! Adopts a site that stands on the server: it becomes the first release of a deploy path.
//!
//! | module | what it owns |
//! |---|---|
//! | `found`, `standing`, `tool` | what stands there: a directory, or the deploy path of another tool |
//! | `survey`, `checks`, `rights`, `readers` | the look before anything changes; `lister`, `measure`, `inventory` and `kinds` list what the source lacks |
//! | `claim`, `hazards` | whose a deploy path is; what a person must know before |
//! | `adoption` | the record that finishes or undoes an adoption |
//! | `in_place`, `ending` | a directory that is overwritten in place becomes a release, and its name the link |
//! | `rules`, `content`, `linking`, `making` | its content becomes objects and a release |
//! | `sharing`, `database`, `database_owner`, `watch` | its shared paths move into `shared/`, databases with the files beside them |
//! | `running` | the programs that run in it |
//! | `takeover` | the releases of another tool become releases of Cutover, where they are |
//! | `undo`, `ways` | the way back, and the links that it leaves |
//! | `original` | the removal of the directory, after which there is no way back |
//!
//! A site is served at every moment, whatever is killed: each change is one rename or one exchange of two names. A second
//! run goes on where the first one ended.

mod adoption;
mod checks;
mod claim;
mod content;
mod database;
mod database_owner;
mod ending;
mod found;
mod hazards;
mod in_place;
mod inventory;
mod kinds;
mod linking;
mod lister;
mod making;
mod measure;
mod obstacles;
mod original;
mod places;
mod readers;
mod rights;
mod rules;
mod running;
mod sharing;
mod standing;
mod survey;
mod takeover;
mod tool;
mod undo;
mod watch;
mod ways;

use std::path::Path;

use crate::agent::conversation::Conversation;
use crate::agent::reporter::Reporter;
use crate::agent::site::Site;
use crate::agent::site::layout::Layout;
use crate::agent::site::lock::Lock;
use crate::agent::site::reserve;
use crate::error::{AdoptError, Error};
use crate::manifest::Manifest;
use crate::path::{RelativePath, shown_path};
use crate::report::{AdoptReport, SurveyReport, UndoReport};
use crate::target::Policy;
use crate::wire::message::{AdoptBegin, Hello};

pub(crate) use self::adoption::Adoption;
use self::adoption::Subject;
pub(crate) use self::claim::{UnfinishedAdoption, check_finished, unfinished};
use self::found::Found;
use self::in_place::{InPlace, sorted_apart};
use self::standing::{Standing, is_same_name, open_part};
use self::survey::{Survey, moved_before};
use self::takeover::TakeOver;

pub(crate) use self::original::{note_original, remove_original};

/// The order of an adoption.
pub(crate) struct Order<'a> {
    /// The client.
    pub(crate) conversation: &'a Conversation,
    /// Its hello. Its policy has no path for the link: while the site is a directory, no link is there.
    pub(crate) hello: &'a Hello,
    /// Its request.
    pub(crate) begin: &'a AdoptBegin,
    /// The manifest of the source, encoded.
    pub(crate) source: &'a [u8],
    /// The site, absolute.
    pub(crate) site: &'a Path,
    /// The deploy path, absolute.
    pub(crate) path: &'a Path,
}

/// Looks at a site before it is adopted.
pub(crate) fn survey(
    site: &Path,
    deploy_path: &Path,
    policy: &Policy,
    begin: &AdoptBegin,
    source: &Manifest,
) -> Result<SurveyReport, Error> {
    Survey { site, deploy_path, policy, begin, source }.look()
}

/// Adopts a site. `lock` takes the lock of the deploy path.
pub(crate) fn adopt(
    order: &Order<'_>,
    lock: impl Fn(&mut Layout) -> Result<Lock, Error>,
) -> Result<AdoptReport, Error> {
    match Found::at(order.site, order.path)? {
        Found::Directory(standing) => adopt_directory(order, &standing, lock),
        Found::Tool(tool) => {
            tool.check_idle()?;
            let mut layout = Layout::take_over(&tool.root, order.conversation)?;
            let lock = lock(&mut layout)?;
            // The tool, or another run, may have been at work before this one had the lock.
            let Found::Tool(tool) = Found::at(order.site, order.path)? else { return Err(is_adopted_already(order)) };
            tool.check_idle()?;
            reserve::ensure(&lock, &layout.private)?;
            TakeOver { conversation: order.conversation, hello: order.hello, tool: &tool }
                .run(Site::hold(lock, layout)?)
        }
        Found::Adopted => finish(order, lock),
    }
}

fn adopt_directory(
    order: &Order<'_>,
    before: &Standing,
    lock: impl Fn(&mut Layout) -> Result<Lock, Error>,
) -> Result<AdoptReport, Error> {
    let Order { conversation, hello, begin, source, path, .. } = *order;
    let policy = &hello.policy;
    sorted_apart(wanted_shares(policy, begin, path, before)?)?;
    let (mut layout, _) = Layout::set_up(path, policy, conversation)?;
    let lock = lock(&mut layout)?;
    // Another run may have adopted it before this one had the lock.
    let Found::Directory(standing) = Found::at(order.site, path)? else { return Err(is_adopted_already(order)) };
    let shared = sorted_apart(wanted_shares(policy, begin, path, &standing)?)?;
    claim::check_free(&layout, order.site)?;
    // An earlier run may have been killed just before the exchange.
    layout.put_current(&lock, None)?;
    reserve::ensure(&lock, &layout.private)?;
    pass_group_on(conversation, &layout, &standing)?;
    // While paths move, a database may have changed these rights.
    if Adoption::read(&layout)?.is_none_or(|adoption| adoption.is_over()) {
        layout.shared.hide_as(&standing.dir.own_stat()?)?;
    }
    ways::remove_ways(order.site, &layout.shared, &shared)?;
    InPlace { conversation, hello, begin, source, standing, shared }.run(Site::hold(lock, layout)?)
}

/// Returns the paths that become shared: those of the caller, and those of an earlier run and of the configuration that
/// exist in the site.
fn wanted_shares(
    policy: &Policy,
    begin: &AdoptBegin,
    path: &Path,
    standing: &Standing,
) -> Result<Vec<RelativePath>, Error> {
    let earlier = moved_before(path)?;
    let earlier = earlier.iter().filter(|path| !begin.keep.contains(path));
    let mut wanted = begin.share.clone();
    for declared in policy.shared_dirs.iter().chain(&policy.shared_files).map(|declared| &declared.path).chain(earlier)
    {
        match standing.holder(declared) {
            Ok((dir, name)) => wanted.extend(dir.stat(name)?.map(|_| declared.clone())),
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
            // It lies behind a symlink or a file.
            Err(Error::Site(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(wanted)
}

/// Passes the group of the site on to everything in the deploy path: a web server may read the site by its group.
fn pass_group_on(reporter: &dyn Reporter, layout: &Layout, standing: &Standing) -> Result<(), Error> {
    let (group, own) = (standing.dir.own_stat()?.gid, layout.root.own_stat()?);
    if own.gid == group || !layout.stores_nothing()? {
        return Ok(());
    }
    layout.root.set_group_to_pass_on(group);
    if layout.root.own_stat()?.passes_on(group) {
        return layout.pass_group_on();
    }
    let path = shown_path(layout.root.path());
    reporter.warn(format!(
        "`{path}` did not get the group of the site. If the web server reads files by that group, it cannot read their copies"
    ));
    Ok(())
}

/// Finishes an adoption that lacks only its last step.
fn finish(order: &Order<'_>, lock: impl Fn(&mut Layout) -> Result<Lock, Error>) -> Result<AdoptReport, Error> {
    let policy = Policy { current_path: Some(order.site.to_owned()), ..order.hello.policy.clone() };
    let mut layout = Layout::open(order.path, &policy)?.ok_or_else(|| is_adopted_already(order))?;
    let lock = lock(&mut layout)?;
    let site = Site::hold(lock, layout)?;
    ending::finish_exchanged(order.conversation, order.hello, site)?.ok_or_else(|| is_adopted_already(order))
}

fn is_adopted_already(order: &Order<'_>) -> Error {
    AdoptError::IsAdopted { site: shown_path(order.site), deploy_path: shown_path(order.path) }.into()
}

/// Returns whether a directory is a deploy path that was adopted: that of another tool, or of a directory.
pub(crate) fn is_adopted(path: &Path) -> Result<bool, Error> {
    // A site may be anything, and then it is no deploy path.
    let Ok(Some(private)) = open_part(path, b".cutover") else { return Ok(false) };
    Ok(Adoption::read_in(&private)?.is_some())
}

/// Returns whether a deploy path is that of an adopted site.
pub(crate) fn has_site(layout: &Layout, site: &Path) -> Result<bool, Error> {
    let subject = Adoption::read(layout)?.map(|adoption| adoption.subject);
    Ok(match subject {
        Some(Subject::Directory(adopted)) => is_same_name(&adopted.site, site),
        _ => false,
    })
}

/// Undoes the adoption of a deploy path.
pub(crate) fn undo(reporter: &dyn Reporter, lock: &Lock, layout: &mut Layout) -> Result<UndoReport, Error> {
    undo::undo(reporter, lock, layout)
}

/// Says what undoing the adoption of a deploy path would do. Nothing changes.
pub(crate) fn look_at_undo(layout: &Layout) -> Result<UndoReport, Error> {
    undo::look(layout)
}
