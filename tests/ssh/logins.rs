//! Logins: keys, certificates, second factors, and what a server refuses.

use std::fs;
use std::process::{Command, Stdio};

use crate::support::sshd::{HOST, Sshd, is_root, keygen, run};

use super::{Agent, reach, server, ssh};

#[test]
fn a_refused_login_says_what_was_tried() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    for name in ["id_ed25519", "id_ed25519.pub"] {
        fs::remove_file(sshd.client(".ssh").join(name)).unwrap();
    }
    sshd.setup(&user, "shop").fails(1, &["refused the login of", "id_ed25519`: No such file"]);
    keygen(&sshd.client(".ssh/id_ed25519"));
    sshd.setup(&user, "shop").fails(1, &["refused the login of", "id_ed25519`: not accepted"]);
    // Debian's configuration has this for all hosts: the system's `ssh` has a try, and is refused as well.
    sshd.configure("GSSAPIAuthentication yes");
    sshd.setup(&user, "shop").fails(1, &["refused the login of", "the system's `ssh`: ", "Permission denied"]);
    sshd.configure("ProxyCommand bash -c 'exec 3<>/dev/tcp/127.0.0.1/%p; cat <&3 & cat >&3; kill $!'");
    let words = [
        "`shop` (`127.0.0.1` port ",
        "refused the login of",
        "the system's `ssh`: ",
        "Permission denied",
        "authorized_keys",
    ];
    sshd.setup(&user, "shop").fails(1, &words);
    run(Command::new("ssh-keygen")
        .args(["-q", "-p", "-P", "", "-N", "secret", "-f"])
        .arg(sshd.client(".ssh/id_ed25519")));
    sshd.setup(&user, "shop").fails(1, &["id_ed25519`: has a passphrase", "ssh-add"]);
}

#[test]
fn keys_of_every_kind_are_accepted() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    let authorized = sshd.home("authorized_keys");
    for (kind, format) in
        [("rsa", "PEM"), ("rsa", "RFC4716"), ("ecdsa", "PEM"), ("ecdsa", "RFC4716"), ("ed25519", "RFC4716")]
    {
        let key = sshd.client(&format!("{kind}-{format}"));
        run(Command::new("ssh-keygen").args(["-q", "-t", kind, "-m", format, "-N", "", "-f"]).arg(&key));
        fs::copy(key.with_extension("pub"), &authorized).unwrap();
        fs::remove_file(key.with_extension("pub")).unwrap();
        let target = format!("{user}@{HOST}:shop");
        let identity = key.to_str().unwrap();
        sshd.cutover(&["setup", "--target", &target, "--transport", "ssh2", "-i", identity]).succeeds();
    }
}

#[test]
fn a_key_with_a_passphrase_is_used_from_the_agent() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    let key = sshd.client(".ssh/id_ed25519");
    let passphrase = |old: &str, new: &str| {
        run(Command::new("ssh-keygen").args(["-q", "-p", "-P", old, "-N", new, "-f"]).arg(&key));
    };
    passphrase("", "secret");
    let words = ["refused the login of", "has a passphrase", "Hint: Start an agent", "&& ssh-add /"];
    sshd.setup(&user, "shop").fails(1, &words);
    let agent = Agent::start(&sshd.client("agent.sock"));
    passphrase("secret", "");
    for number in 0..7 {
        keygen(&sshd.client(&number.to_string()));
        agent.add(&sshd.client(&number.to_string()));
    }
    agent.add(&key);
    passphrase("", "secret");
    // Seven others come before it in the agent, and a server hangs up after six.
    sshd.configure(&format!("IdentityAgent {}", sshd.client("agent.sock").display()));
    sshd.setup(&user, "shop").succeeds();
    // The file itself says which key it is.
    fs::remove_file(sshd.client(".ssh/id_ed25519.pub")).unwrap();
    sshd.setup(&user, "shop").succeeds();
    let others = Agent::start(&sshd.client("others.sock"));
    others.add(&sshd.client("0"));
    sshd.configure(&format!("IdentityAgent {}", sshd.client("others.sock").display()));
    sshd.setup(&user, "shop").fails(1, &["of the agent: not accepted", "has a passphrase", "Hint: Load the key into"]);
}

