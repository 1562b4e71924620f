//! Runs Cutover as a user would, and reads what `--json` prints.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::failure::{Context, Failure, Result};
use crate::lab::{self, Beside, Lab, Line};
use crate::process::Invocation;
use crate::record::{Payload, Sample};
use crate::scenario::Scenario;
use crate::tool::{Change, Place, Tool};
use crate::tree::Tree;
use crate::verify;

/// The word of `--tools`.
pub(crate) const NAME: &str = "cutover";

/// What it keeps of the content that it sent, in its state directory.
pub(crate) const CONTENT_CACHE: &str = "content";

/// What a server in daily use comes to, sooner: a release goes as soon as there is another one to go back to.
const SETTLING: &str = "keep_releases = 1\ngrace = \"0s\"\n";

/// After so many deploys a release waits for the next one: the third gives up the first.
const SETTLED_AFTER: u32 = 3;

/// Cutover, as it is without any option or with some.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cutover {
    options: Vec<String>,
    /// Whether the server was deployed to just once, so that no release was given up yet.
    is_fresh: bool,
}

impl Cutover {
    /// The second deploy ever.
    pub(crate) const FRESH: Cutover = Cutover { options: Vec::new(), is_fresh: true };

    /// Takes options of `cutover deploy`, separated by spaces.
    pub(crate) fn with(options: &str) -> Cutover {
        Cutover { options: options.split_whitespace().map(str::to_owned).collect(), is_fresh: false }
    }
}

impl Tool for Cutover {
    fn name(&self) -> &'static str {
        NAME
    }

    fn title(&self) -> String {
        let words: Vec<&str> =
            ["cutover", "deploy"].into_iter().chain(self.options.iter().map(String::as_str)).collect();
        words.join(" ") + if self.is_fresh { ", second ever" } else { "" }
    }

    /// Which program is measured is said by the settings, so nothing is asked here.
    fn version(&self) -> Option<String> {
        Some(NAME.to_owned())
    }

    fn joins(&self, scenario: Scenario) -> bool {
        !self.is_fresh || scenario.is_update()
    }

    fn deploy(&self, lab: &Lab, tree: &Tree, place: &Place, line: Line) -> Result<Sample> {
        let site = Site::at(place);
        let sample = site.run(lab, line, &site.deploy_line(lab, tree, line).args(&self.options))?;
        text_of(&sample, "state")?;
        Ok(sample)
    }

    /// A release that was given up waits for the next deploy, on any server that was deployed to some times. Here it holds
    /// what is live.
    fn settle(&self, lab: &Lab, base: &Tree, place: &Place) -> Result<()> {
        if self.is_fresh { Ok(()) } else { Site::at(place).settle(lab, base) }
    }

    fn release(&self, _lab: &Lab, place: &Place) -> Result<PathBuf> {
        Ok(place.server.join("current"))
    }

    fn check(&self, lab: &Lab, change: Change<'_>, place: &Place, sample: &Sample) -> Result<()> {
        if change.base.is_some() && !change.is_nothing {
            ensure_reused(sample, !self.is_fresh)?;
        }
        let state = if change.is_nothing { "unchanged" } else { "live" };
        Site::at(place).ensure_live(lab, sample, state, change.next)
    }
}

/// A deploy path, and the client that deploys to it.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    deploy_path: PathBuf,
    state: PathBuf,
}

impl Site {
    /// Names a deploy path of that name, and a client of the same.
    pub(crate) fn new(lab: &Lab, name: &str) -> Site {
        Site { deploy_path: lab.server(name), state: lab.state(name) }
    }

    /// Takes both directories of a place.
    pub(crate) fn at(place: &Place) -> Site {
        Site { deploy_path: place.server.clone(), state: place.client.clone() }
    }

    /// Returns the same deploy path as another client sees it.
    pub(crate) fn with_client(&self, lab: &Lab, client: &str) -> Site {
        Site { deploy_path: self.deploy_path.clone(), state: lab.state(client) }
    }

    /// Returns where it lies on the server.
    pub(crate) fn deploy_path(&self) -> &Path {
        &self.deploy_path
    }

    /// Removes the deploy path and the client's state: a first deploy by a new client.
    pub(crate) fn clear(&self, lab: &Lab) -> Result<()> {
        lab.set_aside(&self.deploy_path)?;
        self.forget()
    }

    /// Waits until no agent holds the deploy path's lock.
    pub(crate) fn wait_until_unlocked(&self) -> Result<()> {
        let path = self.deploy_path.join(".cutover/lock");
        let file = File::open(&path).context(|| format!("Could not open `{}`", path.display()))?;
        file.lock().context(|| format!("Could not lock `{}`", path.display()))
    }

    /// Removes the client's state alone.
    pub(crate) fn forget(&self) -> Result<()> {
        lab::set_aside(&self.state)
    }

    /// Deploys a tree, whatever comes of it.
    pub(crate) fn deploy(&self, lab: &Lab, tree: &Tree, line: Line) -> Result<Sample> {
        self.run(lab, line, &self.deploy_line(lab, tree, line))
    }

    /// Deploys a tree with something beside it. A client that was killed has no report.
    pub(crate) fn deploy_beside(&self, lab: &Lab, tree: &Tree, line: Line, beside: &Beside) -> Result<Sample> {
        let invocation = self.deploy_line(lab, tree, line);
        let (stdout, sample) = lab.measure_beside(&invocation, line, beside)?;
        if stdout.trim().is_empty() && matches!(beside, Beside::KillAfter(_)) {
            return Ok(sample);
        }
        with_report(sample, &lab.without_names(&stdout))
    }

