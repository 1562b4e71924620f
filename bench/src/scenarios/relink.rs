//! A rollback without Cutover: the least that anybody could do over SSH, a new link renamed over the old one.

use std::path::Path;

use crate::failure::Result;
use crate::invocation::{Invocation, quoted};
use crate::lab::laboratory::Lab;
use crate::line::way::Line;
use crate::record::sample::Sample;

/// Its name in tables.
pub(super) const TITLE: &str = "ssh, ln and mv";

/// Makes the link that is replaced later. Not timed.
pub(super) fn link(directory: &Path, target: &str) -> Result<()> {
    Invocation::script(&format!("cd {} && ln -s {target} current", word(directory))).output().map(drop)
}

/// Makes the link lead elsewhere.
pub(super) fn relink(lab: &Lab, line: Line, directory: &Path, target: &str) -> Result<Sample> {
    let script = format!("cd {} && ln -s {target} current.new && mv -T current.new current", word(directory));
    let (_, sample) = lab.measure(&lab.ssh(&lab.ssh_config(line)).arg(&script), line)?;
    Ok(sample)
}

fn word(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}