/// Whatever the system's `ssh` logs in with, this does too.
#[test]
fn a_key_that_ssh_finds_is_found() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    let socket = sshd.client("agent.sock");
    let agent = Agent::start(&socket);
    let (key, other) = (sshd.client("key"), sshd.client("other"));
    for path in [&key, &other] {
        fs::remove_file(path).ok();
        keygen(path);
    }
    fs::copy(key.with_extension("pub"), sshd.home("authorized_keys")).unwrap();
    agent.add(&other);
    agent.add(&key);
    let check = |lines: &str| {
        fs::write(sshd.client(".ssh/config"), reach(&sshd, lines)).unwrap();
        assert_eq!(ssh(&sshd, &user, "echo in"), "in\n", "{lines}");
        let target = format!("{user}@{HOST}:shop");
        sshd.cutover(&["setup", "--target", &target, "--transport", "ssh2"]).succeeds();
    };
    let (socket, key) = (socket.display(), key.display());
    check(&format!("IdentityAgent {socket}"));
    check(&format!("IdentityAgent none\nIdentityFile {key}"));
    fs::rename(sshd.client("key"), sshd.client("away")).unwrap();
    check(&format!("IdentityAgent {socket}\nIdentitiesOnly yes\nIdentityFile {key}.pub"));
    check(&format!("IdentityAgent {socket}\nIdentitiesOnly yes\nIdentityFile {key}"));
    fs::rename(sshd.client("away"), sshd.client("key")).unwrap();
    fs::remove_file(sshd.client("key.pub")).unwrap();
    run(Command::new("ssh-keygen").args(["-q", "-p", "-P", "", "-N", "secret", "-f"]).arg(sshd.client("key")));
    check(&format!("IdentityAgent {socket}\nIdentitiesOnly yes\nIdentityFile {key}"));
}

#[test]
fn a_certificate_logs_in() {
    if !is_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let authority = directory.path().join("authority");
    keygen(&authority);
    let trusted = format!("TrustedUserCAKeys {}.pub", authority.display());
    let mut sshd = Sshd::start_with(&trusted);
    let user = sshd.add_user("/bin/bash");
    fs::write(sshd.home("authorized_keys"), "").unwrap();
    let target = format!("{user}@{HOST}:shop");
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let key = sshd.client(kind);
        run(Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", "", "-f"]).arg(&key));
        let sign = |principal: &str| {
            let signing = ["-q", "-s", authority.to_str().unwrap(), "-I", "me", "-n", principal];
            run(Command::new("ssh-keygen").args(signing).arg(key.with_extension("pub")));
        };
        let beside = sshd.client(&format!("{kind}-cert.pub"));
        let setup = |lines: &str, transport: &str| {
            fs::write(sshd.client(".ssh/config"), reach(&sshd, lines)).unwrap();
            sshd.cutover(&["setup", "--target", &target, "--transport", transport])
        };
        let identity = format!("IdentityFile {}\nIdentityAgent none", key.display());
        sign(&user);
        setup(&identity, "ssh2").succeeds();
        let named = sshd.client(&format!("{kind}-named.pub"));
        fs::rename(&beside, &named).unwrap();
        setup(&identity, "auto").fails(1, &["refused the login of"]);
        let lines = format!("{identity}\nCertificateFile {}", named.display());
        setup(&lines, "ssh2").succeeds();
        // The key is with an agent, and the certificate is not.
        let agent = Agent::start(&sshd.client(&format!("{kind}.sock")));
        agent.add(&key);
        let lines = lines.replace("IdentityAgent none", &format!("IdentityAgent {}", agent.socket.display()));
        setup(&lines, "auto").succeeds();
        fs::rename(&named, &beside).unwrap();
        agent.add(&key);
        fs::rename(&beside, &named).unwrap();
        setup(&format!("IdentityAgent {}", agent.socket.display()), "auto").succeeds();
        fs::remove_file(&named).unwrap();
        sign("nobody");
        setup(&identity, "auto").fails(1, &["-cert.pub`: not accepted"]);
    }
}

