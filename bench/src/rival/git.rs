//! `git push`, and a checkout on the server by its `post-receive` hook: the usual way to deploy with git alone.
//!
//! Its strength is the pack: deltas against what the server has, for the changed files only. Each release is a full
//! checkout, because git writes files anew. The hook saves a second login.

use std::path::PathBuf;

use crate::failure::Result;
use crate::lab::{Lab, Line};
use crate::record::Sample;
use crate::rival::{Releases, first_line, history, is_deploy, keep, repository, shell, take_back, word};
use crate::scenario::Scenario;
use crate::tool::{Place, Tool};
use crate::tree::Tree;

/// Makes the next release, with as many processes as there are processors. An index of its own: that of another release
/// would say nothing of these files.
const HOOK: &str = r#"#!/bin/sh
set -e
read -r old new ref
releases=$(cd ../releases && pwd)
release=$releases/$(($(ls "$releases" | sort -n | tail -n 1) + 1))
mkdir "$release"
export GIT_INDEX_FILE=$PWD/index-of-release
git --work-tree="$release" read-tree "$new"
git --work-tree="$release" -c checkout.workers=0 checkout-index -a -q -f
rm -f "$GIT_INDEX_FILE"
"#;

/// git alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Git;

impl Tool for Git {
    fn name(&self) -> &'static str {
        "git"
    }

    fn title(&self) -> String {
        "git push".to_owned()
    }

    fn version(&self) -> Option<String> {
        first_line("git", &["--version"])
    }

    fn joins(&self, scenario: Scenario) -> bool {
        is_deploy(scenario)
    }

    fn set_up(&self, lab: &Lab, place: &Place) -> Result<()> {
        Releases::create(lab, place)?;
        let repository = word(&repository(&place.server));
        lab.on_server(&format!(
            "git init -q --bare {repository}\ncat > {repository}/hooks/post-receive <<'END'\n{HOOK}END\n\
             chmod +x {repository}/hooks/post-receive"
        ))
        .map(drop)
    }

    fn deploy(&self, lab: &Lab, tree: &Tree, place: &Place, line: Line) -> Result<Sample> {
        Releases::make_way(lab, place)?;
        let repository = repository(&place.server);
        let commit = history::commit(lab, tree, &word(&repository))?;
        let push = history::push(lab, &commit, &lab.remote(&repository), &lab.remote_shell(line));
        let (_, sample) = lab.measure(&shell(&push), line)?;
        keep(lab, place, line)?;
        Ok(sample)
    }

    fn release(&self, lab: &Lab, place: &Place) -> Result<PathBuf> {
        Releases::newest_of(lab, place)
    }

    fn undo(&self, lab: &Lab, place: &Place) -> Result<bool> {
        take_back(lab, place)
    }
}
