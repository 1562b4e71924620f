//! `host_key`: a pinned key decides alone whether a server is the right one, with both SSH clients.

use std::fs;
use std::process::Command;

use crate::support::person::Person;
use crate::support::site::Site;
use crate::support::sshd::{HOST, Outcome, Sshd, is_root, keygen, run};

/// A server with a user, and the key of another one.
struct Place {
    sshd: Sshd,
    user: String,
}

impl Place {
    fn start(more: &str) -> Option<Place> {
        is_root().then(|| {
            let mut sshd = Sshd::start_with(more);
            let user = sshd.add_user("/bin/bash");
            keygen(&sshd.client("other"));
            Place { sshd, user }
        })
    }

    fn other_key(&self) -> String {
        fs::read_to_string(self.sshd.client("other.pub")).unwrap()
    }

    /// Runs `setup` with these pinned keys.
    fn setup(&self, keys: &[&str], transport: &str) -> Outcome {
        let config = self.sshd.client("cutover.toml");
        let keys: Vec<String> = keys.iter().map(|key| format!("'{}'", key.trim())).collect();
        let user = &self.user;
        let text =
            format!("host = '{HOST}'\nuser = '{user}'\ndeploy_path = 'shop'\nhost_key = [{}]\n", keys.join(", "));
        fs::write(&config, text).unwrap();
        self.sshd.cutover(&["setup", "--config", config.to_str().unwrap(), "--transport", transport])
    }

    /// Returns the fingerprint of a key in a file of the client.
    fn fingerprint(&self, key: &str) -> String {
        let file = self.sshd.client("shown.pub");
        fs::write(&file, key).unwrap();
        let listed = run(Command::new("ssh-keygen").arg("-lf").arg(&file));
        listed.split(' ').nth(1).unwrap().to_owned()
    }
}

#[test]
fn a_pinned_key_needs_no_known_hosts() {
    let Some(place) = Place::start("") else { return };
    let known_hosts = place.sshd.client(".ssh/known_hosts");
    let key = place.sshd.host_key();
    for transport in ["ssh2", "openssh"] {
        fs::remove_file(&known_hosts).ok();
        place.setup(&[&key], transport).succeeds();
        place.setup(&[&place.other_key(), &key], transport).succeeds();
        assert!(!known_hosts.exists());
        // Another key in `known_hosts` does not count.
        place.sshd.know(&place.other_key());
        place.setup(&[&key], transport).succeeds();
    }
}

#[test]
fn a_key_that_is_not_pinned_is_refused_with_both_fingerprints() {
    let Some(place) = Place::start("") else { return };
    let (shown, pinned) = (place.fingerprint(&place.sshd.host_key()), place.fingerprint(&place.other_key()));
    let check = |transport: &str| {
        let words = [
            format!("{shown}, and the pinned one is ssh-ed25519 {pinned}"),
            "put it into `host_key`".to_owned(),
            format!("`{HOST}` shows the host key "),
        ];
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        place.setup(&[&place.other_key()], transport).fails(1, &words);
    };
    for transport in ["ssh2", "openssh"] {
        // The key in `known_hosts` is right, and does not count either.
        check(transport);
        place.sshd.configure("StrictHostKeyChecking no");
        check(transport);
        place.sshd.configure("");
    }
    assert!(!place.sshd.home(&place.user).join("shop").exists());
}

#[test]
fn the_kind_of_the_pinned_key_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let ecdsa = directory.path().join("ecdsa");
    run(Command::new("ssh-keygen").args(["-q", "-t", "ecdsa", "-N", "", "-f"]).arg(&ecdsa));
    let more = format!("HostKey {}", ecdsa.display());
    let Some(place) = Place::start(&more) else { return };
    let key = fs::read_to_string(ecdsa.with_extension("pub")).unwrap();
    for transport in ["ssh2", "openssh"] {
        place.setup(&[&key], transport).succeeds();
        place.setup(&[&place.sshd.host_key()], transport).succeeds();
    }
}

