//! Back to the release before, on a target that holds three.
//!
//! rsync has no such thing. What stands beside it is the least that anybody could do over SSH, a new link renamed over
//! the old one: nearly all of it is the cost of one SSH login.

use std::fs;
use std::os::unix::fs::symlink;

use crate::contest::{Contender, race};
use crate::cutover;
use crate::failure::{Context, Failure, Result};
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
    fs::create_dir_all(&links).context(|| "Could not create a directory for links")?;
    symlink("releases/2", links.join("current")).context(|| "Could not make a link")?;
    let script = format!("cd {} && ln -s releases/1 current.new && mv -T current.new current", links.display());

    let contenders = [
        Contender {
            tool: cutover::NAME,
            name: "cutover rollback".to_owned(),
            version: None,
            prepare: Box::new(|()| {
                if current(&three)? == *live {
                    return Ok(());
                }
                three.site.switch(lab, live, Line::Direct).map(drop)
            }),
            run: Box::new(|line| three.site.rollback(lab, line)),
            check: Box::new(|_| ensure_current(&three, before)),
            place: None,
        },
        Contender {
            tool: "ssh",
            name: SSH.to_owned(),
            version: None,
            prepare: Box::new(|()| Ok(())),
            run: Box::new(|line| lab.measure(&lab.ssh(line).arg(&script), line).map(|(_, sample)| sample)),
            check: Box::new(|_| Ok(())),
            place: None,
        },
    ];
    let tracks = race(lab, &contenders)?;
    three.site.ensure_current(lab, &lab.trees().b)?;
    let mut rows = Rows::new(&tracks, "cutover rollback");
    rows.seconds(SSH, Some(Aim::OursAtMost(SECONDS)));
    rows.wire(SSH, None);
    Ok(Outcome { rows: rows.finish(), tracks, ..Outcome::default() })
}

fn current(three: &ThreeReleases) -> Result<String> {
    let link = three.site.deploy_path().join("current");
    let target = fs::read_link(&link).context(|| format!("Could not read `{}`", link.display()))?;
    let name = target.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(name.unwrap_or_default())
}

fn ensure_current(three: &ThreeReleases, expected: &str) -> Result<()> {
    let found = current(three)?;
    if found == expected {
        return Ok(());
    }
    Err(Failure::new(format!("`current` leads to {found} after a rollback, not to {expected}")))
}
