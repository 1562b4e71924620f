//! Examines the link to the live release, and its directory.

use std::io::ErrorKind;
use std::path::PathBuf;

use crate::agent::adopt::{UnfinishedAdoption, unfinished};
use crate::agent::site::switch::leftovers;
use crate::disk::{Kind, may_write};
use crate::error::{Error, SiteError};
use crate::path::shown_path;
use crate::report::Finding;

use super::look::Look;
use super::place::{Ours, Place};

pub(super) fn look(place: &Place<'_>, ours: Option<&Ours>) -> Result<Look, Error> {
    let mut look = Look::default();
    look_at_directory(place, &mut look);
    if let Some(ours) = ours
        && let Some(UnfinishedAdoption::Begun(site) | UnfinishedAdoption::Exchanged(site)) = unfinished(&ours.layout)?
    {
        look.find(Finding::AdoptionUnfinished { site });
        return Ok(look);
    }
    match ours {
        Some(ours) => look_at_link(place, ours, &mut look)?,
        // The path of the configuration is all that is known.
        None => look_at_place(&path_of_link(place), &mut look),
    }
    Ok(look)
}

fn path_of_link(place: &Place<'_>) -> PathBuf {
    place.hello.policy.current_path.clone().unwrap_or_else(|| place.path.join("current"))
}

/// Examines the directory that is to hold the link, if it is not the deploy path.
fn look_at_directory(place: &Place<'_>, look: &mut Look) {
    let Some(directory) = place.hello.policy.current_path.as_ref().and_then(|path| path.parent()) else { return };
    let is_missing = std::fs::metadata(directory).is_err_and(|error| error.kind() == ErrorKind::NotFound);
    if may_write(directory).is_err() {
        let (path, user) = (shown_path(directory), place.user.clone());
        look.find(Finding::CurrentNotWritable { path, user, is_missing });
    }
}

fn look_at_place(path: &std::path::Path, look: &mut Look) {
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.is_symlink() => {
            look.find(Finding::CurrentNotALink { path: shown_path(path), is_directory: found.is_dir() });
        }
        _ => {}
    }
}

fn look_at_link(place: &Place<'_>, ours: &Ours, look: &mut Look) -> Result<(), Error> {
    let current = &ours.layout.current;
    let path = shown_path(&current.path());
    match current.live() {
        Err(Error::Site(SiteError::CurrentNotSymlink(_))) => look_at_place(&current.path(), look),
        Err(Error::Site(SiteError::CurrentForeign { target, .. })) => {
            look.find(Finding::CurrentLeadsElsewhere { path, target });
        }
        Err(error) => return Err(error),
        // Without a release that was live, nobody misses the link.
        Ok(None) => match ours.releases.rollback_from(None) {
            Some(record) => look.find(Finding::CurrentMissing { path, release: record.id.clone() }),
            None => look.facts.push("nothing is live".into()),
        },
        Ok(Some(live)) => match ours.layout.releases.stat(live.as_str().as_bytes())?.map(|stat| stat.kind) {
            Some(Kind::Directory) => look.facts.push(format!("{live} is live")),
            _ => {
                let rollback = ours.releases.rollback_from(Some(&live)).map(|record| record.id.clone());
                look.find(Finding::CurrentDangling { path, release: live, rollback });
            }
        },
    }
    if let Err(error @ Error::Site(SiteError::CurrentElsewhere { .. })) = ours.layout.moves_current(&place.hello.policy)
    {
        look.find(Finding::CurrentPathChanged { refusal: error.to_refusal() });
    }
    for name in leftovers(current)? {
        look.find(Finding::LinkLeft { path: shown_path(&current.dir.path_of(&name)) });
    }
    Ok(())
}
