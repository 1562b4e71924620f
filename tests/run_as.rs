//! `run_as`: people with their own accounts deploy to one path, which belongs to another user, through a real `sudo`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::support::person::Person;
use crate::support::real_tree::noise;
use crate::support::site::{Site, names, text};
use crate::support::sshd::{Sshd, is_root};
use crate::support::sudoers::Sudoers;
use crate::support::tree;

/// A site of a user of the server that logs in, at a path in the home of another one.
fn site_of(sshd: &Sshd, login: &str, owner: &str) -> Site {
    let mut site = Site::over(sshd, login);
    site.move_on_server(login, &sshd.home(owner).join("site"));
    site.configure(&format!("run_as = '{owner}'\nkeep_releases = 10\n"));
    site
}

#[test]
fn two_people_with_their_own_accounts_deploy_to_one_path() {
    if !is_root() {
        return;
    }
    let mut sshd = Sshd::start();
    let [anna, bert, owner] = ["/bin/sh", "/bin/bash", "/bin/sh"].map(|shell| sshd.add_user(shell));
    // Nobody else may enter the homes.
    for user in [&anna, &bert] {
        tree::set_mode(sshd.home(user), 0o700);
    }
    tree::set_mode(sshd.home(&owner), 0o755);
    let site = site_of(&sshd, &anna, &owner);
    site.write("file", "one");
    site.write("large", noise(1, 3 << 20));
    let rule = format!("`{anna} ALL=({owner}) NOPASSWD: ALL`");
    site.cutover(&["deploy"])
        .failed(1, &[&format!("`shop` does not run the agent as `{owner}`: sudo: a password is"), &rule]);
    let _sudoers =
        Sudoers::write(&anna, &format!("{anna} ALL=({owner}) NOPASSWD: ALL\n{bert} ALL=({owner}) NOPASSWD: ALL\n"));
    site.deploy(&["--dry-run"]);
    assert!(!site.target("").exists());
    let first = site.deploy_and_compare(&["--lanes", "3"]);
    let uid = fs::metadata(sshd.home(&owner)).unwrap().uid();
    for path in ["", "releases", "current/file", ".cutover", ".cutover/bin"] {
        assert_eq!(fs::metadata(site.target(path)).unwrap().uid(), uid, "{path}");
    }
    // The other one sends only what is new, with the agent that stands there.
    let other = site_of(&sshd, &bert, &owner);
    fs::remove_dir_all(other.path("source")).unwrap();
    fs::rename(site.path("source"), other.path("source")).unwrap();
    other.write("file", "two");
    let second = other.deploy_and_compare(&[]);
    assert_eq!(names(&other.target("releases")), [first.clone(), second]);
    assert_eq!(names(&other.target(".cutover/bin")).len(), 1);
    assert_eq!(tree::stat(&site.release(&first).join("large")).inode, tree::stat(&other.current("large")).inode);
    assert_eq!(text(&site.succeed(&["rollback"])["release"]), first);
    // Without `run_as` the path is another user's.
    let mut without = Site::over(&sshd, &bert);
    without.move_on_server(&bert, &sshd.home(&owner).join("site"));
    without.write("file", "three");
    without.cutover(&["deploy"]).failed(1, &[&format!("belongs to `{owner}`")]);
}

#[test]
fn a_user_that_sudo_does_not_know_or_does_not_allow_is_named_with_the_way_out() {
    if !is_root() {
        return;
    }
    let mut sshd = Sshd::start();
    let (anna, owner) = (sshd.add_user("/bin/sh"), sshd.add_user("/bin/sh"));
    let mut site = site_of(&sshd, &anna, &owner);
    site.write("file", "one");
    let _sudoers = Sudoers::write(&anna, &format!("{anna} ALL=(root) NOPASSWD: /bin/true\n"));
    site.cutover(&["deploy"])
        .failed(1, &["does not run the agent as", &format!("`{anna} ALL=({owner}) NOPASSWD: ALL`")]);
    site.configure("run_as = 'no-such-user'\n");
    site.cutover(&["deploy"])
        .failed(1, &["as `no-such-user`: sudo: unknown user", "Correct `run_as`, or make the user"]);
    site.configure("run_as = '-u root'\n");
    site.cutover(&["deploy"]).failed(2, &["line 1: `run_as` must be a name"]);
    let mut local = Site::new();
    local.configure("run_as = 'deploy'\n");
    local.cutover(&["deploy"]).failed(2, &["`run_as` needs a server"]);
}

#[test]
fn a_path_from_the_login_directory_begins_at_the_home_of_the_user_that_runs_the_agent() {
    if !is_root() {
        return;
    }
    let mut sshd = Sshd::start();
    let (anna, owner) = (sshd.add_user("/usr/bin/fish"), sshd.add_user("/bin/sh"));
    tree::set_mode(sshd.home(&anna), 0o700);
    tree::set_mode(sshd.home(&owner), 0o755);
    let mut site = Site::over_at(&sshd, &anna, &PathBuf::from("site"), sshd.home(&owner).join("site"));
    site.configure(&format!("run_as = '{owner}'\n"));
    let _sudoers = Sudoers::write(&anna, &format!("{anna} ALL=({owner}) NOPASSWD: ALL\n"));
    site.write("file", "one");
    site.deploy_and_compare(&[]);
    site.write("file", "two");
    site.deploy_and_compare(&[]);
}

#[test]
fn a_shell_opens_as_the_user_that_runs_the_agent() {
    if !is_root() {
        return;
    }
    let mut sshd = Sshd::start();
    let [anna, owner] = ["/usr/bin/fish", "/usr/sbin/nologin"].map(|shell| sshd.add_user(shell));
    for user in [&anna, &owner] {
        tree::set_mode(sshd.home(user), 0o700);
    }
    let site = site_of(&sshd, &anna, &owner);
    let _sudoers = Sudoers::write(&anna, &format!("{anna} ALL=({owner}) NOPASSWD: ALL\n"));
    site.write("file", "one");
    site.deploy(&[]);
    let mut person = Person::run(&site.command(&["ssh"]));
    person.types("echo $(whoami)-in-$(pwd); exit 7\n");
    let (code, screen) = person.ends();
    assert_eq!(code, Some(7), "{screen}");
    assert!(screen.contains(&format!("{owner}-in-{}", site.target("current").display())), "{screen}");
}
