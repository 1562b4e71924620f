//! The first deploy of A into an empty target, by a client without state.
//!
//! Ours is durable when it returns and rsync's is not, so rsync is measured twice in one: alone, and with `syncfs` of
//! the destination after it. Each run begins on an empty filesystem: on one that holds earlier copies, both take longer
//! with each. Bytes are compared with rsync's best compression, seconds with rsync that does not
//! compress, which is the fastest on a fast line.

use crate::contest::{Contender, race};
use crate::cutover::Site;
use crate::failure::Result;
use crate::lab::Lab;
use crate::record::Outcome;
use crate::row::{Aim, Row, Unit, cost_rows};
use crate::{rsync, verify};

pub(super) fn run(lab: &Lab) -> Result<Outcome> {
    let tree = &lab.trees().a;
    let site = Site::new(lab, "first");
    let copy = lab.server("copy");
    let rsync = |name, options: &'static [&'static str], is_timed| Contender {
        name,
        is_timed,
        prepare: Box::new(|()| lab.renew_server()),
        run: Box::new(|line| rsync::copy_durably(lab, options, tree, &copy, line)),
        check: Box::new(|_| verify::ensure_same(&tree.path, &copy)),
    };
    let cutover = Contender {
        name: "cutover deploy",
        is_timed: true,
        prepare: Box::new(|()| {
            lab.renew_server()?;
            site.clear()
        }),
        run: Box::new(|line| site.deploy(lab, tree, line)),
        check: Box::new(|sample| site.ensure_live(sample, "live", tree)),
    };
    let contenders =
        [cutover, rsync("rsync -a", &["-a"], true), rsync("rsync -az --zc=zstd", &["-az", "--zc=zstd"], false)];
    let [ours, plain, packed] = race(lab, &contenders)?;

    let seconds = ours.timed.iter().map(|sample| sample.seconds).collect();
    let synced = plain.timed.iter().map(|sample| sample.seconds + sample.syncfs_seconds.unwrap_or(0.0));
    let bytes = |what, figure| Row::observed(what, Unit::Bytes, &ours, &packed, figure);
    let mut rows = vec![
        Row::timed("seconds, durable", &ours, &plain, |sample| sample.seconds).aim(Aim::RatioAtMost(1.0)),
        Row::new("seconds, durable", Unit::Seconds, seconds, "rsync -a, then syncfs", synced.collect()),
        bytes("bytes on the wire", |sample| sample.wire.map(|wire| wire.total_bytes())).aim(Aim::RatioAtMost(1.0)),
        bytes("bytes before SSH", |sample| sample.payload.map(|payload| payload.total_bytes())),
    ];
    rows.extend(cost_rows(&ours, &plain));
    Ok(Outcome { rows, tracks: vec![ours, plain, packed], ..Outcome::default() })
}
