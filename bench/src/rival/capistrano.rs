//! Capistrano, as its own guide has it: a repository that the server can reach, from which it keeps a mirror, and
//! `git archive` into a new release.
//!
//! The repository stands on the server's machine, so that the mirror costs no line; the push to it is part of the
//! deploy. Capistrano's SSH is Ruby's own (net-ssh), and with keys as the bench makes them needs its `ed25519` library.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Context, Result};
use crate::lab::{Lab, Line};
use crate::record::Sample;
use crate::rival::{first_line, history, is_deploy, keep, repository, shell, take_back, word};
use crate::scenario::Scenario;
use crate::tool::{Change, Place, Tool};
use crate::tree::Tree;
use crate::verify;

const CAPFILE: &str = "require 'capistrano/setup'\nrequire 'capistrano/deploy'\nrequire 'capistrano/scm/git'\n\
                       install_plugin Capistrano::SCM::Git\n";

/// Capistrano with its git plugin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Capistrano;

impl Tool for Capistrano {
    fn name(&self) -> &'static str {
        "capistrano"
    }

    fn title(&self) -> String {
        "capistrano".to_owned()
    }

    fn version(&self) -> Option<String> {
        Some(format!("{}, {}", first_line("cap", &["--version"])?, first_line("git", &["--version"])?))
    }

    fn joins(&self, scenario: Scenario) -> bool {
        is_deploy(scenario)
    }

    fn set_up(&self, lab: &Lab, place: &Place) -> Result<()> {
        lab.make_directory(&repository(&place.server))?;
        lab.on_server(&format!("git init -q --bare {}", word(&origin(place)))).map(drop)
    }

    fn deploy(&self, lab: &Lab, tree: &Tree, place: &Place, line: Line) -> Result<Sample> {
        write_settings(lab, place)?;
        let origin = origin(place);
        let commit = history::commit(lab, tree, &word(&origin))?;
        let push = history::push(lab, &commit, &lab.remote(&origin), &lab.remote_shell(line));
        let config = lab.ssh_config(line).map(|config| format!("SSH_CONFIG={} ", word(&config))).unwrap_or_default();
        // Ruby wants to know that what it prints is UTF-8.
        let deploy = format!("cd {} && {config}LC_ALL=C.UTF-8 cap production deploy", word(&place.client));
        let (_, sample) = lab.measure(&shell(&format!("{push}; {deploy}")), line)?;
        keep(lab, place, line)?;
        Ok(sample)
    }

    fn release(&self, lab: &Lab, place: &Place) -> Result<PathBuf> {
        let link = word(&site(place).join("current"));
        lab.on_server(&format!("readlink -f {link}")).map(PathBuf::from)
    }

    fn undo(&self, lab: &Lab, place: &Place) -> Result<bool> {
        take_back(lab, place)
    }

    fn check(&self, lab: &Lab, change: Change<'_>, place: &Place, _sample: &Sample) -> Result<()> {
        let release = self.release(lab, place)?;
        // It holds the commit, and is not in the tree.
        lab.on_server(&format!("rm {}", word(&release.join("REVISION"))))?;
        verify::ensure_same(lab, &change.next.path, &release)
    }
}

/// Returns where releases are made, and the mirror.
fn site(place: &Place) -> PathBuf {
    repository(&place.server).join("site")
}

/// Returns the repository that is pushed to.
fn origin(place: &Place) -> PathBuf {
    repository(&place.server).join("origin.git")
}

/// Writes what stands in the developer's repository, on whichever machine.
fn write_settings(lab: &Lab, place: &Place) -> Result<()> {
    let stages = place.client.join("config/deploy");
    fs::create_dir_all(&stages).context(|| format!("Could not create `{}`", stages.display()))?;
    write(&place.client.join("Capfile"), CAPFILE)?;
    write(&place.client.join("config/deploy.rb"), &settings(lab, place))?;
    write(&stages.join("production.rb"), "")
}

fn settings(lab: &Lab, place: &Place) -> String {
    let (origin, site) = (origin(place), site(place));
    format!(
        "set :application, 'site'\nset :repo_url, '{}'\nset :branch, '{}'\nset :deploy_to, '{}'\nset :tmp_dir, '{}'\n\
         set :keep_releases, 3\nset :ssh_options, {{ config: ENV['SSH_CONFIG'] ? [ENV['SSH_CONFIG']] : true }}\n\
         server '{}', roles: %w[app]\n",
        origin.display(),
        history::BRANCH,
        site.display(),
        place.server.display(),
        lab.host(),
    )
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).context(|| format!("Could not write `{}`", path.display()))
}
