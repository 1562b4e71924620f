//! The ssh_config, as the built-in transport and the system's ssh obey it.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::sshd::HOST;
use crate::support::wait;

use super::server;

#[test]
fn algorithms_of_the_configuration_are_obeyed() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    let target = format!("{user}@{HOST}:shop");
    let check = |lines: &str, expected: &str| {
        sshd.configure(lines);
        let ran = sshd.cutover(&["setup", "-v", "--target", &target]);
        ran.succeeds();
        assert!(ran.stderr.contains(expected), "{expected:?} after {lines} is not in: {}", ran.stderr);
    };
    check("Ciphers aes256-gcm@openssh.com", "cipher aes256-gcm@openssh.com");
    check("Ciphers aes128-ctr,aes256-ctr", "cipher aes128-ctr");
    check("KexAlgorithms ecdh-sha2-nistp521", "key exchange ecdh-sha2-nistp521");
    check("KexAlgorithms sntrup761x25519-sha512@openssh.com", "Using the system's `ssh`: The key exchange that");
    sshd.configure("PubkeyAcceptedAlgorithms ecdsa-sha2-nistp256");
    let refused = sshd.setup(&user, "shop");
    refused.fails(1, &["id_ed25519`: `PubkeyAcceptedAlgorithms` leaves its kind out"]);
}

/// A deploy needs a plain session. What else the configuration asks for is left out by both transports.
#[test]
fn keywords_that_change_a_session_are_overruled() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    let target = format!("{user}@{HOST}:shop");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let marker = sshd.client("marker");
    let local = format!("PermitLocalCommand yes\nLocalCommand echo noise; touch {}", marker.display());
    let forwards =
        format!("LocalForward {port} localhost:80\nRemoteForward {port} localhost:80\nDynamicForward {port}");
    for lines in [
        "RemoteCommand uptime\nRequestTTY force",
        "StdinNull yes",
        "SessionType none",
        "ForkAfterAuthentication yes",
        "ForwardAgent yes\nForwardX11 yes",
        "Tunnel yes",
        "LogLevel QUIET\nBatchMode no",
        "SetEnv A=b\nSendEnv HOME",
        &local,
        &format!("ExitOnForwardFailure yes\n{forwards}"),
    ] {
        sshd.configure(lines);
        for transport in ["auto", "openssh"] {
            let ran = sshd.cutover(&["setup", "--target", &target, "--transport", transport]);
            assert_eq!(ran.status, 0, "{lines} with {transport}: {}", ran.stderr);
        }
    }
    assert!(!marker.exists());
}

#[test]
fn ssh_evaluates_the_configuration() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    let right = fs::read_to_string(sshd.client(".ssh/config")).unwrap().replace("Host shop\n", "");
    fs::create_dir(sshd.client("inc")).unwrap();
    let target = format!("{user}@{HOST}:shop");
    let check = |config: String| {
        fs::write(sshd.client(".ssh/config"), &config).unwrap();
        let ran = sshd.cutover(&["setup", "--target", &target, "--transport", "ssh2"]);
        assert_eq!(ran.status, 0, "{config}{}", ran.stderr);
    };
    check(format!("Match originalhost shop user {user}\n{right}"));
    check(format!("Match exec \"test %n = shop\"\n{right}"));
    check(format!("Match !host other\n{right}"));
    check(format!("Host shop\n HostName 127.0.0.1\nMatch final host 127.0.0.1\n{right}"));
    check(format!("IgnoreUnknown NotInvented*\nNotInventedYet 1\n{right}"));
    // A token that only `ssh` knows leads to it.
    let hashed = right.replace("/id_ed25519", "/%C");
    fs::write(sshd.client(".ssh/config"), format!("Host shop\n{hashed}")).unwrap();
    let ran = sshd.cutover(&["setup", "--target", &target, "--transport", "ssh2"]);
    ran.fails(2, &["`IdentityFile` in `ssh_config` needs the system's `ssh`"]);
    for (name, pattern) in [("b.conf", "[a-c].conf"), ("b7.conf", "?[[:digit:]].conf"), (".x", ".[!y]")] {
        fs::write(sshd.client("inc").join(name), &right).unwrap();
        check(format!("Include {}/{pattern}\nPort 9\n", sshd.client("inc").display()));
        fs::remove_file(sshd.client("inc").join(name)).unwrap();
    }
    fs::write(sshd.client(".ssh/config"), "Host *\n NotInventedYet 1\n").unwrap();
    let words = ["`ssh` refuses `ssh_config`", "Caused by: ", "Bad configuration option: notinventedyet"];
    sshd.setup(&user, "shop").fails(2, &words);
}

#[test]
fn an_interrupt_ends_what_the_configuration_runs() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    let marker = sshd.client("marker");
    sshd.configure(&format!("Match exec \"echo $$ > {0}.new; mv {0}.new {0}; exec sleep 600\"", marker.display()));
    let mut command = sshd.command(&["setup", "--target", &format!("{user}@{HOST}:shop")]);
    let mut setup = command.stderr(Stdio::null()).spawn().unwrap();
    let sleeper = wait::until("the command runs", || fs::read_to_string(&marker).ok());
    kill_process(Pid::from_raw(setup.id() as i32).unwrap(), Signal::INT).unwrap();
    assert_eq!(setup.wait().unwrap().code(), Some(130));
    let is_gone = || !Path::new(&format!("/proc/{}/cmdline", sleeper.trim())).exists();
    wait::until("the command has ended", || is_gone().then_some(()));
}

#[test]
fn without_ssh_the_configuration_is_read_all_the_same() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    let target = format!("{user}@{HOST}:shop");
    let setup = |lines: &str| {
        sshd.configure(lines);
        sshd.cutover_with(&["setup", "--target", &target], |command| {
            command.env("PATH", "/nowhere");
        })
    };
    setup("").succeeds();
    setup("StdinNull yes\nSendEnv LANG LC_*").succeeds();
    for (line, keyword) in [
        ("Match exec true", "`Match` in"),
        ("NotInventedYet 1", "`NotInventedYet` in"),
        ("Include /tmp/[[:alpha:]].conf", "`Include` in"),
        ("ProxyJump bastion", "`ProxyJump` in"),
        ("CanonicalizeHostname yes", "`CanonicalizeHostname` in"),
    ] {
        setup(line).fails(2, &[keyword, "needs the system's `ssh`", "Install the OpenSSH client"]);
    }
}

#[test]
fn aliases_and_includes_are_followed() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    fs::create_dir(sshd.client("more")).unwrap();
    let block = format!("Host *-web !other-web\n HostName 127.0.0.1\n User {user}\n");
    fs::write(sshd.client("more/shop.conf"), block).unwrap();
    let (port, client) = (sshd.port(), sshd.client(""));
    let client = client.display();
    sshd.configure(&format!(
        "Include {client}/more/*.conf\nHost shop-web\n Port {port}\n IdentityFile {client}/.ssh/id_%n\n \
         UserKnownHostsFile {client}/.ssh/known_hosts\n"
    ));
    fs::copy(sshd.client(".ssh/id_ed25519"), sshd.client(".ssh/id_shop-web")).unwrap();
    sshd.cutover(&["setup", "--target", "shop-web:shop", "--transport", "ssh2"]).succeeds();
    assert!(sshd.home(&user).join("shop/.cutover").exists());
}
