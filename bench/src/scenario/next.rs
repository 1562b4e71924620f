//! B after A, when all mtimes are new, as after a fresh checkout: both tools must read every file.
//!
//! rsync's honest counterpart is a new directory beside the old one with hardlinks to what did not change, found by
//! checksum. Without `-t`, because mtimes that differ would make it copy instead of link.

use crate::contest::{Contender, race};
use crate::cutover::Site;
use crate::failure::Result;
use crate::lab::{self, Lab, Line};
use crate::record::Outcome;
use crate::row::{Aim, Row, Unit, cost_rows};
use crate::{rsync, verify};

const LINK_DEST: [&str; 3] = ["-rlpzc", "--delete", "--link-dest=../previous"];

pub(super) fn run(lab: &Lab) -> Result<Outcome> {
    let trees = lab.trees();
    let site = Site::new(lab, "next");
    let (previous, next) = (lab.server("copies/previous"), lab.server("copies/next"));
    rsync::ensure_parent(&previous)?;
    rsync::copy(lab, &["-rlp"], &trees.a, &previous, Line::Direct)?;
    let contenders = [
        Contender {
            name: "cutover deploy",
            is_timed: true,
            prepare: Box::new(|()| {
                site.clear()?;
                site.bring_live(lab, &trees.a)
            }),
            run: Box::new(|line| site.deploy(lab, &trees.b, line)),
            check: Box::new(|sample| site.ensure_live(sample, "live", &trees.b)),
        },
        Contender {
            name: "rsync -rlpzc --link-dest",
            is_timed: true,
            prepare: Box::new(|()| lab::set_aside(&next)),
            run: Box::new(|line| rsync::copy(lab, &LINK_DEST, &trees.b, &next, line)),
            check: Box::new(|_| verify::ensure_same(&trees.b.path, &next)),
        },
    ];
    let [ours, theirs] = race(lab, &contenders)?;

    let bytes = |what, figure| Row::observed(what, Unit::Bytes, &ours, &theirs, figure);
    let mut rows = vec![
        Row::timed("seconds", &ours, &theirs, |sample| sample.seconds).aim(Aim::RatioAtMost(1.0 / 2.5)),
        bytes("bytes on the wire", |sample| sample.wire.map(|wire| wire.total_bytes())),
        bytes("bytes before SSH", |sample| sample.payload.map(|payload| payload.total_bytes())),
    ];
    rows.extend(cost_rows(&ours, &theirs));
    Ok(Outcome { rows, tracks: vec![ours, theirs], ..Outcome::default() })
}
