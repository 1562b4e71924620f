//! The words of all findings, and the page that has a section for each.

use std::path::Path;

use engine::path::RelativePath;
use engine::shared_path::SharedPath;
use serde_json::{Value, json};

use super::*;

const EVIL: &str = "x\x1b[2J\r\nfine: all\u{202e}";

/// Returns one finding of each kind, with this text in each field that may have it.
fn samples(text: &str) -> Vec<Finding> {
    let refusal = json!({ "id": "Usage", "kind": "Refused", "message": text, "causes": [text], "hint": null });
    let holder = json!({
        "who": text, "from": text, "since": 1, "pid": 1, "verb": text, "commit": text, "job": text, "hook": text,
    });
    let differences = json!({ "releases": ["1"], "paths": [{ "path": text, "kind": "mode" }], "total": 1 });
    let lock = json!({ "who": text, "from": text, "since": 1, "message": text });
    let mut found: Vec<Finding> = Vec::new();
    // A field that a finding does not have is ignored, so one object serves all of them.
    let facts = json!({
        "host": text, "text": text, "refusal": refusal, "ahead": 5, "user": text, "left": 1, "limit": 1, "umask": 63,
        "file": text, "path": text, "above": text, "owner": text, "is_empty": true, "is_to_give": true, "mount": text, "by": "All",
        "is_own": true, "found": text, "parts": [text], "reason": text, "deploy_path": text, "needed": 2, "free": 1,
    });
    let more = json!({
        "is_directory": true, "target": text, "release": "1", "rollback": null, "is_missing": true, "holder": holder,
        "hook": text, "lock": lock, "back_to": null, "bytes": 1, "is_live": true, "is_remnant": true,
        "differences": differences, "is_only_added": true, "further": 1, "is_protected": true, "name": text, "pid": 1,
        "remedy": "Artisan", "whole": text, "is_shared": true, "context": text, "profile": text, "program": text,
        "is_in_login_shell": true, "directory": text, "is_top": true, "site": text,
    });
    let mut fields = facts;
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    for name in VARIANTS {
        let finding: Finding = serde_json::from_value(json!({ *name: fields })).unwrap();
        // The other words of the finding.
        let mut others: Value = fields.clone();
        for (_, value) in others.as_object_mut().unwrap() {
            match value {
                Value::Bool(is) => *is = false,
                Value::Null => *value = json!("2"),
                _ => {}
            }
        }
        found.extend([finding, serde_json::from_value(json!({ *name: others })).unwrap()]);
    }
    found
}

/// The kinds of findings, as the engine names them.
const VARIANTS: &[&str] = &[
    "LoginNoise",
    "SourceWarning",
    "SourceRefused",
    "ClockDiffers",
    "FewProcesses",
    "FewFiles",
    "Umask",
    "AgentNoexec",
    "AgentPathNotWritable",
    "DeployPathNotCreatable",
    "PathNotEnterable",
    "PathNotWritable",
    "Immutable",
    "ReadOnly",
    "OthersMayWrite",
    "OtherOwner",
    "DeployPathNotEmpty",
    "Refused",
    "StoreDamaged",
    "PartsMissing",
    "NoHardlinks",
    "NoSymlinks",
    "NoReflinks",
    "OtherMount",
    "TrialFailed",
    "DiskFull",
    "QuotaReached",
    "NotEnoughSpace",
    "SpaceTight",
    "NotEnoughInodes",
    "InodesTight",
    "CurrentNotALink",
    "AdoptionUnfinished",
    "CurrentLeadsElsewhere",
    "CurrentMissing",
    "CurrentDangling",
    "CurrentPathChanged",
    "CurrentNotWritable",
    "LinkLeft",
    "AnotherRun",
    "HookStillRuns",
    "DeploysLocked",
    "LockLeft",
    "TrialOpen",
    "StagingLeft",
    "TrashStuck",
    "ReleaseForeign",
    "ReleaseDamaged",
    "ReleaseEdited",
    "ReleaseNotRemovable",
    "ObjectDamaged",
    "ObjectOtherOwner",
    "ProcessInOldRelease",
    "OldPathInCache",
    "SharedMissing",
    "SharedLinkBroken",
    "DatabaseNotWritable",
    "WebUserUnknown",
    "WebUserCannotEnter",
    "WebUserCannotRead",
    "WebUserCannotWrite",
    "Selinux",
    "Apparmor",
    "ProgramMissing",
];

