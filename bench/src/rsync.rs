//! Runs rsync, the tool that people deploy with, in the mode that fits the scenario best.

use std::fs::{self, File};
use std::path::Path;

use std::time::Instant;

use crate::failure::{Context, Failure, Result};
use crate::lab::{Beside, Lab, Line};
use crate::process::Invocation;
use crate::record::{Payload, Sample};
use crate::tree::Tree;

/// Copies the content of a tree into a directory on the server, with the given options.
pub(crate) fn copy(lab: &Lab, options: &[&str], tree: &Tree, to: &Path, line: Line) -> Result<Sample> {
    let (stdout, sample) = lab.measure(&invocation(lab, options, tree, to, line), line)?;
    with_payload(sample, &stdout)
}

/// As [`copy`], with something beside it. A client that was killed says nothing of bytes.
pub(crate) fn copy_beside(
    lab: &Lab,
    options: &[&str],
    (tree, to): (&Tree, &Path),
    line: Line,
    beside: &Beside,
) -> Result<Sample> {
    let (stdout, sample) = lab.measure_beside(&invocation(lab, options, tree, to, line), line, beside)?;
    if stdout.trim().is_empty() && matches!(beside, Beside::KillAfter(_)) {
        return Ok(sample);
    }
    with_payload(sample, &stdout)
}

/// As [`copy`], and then writes the destination's filesystem out, which a durable deploy has done when it returns.
pub(crate) fn copy_durably(lab: &Lab, options: &[&str], tree: &Tree, to: &Path, line: Line) -> Result<Sample> {
    let mut sample = copy(lab, options, tree, to, line)?;
    let directory = File::open(to).context(|| format!("Could not open `{}`", to.display()))?;
    let start = Instant::now();
    rustix::fs::syncfs(&directory).context(|| format!("Could not sync `{}`", to.display()))?;
    sample.syncfs_seconds = Some(start.elapsed().as_secs_f64());
    Ok(sample)
}

/// Makes the directory above a destination; rsync makes only the last one.
pub(crate) fn ensure_parent(to: &Path) -> Result<()> {
    let parent = to.parent().unwrap_or(to);
    fs::create_dir_all(parent).context(|| format!("Could not create `{}`", parent.display()))
}

fn invocation(lab: &Lab, options: &[&str], tree: &Tree, to: &Path, line: Line) -> Invocation {
    let shell = format!("ssh -F {}", lab.ssh_config().display());
    Invocation::new("rsync").args(options).args(["--stats", "-e", &shell]).arg(tree.content()).arg(format!(
        "{}:{}/",
        line.host(),
        to.display()
    ))
}

fn with_payload(mut sample: Sample, stdout: &str) -> Result<Sample> {
    let payload = parse_stats(stdout);
    sample.payload = Some(payload.ok_or_else(|| Failure::new(format!("`{}` printed no stats", sample.command)))?);
    Ok(sample)
}

fn parse_stats(stdout: &str) -> Option<Payload> {
    let field = |name: &str| -> Option<u64> {
        let text = stdout.lines().find_map(|line| line.strip_prefix(name))?;
        text.chars().filter(char::is_ascii_digit).collect::<String>().parse().ok()
    };
    Some(Payload { sent_bytes: field("Total bytes sent:")?, received_bytes: field("Total bytes received:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stats_are_read_with_their_commas() {
        let payload =
            parse_stats("Number of files: 3\nTotal bytes sent: 1,234,567\nTotal bytes received: 89\n").unwrap();
        assert_eq!((payload.sent_bytes, payload.received_bytes), (1_234_567, 89));
        assert!(parse_stats("Total bytes sent: 1\n").is_none());
    }
}
