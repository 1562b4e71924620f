//! The most disk that a first deploy takes while it runs, above what is left in the end as content and directories.
//!
//! What was received and not yet published counts, as do the agent itself, manifest and record. Measured as the used
//! bytes of a filesystem that nobody else writes to.

use std::fs;
use std::path::Path;

use crate::cutover::Site;
use crate::failure::{Context, Result};
use crate::lab::{Beside, Lab, Line};
use crate::record::{Outcome, Sample, Track};
use crate::row::{Aim, Row, Unit};
use crate::usage::{Parts, used_bytes};
use crate::{rsync, verify};

/// The allowance beyond content and directories.
const EXCESS_BYTES: f64 = 32.0 * 1024.0 * 1024.0;

pub(super) fn run(lab: &Lab) -> Result<Outcome> {
    if !lab.has_own_filesystem() {
        return Ok(Outcome {
            skipped: Some("only root may mount the filesystem that it is measured on".to_owned()),
            ..Outcome::default()
        });
    }
    let tree = &lab.trees().a;
    let site = Site::new(lab, "peak-disk");
    let ours = Peak::of(lab, site.deploy_path(), |beside| site.deploy_beside(lab, tree, Line::Direct, beside))?;
    site.ensure_live(lab, &ours.sample, "live", tree)?;

    let copy = lab.server("copy");
    let theirs = Peak::of(lab, &copy, |beside| rsync::copy_beside(lab, &["-a"], (tree, &copy), Line::Direct, beside))?;
    verify::ensure_same(lab, &tree.path, &copy)?;

    let row = |what, figure: fn(&Peak) -> f64| {
        Row::new(what, Unit::Bytes, vec![figure(&ours)], "rsync -a", vec![figure(&theirs)])
    };
    Ok(Outcome {
        rows: vec![
            row("peak above what stood before", |peak| peak.rise_bytes as f64),
            row("content and directories in the end", |peak| peak.kept_bytes() as f64),
            row("peak beyond content and directories", Peak::excess_bytes).aim(Aim::OursAtMost(EXCESS_BYTES)),
        ],
        facts: [
            ("cutover_linked_bytes", ours.parts.linked_bytes),
            ("cutover_single_bytes", ours.parts.single_bytes),
            ("cutover_directory_bytes", ours.parts.directory_bytes),
            ("rsync_single_bytes", theirs.parts.single_bytes),
            ("rsync_directory_bytes", theirs.parts.directory_bytes),
        ]
        .map(|(name, bytes)| (name.to_owned(), bytes))
        .into(),
        tracks: vec![ours.into_track("cutover deploy"), theirs.into_track("rsync -a")],
        ..Outcome::default()
    })
}

struct Peak {
    sample: Sample,
    rise_bytes: u64,
    parts: Parts,
}

impl Peak {
    /// Runs it on a filesystem that was written out, and looks at what it left.
    fn of(lab: &Lab, destination: &Path, run: impl FnOnce(&Beside) -> Result<Sample>) -> Result<Peak> {
        rustix::fs::sync();
        let filesystem = lab.server("");
        let before = used_bytes(&filesystem)?;
        let sample = run(&Beside::WatchDisk(filesystem))?;
        rustix::fs::sync();
        let directory = fs::canonicalize(destination).context(|| "Could not find what was deployed")?;
        Ok(Peak {
            rise_bytes: sample.most_used_bytes.unwrap_or(0).saturating_sub(before),
            parts: Parts::of(&directory)?,
            sample,
        })
    }

    /// A plain copy has no linked files: its content has one name each. Ours has two, in the store and in the release;
    /// what has one name there is the agent, the manifest and the like.
    fn kept_bytes(&self) -> u64 {
        let content = if self.parts.linked_bytes > 0 { self.parts.linked_bytes } else { self.parts.single_bytes };
        content + self.parts.directory_bytes
    }

    fn excess_bytes(&self) -> f64 {
        self.rise_bytes as f64 - self.kept_bytes() as f64
    }

    fn into_track(self, contender: &str) -> Track {
        Track { contender: contender.to_owned(), timed: vec![self.sample], ..Track::default() }
    }
}
