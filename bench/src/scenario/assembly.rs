//! What the server does for B after A, by itself: it holds all content, and nothing is sent. A release is made of one that
//! was given up, and anew.
//!
//! The counterpart is `cp -al` of a release, with which rsync and others begin: links to all files, and nothing of B yet.

use serde_json::Value;

use crate::cutover::{Site, ensure_reused};
use crate::failure::Result;
use crate::lab::{self, Lab, Line};
use crate::process::Invocation;
use crate::record::{Outcome, Sample, Track};
use crate::row::{Aim, Row, Rows, Unit};

/// With a release to reuse.
const SECONDS: f64 = 0.35;

/// Links and unlinks, to those that the difference takes.
const NAMES: f64 = 1.2;

/// What it is compared with.
const CP: &str = "cp -al of a release";

pub(super) fn run(lab: &Lab) -> Result<Outcome> {
    let (a, b) = (&lab.trees().a, &lab.trees().b);
    let site = Site::new(lab, "assembly");
    let named = |tool: &str, contender: &str| Track {
        tool: tool.to_owned(),
        contender: contender.to_owned(),
        ..Track::default()
    };
    let (mut of_one, mut anew) = (named("cutover", "of one given up"), named("cutover", "anew"));
    let mut cp = named("cp", CP);

    lab.say("  deploying both");
    for tree in [a, b] {
        site.deploy_hasty(lab, tree)?;
    }
    let [plain, linked] = ["plain", "linked"].map(|name| lab.server(name));
    Invocation::new("cp").arg("-a").args([&a.path, &plain]).output()?;
    for round in 0..=lab.repeats() {
        lab.say(&format!("  round {round}"));
        // A is live, B the one that a rollback goes to, and an A waits.
        site.deploy_hasty(lab, a)?;
        rustix::fs::sync();
        let by_reuse = site.deploy(lab, b, Line::Timed)?;
        ensure_reused(&by_reuse, true)?;
        site.ensure_live(lab, &by_reuse, "live", b)?;
        rustix::fs::sync();
        let in_full = site.deploy(lab, a, Line::Timed)?;
        ensure_reused(&in_full, false)?;
        site.ensure_live(lab, &in_full, "live", a)?;
        site.deploy_hasty(lab, b)?;

        lab::read_files(&plain)?;
        rustix::fs::sync();
        let (_, copied) = lab.measure(&Invocation::new("cp").arg("-al").args([&plain, &linked]), Line::Timed)?;
        lab.set_aside(&linked)?;
        lab.remove_aside()?;
        // The first round is the warm-up.
        if round > 0 {
            of_one.steps.push(by_reuse);
            anew.steps.push(in_full);
            cp.steps.push(copied);
        }
    }

    let seconds = |track: &Track| track.steps.iter().filter_map(assemble_seconds).collect::<Vec<f64>>();
    let copied = || cp.steps.iter().map(|sample| sample.seconds).collect::<Vec<f64>>();
    let row = |what: &str, track: &Track| Row::new(what, Unit::Seconds, seconds(track), CP, copied());
    let mut reused = row("assembly with a release to reuse", &of_one);
    if let Some(aim) = Rows::of(lab, &[]).on_loopback(Aim::OursAtMost(SECONDS)) {
        reused = reused.aim(aim);
    }
    let count = |figure: fn(&Value) -> Option<f64>| -> Vec<f64> {
        of_one.steps.iter().filter_map(|sample| figure(sample.report.as_ref()?)).collect()
    };
    let names = Row::new(
        "names linked and unlinked with a release to reuse",
        Unit::Times,
        count(names_touched),
        "those that the difference takes",
        count(names_that_differ),
    );
    let rows = vec![reused, row("assembly anew", &anew), names.aim(Aim::RatioAtMost(NAMES))];
    Ok(Outcome { rows, tracks: vec![of_one, anew, cp], ..Outcome::default() })
}

fn assemble_seconds(sample: &Sample) -> Option<f64> {
    sample.report.as_ref()?.pointer("/seconds/assemble")?.as_f64()
}

/// A directory that was removed with all that is in it counts once on both sides.
fn names_touched(report: &Value) -> Option<f64> {
    Some(report.get("objects_linked")?.as_f64()? + report.pointer("/reused/removed")?.as_f64()?)
}

/// What changed is one name less and one more.
fn names_that_differ(report: &Value) -> Option<f64> {
    let number = |name: &str| report.get(name).and_then(Value::as_f64);
    Some(number("files_new")? + number("files_removed")? + 2.0 * number("files_changed")?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_changed_file_is_two_names() {
        let report = json!({
            "files_new": 3, "files_changed": 10, "files_removed": 1,
            "objects_linked": 14, "reused": { "removed": 11 },
        });
        assert_eq!((names_touched(&report), names_that_differ(&report)), (Some(25.0), Some(24.0)));
    }
}
