//! Back to the release before, on a target that holds three.
//!
//! rsync has no such thing. What stands beside it is the least that anybody could do over SSH, a new link renamed over
//! the old one: nearly all of it is the cost of one SSH login.

use crate::contest::{Contender, race};
use crate::cutover;
use crate::failure::{Failure, Result};
use crate::lab::{Lab, Line};
use crate::record::Outcome;
use crate::row::{Aim, Rows};
use crate::scenario::three_releases::ThreeReleases;

/// "Under half a second".
const SECONDS: f64 = 0.5;

/// What it is compared with.
const SSH: &str = "ssh, ln and mv";

pub(super) fn run(lab: &Lab) -> Result<Outcome> {
    let three = ThreeReleases::create(lab)?;
    let [_, before, live] = three.ids.as_slice() else {
        return Err(Failure::new("Three deploys made other than three releases"));
    };
    let links = lab.server("links");
    lab.make_directory(&links)?;
    lab.on_server(&format!("ln -s releases/2 {}/current", links.display()))?;
    let script = format!("cd {} && ln -s releases/1 current.new && mv -T current.new current", links.display());

    let contenders = [
        Contender {
            tool: cutover::NAME,
            name: "cutover rollback".to_owned(),
            version: None,
            prepare: Box::new(|()| {
                if current(lab, &three)? == *live {
                    return Ok(());
                }
                three.site.switch(lab, live, Line::Direct).map(drop)
            }),
            warm: Box::new(|()| Ok(())),
            run: Box::new(|line| three.site.rollback(lab, line)),
            check: Box::new(|_| ensure_current(lab, &three, before)),
            finish: Box::new(|()| Ok(())),
            place: None,
        },
        Contender {
            tool: "ssh",
            name: SSH.to_owned(),
            version: None,
            prepare: Box::new(|()| Ok(())),
            warm: Box::new(|()| Ok(())),
            run: Box::new(|line| lab.measure(&lab.ssh(line).arg(&script), line).map(|(_, sample)| sample)),
            check: Box::new(|_| Ok(())),
            finish: Box::new(|()| Ok(())),
            place: None,
        },
    ];
    let tracks = race(lab, &contenders)?;
    three.site.ensure_current(lab, &lab.trees().b)?;
    let mut rows = Rows::of(lab, &tracks).about("cutover rollback");
    rows.seconds(SSH, rows.on_loopback(Aim::OursAtMost(SECONDS)));
    rows.wire(SSH, None);
    Ok(Outcome { rows: rows.finish(), tracks, ..Outcome::default() })
}

fn current(lab: &Lab, three: &ThreeReleases) -> Result<String> {
    let link = three.site.deploy_path().join("current");
    let target = lab.on_server(&format!("readlink {}", link.display()))?;
    Ok(target.rsplit('/').next().unwrap_or_default().to_owned())
}

fn ensure_current(lab: &Lab, three: &ThreeReleases, expected: &str) -> Result<()> {
    let found = current(lab, three)?;
    if found == expected {
        return Ok(());
    }
    Err(Failure::new(format!("`current` leads to {found} after a rollback, not to {expected}")))
}
