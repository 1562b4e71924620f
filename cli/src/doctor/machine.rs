//! Words the findings about both machines: the login, the source, the clock, the limits, the disk.

use engine::report::Finding;
use engine::shell::quoted;
use engine::units::Span;

use crate::units::{Bytes, Count};

use super::advice::{Advice, Surroundings};

/// The step that frees space.
const CLEANUP: &str = "cutover cleanup";

pub(super) fn advice(finding: &Finding, around: &Surroundings<'_>) -> Option<Advice> {
    of_login_and_clock(finding, around).or_else(|| of_limits(finding, around)).or_else(|| of_disk(finding, around))
}

fn of_login_and_clock(finding: &Finding, around: &Surroundings<'_>) -> Option<Advice> {
    Some(match finding {
        Finding::LoginNoise { host, text } => Advice::new(format!(
            "A login on `{host}` prints `{text}` before it runs a command. Cutover skips it; `scp`, `sftp`, `rsync` and git \
             fail"
        ))
        .words(
            "In the file that prints it, such as `~/.bashrc`, print on a terminal only: put `[ -t 1 ] &&` before the command",
        ),
        Finding::SourceWarning { text } => Advice::new(text.clone()),
        Finding::SourceRefused { refusal } => Advice::of_refusal(refusal),
        Finding::ClockDiffers { ahead } => {
            let by = Span(std::time::Duration::from_secs(ahead.unsigned_abs()));
            let side = if *ahead > 0 { "ahead of" } else { "behind" };
            let message =
                format!("The clock of the server is {by} {side} that of this machine: names and times of releases are wrong");
            Advice::new(message)
                .words("If the clock of this machine is right, set that of the server")
                .on_server(around.as_root("timedatectl set-ntp true".into()))
        }
        _ => return None,
    })
}

fn of_limits(finding: &Finding, around: &Surroundings<'_>) -> Option<Advice> {
    Some(match finding {
        Finding::FewProcesses { user, left } => Advice::new(format!(
            "`{user}` can start only {left} more processes and threads on the server, and a deploy uses about 20"
        ))
        .words(
            "End other processes of the user, or raise the limit: `ulimit -u`, or `TasksMax` and `pids.max` of the control \
             group",
        ),
        Finding::FewFiles { user, limit } => {
            let file = format!("/etc/security/limits.d/{user}.conf");
            let tee = around.as_root(format!("tee {}", quoted(&file)));
            Advice::new(format!("A process of `{user}` may open only {limit} files, and a deploy of a deep tree opens more"))
                .words("Raise the limit, and check that nothing in the profile of the user lowers it again")
                .on_server(format!("echo {} | {tee}", quoted(&format!("{user} hard nofile 8192"))))
        }
        Finding::Umask { user, umask, file } => {
            let message = format!(
                "The login shell of `{user}` sets umask {umask:04o}: what a hook with `shell = \"login\"` makes, a web server \
                 of another user cannot read"
            );
            match file {
                Some(file) => Advice::new(message)
                    .on_server(format!("sed -i -E 's/^([[:space:]]*umask[[:space:]]+)[0-7]+/\\1022/' {}", quoted(file))),
                None => Advice::new(message).words("Set `umask 022` in the file that sets it, such as `/etc/profile`"),
            }
        }
        _ => return None,
    })
}

fn of_disk(finding: &Finding, around: &Surroundings<'_>) -> Option<Advice> {
    let short = |needed: &dyn std::fmt::Display, free: &dyn std::fmt::Display, what: &str| {
        Advice::new(format!("The first deploy needs at least {needed}{what}, and {free} are free on the server"))
            .words("Free some space there, or leave out what the server does not need with lines in `.deployignore`")
    };
    let tight = |needed: &dyn std::fmt::Display, free: &dyn std::fmt::Display, what: &str| {
        Advice::new(format!(
            "A deploy of which all content is new needs about {needed}{what}, and {free} are free on the server. Most deploys \
             need less, and each computes its need before it sends anything"
        ))
        .words("If old releases take the space, lower `keep_releases`, and clean up")
        .here(CLEANUP)
    };
    Some(match finding {
        Finding::NotEnoughSpace { needed, free } => short(&Bytes(*needed), &Bytes(*free), ""),
        Finding::NotEnoughInodes { needed, free } => short(&Count(*needed), &Count(*free), " inodes"),
        Finding::SpaceTight { needed, free } => tight(&Bytes(*needed), &Bytes(*free), ""),
        Finding::InodesTight { needed, free } => tight(&Count(*needed), &Count(*free), " inodes"),
        Finding::DiskFull { path } => {
            Advice::new(format!("The disk of `{path}` is full")).words("Free some space there, and clean up").here(CLEANUP)
        }
        Finding::QuotaReached { path, user } => {
            Advice::new(format!("`{user}` has used up its quota on the disk of `{path}`"))
                .words("Raise the quota, or clean up")
                .here(CLEANUP)
        }
        Finding::NoHardlinks { path, reason } => Advice::new(format!(
            "The filesystem of `{path}` has no hardlinks ({reason}), and a release is made of them"
        ))
        .words("Choose a deploy path on ext4, XFS, Btrfs or another filesystem with hardlinks"),
        Finding::NoSymlinks { path, reason } => {
            Advice::new(format!("The filesystem of `{path}` has no symlinks ({reason}), and `current` is one"))
                .words("Choose a deploy path on ext4, XFS, Btrfs or another filesystem with symlinks")
        }
        Finding::NoReflinks { path } => {
            Advice::new(format!("The filesystem of `{path}` has no reflinks, and `link = \"reflink\"` asks for them"))
                .words("Remove `link`. Btrfs has reflinks, and so has XFS that was made with `reflink=1`")
        }
        Finding::OtherMount { path, deploy_path } => Advice::new(format!(
            "`{path}` is another filesystem or mount than `{deploy_path}`: releases are linked and renamed between the two"
        ))
        .words("Mount the whole deploy path there; only `shared/` may be a mount of its own. If nothing uses it, unmount it")
        .on_server(around.as_root(format!("umount {}", quoted(path)))),
        Finding::TrialFailed { path, user, reason } => {
            Advice::new(format!("`{user}` cannot make a trial directory in `{path}`: {reason}"))
        }
        _ => return None,
    })
}
