//! Examines the records of the releases: damaged ones, and directories in `releases/` that are none.

use crate::agent::site::mend::is_remnant;
use crate::agent::site::records::check_manifest;
use crate::error::Error;
use crate::path::{Shown, shown_path};
use crate::release::ReleaseId;
use crate::report::Finding;

use super::look::Look;
use super::place::Ours;

pub(super) fn look(ours: &Ours) -> Result<Look, Error> {
    let Ours { layout, releases } = ours;
    let mut look = Look::fact(match releases.records.len() {
        1 => "1 release".to_owned(),
        several => format!("{several} releases"),
    });
    let live = layout.current.live().unwrap_or_default();
    let damaged = |id: &ReleaseId, reason: &str| {
        let path = shown_path(&layout.releases.path_of(id.as_str().as_bytes()));
        let is_live = live.as_ref() == Some(id);
        let is_remnant = is_remnant(layout, live.as_ref(), id)?;
        let (release, reason) = (id.clone(), reason.to_owned());
        Ok::<_, Error>(Finding::ReleaseDamaged { release, path, reason, is_live, is_remnant })
    };
    // If the live release is gone, the link to it tells that.
    let is_gone = |id: &ReleaseId| layout.releases.stat(id.as_str().as_bytes()).is_ok_and(|stat| stat.is_none());
    for (id, reason) in releases.damaged.iter().filter(|(id, _)| live.as_ref() != Some(id) || !is_gone(id)) {
        look.find(damaged(id, reason)?);
    }
    for record in &releases.records {
        if let Err(error) = check_manifest(layout, &record.id, &record.root) {
            look.find(damaged(&record.id, &error.with_cause())?);
        }
    }
    for name in &releases.foreign {
        let path = layout.releases.path().display();
        look.find(Finding::ReleaseForeign { path: format!("{path}/{}", Shown(name)) });
    }
    Ok(look)
}
