//! The server's part of a deploy of B after A, by itself: it holds all content, and nothing is sent. A release is made of
//! one that was given up, and anew.
//!
//! The counterpart is `cp -al` of a release, with which rsync and others begin: links to all files, and nothing of B yet.

use crate::aside::{read_files, set_aside};
use crate::failure::Result;
use crate::invocation::Invocation;
use crate::lab::laboratory::Lab;
use crate::line::way::Line;
use crate::record::logins::CUTOVER;
use crate::record::scenario::Outcome;
use crate::record::track::Track;
use crate::tools::site::{Site, ensure_reused};

pub(super) fn run(lab: &Lab) -> Result<Outcome> {
    let (a, b) = (&lab.trees().a, &lab.trees().b);
    let site = Site::new(lab, "assembly");
    let (mut of_one, mut anew) = (Track::new(CUTOVER, "of one given up"), Track::new(CUTOVER, "anew"));
    let mut cp = Track::new("cp", "cp -al of a release");

    lab.say("  deploying both");
    for tree in [a, b] {
        site.deploy_hasty(lab, tree)?;
    }
    let [plain, linked] = ["plain", "linked"].map(|name| lab.server(name));
    Invocation::new("cp").arg("-a").args([&a.path, &plain]).output()?;
    for round in 0..=lab.settings().effort.repeats {
        lab.say(&format!("  round {round}"));
        // A is live, B the one that a rollback goes to, and an A waits.
        site.deploy_hasty(lab, a)?;
        rustix::fs::sync();
        let by_reuse = site.deploy(lab, b, Line::Timed)?;
        ensure_reused(&by_reuse, true)?;
        site.ensure_live(&by_reuse, "live", b)?;
        rustix::fs::sync();
        let in_full = site.deploy(lab, a, Line::Timed)?;
        ensure_reused(&in_full, false)?;
        site.ensure_live(&in_full, "live", a)?;
        site.deploy_hasty(lab, b)?;

        read_files(&plain)?;
        rustix::fs::sync();
        let (_, copied) = lab.measure(&Invocation::new("cp").arg("-al").args([&plain, &linked]), Line::Timed)?;
        set_aside(&linked)?;
        lab.remove_aside()?;
        // The first round is the warm-up.
        if round > 0 {
            of_one.keep(by_reuse, false);
            anew.keep(in_full, false);
            cp.keep(copied, false);
        }
    }
    Ok(Outcome::of(vec![of_one, anew, cp]))
}
