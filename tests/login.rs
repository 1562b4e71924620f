//! Questions of a login: a real `sshd` with PAM, real keys with passphrases, and a person at a real terminal.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::person::Person;
use crate::support::site::{Site, number};
use crate::support::sshd::{HOST, Sshd, is_root, run};

const PASSPHRASE: &str = "Passphrase for `";
const WRONG: &str = "That passphrase is wrong; try again.";

/// Starts a server with one user, unless the tests do not run as root.
fn server(config: &str) -> Option<(Sshd, String)> {
    is_root().then(|| {
        let mut sshd = Sshd::start_with(config);
        let user = sshd.add_user("/bin/bash");
        (sshd, user)
    })
}

/// Makes a key with a passphrase, which the server accepts, and which the client finds.
fn lock(sshd: &Sshd, arguments: &[&str], passphrase: &str) {
    let key = sshd.client(".ssh/id_ed25519");
    for file in [key.clone(), key.with_extension("pub")] {
        fs::remove_file(file).ok();
    }
    run(Command::new("ssh-keygen").arg("-q").args(arguments).args(["-N", passphrase, "-f"]).arg(&key));
    fs::copy(key.with_extension("pub"), sshd.home("authorized_keys")).unwrap();
}

fn setup(sshd: &Sshd, user: &str, more: &[&str]) -> Command {
    let target = format!("{user}@{HOST}:shop");
    sshd.command(&[&["setup", "--target", &target], more].concat())
}

#[test]
fn a_person_is_asked_for_the_passphrase_of_each_kind_of_key() {
    let Some((sshd, user)) = server("") else { return };
    let check = |arguments: &[&str], has_public: bool| {
        lock(&sshd, arguments, "a secret");
        if !has_public {
            fs::remove_file(sshd.client(".ssh/id_ed25519.pub")).unwrap();
        }
        let mut person = Person::run(&setup(&sshd, &user, &["--transport", "ssh2"]));
        person.sees(PASSPHRASE, 1);
        assert!(!person.sees_what_is_typed());
        person.types("a guess\n");
        person.sees(WRONG, 1);
        person.answers(PASSPHRASE, 2, "a secret");
        let (code, screen) = person.ends();
        assert_eq!(code, Some(0), "{arguments:?}: {screen}");
        assert_eq!(screen.matches(PASSPHRASE).count(), 2, "{screen}");
        assert!(!screen.contains("a secret") && !screen.contains("a guess"), "{screen}");
    };
    for kind in ["ed25519", "ecdsa", "rsa"] {
        check(&["-t", kind], true);
    }
    check(&["-t", "ed25519"], false);
    for cipher in ["aes128-cbc", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"] {
        check(&["-t", "ed25519", "-Z", cipher], true);
    }
    for (kind, format) in [("rsa", "PEM"), ("ecdsa", "PEM"), ("ecdsa", "PKCS8"), ("rsa", "PKCS8")] {
        check(&["-t", kind, "-m", format], true);
        check(&["-t", kind, "-m", format], false);
    }
}

#[test]
fn a_wrong_passphrase_is_asked_for_three_times_and_then_the_next_key_is_tried() {
    let Some((sshd, user)) = server("") else { return };
    lock(&sshd, &["-t", "ed25519"], "a secret");
    let guess = |lines: &str, tries: usize| {
        sshd.configure(lines);
        let mut person = Person::run(&setup(&sshd, &user, &[]));
        for number in 1..=tries {
            person.answers(PASSPHRASE, number, "a guess");
        }
        let (code, screen) = person.ends();
        assert_eq!(screen.matches(PASSPHRASE).count(), tries, "{screen}");
        (code, screen)
    };
    for (lines, tries) in [("", 3), ("NumberOfPasswordPrompts 1", 1)] {
        let (code, screen) = guess(lines, tries);
        assert_eq!(code, Some(1), "{screen}");
        assert!(screen.contains("id_ed25519`: the passphrase was wrong"), "{screen}");
        assert!(screen.contains("ssh-add "), "{screen}");
    }
    // Two locked keys: the second one is asked for too.
    let second = sshd.client("second");
    run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "another", "-f"]).arg(&second));
    let key = fs::read_to_string(second.with_extension("pub")).unwrap();
    let keys = fs::read_to_string(sshd.home("authorized_keys")).unwrap();
    fs::write(sshd.home("authorized_keys"), format!("{keys}{key}")).unwrap();
    fs::write(
        sshd.client(".ssh/config"),
        format!("{}\n IdentityFile {}\n", fs::read_to_string(sshd.client(".ssh/config")).unwrap(), second.display()),
    )
    .unwrap();
    let mut person = Person::run(&setup(&sshd, &user, &[]));
    person.answers(PASSPHRASE, 1, "a guess");
    person.answers("second`: ", 1, "another");
    let (code, screen) = person.ends();
    assert_eq!(code, Some(0), "{screen}");
    // A key that needs no question goes before one that does.
    run(Command::new("ssh-keygen").args(["-q", "-p", "-P", "another", "-N", "", "-f"]).arg(&second));
    let (code, screen) = Person::run(&setup(&sshd, &user, &[])).ends();
    assert_eq!(code, Some(0), "{screen}");
    assert!(!screen.contains(PASSPHRASE), "{screen}");
}

