//! The result of a verb, printed on stdout: a text for people, or one object with `--json`.

use std::path::Path;

use engine::error::{ErrorId, Kind};
use serde::Serialize;

use crate::color::Palette;
use crate::failure::{Failure, one_line};
use crate::json;
use crate::notice::Outcome;
use crate::stdout;
use crate::units::Count;

/// The result of a verb.
pub(crate) trait Report: Serialize {
    /// Whether the verb is a question, whose answer is printed even with `--quiet`.
    const ANSWERS: bool;

    /// Returns the text for people, with a newline at its end.
    fn text(&self, palette: Palette, is_verbose: bool) -> String;

    /// Returns the failure that the report amounts to, if it is one. It decides the exit code.
    fn failure(&self) -> Option<Failure> {
        None
    }

    /// Returns the outcome, for the webhook.
    fn outcome(&self) -> Option<Outcome> {
        None
    }

    /// Returns the next step: a sentence with a command, which is completed with the place.
    fn next(&self) -> Option<String> {
        None
    }
}

/// The result of a run, with the file of its log.
#[derive(Serialize)]
struct Logged<'a, T> {
    #[serde(flatten)]
    report: &'a T,
    log: Option<String>,
}

/// Returns the object of `--json` for a run: the report, and the file of its log.
pub(crate) fn logged_object(report: &impl Report, log: Option<&Path>) -> Result<String, Failure> {
    object(&Logged { report, log: log.map(|log| log.display().to_string()) })
}

/// Returns the object of `--json`, on one line.
pub(crate) fn object(report: &impl Serialize) -> Result<String, Failure> {
    match serde_json::to_string(report) {
        Ok(object) => Ok(json::on_one_line(&object) + "\n"),
        Err(error) => {
            Err(Failure { kind: Kind::Bug, ..Failure::refused(ErrorId::Bug, "The result cannot be written as JSON") }
                .because(&error))
        }
    }
}

/// Prints the text or the object of a report.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    stdout::write(text).map_err(|error| {
        let message = "Could not write the result to stdout; the work itself is done";
        Failure::refused(ErrorId::OutputFailed, message).because(&error)
    })
}

/// Returns the counts of a comparison: `12 new, 1,828 changed, 3 removed`.
pub(crate) fn changes(new: u64, changed: u64, removed: u64) -> String {
    format!("{} new, {} changed, {} removed", Count(new), Count(changed), Count(removed))
}

