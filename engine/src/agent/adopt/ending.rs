//! The end of the adoption of a directory, after the exchange: the old directory moves into `.cutover/`, and the client
//! runs its checks.

use std::path::Path;

use crate::agent::clock::now;
use crate::agent::conversation::{Conversation, Incoming};
use crate::agent::reporter::Reporter;
use crate::agent::site::Site;
use crate::agent::site::layout::Layout;
use crate::agent::site::log::{self, SwitchLine};
use crate::agent::site::records::Releases;
use crate::check::{Check, CheckFrom};
use crate::disk::Dir;
use crate::error::{AdoptError, Error, SiteError};
use crate::path::shown_path;
use crate::release::ReleaseId;
use crate::report::AdoptReport;
use crate::target::Policy;
use crate::wire::message::{FromAgent, Hello, ToAgent};

use super::adoption::{Adoption, ORIGINAL, Subject};
use super::standing::above;
use super::undo::undo;

/// Opens the deploy path with its link, and brings the records in line with it.
pub(super) fn reopen(site: &mut Site, path: &Path) -> Result<(), Error> {
    let policy = Policy { current_path: Some(path.to_owned()), ..Policy::default() };
    let missing = || Error::from(SiteError::NotSetUp(site.layout.root.path().display().to_string()));
    site.layout = Layout::open(site.layout.root.path(), &policy)?.ok_or_else(missing)?;
    site.releases = Releases { dropped: std::mem::take(&mut site.releases.dropped), ..Releases::read(&site.layout)? };
    site.read_again()
}

/// Notes that the release is live, and puts the directory back if a check of the client fails.
pub(super) fn end(conversation: &Conversation, hello: &Hello, site: &mut Site, live: &ReleaseId) -> Result<(), Error> {
    let Hello { provenance, request, .. } = hello;
    let line = SwitchLine {
        at: now(),
        verb: request.verb(),
        who: &provenance.who,
        from: &provenance.from,
        release: live,
        previous: None,
        commit: None,
    };
    if let Err(error) = log::append(&site.layout.private, &line) {
        conversation.warn(error.with_cause());
    }
    conversation.live(live);
    prove(conversation, hello).inspect_err(|_| {
        let path = shown_path(&site.layout.current.path());
        conversation.warn(match undo(conversation, &site.lock, &mut site.layout) {
            Ok(_) => format!("`{path}` is the old directory again"),
            Err(failed) => format!("The adoption was not undone: {}", failed.with_cause()),
        });
    })
}

/// Waits for the client's verdict on the site, if it has checks.
fn prove(conversation: &Conversation, hello: &Hello) -> Result<(), Error> {
    let is_own = |check: &Check| check.from == CheckFrom::Client;
    if !hello.procedure.checks.iter().any(is_own) {
        return Ok(());
    }
    conversation.send(&FromAgent::WantsVerdict)?;
    match conversation.next()? {
        Incoming::Message(ToAgent::Verdict(None)) => Ok(()),
        Incoming::Message(ToAgent::Verdict(Some(refusal))) => Err(Error::Agent(*refusal)),
        _ => Err(Error::Protocol("no verdict, where one is due".into())),
    }
}

/// Finishes an adoption whose exchange was the last step of a run that was killed. None: nothing was left to do.
pub(super) fn finish_exchanged(
    conversation: &Conversation,
    hello: &Hello,
    mut site: Site,
) -> Result<Option<AdoptReport>, Error> {
    let Some(Adoption { subject: Subject::Directory(adopted), .. }) = Adoption::read(&site.layout)? else {
        return Ok(None);
    };
    let is_own = adopted.site == site.layout.current.path();
    let Some(live) = site.layout.current.live()?.filter(|_| is_own) else { return Ok(None) };
    if !adopted.is_unfinished()? {
        return Ok(None);
    }
    let (parent, private) = (Dir::open(&above(&adopted.site))?, &site.layout.private);
    move_original(&parent, adopted.beside.as_bytes(), private)?;
    // If a later release is live, the old directory is no way back any more.
    if adopted.release.as_ref() == Some(&live) {
        end(conversation, hello, &mut site, &live)?;
    }
    let record = site.releases.known(&live)?;
    Ok(Some(AdoptReport {
        site: shown_path(&adopted.site),
        deploy_path: site.layout.root.path().display().to_string(),
        tool: None,
        files: record.files,
        bytes: record.bytes,
        release: live,
        objects_new: 0,
        linked: adopted.is_linked,
        shared: adopted.shared.iter().map(ToString::to_string).collect(),
        shared_now: Vec::new(),
        original: Some(shown_path(&site.layout.private.path_of(ORIGINAL))),
        changed: Vec::new(),
        changed_left_out: 0,
        releases: Vec::new(),
        warnings: Vec::new(),
    }))
}

/// Moves the old directory into `.cutover/`.
pub(super) fn move_original(parent: &Dir, beside: &[u8], private: &Dir) -> Result<(), Error> {
    if !parent.rename_new(beside, private, ORIGINAL)? {
        return Err(AdoptError::OriginalInTheWay(shown_path(&private.path_of(ORIGINAL))).into());
    }
    private.sync()?;
    parent.sync()
}
