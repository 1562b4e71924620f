//! Examines what interrupted runs left: received content, and removed releases that cannot be deleted.

use crate::agent::site::lock::{Lock, LockState};
use crate::agent::staging;
use crate::agent::trash::{self, Spare};
use crate::error::Error;
use crate::path::shown_path;
use crate::report::Finding;

use super::look::Look;
use super::place::{Ours, Place};
use super::trees::find_unremovable;

pub(super) fn look(place: &Place<'_>, ours: &Ours) -> Result<Look, Error> {
    let mut look = Look::default();
    let layout = &ours.layout;
    let bytes = staging::usage(layout)?.bytes;
    // A run that is at work receives content.
    let is_at_rest = matches!(Lock::state(&layout.private)?, LockState::Free | LockState::Left(_));
    if bytes > 0 && is_at_rest {
        look.find(Finding::StagingLeft { path: shown_path(layout.staging.path()), bytes });
    }
    let spare = Spare::find(layout)?;
    for tree in trash::trees(layout, spare.as_ref())? {
        let path = trash::tree_path(layout, &tree)?;
        if let Some((path, owner)) = find_unremovable(place, &path) {
            let (path, owner, user) = (shown_path(&path), place.name_of(owner), place.user.clone());
            look.find(Finding::TrashStuck { path, owner, user });
        }
    }
    Ok(look)
}
