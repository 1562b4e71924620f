//! The same tree again: the client knows what it deployed, rsync finds equal mtimes. Neither reads a file.

use crate::contest::{Contender, race};
use crate::cutover::Site;
use crate::failure::Result;
use crate::lab::{Lab, Line};
use crate::record::Outcome;
use crate::row::{Aim, Row, Unit, cost_rows};
use crate::{rsync, verify};

/// "Under 2 KB".
const PAYLOAD_BYTES: f64 = 1999.0;

pub(super) fn run(lab: &Lab) -> Result<Outcome> {
    let tree = &lab.trees().a;
    let site = Site::new(lab, "unchanged");
    let copy = lab.server("copy");
    site.bring_live(lab, tree)?;
    rsync::copy(lab, &["-a"], tree, &copy, Line::Direct)?;
    let contenders = [
        Contender {
            name: "cutover deploy",
            is_timed: true,
            prepare: Box::new(|()| Ok(())),
            run: Box::new(|line| site.deploy(lab, tree, line)),
            check: Box::new(|sample| site.ensure_live(sample, "unchanged", tree)),
        },
        Contender {
            name: "rsync -a",
            is_timed: true,
            prepare: Box::new(|()| Ok(())),
            run: Box::new(|line| rsync::copy(lab, &["-a"], tree, &copy, line)),
            check: Box::new(|_| verify::ensure_same(&tree.path, &copy)),
        },
    ];
    let [ours, theirs] = race(lab, &contenders)?;

    let bytes = |what, figure| Row::observed(what, Unit::Bytes, &ours, &theirs, figure);
    let mut rows = vec![
        Row::timed("seconds", &ours, &theirs, |sample| sample.seconds).aim(Aim::RatioAtMost(1.0 / 3.0)),
        bytes("bytes before SSH", |sample| sample.payload.map(|payload| payload.total_bytes()))
            .aim(Aim::OursAtMost(PAYLOAD_BYTES)),
        bytes("bytes on the wire", |sample| sample.wire.map(|wire| wire.total_bytes())),
    ];
    rows.extend(cost_rows(&ours, &theirs));
    Ok(Outcome { rows, tracks: vec![ours, theirs], ..Outcome::default() })
}
