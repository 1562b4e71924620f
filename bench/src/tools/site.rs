//! A deploy path of Cutover and a client of it: runs its verbs as a user would, and reads the reports of `--json`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::failure::{Context, Failure, Result};
use crate::invocation::Invocation;
use crate::lab::laboratory::Lab;
use crate::line::way::Line;
use crate::place::Place;
use crate::record::sample::{Report, Sample};
use crate::source::tree::Tree;
use crate::verify::ensure_same;

/// Brings a server sooner to its state in daily use: a release goes as soon as there is another one to go back to.
const SETTLING: &str = "keep_releases = 1\ngrace = \"0s\"\n";

/// After so many deploys a release waits for the next one: the third gives up the first.
const SETTLED_AFTER: u32 = 3;

/// A deploy path, and the client that deploys to it.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    deploy_path: PathBuf,
    state: PathBuf,
}

impl Site {
    /// Names a deploy path of that name, and a client of the same.
    pub(crate) fn new(lab: &Lab, name: &str) -> Site {
        Site::at(&lab.place(name))
    }

    /// Takes both directories of a place.
    pub(crate) fn at(place: &Place) -> Site {
        Site { deploy_path: place.server.clone(), state: place.client.clone() }
    }

    /// Returns the path of the symlink to the live release.
    pub(crate) fn current(&self) -> PathBuf {
        self.deploy_path.join("current")
    }

    /// Deploys a tree, whatever comes of it.
    pub(crate) fn deploy(&self, lab: &Lab, tree: &Tree, line: Line) -> Result<Sample> {
        self.deploy_with(lab, tree, line, &[])
    }

    /// Deploys a tree with further options.
    pub(crate) fn deploy_with(&self, lab: &Lab, tree: &Tree, line: Line, options: &[String]) -> Result<Sample> {
        run(lab, line, &self.deploy_line(lab, tree, line).args(options))
    }

    /// Deploys the live tree once more, unmeasured, until a release that was given up waits for the next deploy.
    pub(crate) fn settle(&self, lab: &Lab, tree: &Tree) -> Result<()> {
        for _ in 0..SETTLED_AFTER {
            if leaves_spare(&self.deploy_hasty(lab, tree)?) {
                return Ok(());
            }
        }
        Err(Failure::new(format!("No release waits for the next deploy in `{}`", self.deploy_path.display())))
    }

    /// Makes a release of a tree, unmeasured, also where nothing changed. Of the others only the one stays that was live before.
    pub(crate) fn deploy_hasty(&self, lab: &Lab, tree: &Tree) -> Result<Sample> {
        let config = lab.work().join("settling.toml");
        fs::write(&config, SETTLING).context(|| format!("Could not write `{}`", config.display()))?;
        let invocation = self.deploy_line(lab, tree, Line::Direct).arg("--force").arg("--config").arg(&config);
        let sample = run(lab, Line::Direct, &invocation)?;
        ensure_state(&sample, "live")?;
        Ok(sample)
    }

    /// Goes back to the release before.
    pub(crate) fn rollback(&self, lab: &Lab, line: Line) -> Result<Sample> {
        run(lab, line, &self.verb(lab, &lab.ssh_config(line), &["rollback"]))
    }

    /// Makes the given release live.
    pub(crate) fn switch(&self, lab: &Lab, release: &str) -> Result<Sample> {
        run(lab, Line::Direct, &self.verb(lab, &lab.ssh_config(Line::Direct), &["switch", release]))
    }

    /// Fails unless the deploy ended in the state and the live release is the tree.
    pub(crate) fn ensure_live(&self, sample: &Sample, state: &str, tree: &Tree) -> Result<()> {
        ensure_state(sample, state)?;
        ensure_same(&tree.path, &self.current())
    }

    /// Returns the line that asks for the status, with a configuration of SSH.
    pub(crate) fn status_line(&self, lab: &Lab, ssh_config: &Path) -> Invocation {
        self.verb(lab, ssh_config, &["status"])
    }

    fn deploy_line(&self, lab: &Lab, tree: &Tree, line: Line) -> Invocation {
        self.verb(lab, &lab.ssh_config(line), &["deploy"]).arg("--source").arg(&tree.path)
    }

    fn verb(&self, lab: &Lab, ssh_config: &Path, verb: &[&str]) -> Invocation {
        let program = Invocation::new(&lab.settings().place.cutover).args(verb);
        let program = program.args(["--json", "--target", &lab.remote(&self.deploy_path)]);
        program.arg("--ssh-config").arg(ssh_config).arg("--state-dir").arg(&self.state)
    }
}

fn run(lab: &Lab, line: Line, invocation: &Invocation) -> Result<Sample> {
    let (stdout, sample) = lab.measure(invocation, line)?;
    with_report(sample, &stdout)
}

fn with_report(mut sample: Sample, stdout: &str) -> Result<Sample> {
    let report: Value = serde_json::from_str(stdout)
        .context(|| format!("`{}` printed no JSON object but {stdout:?}", sample.command))?;
    sample.report = Report(report);
    Ok(sample)
}

/// Returns a text of the report.
pub(crate) fn text_of<'a>(sample: &'a Sample, field: &str) -> Result<&'a str> {
    let text = sample.report.text(field);
    text.ok_or_else(|| Failure::new(format!("The report of `{}` has no text `{field}`", sample.command)))
}

/// Tells whether a release waits for the next deploy: one was removed that was not turned into the new one.
fn leaves_spare(sample: &Sample) -> bool {
    let removed = sample.report.field("removed").as_array();
    removed.is_some_and(|removed| removed.iter().any(|id| sample.report.0.pointer("/reused/release") != Some(id)))
}

/// Fails unless a release that had been given up was turned into the new one, or, where there was none, unless it was not.
pub(crate) fn ensure_reused(sample: &Sample, expected: bool) -> Result<()> {
    let [reused, not_reused] = ["reused", "not_reused"].map(|name| sample.report.field(name));
    if reused.is_null() != expected {
        return Ok(());
    }
    let made = if expected { "made its release of none" } else { "made its release of another" };
    Err(Failure::new(format!("`{}` {made}: reused {reused}, not reused {not_reused}", sample.command)))
}

/// Fails unless a deploy ended in that state.
pub(crate) fn ensure_state(sample: &Sample, expected: &str) -> Result<()> {
    let state = text_of(sample, "state")?;
    if state == expected {
        return Ok(());
    }
    Err(Failure::new(format!("`{}` ended `{state}`, not `{expected}`", sample.command)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sample(report: Value) -> Sample {
        Sample { report: Report(report), ..Sample::default() }
    }

    #[test]
    fn what_was_removed_and_not_reused_waits() {
        let waits = |report| leaves_spare(&sample(report));
        assert!(waits(json!({ "removed": ["1"], "reused": null })));
        assert!(waits(json!({ "removed": ["1", "2"], "reused": { "release": "1" } })));
        assert!(!waits(json!({ "removed": ["1"], "reused": { "release": "1" } })));
        assert!(!waits(json!({ "removed": [], "reused": null })));
    }

    #[test]
    fn a_sample_without_what_should_have_stood_has_no_figures() {
        let (made_of_one, made_of_none) =
            (sample(json!({ "reused": { "release": "1" } })), sample(json!({ "reused": null })));
        assert!(ensure_reused(&made_of_one, true).is_ok() && ensure_reused(&made_of_none, false).is_ok());
        assert!(ensure_reused(&made_of_one, false).is_err() && ensure_reused(&made_of_none, true).is_err());
    }
}
