//! The disk that three releases take, with each tool.
//!
//! A tool that keeps no releases holds the last tree alone: that is one plain copy.

use crate::contest::disk_bytes;
use crate::failure::Result;
use crate::lab::laboratory::Lab;
use crate::line::way::Line;
use crate::record::logins::CUTOVER;
use crate::record::scenario::Outcome;
use crate::record::track::Track;
use crate::scenario::Scenario;
use crate::tool::{Change, Tool};
use crate::tools::joining;
use crate::verify::ensure_same;

pub(super) fn run(lab: &Lab) -> Result<Outcome> {
    let mut tracks = Vec::new();
    for tool in joining(Scenario::Disk, &lab.settings().variants) {
        let mut track = Track::new(tool.name(), &tool.title());
        lab.say(&format!("  {}", track.contender));
        match deploy_all(lab, &*tool, &mut track) {
            Err(failure) if tool.name() == CUTOVER => return Err(failure),
            Err(failure) => track.fail(&failure),
            Ok(()) => {}
        }
        tracks.push(track);
    }
    Ok(Outcome::of(tracks))
}

/// Deploys every version, each checked, and asks for the disk in the end.
fn deploy_all(lab: &Lab, tool: &dyn Tool, track: &mut Track) -> Result<()> {
    let place = lab.place(&format!("disk {}", track.contender));
    place.ensure_client()?;
    tool.set_up(&place)?;
    for next in lab.trees().all() {
        let sample = tool.deploy(lab, next, &place, Line::Direct)?;
        tool.check(Change { base: None, next, is_nothing: false }, &place, &sample)?;
        ensure_same(&next.path, &tool.release(&place)?)?;
        track.command = sample.command;
    }
    track.disk_bytes = Some(disk_bytes(&place.server)?);
    // Three releases of all tools would not find room beside each other.
    place.set_aside()?;
    lab.remove_aside()
}
