//! Words the hints on reaching a server: connecting, logging in, starting the agent.

use engine::error::{LoginHint, ReachHint, StartHint};
use engine::shell::quoted;

/// The programs that the script on the server needs beside `sh`.
const PROGRAMS: &str = "`cat`, `chmod`, `ls`, `mkdir`, `mv`, `rm` and `wc`";

pub(super) fn of_reach(hint: &ReachHint) -> &'static str {
    match hint {
        ReachHint::CheckName => {
            "Check the name. Names that only this system's resolver knows work with `--transport openssh`"
        }
        ReachHint::CheckHost => "Check the host and the port, and that the server is up",
        ReachHint::CheckPort => "Check the port: `Port` in `ssh_config`, or `ssh://HOST:PORT/PATH`",
        ReachHint::CheckPortOrWait => {
            "Check the port. If it is right, the server may have too many logins under way (`MaxStartups`): run the command \
             again later"
        }
        ReachHint::TrySsh => "Try the same login with `ssh -v`, which also asks about a host key that is not known",
    }
}

pub(super) fn of_login(hint: &LoginHint) -> String {
    match hint {
        LoginHint::AcceptHostKey { command } => {
            format!("Compare the fingerprint with the server's, then accept it: `{command}`")
        }
        LoginHint::ForgetHostKey { host, file } => format!(
            "Someone may be intercepting the connection. If you know that the server was installed anew: `ssh-keygen -R \
             '{host}' -f {}`",
            quoted(file)
        ),
        LoginHint::ChangeHostKey => "Do not connect. Give the server a new host key, and make that one known".into(),
        LoginHint::ComparePinnedKey => {
            "Someone may be intercepting the connection. If you know that the server has a new key, compare it on the \
             server with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`, and put it into `host_key`"
                .into()
        }
        LoginHint::UseKey => {
            "Add your public key to `~/.ssh/authorized_keys` there, name a key with `--identity FILE`, or \
             start an ssh-agent"
                .into()
        }
        LoginHint::UnlockKey { path, has_agent: true } => {
            format!("Load the key into your agent: `ssh-add {}`", quoted(path))
        }
        LoginHint::UnlockKey { path, has_agent: false } => {
            format!("Start an agent and load the key into it: `eval \"$(ssh-agent)\" && ssh-add {}`", quoted(path))
        }
        LoginHint::AnswerAgain => {
            "Run the command again, and check each answer: a server may lock an account after some wrong ones".into()
        }
        LoginHint::AnswerQuestion { login } => format!(
            "Run the command on a terminal: it asks there. Without one, put `ControlMaster auto`, `ControlPath ~/.ssh/%C` \
             and `ControlPersist 1h` into `ssh_config` for this host, log in once with `{login}`, and run the command again"
        ),
        LoginHint::MendSshConfig => "Correct the file, or name another one with `-F FILE`".into(),
        LoginHint::InstallOpenssh => "Install the OpenSSH client, or use `--transport auto` or `openssh`".into(),
    }
}

pub(super) fn of_start(hint: &StartHint) -> String {
    match hint {
        StartHint::CorrectRunAs { user } => {
            format!("Correct `run_as`, or make the user `{user}` on the server")
        }
        StartHint::InstallSudo { user } => {
            format!("Install `sudo` on the server; or leave `run_as` out, and log in as `{user}`")
        }
        StartHint::AllowNoTty { login } => format!(
            "Allow `sudo` without a terminal: with `sudo visudo -f /etc/sudoers.d/cutover`, on the server, add the line \
             `Defaults:{} !requiretty`",
            login.as_deref().unwrap_or("LOGIN")
        ),
        StartHint::AllowSudo { user, login } => format!(
            "Allow it without a password: with `sudo visudo -f /etc/sudoers.d/cutover`, on the server, add the line \
             `{} ALL=({user}) NOPASSWD: ALL`",
            login.as_deref().unwrap_or("LOGIN")
        ),
        StartHint::GiveShell => "The user needs a login shell that runs commands, and `sh` on the server".into(),
        StartHint::ChooseAgentPath => {
            "Make a directory for the agent that belongs to the login user, on a filesystem that allows execution: \
             `sudo install -d -o USER /var/lib/cutover`, on the server. Then set `agent_path` to it"
                .into()
        }
        StartHint::FreeSpace => "Free some space there: the agent takes 8 MB. Or set `agent_path` to a directory on \
                                 another filesystem"
            .into(),
        StartHint::ChooseServer => {
            "Deploy to a server with a 64-bit Linux kernel on x86-64 or arm64; its programs may be 32-bit".into()
        }
        StartHint::InstallAgent { file } => format!(
            "Install Cutover from its package or its archive, which have `{file}`; a file of another build does not do"
        ),
        StartHint::MakeDeployPath { path } => format!(
            "The user must own the deploy path. If it does not exist, or root made it, run once on the server, with the login \
             user for `USER`: `sudo install -d -o USER {path}`. If it belongs to another user, log in as that user",
            path = quoted(path)
        ),
        StartHint::AllowDeployPath => {
            "The user must be able to create the deploy path, from its login directory".into()
        }
        StartHint::OwnAgentPath => "`agent_path` must belong to the user that logs in, on the server".into(),
        StartHint::InstallPrograms => {
            format!("Install the missing program: Cutover needs {PROGRAMS}; busybox has them all")
        }
        StartHint::QuietLogin { host } => format!(
            "The account must be allowed to run commands, not only to transfer files. Check the output of a login: `ssh {host} \
             true` should print nothing"
        ),
    }
}
