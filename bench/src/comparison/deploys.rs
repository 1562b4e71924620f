//! The comparisons of scenarios in which tools deploy in turn, with their aims.

use crate::comparison::row::{Aim, Row};
use crate::comparison::rows::Rows;

/// rsync where mtimes say nothing: a new directory beside the old one, found by checksum.
const BY_CHECKSUM: &str = "rsync -rlpzc --link-dest";

/// rsync where mtimes tell which files changed.
const BY_MTIME: &str = "rsync -az --link-dest";

/// rsync over a copy that stands, and into nothing.
const PLAIN: &str = "rsync -a";

/// The same with the compression that is best on a line.
const ZSTD: &str = "rsync -az --zc=zstd";

pub(super) fn first(mut rows: Rows<'_>) -> Vec<Row> {
    let conditions = rows.conditions;
    rows.seconds(PLAIN, conditions.on_loopback(Aim::RatioAtMost(1.0 / 1.2)));
    rows.durable_seconds(PLAIN);
    rows.seconds(ZSTD, conditions.at_rate(100.0, Aim::RatioAtMost(1.0)));
    rows.wire(ZSTD, conditions.at_rate(100.0, Aim::OursAtMost(175e6)));
    rows.costs(PLAIN);
    rows.finish()
}

pub(super) fn next(mut rows: Rows<'_>) -> Vec<Row> {
    let on_link = rows.conditions.on_line(40.0, 100.0, Aim::RatioAtMost(1.0 / 12.0));
    let aim = on_link.or(rows.conditions.on_loopback(Aim::RatioAtMost(1.0 / 6.0)));
    rows.seconds(BY_CHECKSUM, aim);
    rows.wire(BY_CHECKSUM, Some(Aim::OursAtMost(290_000.0)));
    rows.costs(BY_CHECKSUM);
    rows.finish()
}

pub(super) fn next_same_mtimes(mut rows: Rows<'_>) -> Vec<Row> {
    rows.seconds(BY_MTIME, rows.conditions.on_loopback(Aim::RatioAtMost(1.0 / 8.0)));
    rows.wire(BY_MTIME, Some(Aim::OursAtMost(290_000.0)));
    rows.beyond_ssh(BY_MTIME, None);
    rows.costs(BY_MTIME);
    rows.finish()
}

pub(super) fn unchanged(mut rows: Rows<'_>) -> Vec<Row> {
    rows.seconds(PLAIN, rows.conditions.on_loopback(Aim::RatioAtMost(1.0 / 5.0)));
    rows.beyond_ssh(PLAIN, Some(Aim::OursAtMost(500.0)));
    rows.wire(PLAIN, None);
    rows.costs(PLAIN);
    rows.finish()
}

pub(super) fn one_file(mut rows: Rows<'_>) -> Vec<Row> {
    // A kilobyte, and the edit: a word at the end of a line.
    rows.beyond_ssh(BY_MTIME, Some(Aim::OursAtMost(1013.0)));
    rows.seconds(BY_MTIME, None);
    rows.seconds("nothing changed: cutover deploy", rows.conditions.on_loopback(Aim::RatioAtMost(1.3)));
    rows.wire(BY_MTIME, None);
    rows.costs(BY_MTIME);
    rows.finish()
}

/// Of another change in place, with its aim in bytes.
pub(super) fn edit(mut rows: Rows<'_>, most_bytes: f64) -> Vec<Row> {
    rows.beyond_ssh(BY_MTIME, Some(Aim::OursAtMost(most_bytes)));
    rows.seconds(BY_MTIME, None);
    rows.wire(BY_MTIME, None);
    rows.costs(BY_MTIME);
    rows.finish()
}

/// rsync is compared into a new file beside the old one; over the old one, as `rsync -a`, it takes longer.
pub(super) fn insert<'a>(mut rows: Rows<'a>, without: Rows<'a>) -> Vec<Row> {
    rows.beyond_ssh(BY_MTIME, Some(Aim::OursAtMost(4000.0)));
    rows.seconds(BY_MTIME, None);
    rows.wire(BY_MTIME, None);
    rows.costs(BY_MTIME);
    let mut without = without.about("cutover deploy, content cache removed").words("without the content cache: ");
    without.beyond_ssh(BY_MTIME, Some(Aim::OursAtMost(16_000.0)));
    without.seconds(BY_MTIME, None);
    [rows.finish(), without.finish()].concat()
}

pub(super) fn modules(mut rows: Rows<'_>) -> Vec<Row> {
    rows.seconds(BY_CHECKSUM, None);
    rows.wire(BY_CHECKSUM, None);
    rows.beyond_ssh(BY_CHECKSUM, None);
    rows.costs(BY_CHECKSUM);
    rows.finish()
}

pub(super) fn cold<'a>(mut rows: Rows<'a>, with: Rows<'a>) -> Vec<Row> {
    rows.wire(BY_CHECKSUM, Some(Aim::OursAtMost(2_200_000.0)));
    rows.round_trips(Aim::OursAtMost(4.0));
    rows.seconds(BY_CHECKSUM, None);
    rows.costs(BY_CHECKSUM);
    let mut with = with.about("cutover deploy, git checkout").words("from a git checkout: ");
    with.wire(BY_CHECKSUM, Some(Aim::OursAtMost(800_000.0)));
    with.round_trips(Aim::OursAtMost(4.0));
    with.seconds(BY_CHECKSUM, None);
    [rows.finish(), with.finish()].concat()
}

/// Of one of the trees, by its label and its megabytes.
pub(super) fn incompressible<'a>(rows: Rows<'a>, (label, megabytes): (&'a str, u64)) -> Vec<Row> {
    let mut rows = rows.about(&format!("{label}cutover deploy")).prefix(label);
    let aim = if megabytes == 400 {
        rows.conditions.on_line(80.0, 1000.0, Aim::RatioAtMost(1.0 / 2.0))
    } else {
        rows.conditions.on_loopback(Aim::RatioAtMost(1.0))
    };
    rows.seconds(PLAIN, aim);
    rows.durable_seconds(PLAIN);
    rows.wire(PLAIN, None);
    rows.costs(PLAIN);
    rows.finish()
}

pub(super) fn rollback(rows: Rows<'_>) -> Vec<Row> {
    let mut rows = rows.about("cutover rollback");
    rows.seconds("ssh, ln and mv", rows.conditions.on_loopback(Aim::OursAtMost(0.5)));
    rows.wire("ssh, ln and mv", None);
    rows.finish()
}
