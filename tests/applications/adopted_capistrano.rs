//! A site that the real Capistrano deploys over a real `sshd`, behind nginx and PHP-FPM, is taken over while visitors use it, and
//! goes back to Capistrano.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::adopt;
use crate::support::capistrano;
use crate::support::git::git;
use crate::support::nginx::Nginx;
use crate::support::php::Php;
use crate::support::site::Site;
use crate::support::sshd::{HOST, Sshd, is_root, run};
use crate::support::tree;
use crate::support::visitor::wait_for;

use super::adopted::{PAGES, assert_uploaded, visit, write};

/// The checkout, and the repository on the server.
struct Project<'a> {
    site: &'a Site,
    repository: PathBuf,
    user: &'a str,
}

impl Project<'_> {
    /// Writes the configuration of Capistrano.
    fn configure(&self, sshd: &Sshd) {
        let server = format!(
            "'{HOST}', roles: %w{{app}}, user: '{}', ssh_options: {{ config: '{1}/config', keys: ['{1}/id_ed25519'], \
             keys_only: true, user_known_hosts_file: ['{1}/known_hosts'] }}",
            self.user,
            sshd.client(".ssh").display()
        );
        capistrano::configure(self.site, &server, &self.repository, "");
    }

    /// Deploys a version.
    fn deploy(&self, version: u32) {
        let source = self.site.path("source");
        write(&source, version);
        capistrano::commit(self.site);
        if self.repository.exists() {
            fs::remove_dir_all(&self.repository).unwrap();
        }
        git(&source, &["clone", "-q", "--bare", ".", self.repository.to_str().unwrap()]);
        own(self.user, &self.repository);
        capistrano::deploy(self.site);
    }
}

fn own(user: &str, path: &Path) {
    run(Command::new("chown").arg("-R").arg(format!("{user}:")).arg(path));
}

#[test]
fn a_live_site_of_capistrano_is_taken_over_goes_back_to_its_releases_and_no_request_fails() {
    if !is_root() {
        return;
    }
    let mut sshd = Sshd::start();
    let user = sshd.add_user("/bin/bash");
    let site = Site::over(&sshd, &user);
    tree::set_mode(sshd.home(&user), 0o755);
    site.write_shared(".env", "KEY=1");
    fs::create_dir_all(site.target("shared/public/uploads")).unwrap();
    own(&user, &site.target(""));
    let project = Project { site: &site, repository: sshd.home(&user).join("shop.git"), user: &user };
    project.configure(&sshd);
    project.deploy(1);
    project.deploy(2);
    let php = Php::start(&site);
    let nginx = Nginx::start(&site.path("nginx"), |port| php.server_block(&site, port));
    let port = nginx.port;
    wait_for(port, PAGES[1]);
    let load = visit(port, &site.target("current"));
    let adopted = adopt::adopt(&site, &["--yes"]).succeeded();
    assert_eq!((adopted["tool"].as_str(), adopted["releases"].as_array().unwrap().len()), (Some("Capistrano"), 2));
    write(&site.path("source"), 1);
    site.deploy(&[]);
    wait_for(port, PAGES[0]);
    site.succeed(&["rollback", "--yes"]);
    wait_for(port, PAGES[1]);
    site.succeed(&["rollback", "--yes"]);
    wait_for(port, PAGES[0]);
    site.succeed(&["adopt", "--undo", "--yes"]);
    wait_for(port, PAGES[1]);
    project.deploy(1);
    wait_for(port, PAGES[0]);
    let kept = load.end("Capistrano, taken over", 200, 20);
    assert_uploaded(&site.target("shared/public/uploads"), kept);
}
