//! Random trees and random edits of them, deployed in sequence: each release equals a plain copy of its source.
//!
//! The verbs run through the engine's public API: two thousand processes would take longer than the deploys.
//! `PROPTEST_CASES` sets the number of sequences; the default is 500.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use engine::cancel::Cancel;
use engine::event::Silent;
use engine::release::Provenance;
use engine::target::{Destination, Policy, Reach, Target};
use engine::{Context, DeployRequest, SourceRequest, SwitchTo};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::support::edits::{Edit, edit, memory};
use crate::support::tree::{Tree, assert_no_path_deceives};

/// What is done between two deploys beside edits.
#[derive(Debug, Clone, Copy)]
enum Between {
    Nothing,
    Rollback,
    AnotherClient,
}

fn steps() -> impl Strategy<Value = Vec<(Vec<Edit>, Between)>> {
    let between =
        prop_oneof![4 => Just(Between::Nothing), 1 => Just(Between::Rollback), 1 => Just(Between::AnotherClient)];
    prop::collection::vec((prop::collection::vec(edit(), 1..12), between), 3..6)
}

fn context(place: &Path, client: usize) -> Context {
    let destination = Destination::Local(place.join("target"));
    let policy = Policy { keep_releases: 10, grace: Duration::from_secs(3600), ..Policy::default() };
    Context {
        target: Target { destination, reach: Reach::default() },
        policy,
        procedure: Default::default(),
        provenance: Provenance {
            who: "tester".into(),
            from: "here".into(),
            commit: None,
            dirty: None,
            version: "0".into(),
        },
        state_dir: place.join(format!("state-{client}")),
        observer: Arc::new(Silent),
        cancel: Cancel::default(),
    }
}

fn check(steps: &[(Vec<Edit>, Between)]) {
    let place = tempfile::tempdir_in(memory()).unwrap();
    let source = place.path().join("source");
    fs::create_dir(&source).unwrap();
    let directory = SourceRequest { directory: source.clone(), ..SourceRequest::default() };
    let request = DeployRequest { source: directory, ..DeployRequest::default() };
    let mut client = 0;
    let mut copies: Vec<(PathBuf, Tree)> = Vec::new();
    for (edits, between) in steps {
        match between {
            Between::Nothing => {}
            Between::Rollback if copies.len() > 1 => {
                engine::switch(&context(place.path(), client), &SwitchTo::Back(None)).ok();
            }
            Between::Rollback => {}
            Between::AnotherClient => client = 1 - client,
        }
        for edit in edits {
            edit.apply(&source);
        }
        let report = engine::deploy(&context(place.path(), client), &request).unwrap();
        let copy = Tree::read(&source);
        copy.assert_equals(&Tree::read(&place.path().join("target/current")));
        let release = place.path().join("target/releases").join(report.release.unwrap().as_str());
        if !copies.iter().any(|(known, _)| *known == release) {
            copies.push((release, copy));
        }
    }
    // No later deploy has changed an earlier release.
    for (release, copy) in &copies {
        copy.assert_equals(&Tree::read(release));
    }
    assert_no_path_deceives(&copies.iter().map(|(release, _)| release).collect::<Vec<_>>());
}

#[test]
fn every_release_of_a_random_sequence_equals_a_plain_copy() {
    let cases = std::env::var("PROPTEST_CASES").map_or(500, |cases| cases.parse().unwrap());
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
    let outcome = TestRunner::new(config).run(&steps(), |steps| {
        std::panic::catch_unwind(|| check(&steps))
            .map_err(|panic| TestCaseError::fail(panic.downcast_ref::<String>().cloned().unwrap_or_default()))
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
