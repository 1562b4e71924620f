//! The disk that three releases take, against one plain copy, and against the least that they could take.

use std::path::Path;

use crate::failure::Result;
use crate::lab::{Lab, Line};
use crate::record::{Outcome, Track};
use crate::row::{Aim, Row, Unit};
use crate::rsync;
use crate::scenario::three_releases::ThreeReleases;
use crate::usage::{Parts, du_bytes, floor_bytes};

pub(super) fn run(lab: &Lab) -> Result<Outcome> {
    let trees = lab.trees();
    let three = ThreeReleases::create(lab)?;
    let copy = lab.server("copy");
    let plain = rsync::copy(lab, &["-a"], &trees.c, &copy, Line::Direct)?;
    // Blocks are allocated when they are written out, not before.
    rustix::fs::sync();
    let (ours, one) = (du_bytes(three.site.deploy_path())?, du_bytes(&copy)?);
    let sources: Vec<&Path> = trees.all().iter().map(|tree| tree.path.as_path()).collect();
    let floor = floor_bytes(&sources)?;
    let parts = Parts::of(three.site.deploy_path())?;
    let row = |ours: u64, rival, theirs: u64| {
        Row::new("disk of three releases", Unit::Bytes, vec![ours as f64], rival, vec![theirs as f64])
    };
    Ok(Outcome {
        rows: vec![
            row(ours, "one plain copy (rsync -a of C)", one).aim(Aim::RatioAtMost(1.17)),
            row(ours, "distinct files and all directories", floor),
        ],
        tracks: vec![
            Track { contender: "cutover deploy".to_owned(), timed: three.deploys, ..Track::default() },
            Track { contender: "rsync -a".to_owned(), timed: vec![plain], ..Track::default() },
        ],
        facts: [
            ("three_releases_bytes", ours),
            ("one_copy_bytes", one),
            ("floor_bytes", floor),
            ("linked_bytes", parts.linked_bytes),
            ("single_bytes", parts.single_bytes),
            ("directory_bytes", parts.directory_bytes),
        ]
        .map(|(name, bytes)| (name.to_owned(), bytes))
        .into(),
        ..Outcome::default()
    })
}
