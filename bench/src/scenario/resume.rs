//! When things go wrong: a client killed when it had sent half, a client that lost its state, and two clients that
//! deploy in turn. Each must end right, and what it costs is bytes on the wire.

use crate::cutover::Site;
use crate::failure::Result;
use crate::lab::{Beside, Lab, Line};
use crate::record::{Outcome, Sample, Track};
use crate::row::{Row, Unit};
use crate::{rsync, verify};

/// `--delete`, because an rsync that was cut leaves temporary files which only that takes away.
const RSYNC: [&str; 3] = ["-az", "--zc=zstd", "--delete"];

pub(super) fn run(lab: &Lab) -> Result<Outcome> {
    let one = one_client(lab)?;
    let first = one.steps.first().map_or(0, Sample::wire_bytes);
    let cut = cut_half_way(lab, first / 2)?;
    let (rsync_one, rsync_cut) = (rsync_undisturbed(lab)?, rsync_cut_half_way(lab)?);
    let forgot = forgetful_client(lab)?;
    let two = two_clients(lab)?;

    let bytes = |track: &Track, index: usize| vec![track.steps.get(index).map_or(0, Sample::wire_bytes) as f64];
    let sum = |track: &Track| vec![track.steps.iter().map(Sample::wire_bytes).sum::<u64>() as f64];
    let row = |what, ours, rival, theirs| Row::new(what, Unit::Bytes, ours, rival, theirs);
    let repeated = "cut half-way and repeated: bytes of both";
    let rows = vec![
        row(repeated, sum(&cut), "the same, undisturbed", bytes(&one, 0)),
        row(repeated, sum(&cut), "rsync -az, cut and repeated", sum(&rsync_cut)),
        row("undisturbed: bytes", bytes(&one, 0), "rsync -az", bytes(&rsync_one, 0)),
        row("B after A, state lost between: bytes", bytes(&forgot, 1), "state kept", bytes(&one, 1)),
        row("A again, state lost: bytes", bytes(&forgot, 0), "first deploy of A", bytes(&one, 0)),
        row("C after another client's B: bytes", bytes(&two, 2), "one client", bytes(&one, 2)),
        row("B by another client, which is new: bytes", bytes(&two, 1), "one client", bytes(&one, 1)),
    ];
    Ok(Outcome { rows, tracks: vec![one, cut, rsync_one, rsync_cut, forgot, two], ..Outcome::default() })
}

/// A, B and C by one client that remembers: what the others are compared with.
fn one_client(lab: &Lab) -> Result<Track> {
    let site = Site::new(lab, "one");
    let mut track = named("cutover, one client");
    for tree in lab.trees().all() {
        lab.say(&format!("  one client deploys {}", tree.name));
        let sample = site.deploy(lab, tree, Line::Counted)?;
        site.ensure_live(lab, &sample, "live", tree)?;
        track.steps.push(sample);
    }
    site.clear(lab)?;
    Ok(track)
}

/// The first deploy of A, killed when it has sent so much, and run again.
fn cut_half_way(lab: &Lab, sent_bytes: u64) -> Result<Track> {
    let tree = &lab.trees().a;
    let site = Site::new(lab, "cut");
    let mut track = named("cutover, cut half-way");
    lab.say("  cut half-way, and repeated");
    let cut = site.deploy_beside(lab, tree, Line::Counted, &Beside::KillAfter(sent_bytes))?;
    track.steps.push(cut);
    // The agent takes away what it had assembled before it lets go.
    site.wait_until_unlocked()?;
    let repeated = site.deploy(lab, tree, Line::Counted)?;
    site.ensure_live(lab, &repeated, "live", tree)?;
    track.steps.push(repeated);
    site.clear(lab)?;
    Ok(track)
}

/// A; then state is lost and A is deployed again; lost again, and B.
fn forgetful_client(lab: &Lab) -> Result<Track> {
    let (a, b) = (&lab.trees().a, &lab.trees().b);
    let site = Site::new(lab, "forgetful");
    let mut track = named("cutover, state lost");
    lab.say("  a client that forgets");
    site.bring_live(lab, a)?;
    for (tree, state) in [(a, "unchanged"), (b, "live")] {
        site.forget()?;
        let sample = site.deploy(lab, tree, Line::Counted)?;
        site.ensure_live(lab, &sample, state, tree)?;
        track.steps.push(sample);
    }
    site.clear(lab)?;
    Ok(track)
}

/// A by the first client, B by a second that is new, C by the first, which has not heard of B.
fn two_clients(lab: &Lab) -> Result<Track> {
    let first = Site::new(lab, "two");
    let second = first.with_client(lab, "second");
    let mut track = named("cutover, two clients");
    for (client, tree) in [&first, &second, &first].into_iter().zip(lab.trees().all()) {
        lab.say(&format!("  in turn, {}", tree.name));
        let sample = client.deploy(lab, tree, Line::Counted)?;
        client.ensure_live(lab, &sample, "live", tree)?;
        track.steps.push(sample);
    }
    first.clear(lab)?;
    second.clear(lab)?;
    Ok(track)
}

fn rsync_undisturbed(lab: &Lab) -> Result<Track> {
    let tree = &lab.trees().a;
    let copy = lab.server("undisturbed");
    let mut track = named("rsync -az --zc=zstd --delete");
    lab.say("  rsync");
    track.steps.push(rsync::copy(lab, &RSYNC, tree, &copy, Line::Counted)?);
    verify::ensure_same(lab, &tree.path, &copy)?;
    crate::lab::set_aside(&copy)?;
    Ok(track)
}

/// rsync keeps whole files that arrived; what was begun is sent again.
fn rsync_cut_half_way(lab: &Lab) -> Result<Track> {
    let tree = &lab.trees().a;
    let copy = lab.server("cut-copy");
    let half = rsync_undisturbed(lab)?.steps.first().map_or(0, Sample::wire_bytes) / 2;
    let mut track = named("rsync -az --zc=zstd --delete, cut half-way");
    lab.say("  rsync, cut half-way and repeated");
    let cut = rsync::copy_beside(lab, &RSYNC, (tree, &copy), Line::Counted, &Beside::KillAfter(half))?;
    track.steps.push(cut);
    track.steps.push(rsync::copy(lab, &RSYNC, tree, &copy, Line::Counted)?);
    verify::ensure_same(lab, &tree.path, &copy)?;
    crate::lab::set_aside(&copy)?;
    Ok(track)
}

fn named(contender: &str) -> Track {
    Track { contender: contender.to_owned(), ..Track::default() }
}