#[test]
fn nobody_is_asked_about_a_key_that_the_server_does_not_accept() {
    let Some((sshd, user)) = server("") else { return };
    lock(&sshd, &["-t", "ed25519"], "a secret");
    fs::write(sshd.home("authorized_keys"), "").unwrap();
    let (code, screen) = Person::run(&setup(&sshd, &user, &[])).ends();
    assert_eq!(code, Some(1), "{screen}");
    assert!(screen.contains("id_ed25519`: not accepted") && !screen.contains(PASSPHRASE), "{screen}");
}

#[test]
fn without_a_terminal_the_refusal_says_what_was_wanted() {
    let Some((sshd, user)) = server("UsePAM yes\nKbdInteractiveAuthentication yes") else { return };
    sshd.set_password(&user, "a password");
    lock(&sshd, &["-t", "ed25519"], "a secret");
    let no_terminal = "id_ed25519`: has a passphrase, and there is no terminal to ask for it";
    let asks = "the server asks `Password:`, and there is no terminal to ask for it";
    sshd.setup(&user, "shop").fails(1, &[no_terminal, asks, "Hint: Start an agent", "&& ssh-add /"]);
    sshd.configure("KbdInteractiveAuthentication no");
    let refused = sshd.setup(&user, "shop");
    refused.fails(1, &[no_terminal]);
    assert!(!refused.stderr.contains("asks"), "{}", refused.stderr);
    // On a terminal, and told to ask nothing.
    sshd.configure("BatchMode yes");
    let (code, screen) = Person::run(&setup(&sshd, &user, &[])).ends();
    assert_eq!(code, Some(1), "{screen}");
    assert!(screen.contains("has a passphrase, and `BatchMode` forbids to ask for it"), "{screen}");
    // No stream is a terminal: a job, although it has one to control it.
    sshd.configure("");
    let streams = |command: &mut Command| {
        command.stdout(Stdio::null()).stderr(Stdio::null());
    };
    // stdin alone is enough to be asked.
    let mut person = Person::run_with(&setup(&sshd, &user, &[]), streams);
    person.answers(PASSPHRASE, 1, "a secret");
    assert_eq!(person.ends().0, Some(0));
}

#[test]
fn an_interrupt_at_a_question_gives_the_terminal_its_echo_back() {
    let Some((sshd, user)) = server("") else { return };
    lock(&sshd, &["-t", "ed25519"], "a secret");
    for (key, code) in [("\u{3}", 130), ("\u{4}", 1), ("\n", 1)] {
        let mut person = Person::run(&setup(&sshd, &user, &[]));
        person.sees(PASSPHRASE, 1);
        assert!(!person.sees_what_is_typed());
        person.types(key);
        let (ended, screen) = person.ends();
        assert_eq!(ended, Some(code), "{key:?}: {screen}");
        assert_eq!(screen.contains("no passphrase was given"), code == 1, "{screen}");
    }
}