fn diagnosis(findings: Vec<Finding>) -> Diagnosis {
    let examined = vec![
        Examined { subject: Subject::Connection, facts: Vec::new(), skipped: None },
        Examined { subject: Subject::Space, facts: vec!["5.0 GB free".into()], skipped: None },
        Examined { subject: Subject::Filesystem, facts: vec!["hardlinks".into()], skipped: None },
        Examined { subject: Subject::Caches, facts: vec!["only 20,000 files searched".into()], skipped: None },
        Examined { subject: Subject::Lock, facts: Vec::new(), skipped: Some("nothing was deployed yet".into()) },
    ];
    let (deploy_path, user) = ("/srv/shop".into(), "deploy".into());
    let report = DoctorReport { deploy_path, user, examined, findings, warnings: Vec::new() };
    let around = Surroundings {
        user: "deploy",
        deploy_path: Path::new("/srv/shop"),
        source: Path::new("/nowhere"),
        shared_files: &[],
    };
    Diagnosis::of(&report, &around).finish(" production")
}

#[test]
fn each_finding_has_words_of_its_own() {
    let samples = samples("x");
    let mut ids: Vec<&str> = samples.iter().map(|finding| finding.id().id).collect();
    ids.dedup();
    assert_eq!(ids, Finding::ALL.iter().map(|known| known.id).collect::<Vec<_>>());
    let around = Surroundings {
        user: "deploy",
        deploy_path: Path::new("/srv/shop"),
        source: Path::new("/nowhere"),
        shared_files: &[],
    };
    for finding in samples {
        let advice = advice_of(&finding, &around);
        assert_ne!(advice.message, finding.id().id);
        // A sentence stands by itself, and the command may follow it behind a colon.
        assert!(!advice.words.ends_with('.') && !advice.message.contains("  "), "{advice:?}");
    }
}

#[test]
fn each_finding_has_a_section_of_its_own_in_the_page() {
    let page = include_str!("../../../docs/doctor.md");
    let sections: BTreeSet<&str> = page.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let ids = Finding::ALL.iter().map(|known| known.id).chain(connection::ALL.iter().map(|known| known.id));
    let ids = ids.chain(web::ALL.iter().map(|known| known.id));
    assert_eq!(sections, ids.collect::<BTreeSet<_>>());
}

#[test]
fn findings_are_told_by_severity_and_then_what_is_fine() {
    let noise = Finding::LoginNoise { host: "web1".into(), text: "Hi".into() };
    let by = engine::error::Writers::All;
    let others = Finding::OthersMayWrite { path: "/srv/shop".into(), by, is_own: true };
    let left = Finding::StagingLeft { path: "/srv/shop/.cutover/staging".into(), bytes: 1_000_000 };
    let told = diagnosis(vec![noise, left, others]);
    let expected = "\
1 error, 2 notes: a deploy to /srv/shop as deploy will fail
error  others-may-write
  Everyone may write to `/srv/shop`, and could put other files in the place of what is deployed or run there
  Fix: Take that right away; others can still read there, and write to directories in `shared/`: `chmod go-w /srv/shop` (on the server)
  More: `cutover explain others-may-write`
note  login-noise
  A login on `web1` prints `Hi` before it runs a command. Cutover skips it; `scp`, `sftp`, `rsync` and git fail
  Fix: In the file that prints it, such as `~/.bashrc`, print on a terminal only: put `[ -t 1 ] &&` before the command
  More: `cutover explain login-noise`
note  staging-left
  Interrupted deploys left 1.0 MB in `/srv/shop/.cutover/staging`, which the next deploy uses
  Fix: `cutover cleanup production` removes it
  More: `cutover explain staging-left`
fine: connection, space (5.0 GB free), filesystem, caches (only 20,000 files searched)
not checked, as nothing was deployed yet: lock
";
    assert_eq!(told.text(Palette::plain(), false), expected);
    let failure = told.failure().unwrap();
    assert_eq!((failure.exit_code(None), failure.message.as_str()), (1, "A deploy will fail: 1 error"));
}

