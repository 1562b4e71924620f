//! `cutover ssh`: opens a shell on the server, in the live release.
//!
//! The system's `ssh` does it, with the settings of the stage, and takes the place of this process: the terminal and
//! the exit code are its own. With pinned host keys a shell takes it, which holds the file of keys open and starts `ssh`.
//! With `run_as` the shell on the server is that user's. The path is encoded as in `wire/bootstrap/script.rs`, so every login shell reads it the
//! same way. A local target gets a shell on this machine.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use engine::error::ErrorId;
use engine::target::{Destination, Reach, SshDestination};
use engine::{PinningOptions, sudo_words};

use crate::args::SshArgs;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::session::Session;
use crate::uses::Uses;

/// Goes to the directory `$1`, or says why not, and becomes the login shell.
const SCRIPT: &str = "p=$(printf %bx \"$1\");p=${p%x};cd \"$p\" 2>/dev/null||\
                      echo \"No release is live: $p leads nowhere. This is the login directory.\" >&2;\
                      case \"$SHELL\" in \"\"|*/nologin|*/false)SHELL=/bin/sh;;esac;exec \"$SHELL\" -l";

/// Starts `ssh` and waits for it: the keys are open in this shell only.
const HOLDING_KEYS: &str = "ssh \"$@\"; exit $?";

pub(crate) fn run(session: &Session<'_>, args: &SshArgs) -> Result<(), Failure> {
    let settings = session.settings(&args.place.place()?, Uses::Server)?;
    if let Some(word) = args.words.first().filter(|word| !word.as_encoded_bytes().starts_with(b"-")) {
        return Err(Failure::usage(format!("`{}` is no option of `ssh`", word.to_string_lossy()))
            .hint("Words behind `--` are options of `ssh`, such as `-L 8080:localhost:80`"));
    }
    let current = settings.policy.current_path.clone();
    match &settings.target.destination {
        Destination::Ssh(ssh) => {
            let current = current.unwrap_or_else(|| ssh.path.join("current"));
            let reach = &settings.target.reach;
            let pinning = PinningOptions::write(&reach.host_keys).map_err(|error| not_run(&error))?;
            let words = words(ssh, reach, &args.words, &current)?;
            match &pinning {
                None => become_ssh(Command::new("ssh").args(words)),
                // The first value of an option counts.
                Some(pinning) => become_ssh(
                    Command::new("/bin/sh").args(["-c", HOLDING_KEYS, "sh"]).args(&pinning.options).args(words),
                ),
            }
        }
        Destination::Local(_) if !args.words.is_empty() => {
            Err(Failure::usage("The target is on this machine, and the words behind `--` are for `ssh`")
                .hint("Leave them out"))
        }
        Destination::Local(path) => become_shell(&current.unwrap_or_else(|| path.join("current")), session.environment),
    }
}

/// Returns the words for `ssh`.
fn words(ssh: &SshDestination, reach: &Reach, more: &[OsString], current: &Path) -> Result<Vec<OsString>, Failure> {
    // A configured command for interactive logins would be refused beside ours.
    let mut words: Vec<OsString> = vec!["-t".into(), "-o".into(), "RemoteCommand=none".into()];
    let mut add = |flag: &str, value: OsString| words.extend([flag.into(), value]);
    if let Some(file) = &reach.ssh_config {
        add("-F", file.into());
    }
    if let Some(identity) = &reach.identity {
        add("-i", identity.into());
    }
    if let Some(port) = ssh.port {
        add("-p", port.to_string().into());
    }
    if let Some(user) = &ssh.user {
        add("-l", user.into());
    }
    words.extend(more.iter().cloned());
    let (sudo, home) = reach.run_as.as_deref().map(sudo_words).transpose()?.unwrap_or_default();
    let command = format!("exec {sudo}sh -c '{home}{SCRIPT}' cutover '{}'", encoded(current));
    words.extend(["--".into(), ssh.host.clone().into(), command.into()]);
    Ok(words)
}

/// Encodes a path for `printf %b`.
fn encoded(path: &Path) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    let encode = |&byte: &u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("\\0{byte:03o}") };
    path.as_os_str().as_bytes().iter().map(encode).collect()
}

fn become_ssh(ssh: &mut Command) -> Result<(), Failure> {
    Err(not_run(&ssh.exec()))
}

fn not_run(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::NotFound {
        return Failure::usage("This system has no `ssh`")
            .hint("Install the OpenSSH client; on Debian: `apt install openssh-client`");
    }
    Failure::usage("Could not run `ssh`").because(error)
}

fn become_shell(current: &Path, environment: &Environment) -> Result<(), Failure> {
    if !current.is_dir() {
        return Err(Failure::refused(
            ErrorId::NothingDeployed,
            format!("No release is live: `{}` leads nowhere", current.display()),
        )
        .hint("Deploy one with `cutover deploy`"));
    }
    let shell = environment.shell.clone().unwrap_or_else(|| PathBuf::from("/bin/sh"));
    let error = Command::new(&shell).arg("-l").current_dir(current).env("PWD", current).exec();
    Err(Failure::usage(format!("Could not run your shell `{}`", shell.display())).because(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_gets_the_settings_of_the_stage_and_then_the_words_of_the_user() {
        let ssh = SshDestination {
            user: Some("deploy".into()),
            host: "web1".into(),
            port: Some(2222),
            path: "/srv/it's a shop".into(),
        };
        let reach = Reach { ssh_config: Some("/c".into()), identity: Some("/k".into()), ..Reach::default() };
        let current = Path::new("/srv/it's a shop/current");
        let as_user = Reach { run_as: Some("www-data".into()), ..reach.clone() };
        let last = words(&ssh, &as_user, &[], current).unwrap().pop().unwrap();
        let last = last.to_str().unwrap();
        assert!(last.starts_with("exec sudo -n -H -u www-data -- sh -c 'cd 2>&-||cd /;p="), "{last}");
        let words = words(&ssh, &reach, &["-v".into()], current).unwrap();
        let words: Vec<&str> = words.iter().map(|word| word.to_str().unwrap()).collect();
        let expected = ["-t", "-o", "RemoteCommand=none", "-F", "/c", "-i", "/k", "-p", "2222", "-l", "deploy", "-v"];
        assert_eq!(words[..12], expected);
        assert_eq!(words[12..14], ["--", "web1"]);
        assert!(words[14].ends_with("' cutover '/srv/it\\0047s\\0040a\\0040shop/current'"), "{}", words[14]);
        assert!(!SCRIPT.contains(['\'', '\n', '!']), "every login shell reads it");
    }
}