#[test]
fn a_second_factor_is_asked_for() {
    let config = "UsePAM yes\nKbdInteractiveAuthentication yes\n\
                  AuthenticationMethods publickey,keyboard-interactive";
    let Some((sshd, user)) = server(config) else { return };
    sshd.set_password(&user, "a password");
    let asks = "`shop` asks: Password: ";
    let mut person = Person::run(&setup(&sshd, &user, &[]));
    person.sees(asks, 1);
    assert!(!person.sees_what_is_typed());
    person.types("a guess\n");
    person.sees("The server did not accept it; try again.", 1);
    person.answers(asks, 2, "a password");
    let (code, screen) = person.ends();
    assert_eq!(code, Some(0), "{screen}");
    assert!(!screen.contains("a password"), "{screen}");
    let mut person = Person::run(&setup(&sshd, &user, &[]));
    for number in 1..=3 {
        person.answers(asks, number, "a guess");
    }
    let (code, screen) = person.ends();
    assert_eq!((code, screen.matches(asks).count()), (Some(1), 3), "{screen}");
    assert!(screen.contains("id_ed25519`: accepted, and the server wants more"), "{screen}");
    assert!(screen.contains("`keyboard-interactive`: not accepted"), "{screen}");
    assert!(screen.contains("check each answer"), "{screen}");
    let words = ["the server asks `Password:`, and there is no terminal", "Hint: Run the command on a terminal"];
    sshd.setup(&user, "shop").fails(1, &words);
    // Whoever is interrupted has given no wrong answer.
    let mut person = Person::run(&setup(&sshd, &user, &[]));
    person.sees(asks, 1);
    person.types("\u{3}");
    assert_eq!(person.ends().0, Some(130));
}

#[test]
fn a_password_is_asked_for() {
    let Some((sshd, user)) = server("UsePAM yes\nPasswordAuthentication yes") else { return };
    sshd.set_password(&user, "a password");
    fs::write(sshd.home("authorized_keys"), "").unwrap();
    let asks = format!("Password of `{user}` on `shop`: ");
    let mut person = Person::run(&setup(&sshd, &user, &[]));
    person.answers(&asks, 1, "a guess");
    person.answers(&asks, 2, "a password");
    let (code, screen) = person.ends();
    assert_eq!(code, Some(0), "{screen}");
    assert!(!screen.contains("a password"), "{screen}");
    sshd.configure("PasswordAuthentication no");
    let (code, screen) = Person::run(&setup(&sshd, &user, &[])).ends();
    assert_eq!(code, Some(1), "{screen}");
    assert!(!screen.contains("Password of"), "{screen}");
    sshd.configure("PreferredAuthentications password");
    let mut person = Person::run(&setup(&sshd, &user, &[]));
    person.answers(&asks, 1, "a password");
    assert_eq!(person.ends().0, Some(0));
    sshd.configure("");
    let words = ["the server accepts a password, and there is no terminal to ask for it"];
    sshd.setup(&user, "shop").fails(1, &words);
}

#[test]
fn the_systems_ssh_asks_as_well() {
    let Some((sshd, user)) = server("UsePAM yes\nKbdInteractiveAuthentication yes") else { return };
    sshd.set_password(&user, "a password");
    lock(&sshd, &["-t", "ed25519"], "a secret");
    let setup = || setup(&sshd, &user, &["--transport", "openssh"]);
    let asks = "`ssh` asks: Enter passphrase for key";
    let mut person = Person::run(&setup());
    person.sees(asks, 1);
    assert!(!person.sees_what_is_typed());
    person.types("\u{3}");
    assert_eq!(person.ends().0, Some(130));
    // Several logins: the script, the copy of the agent, its start.
    let mut person = Person::run(&setup());
    person.answers(asks, 1, "a guess");
    person.sees("The answer is wrong; try again.", 1);
    person.answers(asks, 2, "a secret");
    let (code, screen) = person.ends();
    assert_eq!((code, screen.matches(asks).count()), (Some(0), 2), "{screen}");
    assert!(!screen.contains("a secret"), "{screen}");
    fs::write(sshd.home("authorized_keys"), "").unwrap();
    let mut person = Person::run(&setup());
    person.answers(&format!("`ssh` asks: ({user}@127.0.0.1) Password: "), 1, "a password");
    let (code, screen) = person.ends();
    assert_eq!(code, Some(0), "{screen}");
    sshd.configure("BatchMode yes");
    let (code, screen) = Person::run(&setup()).ends();
    assert_eq!(code, Some(1), "{screen}");
    assert!(!screen.contains("asks:"), "{screen}");
}