    /// Deploys a tree, unmeasured, to bring the server into the state that a run begins with. It must go live.
    pub(crate) fn bring_live(&self, lab: &Lab, tree: &Tree) -> Result<()> {
        let sample = self.deploy(lab, tree, Line::Direct)?;
        ensure_state(&sample, "live")
    }

    /// Deploys what is live once more, unmeasured, until a release that was given up waits for the next deploy.
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
        let config = lab.settings().work.join("settling.toml");
        fs::write(&config, SETTLING).context(|| format!("Could not write `{}`", config.display()))?;
        let invocation = self.deploy_line(lab, tree, Line::Direct).arg("--force").arg("--config").arg(&config);
        let sample = self.run(lab, Line::Direct, &invocation)?;
        ensure_state(&sample, "live")?;
        Ok(sample)
    }

    /// Runs another verb.
    pub(crate) fn ask(&self, lab: &Lab, line: Line, words: &[&str]) -> Result<Sample> {
        self.run(lab, line, &self.verb(lab, line, words))
    }

    /// Goes back to the release before.
    pub(crate) fn rollback(&self, lab: &Lab, line: Line) -> Result<Sample> {
        self.run(lab, line, &self.verb(lab, line, &["rollback"]))
    }

    /// Makes the given release live.
    pub(crate) fn switch(&self, lab: &Lab, release: &str, line: Line) -> Result<Sample> {
        self.run(lab, line, &self.verb(lab, line, &["switch", release]))
    }

    /// Fails unless the deploy ended in the state and what is live is the tree.
    pub(crate) fn ensure_live(&self, lab: &Lab, sample: &Sample, state: &str, tree: &Tree) -> Result<()> {
        ensure_state(sample, state)?;
        self.ensure_current(lab, tree)
    }

    /// Fails unless what is live is the tree.
    pub(crate) fn ensure_current(&self, lab: &Lab, tree: &Tree) -> Result<()> {
        verify::ensure_same(lab, &tree.path, &self.deploy_path.join("current"))
    }

    /// Returns the line that asks for the status, with a configuration of SSH.
    pub(crate) fn status_line(&self, lab: &Lab, ssh_config: &Path) -> Invocation {
        self.verb_over(lab, Some(ssh_config), &["status"])
    }

    fn deploy_line(&self, lab: &Lab, tree: &Tree, line: Line) -> Invocation {
        self.verb(lab, line, &["deploy"]).arg("--source").arg(&tree.path)
    }

    fn verb(&self, lab: &Lab, line: Line, verb: &[&str]) -> Invocation {
        self.verb_over(lab, lab.ssh_config(line).as_deref(), verb)
    }

    fn verb_over(&self, lab: &Lab, ssh_config: Option<&Path>, verb: &[&str]) -> Invocation {
        let program = Invocation::new(&lab.settings().cutover).args(verb);
        let program = program.args(["--json", "--target", &lab.remote(&self.deploy_path)]);
        let program = match ssh_config {
            Some(config) => program.arg("--ssh-config").arg(config),
            None => program,
        };
        program.arg("--state-dir").arg(&self.state)
    }

    fn run(&self, lab: &Lab, line: Line, invocation: &Invocation) -> Result<Sample> {
        let (stdout, sample) = lab.measure(invocation, line)?;
        with_report(sample, &lab.without_names(&stdout))
    }
}

/// Returns a text of the report.
pub(crate) fn text_of<'a>(sample: &'a Sample, field: &str) -> Result<&'a str> {
    let value = sample.report.as_ref().and_then(|report| report.get(field));
    value
        .and_then(Value::as_str)
        .ok_or_else(|| Failure::new(format!("The report of `{}` has no text `{field}`", sample.command)))
}

/// Tells whether a release waits for the next deploy: one was removed that was not turned into the new one.
fn leaves_spare(sample: &Sample) -> bool {
    let Some(report) = &sample.report else { return false };
    let removed = report.get("removed").and_then(Value::as_array);
    removed.is_some_and(|removed| removed.iter().any(|id| report.pointer("/reused/release") != Some(id)))
}

/// Fails unless a release that had been given up was turned into the new one, or, where there was none, unless it was not.
pub(crate) fn ensure_reused(sample: &Sample, expected: bool) -> Result<()> {
    let field = |name| sample.report.as_ref().and_then(|report| report.get(name)).unwrap_or(&Value::Null);
    if field("reused").is_null() != expected {
        return Ok(());
    }
    let what = if expected { "made its release of none" } else { "made its release of another" };
    let (reused, not_reused) = (field("reused"), field("not_reused"));
    Err(Failure::new(format!("`{}` {what}: reused {reused}, not reused {not_reused}", sample.command)))
}

/// Fails unless a deploy ended in that state.
pub(crate) fn ensure_state(sample: &Sample, expected: &str) -> Result<()> {
    let state = text_of(sample, "state")?;
    if state == expected {
        return Ok(());
    }
    Err(Failure::new(format!("`{}` ended `{state}`, not `{expected}`", sample.command)))
}

fn with_report(mut sample: Sample, stdout: &str) -> Result<Sample> {
    let report: Value = serde_json::from_str(stdout)
        .context(|| format!("`{}` printed no JSON object but {stdout:?}", sample.command))?;
    let field = |name: &str| report.get(name).and_then(Value::as_u64);
    sample.payload = field("sent_bytes")
        .zip(field("received_bytes"))
        .map(|(sent_bytes, received_bytes)| Payload { sent_bytes, received_bytes });
    sample.report = Some(report);
    Ok(sample)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sample(report: Value) -> Sample {
        Sample { report: Some(report), ..Sample::default() }
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
