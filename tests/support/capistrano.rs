//! The real Capistrano, which deploys what is committed in the source of a site.

use std::path::Path;
use std::process::Command;

use jiff::Timestamp;

use super::git::git;
use super::site::{Site, names};
use super::sshd::run;
use super::wait;

/// Makes a repository of the source, and writes the configuration: the server, the repository that it asks, and more lines.
pub(crate) fn configure(site: &Site, server: &str, repository: &Path, more: &str) {
    git(&site.path("source"), &["init", "-q"]);
    site.write(
        "Capfile",
        "require 'capistrano/setup'\nrequire 'capistrano/deploy'\nrequire 'capistrano/scm/git'\n\
         install_plugin Capistrano::SCM::Git\n",
    );
    site.write("config/deploy/production.rb", format!("server {server}\n"));
    let target = site.target("");
    let (home, name) = (target.parent().unwrap(), target.file_name().unwrap());
    site.write(
        "config/deploy.rb",
        format!(
            "set :application, 'shop'\nset :repo_url, 'file://{}'\nset :branch, 'main'\nset :deploy_to, '{}'\n\
             set :tmp_dir, '{}'\nset :local_user, 'anna'\nappend :linked_files, '.env'\n\
             append :linked_dirs, 'public/uploads'\n{more}",
            repository.display(),
            home.join(name).display(),
            home.display(),
        ),
    );
}

/// Commits the source.
pub(crate) fn commit(site: &Site) {
    git(&site.path("source"), &["add", "."]);
    git(&site.path("source"), &["commit", "-qm", "a version", "--allow-empty"]);
}

/// Deploys what the repository has.
pub(crate) fn deploy(site: &Site) {
    let releases = site.target("releases");
    if releases.exists() {
        // A release is named by its second.
        let newest = names(&releases).pop().unwrap_or_default();
        let now = || Timestamp::now().strftime("%Y%m%d%H%M%S").to_string();
        wait::until("the next release has another name", || (now() > newest).then_some(()));
    }
    let mut cap = Command::new("cap");
    cap.args(["production", "deploy"]).current_dir(site.path("source")).env("HOME", site.path("home"));
    run(&mut cap);
}
