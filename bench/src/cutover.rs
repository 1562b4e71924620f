//! Runs Cutover as a user would, and reads what `--json` prints.

use std::fs::File;
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

/// Cutover, as it is without any option or with some.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cutover {
    options: Vec<String>,
}

impl Cutover {
    /// Takes options of `cutover deploy`, separated by spaces.
    pub(crate) fn with(options: &str) -> Cutover {
        Cutover { options: options.split_whitespace().map(str::to_owned).collect() }
    }
}

impl Tool for Cutover {
    fn name(&self) -> &'static str {
        NAME
    }

    fn title(&self) -> String {
        let words: Vec<&str> =
            ["cutover", "deploy"].into_iter().chain(self.options.iter().map(String::as_str)).collect();
        words.join(" ")
    }

    /// Which program is measured is said by the settings, so nothing is asked here.
    fn version(&self) -> Option<String> {
        Some(NAME.to_owned())
    }

    fn joins(&self, _scenario: Scenario) -> bool {
        true
    }

    fn deploy(&self, lab: &Lab, tree: &Tree, place: &Place, line: Line) -> Result<Sample> {
        let site = Site::at(place);
        let sample = site.run(lab, line, &site.deploy_line(lab, tree, line).args(&self.options))?;
        text_of(&sample, "state")?;
        Ok(sample)
    }

    fn release(&self, _lab: &Lab, place: &Place) -> Result<PathBuf> {
        Ok(place.server.join("current"))
    }

    fn check(&self, lab: &Lab, change: Change<'_>, place: &Place, sample: &Sample) -> Result<()> {
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
    fn at(place: &Place) -> Site {
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
        with_report(sample, &stdout)
    }

    /// Deploys a tree, unmeasured, to bring the server into the state that a run begins with. It must go live.
    pub(crate) fn bring_live(&self, lab: &Lab, tree: &Tree) -> Result<()> {
        let sample = self.deploy(lab, tree, Line::Direct)?;
        ensure_state(&sample, "live")
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
        with_report(sample, &stdout)
    }
}

/// Returns a text of the report.
pub(crate) fn text_of<'a>(sample: &'a Sample, field: &str) -> Result<&'a str> {
    let value = sample.report.as_ref().and_then(|report| report.get(field));
    value
        .and_then(Value::as_str)
        .ok_or_else(|| Failure::new(format!("The report of `{}` has no text `{field}`", sample.command)))
}

fn ensure_state(sample: &Sample, expected: &str) -> Result<()> {
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
