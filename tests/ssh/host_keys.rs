//! Host keys: which are known, and what is said of the others.

use std::fs;
use std::process::Command;

use crate::support::sshd::{HOST, Sshd, is_root, keygen, run};

use super::server;

#[test]
fn an_unknown_host_key_is_refused_with_its_fingerprint() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    let key = sshd.client("host_key.pub");
    fs::write(&key, sshd.host_key()).unwrap();
    let listed = run(Command::new("ssh-keygen").arg("-lf").arg(&key));
    let fingerprint = listed.split(' ').nth(1).unwrap();
    fs::remove_file(sshd.client(".ssh/known_hosts")).unwrap();
    let name = format!("The host key of `[127.0.0.1]:{}` is not known: ssh-ed25519 {fingerprint}", sshd.port());
    let command = format!("ssh -F {} ", sshd.client(".ssh/config").display());
    sshd.setup(&user, "shop").fails(1, &[&name, &command, &format!("{user}@{HOST} true")]);
    assert!(!sshd.client(".ssh/known_hosts").exists());
    assert!(!sshd.home(&user).join("shop").exists());
}

#[test]
fn a_changed_host_key_is_refused() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    keygen(&sshd.client("other"));
    let other = fs::read_to_string(sshd.client("other.pub")).unwrap();
    sshd.know(&other);
    let words = ["has changed: it is now ssh-ed25519 SHA256:", "ssh-keygen -R '[127.0.0.1]:", "known_hosts"];
    sshd.setup(&user, "shop").fails(1, &words);
    sshd.configure("StrictHostKeyChecking accept-new");
    sshd.setup(&user, "shop").fails(1, &words);
    sshd.configure("StrictHostKeyChecking no");
    sshd.setup(&user, "shop").succeeds();
}

#[test]
fn a_revoked_host_key_is_refused() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    let known = format!("@revoked * {}\n[127.0.0.1]:{} {}", sshd.host_key(), sshd.port(), sshd.host_key());
    fs::write(sshd.client(".ssh/known_hosts"), known).unwrap();
    sshd.configure("StrictHostKeyChecking no");
    sshd.setup(&user, "shop").fails(1, &["was revoked in"]);
}

#[test]
fn a_new_host_key_is_added_where_the_configuration_says_so() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    let known_hosts = sshd.client(".ssh/known_hosts");
    fs::remove_file(&known_hosts).unwrap();
    sshd.configure("StrictHostKeyChecking accept-new");
    sshd.setup(&user, "shop").succeeds();
    let added = fs::read_to_string(&known_hosts).unwrap();
    sshd.configure("");
    sshd.setup(&user, "shop").succeeds();
    assert_eq!(fs::read_to_string(&known_hosts).unwrap(), added);
    // OpenSSH reads it the same way.
    let config = sshd.client(".ssh/config");
    run(Command::new("ssh").arg("-F").arg(config).args(["-o", "BatchMode=yes", &format!("{user}@{HOST}"), "true"]));
}

#[test]
fn a_hashed_known_hosts_is_read() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    run(Command::new("ssh-keygen").arg("-Hf").arg(sshd.client(".ssh/known_hosts")));
    assert!(fs::read_to_string(sshd.client(".ssh/known_hosts")).unwrap().starts_with("|1|"));
    sshd.setup(&user, "shop").succeeds();
}

#[test]
fn a_host_key_is_known_without_the_port() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    keygen(&sshd.client("other"));
    let (right, other) = (sshd.host_key(), fs::read_to_string(sshd.client("other.pub")).unwrap());
    let known = sshd.client(".ssh/known_hosts");
    let port = sshd.port();
    fs::write(&known, format!("127.0.0.1 {right}")).unwrap();
    sshd.setup(&user, "shop").succeeds();
    run(Command::new("ssh-keygen").arg("-Hf").arg(&known));
    sshd.setup(&user, "shop").succeeds();
    fs::write(&known, format!("127.0.0.1 {other}")).unwrap();
    sshd.setup(&user, "shop").fails(1, &["is not known"]);
    fs::write(&known, format!("127.0.0.1 {right}\n[127.0.0.1]:{port} {other}")).unwrap();
    sshd.setup(&user, "shop").fails(1, &["has changed"]);
    fs::write(&known, format!("alias {right}")).unwrap();
    sshd.setup(&user, "shop").fails(1, &["is not known"]);
    sshd.configure("HostKeyAlias alias");
    sshd.setup(&user, "shop").succeeds();
    let further = sshd.client("further");
    fs::write(&further, format!("[127.0.0.1]:{port} {right}")).unwrap();
    fs::remove_file(&known).unwrap();
    sshd.configure(&format!("UserKnownHostsFile {} {}", known.display(), further.display()));
    sshd.setup(&user, "shop").succeeds();
}

/// The server's certificate is checked by the system's `ssh`, and only where nothing simpler does.
#[test]
fn an_authority_vouches_for_a_host_key() {
    if !is_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (authority, key) = (directory.path().join("authority"), directory.path().join("key"));
    keygen(&authority);
    keygen(&key);
    let signing = ["-q", "-h", "-s", authority.to_str().unwrap(), "-I", "shop", "-n", "127.0.0.1"];
    run(Command::new("ssh-keygen").args(signing).arg(key.with_extension("pub")));
    let certified = format!("HostKey {0}\nHostCertificate {0}-cert.pub", key.display());
    let mut sshd = Sshd::start_with(&certified);
    let user = sshd.add_user("/bin/bash");
    let known = sshd.client(".ssh/known_hosts");
    // A server that shows a certificate first is known by its key too.
    sshd.setup(&user, "shop").succeeds();
    let by = fs::read_to_string(authority.with_extension("pub")).unwrap();
    fs::write(&known, format!("@cert-authority 127.0.0.1,[127.0.0.1]:* {by}")).unwrap();
    sshd.setup(&user, "shop").succeeds();
    fs::write(&known, format!("@cert-authority elsewhere {by}")).unwrap();
    sshd.setup(&user, "shop").fails(1, &["is not known"]);
}