#[test]
fn a_key_for_this_server_alone_logs_in_through_the_systems_ssh() {
    let Some((sshd, user)) = server("/bin/bash") else { return };
    let agent = Agent::start(&sshd.client("agent.sock"));
    let place = format!("[127.0.0.1]:{}", sshd.port());
    let mut add = Command::new("ssh-add");
    add.args(["-q", "-H"])
        .arg(sshd.client(".ssh/known_hosts"))
        .args(["-h", &place])
        .arg(sshd.client(".ssh/id_ed25519"));
    run(add.env("SSH_AUTH_SOCK", &agent.socket));
    fs::remove_file(sshd.client(".ssh/id_ed25519")).unwrap();
    sshd.configure(&format!("IdentityAgent {}", agent.socket.display()));
    sshd.setup(&user, "shop").succeeds();
    let target = format!("{user}@{HOST}:shop");
    let refused = sshd.cutover(&["setup", "--target", &target, "--transport", "ssh2"]);
    refused.fails(1, &["of the agent: it does not sign for this server"]);
}

#[test]
fn a_second_factor_is_named_and_a_shared_connection_helps() {
    if !is_root() {
        return;
    }
    let more = "KbdInteractiveAuthentication yes\nAuthenticationMethods publickey,keyboard-interactive";
    let mut sshd = Sshd::start_with(&format!("Match Address 127.0.0.1\n{more}"));
    let user = sshd.add_user("/bin/bash");
    let named = format!("`shop` (`127.0.0.1` port {}) refused the login of `{user}`", sshd.port());
    let words = [
        &*named,
        "id_ed25519`: accepted, and the server wants more",
        "the server wants next: keyboard-interactive",
        "Hint: Run the command on a terminal",
        "log in once with `ssh -p ",
    ];
    sshd.setup(&user, "shop").fails(1, &words);
    // A connection of `ssh` that stands takes its place. This one comes from an address that needs no second factor.
    let socket = sshd.client("control");
    sshd.configure(&format!("ControlMaster auto\nControlPath {}\nControlPersist 60", socket.display()));
    let config = sshd.client(".ssh/config");
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(&config).args(["-b", "127.0.0.3", "-l", &user, HOST, "true"]);
    // It leaves a process behind, which keeps its streams.
    assert!(ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
    sshd.setup(&user, "shop").succeeds();
    run(Command::new("ssh").arg("-F").arg(&config).args(["-O", "exit", HOST]));
    sshd.setup(&user, "shop").fails(1, &words);
}

#[test]
fn a_server_of_other_algorithms_is_reached_through_the_systems_ssh() {
    if !is_root() {
        return;
    }
    for line in [
        "KexAlgorithms sntrup761x25519-sha512@openssh.com",
        "MACs umac-128-etm@openssh.com\nCiphers aes256-ctr",
        "HostKeyAlgorithms sk-ssh-ed25519@openssh.com,ssh-ed25519",
    ] {
        let mut sshd = Sshd::start_with(line);
        let user = sshd.add_user("/bin/bash");
        sshd.setup(&user, "shop").succeeds();
        sshd.setup(&user, "shop").succeeds();
        if !line.starts_with("HostKey") {
            let target = format!("{user}@{HOST}:shop");
            let refused = sshd.cutover(&["setup", "--target", &target, "--transport", "ssh2"]);
            refused.fails(2, &["The server's choice of algorithms", "needs the system's `ssh`"]);
        }
    }
}