/// Aligned lines of a label and a text, for the block below a headline. A text stays on its line, whatever a server put
/// into it.
#[derive(Default)]
pub(crate) struct Block(Vec<(&'static str, String)>);

impl Block {
    /// Adds a line.
    #[expect(clippy::needless_pass_by_value, reason = "callers make the text in place")]
    pub(crate) fn line(&mut self, label: &'static str, text: impl ToString) -> &mut Block {
        self.0.push((label, one_line(&text.to_string())));
        self
    }

    /// Adds a line if there is a text.
    pub(crate) fn line_if(&mut self, label: &'static str, text: Option<impl ToString>) -> &mut Block {
        if let Some(text) = text {
            self.line(label, text);
        }
        self
    }

    /// Returns the lines, with all texts in one column.
    pub(crate) fn text(&self) -> String {
        let width = self.0.iter().map(|(label, _)| label.len()).max().unwrap_or_default();
        let lines = self.0.iter().map(|(label, text)| format!("  {label:width$}  {text}\n"));
        lines.collect()
    }
}

#[cfg(test)]
mod tests {
    use engine::path::is_unprintable;
    use engine::report::{
        AcquireReport, ChangesReport, CleanupReport, DiffReport, DiskDiffReport, DiskUseReport, LockReport,
        MakingReport, PinReport, PreviewReport, ReleaseReport, ReleasesReport, RunsReport, SetupReport,
        SharedListReport, SharedWriteReport, SizedPath, SizesReport, StatusReport, TrafficReport, TreeReport,
        UnlockReport,
    };
    use engine::report::{Change, ChangedPath, DeployReport, DeployState, Seconds};
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;

    /// Clears the screen, sets a title, and begins a line of ours and one beside it.
    const EVIL: &str = "x\x1b[2J\u{9b}2J\x1b]0;t\x07\r\nRelease 9 is live\n  check  as deployed\u{202e}\u{2028}";

    /// Puts the evil text into each text of a value that may have it.
    fn spoil<T: DeserializeOwned>(value: &Value) -> Value {
        let mut spoiled = value.clone();
        for path in texts(value, "") {
            let before = std::mem::replace(spoiled.pointer_mut(&path).unwrap(), EVIL.into());
            if serde_json::from_value::<T>(spoiled.clone()).is_err() {
                *spoiled.pointer_mut(&path).unwrap() = before;
            }
        }
        spoiled
    }

    /// Returns the places of all texts.
    fn texts(value: &Value, at: &str) -> Vec<String> {
        match value {
            Value::String(_) => vec![at.to_owned()],
            Value::Array(values) => {
                values.iter().enumerate().flat_map(|(index, value)| texts(value, &format!("{at}/{index}"))).collect()
            }
            Value::Object(fields) => {
                fields.iter().flat_map(|(name, value)| texts(value, &format!("{at}/{name}"))).collect()
            }
            _ => Vec::new(),
        }
    }

    fn check_texts(plain: &impl Report, evil: &impl Report) {
        let plain = plain.text(Palette::plain(), true);
        let evil = evil.text(Palette::plain(), true);
        let unprintable = evil.chars().find(|&character| is_unprintable(character) && character != '\n');
        assert_eq!(unprintable, None, "{evil}");
        assert_eq!(evil.lines().count(), plain.lines().count(), "{evil}");
    }

    fn check<T: Report + DeserializeOwned>(value: &Value) {
        let plain: T = serde_json::from_value(value.clone()).unwrap();
        let spoiled = spoil::<T>(value);
        assert_ne!(spoiled, *value);
        check_texts(&plain, &serde_json::from_value::<T>(spoiled).unwrap());
    }

    fn release() -> Value {
        json!({
            "id": "1", "state": "live", "live_since": 1, "created": 1, "commit": "c", "branch": "b", "dirty": true,
            "files": 1, "bytes": 1, "own_bytes": 1, "who": "w", "manifest": "m", "migrations": ["m"],
            "bad": { "reason": "r", "at": 1, "by": "b", "left_for": null },
            "pinned": { "until": null, "note": "n", "by": "b" },
        })
    }

    fn holder() -> Value {
        json!({
            "who": "w", "from": "f", "since": 1, "pid": 1, "verb": "v", "commit": "c", "job": "j", "hook": "h",
        })
    }

    fn manual_lock() -> Value {
        json!({ "who": "w", "from": "f", "since": 1, "message": "m" })
    }

    #[test]
    fn no_text_of_a_server_moves_the_cursor_or_adds_a_line() {
        let summary = json!({ "id": "1", "commit": "c", "age": 1, "who": "w" });
        let differences = json!({ "releases": ["1"], "paths": [{ "path": "p", "kind": "mode" }], "total": 1 });
        check::<SetupReport>(&json!({ "deploy_path": "/p", "store": "s", "created": ["c"], "warnings": [] }));
        check::<ReleasesReport>(&json!({ "releases": [release()], "foreign": ["f"], "warnings": [] }));
        check::<LockReport>(&json!({
            "deploy_path": "/p", "lock": holder(), "manual_lock": manual_lock(), "warnings": [],
        }));
        check::<AcquireReport>(&json!({ "deploy_path": "/p", "manual_lock": manual_lock(), "warnings": [] }));
        check::<UnlockReport>(&json!({ "deploy_path": "/p", "removed": manual_lock(), "warnings": [] }));
        check::<PinReport>(&json!({
            "release": "1", "pinned": { "until": null, "note": "n", "by": "b" }, "before": null, "warnings": ["w"],
        }));
        check::<CleanupReport>(&json!({
            "dry_run": false, "removed": ["1"], "kept": [{ "id": "2", "reason": "r" }], "objects_removed": 1,
            "freed_bytes": 1, "freed_inodes": 1, "left_names": 1, "warnings": [],
        }));
        let usage = json!({ "bytes": 1, "inodes": 1 });
        check::<DiskUseReport>(&json!({
            "deploy_path": "/p", "objects": 1, "store": usage, "trees": usage, "shared": usage, "cache": usage,
            "staging": usage, "trash": usage, "spare": "1", "records": usage, "removed": ["1"], "foreign": usage,
            "original": usage, "other": usage, "total": usage, "free_bytes": 1, "free_inodes": 1, "warnings": ["w"],
            "releases": [{ "id": "1", "state": "live", "files": 1, "bytes": 1, "own": usage, "shared": usage }],
        }));
        check::<DiskDiffReport>(&json!({
            "release": "1", "live": true, "content": true, "paths_left_out": 1, "warnings": ["w"],
            "paths": [{ "path": "p", "kind": "added", "bytes_before": null, "bytes_after": 1 }],
        }));
        check::<SharedListReport>(&json!({
            "paths": [{ "path": "p", "kind": "file", "bytes": 1, "mode": "0600", "linked": true }],
            "paths_left_out": 1, "warnings": [],
        }));
        check::<SharedWriteReport>(&json!({
            "path": "p", "written": true, "created": true, "bytes": 1, "mode": "0600", "warnings": [],
        }));
        check::<RunsReport>(&json!({
            "runs": [{
                "run": 1, "began": 1.0, "ended": 2.0, "verb": "v", "who": "w", "previous": "1", "live": "2",
                "error": "e", "is_heard": true,
            }],
            "warnings": [],
        }));
        check::<engine::report::SwitchReport>(&json!({
            "release": "1", "previous": "2", "switched": true, "from": summary, "to": summary,
            "differences": [differences], "warnings": [],
        }));
        check::<StatusReport>(&json!({
            "deploy_path": "/p", "current_path": "/c", "link": "release", "live": release(), "broken": null,
            "rollback": "1", "forward": null, "trial": null, "lock": holder(), "manual_lock": manual_lock(), "releases": 1,
            "store_objects": 1, "store_bytes": 1, "staging_bytes": 0, "spare": null, "free_bytes": 1,
            "free_inodes": null, "store": "s", "foreign": ["f"], "warnings": [],
            "comparison": { "releases": ["1"], "content": true, "differences": [differences] },
        }));
    }

    #[test]
    fn one_long_text_does_not_widen_a_table() {
        let many = |long: &str| {
            let long_one = ReleaseReport { branch: Some(long.into()), ..serde_json::from_value(release()).unwrap() };
            let mut releases = vec![ReleaseReport { branch: None, bad: None, pinned: None, ..long_one.clone() }; 1000];
            releases.push(long_one);
            let report = ReleasesReport { releases, foreign: Vec::new(), warnings: Vec::new() };
            report.text(Palette::plain(), false).len()
        };
        assert!(many(&"x".repeat(100_000)) < many("x") + 100_000);
    }

    #[test]
    fn no_text_of_a_server_in_the_report_of_a_deploy_or_in_a_difference_adds_a_line() {
        let deploy = |text: &str| {
            let text = || text.to_owned();
            let making = json!({
                "objects_new": 1, "objects_linked": 1, "reused": null, "not_reused": text(),
                "copied": { text(): 1, "carry_over": 1 }, "seeded": [{ "path": text(), "files": 1 }],
                "carried": [text()],
            });
            DeployReport {
                release: None,
                previous: None,
                state: DeployState::Live,
                dry_run: true,
                tree: TreeReport::default(),
                changes: ChangesReport::default(),
                traffic: TrafficReport::default(),
                making: serde_json::from_value::<MakingReport>(making).unwrap(),
                removed: Vec::new(),
                preview: Some(PreviewReport {
                    new: SizesReport { bytes: 1, largest: vec![SizedPath { path: text(), bytes: 1 }] },
                    ..PreviewReport::default()
                }),
                hooks: vec![text()],
                edited: None,
                warnings: Vec::new(),
                seconds: Seconds::default(),
            }
        };
        check_texts(&deploy("x"), &deploy(EVIL));
        let diff = |text: &str| DiffReport {
            before: text.to_owned(),
            paths: vec![ChangedPath {
                path: text.to_owned(),
                from: Some(text.to_owned()),
                change: Change::Moved,
                bytes_before: None,
                bytes_after: None,
            }],
            ..DiffReport::default()
        };
        check_texts(&diff("x"), &diff(EVIL));
    }
}