#[test]
fn a_shared_connection_does_not_stand_in_for_the_pinned_key() {
    let Some(place) = Place::start("") else { return };
    let socket = place.sshd.client("master");
    place.sshd.configure(&format!("ControlMaster auto\nControlPersist 60\nControlPath {}", socket.display()));
    let config = place.sshd.client(".ssh/config");
    let at = format!("{}@{HOST}", place.user);
    run(Command::new("ssh").arg("-F").arg(&config).args(["-o", "BatchMode=yes", &at, "true"]));
    assert!(socket.exists());
    place.setup(&[&place.other_key()], "openssh").fails(1, &["and the pinned one is ssh-ed25519"]);
    place.setup(&[&place.sshd.host_key()], "openssh").succeeds();
    run(Command::new("ssh").arg("-F").arg(&config).args(["-O", "exit", &at]));
}

#[test]
fn a_command_for_host_keys_is_not_asked() {
    let Some(place) = Place::start("") else { return };
    let proof = place.sshd.client("asked");
    let command = place.sshd.client("keys");
    let key = place.sshd.host_key();
    crate::support::program::write(
        &command,
        &format!("#!/bin/sh\ntouch {}\necho '* {}'\n", proof.display(), key.trim()),
    );
    place.sshd.configure(&format!("KnownHostsCommand {}", command.display()));
    place.setup(&[&place.other_key()], "auto").fails(1, &["and the pinned one is ssh-ed25519"]);
    assert!(!proof.exists());
    place.setup(&[&key], "auto").succeeds();
    assert!(!proof.exists());
}

/// The server on the way is known by `known_hosts`; its key is another one.
#[test]
fn a_proxy_is_not_checked_against_the_pinned_key() {
    let Some(place) = Place::start("") else { return };
    let (config, port) = (place.sshd.client(".ssh/config"), place.sshd.port());
    let mut jump = Sshd::start();
    let user = jump.add_user("/bin/bash");
    let known = place.sshd.client(".ssh/known_hosts");
    fs::write(&known, format!("[127.0.0.1]:{} {}", jump.port(), jump.host_key())).unwrap();
    let text = fs::read_to_string(&config).unwrap();
    let bastion = format!(
        "Host bastion\n HostName 127.0.0.1\n Port {}\n User {user}\n IdentityFile {}\n UserKnownHostsFile {}\n \
         GlobalKnownHostsFile none\n IdentityAgent none\n",
        jump.port(),
        jump.client(".ssh/id_ed25519").display(),
        known.display()
    );
    fs::write(
        &config,
        format!("{bastion}{}", text.replace(&format!("Port {port}"), &format!("Port {port}\n ProxyJump bastion"))),
    )
    .unwrap();
    place.setup(&[&place.sshd.host_key()], "auto").succeeds();
    place.setup(&[&place.other_key()], "auto").fails(1, &["and the pinned one is ssh-ed25519"]);
    fs::write(&known, "").unwrap();
    place.setup(&[&place.sshd.host_key()], "auto").fails(1, &["could not reach", "Host key verification failed"]);
}

#[test]
fn the_shell_of_a_person_accepts_a_pinned_key_alone() {
    let Some(place) = Place::start("") else { return };
    let site = Site::over(&place.sshd, &place.user);
    site.write("file", "1");
    site.deploy(&[]);
    let known_hosts = place.sshd.client(".ssh/known_hosts");
    let shell = |key: &str| {
        let mut ssh = site.command(&["ssh"]);
        ssh.arg("--set").arg(format!("host_key={}", key.trim()));
        let mut person = Person::run(&ssh);
        person.types("echo in-$(pwd); exit 7\n");
        person.ends()
    };
    fs::remove_file(&known_hosts).ok();
    let (code, screen) = shell(&place.sshd.host_key());
    assert_eq!(code, Some(7), "{screen}");
    assert!(screen.contains(&format!("in-{}", site.target("current").display())), "{screen}");
    assert!(!known_hosts.exists());
    place.sshd.know(&place.sshd.host_key());
    let (code, screen) = shell(&place.other_key());
    assert_eq!(code, Some(255), "{screen}");
    assert!(screen.contains("Host key verification failed."), "{screen}");
}