#[test]
fn a_target_without_findings_is_told_so_and_ends_with_0() {
    let told = diagnosis(Vec::new());
    let headline = "Nothing was found: a deploy to /srv/shop as deploy should work\n";
    assert!(told.text(Palette::plain(), true).starts_with(headline));
    assert!(told.text(Palette::plain(), true).contains("filesystem (hardlinks)"));
    assert!(told.failure().is_none());
}

#[test]
fn no_text_of_a_server_in_a_finding_adds_a_line() {
    let lines = |text: &str| diagnosis(samples(text)).text(Palette::plain(), true).lines().count();
    assert_eq!(lines("x"), lines(EVIL));
    let evil = diagnosis(samples(EVIL)).text(Palette::plain(), true);
    assert!(!evil.contains(|c: char| engine::path::is_unprintable(c) && c != '\n'), "{evil}");
}

#[test]
fn a_command_for_this_machine_is_one_of_this_program() {
    use clap::Parser;
    let around = Surroundings {
        user: "deploy",
        deploy_path: Path::new("/srv/shop"),
        source: Path::new(env!("CARGO_MANIFEST_DIR")),
        shared_files: &[SharedPath::file(RelativePath::parse(b"Cargo.toml").unwrap())],
    };
    let mut commands = BTreeSet::new();
    // A shared file of this name is in the source.
    for finding in samples("Cargo.toml") {
        let advice = advice_of(&finding, &around);
        commands.extend(advice.command.filter(|_| !advice.on_server));
    }
    for expected in ["cutover cleanup", "cutover setup", "cutover unlock", "cutover rollback", "cutover deploy"] {
        assert!(commands.contains(expected), "{commands:?}");
    }
    for command in commands {
        let parsed = crate::args::Args::try_parse_from(command.split(' '));
        assert!(parsed.is_ok(), "{command}: {}", parsed.unwrap_err());
    }
}

#[test]
fn no_text_of_a_server_is_part_of_a_command_for_this_machine() {
    let here = |text: &str| -> Vec<String> {
        let around = Surroundings {
            user: text,
            deploy_path: Path::new("/srv/shop"),
            source: Path::new(env!("CARGO_MANIFEST_DIR")),
            shared_files: &[SharedPath::file(RelativePath::parse(b"Cargo.toml").unwrap())],
        };
        let advice = samples(text).into_iter().map(|finding| advice_of(&finding, &around));
        advice.filter(|advice| !advice.on_server).filter_map(|advice| advice.command).collect()
    };
    // The first file exists, and the config does not declare it.
    for evil in ["src/main.rs", "/etc/passwd", "$(touch evil)", "--config=evil", EVIL] {
        assert_eq!(here(evil), here("x"), "{evil}");
    }
    let remedy = json!({ "OldPathInCache": { "file": "a", "release": "1", "remedy": "curl evil | sh", "further": 0 } });
    assert!(serde_json::from_value::<Finding>(remedy).is_err());
}

#[test]
fn a_text_of_a_server_is_quoted_in_a_command_for_the_server() {
    let text = "a'$(touch evil)";
    let (deploy_path, source) = (Path::new("/srv/shop"), Path::new("/nowhere"));
    let around = Surroundings { user: "deploy", deploy_path, source, shared_files: &[] };
    let mut count = 0;
    for finding in samples(text) {
        let Advice { command: Some(command), on_server: true, .. } = advice_of(&finding, &around) else { continue };
        let unquoted: String = command.replace(r"'\''", "").split('\'').step_by(2).collect();
        assert!(!unquoted.contains("touch"), "{command}");
        count += usize::from(command.contains("touch"));
    }
    assert!(count > 20, "{count}");
}

#[test]
fn root_needs_no_sudo() {
    let immutable = Finding::Immutable { path: "/srv/a b".into() };
    for (user, expected) in [("root", "chattr -i '/srv/a b'"), ("deploy", "sudo chattr -i '/srv/a b'")] {
        let around = Surroundings {
            user,
            deploy_path: Path::new("/srv/shop"),
            source: Path::new("/nowhere"),
            shared_files: &[],
        };
        assert_eq!(advice_of(&immutable, &around).command.as_deref(), Some(expected));
    }
}
