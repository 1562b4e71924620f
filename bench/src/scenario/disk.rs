//! The disk that three releases take, with each tool, against one plain copy, and against the least that they could take.
//!
//! A tool that keeps no releases holds the last tree alone: that is the plain copy.

use std::path::Path;

use crate::contest::{installed, slug};
use crate::cutover;
use crate::failure::Result;
use crate::lab::{Lab, Line};
use crate::record::{Outcome, Track};
use crate::row::{Aim, Row, Unit};
use crate::scenario::Scenario;
use crate::tool::{Change, Tool};
use crate::usage::floor_bytes;

pub(super) fn run(lab: &Lab) -> Result<Outcome> {
    let (tools, skipped) = installed(lab, Scenario::Disk);
    let mut outcome = Outcome { tracks: Vec::new(), ..Outcome::default() };
    for tool in &tools {
        let mut track = Track::of_tool(&**tool);
        lab.say(&format!("  {}", track.contender));
        match deploy_all(lab, &**tool, &mut track) {
            Err(failure) if tool.name() == cutover::NAME => return Err(failure),
            Err(failure) => track.fail(&failure),
            Ok(()) => {}
        }
        outcome.tracks.push(track);
    }
    outcome.tracks.extend(skipped);

    let disk =
        |name: &str| outcome.tracks.iter().find(|track| track.contender == name).and_then(|track| track.disk_bytes);
    let Some(ours) = disk("cutover deploy") else { return Ok(outcome) };
    let row = |rival: &str, theirs: Option<u64>| {
        let theirs = theirs.iter().map(|bytes| *bytes as f64).collect();
        Row::new("disk of three releases", Unit::Bytes, vec![ours as f64], rival, theirs)
    };
    let sources: Vec<&Path> = lab.trees().all().iter().map(|tree| tree.path.as_path()).collect();
    let floor = floor_bytes(&sources)?;
    let plain = disk("rsync -a");
    outcome.rows = vec![
        row("one plain copy (rsync -a of C)", plain).aim(Aim::RatioAtMost(1.17)),
        row("rsync --link-dest", disk("rsync -rlpzc --link-dest")),
        row("distinct files and all directories", Some(floor)),
    ];
    outcome.rows.retain(|row| row.theirs.is_some());
    outcome.facts.insert("floor_bytes".to_owned(), floor);
    Ok(outcome)
}

/// Deploys every version, each checked, and asks for the disk in the end.
fn deploy_all(lab: &Lab, tool: &dyn Tool, track: &mut Track) -> Result<()> {
    let place = lab.place(&slug(&format!("disk {}", track.contender)));
    place.ensure_client()?;
    tool.set_up(lab, &place)?;
    for next in lab.trees().all() {
        let sample = tool.deploy(lab, next, &place, Line::Direct)?;
        tool.check(lab, Change { base: None, next, is_nothing: false }, &place, &sample)?;
        track.steps.push(sample);
    }
    track.disk_bytes = Some(lab.disk_bytes(&place.server)?);
    // Three releases of all tools would not find room beside each other.
    place.set_aside(lab)?;
    lab.remove_aside()
}