/// Deploys with several lanes, and returns how many connections there were, and the screen.
fn deploy_with_lanes(sshd: &Sshd, user: &str, question: &str, answer: &str) -> (u64, String) {
    let site = Site::over(sshd, user);
    for file in 0..16 {
        site.write(&format!("{file}"), crate::support::real_tree::noise(file, 1 << 20));
    }
    let report = site.path("report");
    let command = site.command(&["deploy", "--lanes", "3"]);
    let file = fs::File::create(&report).unwrap();
    let mut person = Person::run_with(&command, |command| {
        command.stdout(file);
    });
    person.answers(question, 1, answer);
    let (code, screen) = person.ends();
    assert_eq!(code, Some(0), "{screen}");
    let report: serde_json::Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    (number(&report["connections"]), screen)
}

#[test]
fn one_answer_is_enough_for_a_run_and_lanes_repeat_no_code() {
    let Some((sshd, user)) = server("") else { return };
    lock(&sshd, &["-t", "ed25519"], "a secret");
    let (connections, screen) = deploy_with_lanes(&sshd, &user, PASSPHRASE, "a secret");
    assert_eq!((connections, screen.matches(PASSPHRASE).count()), (3, 1), "{screen}");
    let config = "UsePAM yes\nPasswordAuthentication yes\nAuthenticationMethods password";
    let Some((sshd, user)) = server(config) else { return };
    sshd.set_password(&user, "a password");
    let (connections, screen) = deploy_with_lanes(&sshd, &user, "Password of", "a password");
    assert_eq!((connections, screen.matches("Password of").count()), (3, 1), "{screen}");
    let config = "UsePAM yes\nKbdInteractiveAuthentication yes\nAuthenticationMethods keyboard-interactive";
    let Some((sshd, user)) = server(config) else { return };
    sshd.set_password(&user, "a password");
    let (connections, screen) = deploy_with_lanes(&sshd, &user, "asks: Password", "a password");
    assert_eq!((connections, screen.matches("asks: Password").count()), (1, 1), "{screen}");
}

#[test]
fn a_server_that_ends_while_it_waits_for_an_answer_is_told() {
    let config = "UsePAM yes\nKbdInteractiveAuthentication yes\nAuthenticationMethods keyboard-interactive\n\
                  LoginGraceTime 1";
    let Some((sshd, user)) = server(config) else { return };
    sshd.set_password(&user, "a password");
    let mut person = Person::run(&setup(&sshd, &user, &[]));
    person.sees("asks: Password", 1);
    sshd.wait_for_hangup();
    person.types("a password\n");
    let (code, screen) = person.ends();
    assert_eq!(code, Some(1), "{screen}");
    assert!(screen.contains("`keyboard-interactive`: the server hung up"), "{screen}");
}

#[test]
fn a_shell_opens_in_the_live_release() {
    let Some((sshd, user)) = server("") else { return };
    let site = Site::over(&sshd, &user);
    site.write("file", "1");
    let mut ssh = site.command(&["ssh"]);
    ssh.arg("--").arg("-q");
    let mut person = Person::run(&ssh);
    person.answers("No release is live: ", 1, "exit 3");
    assert_eq!(person.ends().0, Some(3));
    site.deploy(&[]);
    let mut person = Person::run(&ssh);
    person.types("echo in-$(pwd); exit 7\n");
    let (code, screen) = person.ends();
    assert_eq!(code, Some(7), "{screen}");
    assert!(screen.contains(&format!("in-{}", site.target("current").display())), "{screen}");
    let mut ssh = site.command(&["ssh"]);
    ssh.args(["--", "uptime"]);
    let refused = ssh.output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("`uptime` is no option of `ssh`"), "{said}");
    let nothing = site.path("nothing");
    fs::create_dir(&nothing).unwrap();
    let refused = site.command(&["ssh"]).env("PATH", &nothing).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("This system has no `ssh`") && said.contains("openssh-client"), "{said}");
}

#[test]
fn a_shell_opens_on_this_machine_for_a_local_target() {
    let site = Site::new();
    site.write("file", "1");
    let ssh = |site: &Site| {
        let mut command = site.command(&["ssh"]);
        command.env("SHELL", "/bin/sh").stdin(Stdio::piped());
        command
    };
    let refused = ssh(&site).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("No release is live: "));
    site.deploy(&[]);
    let mut person = Person::run(&ssh(&site));
    person.types("echo in-$(pwd); exit 7\n");
    let (code, screen) = person.ends();
    assert_eq!(code, Some(7), "{screen}");
    assert!(screen.contains(&format!("in-{}", Path::new(&site.target("current")).display())), "{screen}");
}
