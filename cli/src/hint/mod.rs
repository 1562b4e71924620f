//! Words the hints of the engine, with the flags, verbs and files of this command.
//!
//! Commands are between backticks, so that they can be pasted; `failure` completes Cutover's own with the place. No
//! hint is dangerous to follow: none changes a directory that may be live. The exceptions are hints about a site to
//! adopt: they may give it a group, a right or another name, and say so.

mod adopt;
mod server;

use engine::error::{
    CheckHint, DamageHint, FpmRemedy, Hint, HookHint, ReleaseHint, SiteHint, SourceHint, SpaceRemedy, Writers,
};
use engine::shell::quoted;
use engine::units::{Bytes, Count};

use server::{of_login, of_reach, of_start};

/// The next step after a lost connection.
pub(crate) const RUN_AGAIN: &str = "Run the command again";

/// The next step if a filesystem cannot be written to.
const MOUNT_FOR_WRITING: &str = "Look at `dmesg` on that machine: the kernel mounts a filesystem read-only after an error \
                                 of the disk. If there was none, mount it for writing";

/// The next step if the path may be served and is not Cutover's.
const LEAVE_IT: &str = "leave it, deploy to another path, and then point the web server at `current` there";

/// The next step if the deploy path has content that is not Cutover's.
const ADOPT_OR_CHOOSE: &str = "If it is a site that stands already, `cutover adopt` makes it the first release, takes it over \
                               from another tool, or says what to write in the config if it is adopted. Otherwise choose a \
                               deploy path that is empty or does not exist yet; `shared/` may exist";

/// The next step after freeing space on a full disk.
const THEN_DEPLOY: &str = "and deploy again: received content is kept until then. If old releases take the space, lower \
                           `keep_releases` and run `cutover cleanup`, which also removes received content";

/// Returns the sentence of a hint.
pub(crate) fn text(hint: &Hint) -> String {
    match hint {
        Hint::Source(hint) => of_source(hint),
        Hint::Site(hint) => of_site(hint),
        Hint::Adopt(hint) => adopt::text(hint),
        Hint::Release(hint) => of_release(hint),
        Hint::Damage(hint) => of_damage(hint),
        Hint::Reach(hint) => of_reach(hint).into(),
        Hint::Login(hint) => of_login(hint),
        Hint::Start(hint) => of_start(hint),
        Hint::Hook(hint) => of_hook(hint),
        Hint::Check(hint) => of_check(hint),
        Hint::RunAgain => RUN_AGAIN.into(),
        Hint::SameVersion => "Use the same version of Cutover on both sides".into(),
        Hint::ShortenConfig => {
            "Move the commands of long hooks into scripts, or configure fewer shared paths and patterns".into()
        }
        Hint::FreeThreads => "Cutover needs about 20, and uses few more: end other processes of that user there, or \
             raise its limit (`ulimit -u`; `TasksMax` or `pids.max` of its control group)"
            .into(),
        Hint::MoveState { path } => format!(
            "Name another directory with `--state-dir`. If Cutover made `{path}`, it is only a cache and can be removed"
        ),
        Hint::Report => "Please report it with your command and its output".into(),
    }
}

fn of_hook(hint: &HookHint) -> String {
    let hint = match hint {
        HookHint::RunHook { name } => {
            return format!(
                "Read its output above, correct the command, and run it: `cutover hooks run {}`",
                quoted(name)
            );
        }
        HookHint::RunWithKeys { name } => {
            return format!("Correct its `cwd` or `shell`, and run it: `cutover hooks run {}`", quoted(name));
        }
        HookHint::MendFpm { remedy, alone } => {
            let then = match alone {
                Some(name) => format!("run it: `cutover hooks run {}`", quoted(name)),
                None => "run this again".to_owned(),
            };
            return format!("{}, and {then}", of_fpm(*remedy));
        }
        HookHint::RunRest => {
            "Find out on the server who ended it, and run the hooks that did not run: `cutover hooks run NAME`"
        }
        HookHint::SeeOutput => "Read its output above, correct the command, and run this again",
        HookHint::MendKeys => "Correct its `cwd` or `shell`, and run this again",
        HookHint::KeepRelease => "Take the removal out of its command, and deploy again: that makes the release anew",
        HookHint::AllowMoreTime => {
            "Raise `confirm` if the hooks and checks after the switch take longer, or find out why this machine was cut off"
        }
        HookHint::SeeJournal => "Find out on the server who ended it, then run this again",
    };
    hint.to_owned()
}

fn of_fpm(remedy: FpmRemedy) -> &'static str {
    match remedy {
        FpmRemedy::CheckAddress => "Write what `listen` of the pool says into `opcache_reset`",
        FpmRemedy::AllowUser => {
            "Let the user that deploys connect, with `listen.acl_users` or `listen.group` of the pool"
        }
        FpmRemedy::AddProcesses => "Raise `pm.max_children` of the pool, or `timeout` of the hook",
        FpmRemedy::LetRead => {
            "Let the pool read `cache/` in the deploy path: see its `open_basedir`, its `chroot`, and the modes of the \
             directories"
        }
        FpmRemedy::AllowExtension => "Put `.php` into `security.limit_extensions` of the pool",
        FpmRemedy::Install => "Install OPcache there or take the hook out",
        FpmRemedy::Enable => "Take `opcache_reset` out of `disable_functions`",
        FpmRemedy::WidenApi => "Let `opcache.restrict_api` begin the path of `cache/` in the deploy path",
        FpmRemedy::SeeLog => "Read the log of PHP-FPM and of the pool",
    }
}

fn fetch_commit(repository: &str, near: Option<&str>, is_shallow: bool) -> String {
    let deeper = if is_shallow { " --unshallow" } else { "" };
    let fetch = format!("`git -C {} fetch --tags{deeper}`", quoted(repository));
    match near {
        Some(near) => format!("Did you mean `{near}`? If the commit is new, fetch it with {fetch}"),
        None => format!("Fetch it with {fetch}, or name another branch, tag or commit"),
    }
}

fn of_source(hint: &SourceHint) -> String {
    match hint {
        SourceHint::NameSource => "Name the directory to deploy with `--source DIR`".into(),
        SourceHint::MakeReadable => {
            "Make it readable for the user that deploys, or leave it out with a line in `.deployignore`".into()
        }
        SourceHint::LeaveOut { pattern } => format!("Leave it out with a line `{pattern}` in `.deployignore`"),
        SourceHint::LeaveOutAbove => "Leave out a directory above it with a line in `.deployignore`".into(),
        SourceHint::LeaveOutMore => "Leave out what the server does not need with lines in `.deployignore`".into(),
        SourceHint::LetRest { pattern } => {
            format!(
                "Deploy again when nothing writes to it, or leave it out with a line `{pattern}` in `.deployignore`"
            )
        }
        SourceHint::DeployAgain => {
            "Deploy again: all files are read anew then. If it happens again, check the disk and the \
             memory of this machine"
                .into()
        }
        SourceHint::DeployElsewhere => {
            "Deploy to a path outside the source, or make the target's directory first and leave \
             it out with a line in `.deployignore`"
                .into()
        }
        SourceHint::PutPatterns => "Put a file with the patterns there, or a symlink to a file in the source".into(),
        SourceHint::SaveAsUtf8 => {
            "Save it as UTF-8 text: a file in UTF-16, as some editors save it, holds NUL bytes".into()
        }
        SourceHint::NameRepository => {
            "Name a directory in a git checkout with `--source DIR`, or leave out `--ref` and `ref` to deploy the \
             directory as it is"
                .into()
        }
        SourceHint::FetchCommit { repository, near, is_shallow } => {
            fetch_commit(repository, near.as_deref(), *is_shallow)
        }
        SourceHint::FetchSubmodules { repository } => {
            let repository = quoted(repository);
            format!(
                "Run `git -C {repository} fetch --recurse-submodules`, or `git -C {repository} submodule update --init \
                 --recursive` if it was never cloned"
            )
        }
        SourceHint::ConfigureFilter { name } if name == "lfs" => {
            "Install Git LFS and run `git lfs install`: without it, the release would have pointers instead of files"
                .into()
        }
        SourceHint::ConfigureFilter { name } => {
            format!(
                "If you trust the program, name it in your own configuration with `git config --global {} PROGRAM`: Cutover \
                 runs no program that a repository names",
                quoted(&format!("filter.{name}.smudge"))
            )
        }
        SourceHint::MendCheckout { directory } => {
            format!("Mend the reason and deploy again. `{directory}` is a copy: you can remove it at any time")
        }
        SourceHint::LetGitAnswer => "Let git answer, or leave out `gitignore` to deploy ignored files too".into(),
    }
}

/// Returns the ways out of a lack of space, the cheapest first.
fn of_shortage(remedy: SpaceRemedy, unit: impl Fn(u64) -> String) -> String {
    let SpaceRemedy { cleanup, fewest } = remedy;
    let first = match cleanup {
        0 => format!("Free some on the server {THEN_DEPLOY}"),
        _ => format!("`cutover cleanup` frees {}; then deploy again", unit(cleanup)),
    };
    let fewest = match fewest > cleanup {
        true => format!(". With fewer `keep_releases`, it frees up to {}", unit(fewest)),
        false => String::new(),
    };
    format!("{first}{fewest}. `cutover du` shows what takes the space")
}

fn of_site(hint: &SiteHint) -> String {
    match hint {
        SiteHint::ChooseEmptyPath => ADOPT_OR_CHOOSE.into(),
        SiteHint::DeployFirst => {
            "Run `cutover deploy` first, or check the path: `deploy_path` in cutover.toml, or `--target`".into()
        }
        SiteHint::MakeLive => {
            "`cutover rollback` makes the release live again that was live last; `cutover deploy` makes a new one".into()
        }
        SiteHint::SetUpFirst => {
            "Run `cutover setup` first, or check the path: `deploy_path` in cutover.toml, or `--target`".into()
        }
        SiteHint::LeaveServed { path } => format!(
            "If `{path}` is the site, `cutover adopt` makes it the first release, and the link takes its place. Otherwise \
             {LEAVE_IT}"
        ),
        SiteHint::LeaveServedLink { path } => format!("Something may be served through `{path}`: {LEAVE_IT}"),
        SiteHint::KeepCurrentPath { known } => format!(
            "Leave `current_path` as it was. Once nothing is served through `{known}` any more, remove that link: \
             the next deploy makes the new one"
        ),
        SiteHint::LogInAsOwner { owner } => format!(
            "Log in as `{owner}`, or choose a path below directories that belong to root or to the user that logs in"
        ),
        SiteHint::EditAsOwner { owner } => format!("Edit it on the server as `{owner}`, or log in as that user"),
        SiteHint::TakeRight { path, by } => take_right(path, by),
        SiteHint::ReplaceByDirectory { path } => {
            format!("Replace `{path}` by a real directory; to keep the data elsewhere, use a bind mount")
        }
        SiteHint::Unmount => {
            "Check with `findmnt` what is mounted there, and whether it is in use. Once it is unmounted, run \
             the command again"
                .into()
        }
        SiteHint::MountProc => "Mount `/proc` on the server, where the agent runs, and run the command again".into(),
        SiteHint::ChooseBeside => "Choose a deploy path beside it".into(),
        SiteHint::KeepOneFilesystem => {
            "Unmount it, or mount the whole deploy path there; only `shared/` may be a mount of its own".into()
        }
        SiteHint::MountOrMake { target } => format!(
            "Check whether its disk is mounted. If only the directory is missing, make it on the server: `mkdir -p {}`",
            quoted(target)
        ),
        SiteHint::MakeShared { path } => {
            format!("Make it on the server, `mkdir -p {}`, and run the command again", quoted(path))
        }
        SiteHint::MoveAway { path } => format!("Move `{path}` away and run the command again"),
        SiteHint::PutShared { path } => {
            format!("Put it at `{path}` on the server and deploy again; the verb `shared push` copies a file there")
        },
        SiteHint::LeaveOutShared { path } => format!(
            "Leave it out of the release with a line `/{path}` in `.deployignore`. The server uses the one in `shared/`"
        ),
        SiteHint::RemoveOne { path } => format!(
            "Remove `{path}` from the source (or leave it out with a line in `.deployignore`), or remove it from `shared/`"
        ),
        SiteHint::LookAgain => "Run the command again, and look at the difference to what is there now".into(),
        SiteHint::CopyByHand => "Name a file of configuration; copy others with `scp` or `rsync`".into(),
        SiteHint::NameWritable => "Name the directory that holds it".into(),
        SiteHint::MakeGroup { group } => {
            format!("Name a group of the server, or make this one there: `sudo groupadd {}`", quoted(group))
        }
        SiteHint::JoinGroup { user, group } => format!(
            "Put the user into the group, on the server: `sudo usermod -aG {} {}`. Then run the command again",
            quoted(group),
            quoted(user)
        ),
        SiteHint::DeployOnceMore => "Deploy again: what is there now is left as it is".into(),
        SiteHint::FreeSpaceOnServer(remedy) => of_shortage(*remedy, |bytes| Bytes(bytes).to_string()),
        SiteHint::FreeInodesOnServer(remedy) => of_shortage(*remedy, |inodes| format!("{} inodes", Count(inodes))),
        SiteHint::FreeSpace => format!("Free some space {THEN_DEPLOY}"),
        SiteHint::Own => "The user that runs this must own the directory; check with `ls -ld`".into(),
        SiteHint::MountedReadOnly => MOUNT_FOR_WRITING.into(),
        SiteHint::UseHardlinks => {
            "Remove `link`, or set `link = \"hardlink\"`. Btrfs has reflinks, and so has XFS that was made with `reflink=1`".into()
        }
        SiteHint::UseOtherVersion => "Use the version of Cutover that made the store, or deploy to a new path".into(),
    }
}

fn take_right(path: &str, by: &Writers) -> String {
    let command = take_right_command(path, by);
    match by {
        Writers::Group(_) => format!(
            "Take that right from the group: `{command}`. It can still read there, and write to directories in `shared/`"
        ),
        Writers::All => format!("Take that right from them: `{command}`"),
    }
}

/// Returns the command that takes the right to write to a path.
pub(crate) fn take_right_command(path: &str, by: &Writers) -> String {
    let right = match by {
        Writers::Group(_) => "g-w",
        Writers::All => "go-w",
    };
    format!("chmod {right} {}", quoted(path))
}

fn of_release(hint: &ReleaseHint) -> String {
    let text = match hint {
        ReleaseHint::Return { left } => {
            return format!("`--forward` returns to release {left}, which the last rollback left");
        }
        ReleaseHint::NameBad => "`--to ID` goes to one of them all the same; `cutover releases` shows why they are bad",
        ReleaseHint::DeployCommit { commit: Some(commit) } => {
            return format!("Deploy its commit again: `cutover deploy --ref {}`", quoted(commit));
        }
        ReleaseHint::DeployCommit { commit: None } => "Deploy its source again",
        ReleaseHint::NameMoreDigits => "Name more digits of the commit; see `cutover releases`",
        ReleaseHint::AcceptMigrations => {
            "Check that this release works with the migrated data, then run the command again with `--yes`"
        }
        ReleaseHint::NameLaterDay => "Name a later day, or leave `--until` out: the pin then has no end",
        ReleaseHint::SeeRuns => "See `cutover log` for the runs that have one; the oldest ones are removed",
        ReleaseHint::DeployFirst => "Deploy first: each run that changes something has one",
        ReleaseHint::Wait => "Run the command again when that is done, or with `--lock-wait`, which waits for it",
        ReleaseHint::WaitLonger => {
            "Run the command again, with a longer `--lock-wait`. `cutover lock status` shows who is at work"
        }
        ReleaseHint::LeaveHook => "Take it out of the hook, and run it when the deploy is done",
        ReleaseHint::WaitForHook { pid } => {
            return format!("Wait for its end, or run with `--lock-wait`. If it hangs: `kill -- -{pid}` on the server");
        }
        ReleaseHint::SeeHolder { path } => {
            return format!(
                "On the server, `fuser -v {0} {0}/lock` shows which process has the lock. If it does not go on, end it \
                 as its user or as root, and run the command again",
                quoted(path)
            );
        }
        ReleaseHint::DeployAgain => "Run the command again when that is done: received content is kept",
        ReleaseHint::Unlock => {
            "`cutover unlock` lets deploys in again. To go back all the same, there is `cutover rollback --pass-lock`"
        }
        ReleaseHint::SeeStatus => "See `cutover status`, and run the command again when nothing else is at work",
        ReleaseHint::SeeReleases => "See `cutover releases`",
        ReleaseHint::SwitchToAny => "`cutover switch ID` goes to any other release; see `cutover releases`",
        ReleaseHint::ChooseName => "Choose another `--release`, or leave it out",
    };
    text.into()
}

fn of_damage(hint: &DamageHint) -> String {
    match hint {
        DamageHint::WriteStoreAnew => {
            "Run `cutover setup`, or deploy: both write it anew, and no release is lost".into()
        }
        DamageHint::UseOtherRelease => "Switch to another release, or deploy again".into(),
        DamageHint::MoveAway { path } => format!("Move `{path}` away and deploy again"),
        DamageHint::LeaveEdited { id } => format!(
            "Deploy the source of release {id} again, or go to the release as it is now with `--force`"
        ),
        DamageHint::KeepHooksFromEditing => {
            "Let the hook make new files, list the files in `copy_paths`, or set `link = \"reflink\"`. To accept the edits in \
             all releases, set `hook_edits = \"allow\"`"
                .into()
        }
        DamageHint::CheckServer => "Deploy again; if it happens again, check the server's disk and memory".into(),
    }
}

fn of_check(hint: &CheckHint) -> String {
    match hint {
        CheckHint::AskFromClient => {
            "Let the client ask, with `from = \"client\"`, or name an `http://` address that needs no TLS".into()
        }
        CheckHint::TrustAuthority => "If you trust it, name the certificate of its authority in the variable \
             `SSL_CERT_FILE`, or install it with `update-ca-certificates`"
            .into(),
        CheckHint::SeeAnswer { url } => {
            format!("See the answer where the check runs: `curl -sSiL --max-time 10 {}`", quoted(url))
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::error::{AdoptHint, LoginHint, RightsHint, StartHint};

    use super::*;

    fn check(hint: &Hint, expected: &str) {
        assert_eq!(text(hint), expected);
    }

    #[test]
    fn what_is_to_be_pasted_is_quoted() {
        check(
            &Hint::Site(SiteHint::TakeRight { path: "/srv/a b".into(), by: Writers::Group("staff".into()) }),
            "Take that right from the group: `chmod g-w '/srv/a b'`. It can still read there, and write to \
             directories in `shared/`",
        );
        check(
            &Hint::Adopt(AdoptHint::Rights(RightsHint::ShareParent {
                parent: "/srv/it's; x".into(),
                user: "deploy".into(),
                group: "staff".into(),
            })),
            "Run `sudo chgrp staff '/srv/it'\\''s; x' && sudo chmod g+w,+t '/srv/it'\\''s; x'` once on the server: \
             `deploy` may then exchange its own names there, and no others",
        );
        check(
            &Hint::Adopt(AdoptHint::Deploy { site: "/srv/a \"b\"".into(), deploy_path: "/srv/it's \\".into() }),
            "Deploy to it: with `--target`, name `/srv/it's \\`; in the config of the stage, write `current_path = \
             '/srv/a \"b\"'` and `deploy_path = \"/srv/it's \\\\\"`",
        );
        check(
            &Hint::Source(SourceHint::ConfigureFilter { name: "a;b".into() }),
            "If you trust the program, name it in your own configuration with `git config --global 'filter.a;b.smudge' \
             PROGRAM`: Cutover runs no program that a repository names",
        );
        check(
            &Hint::Site(SiteHint::TakeRight { path: "/srv".into(), by: Writers::All }),
            "Take that right from them: `chmod go-w /srv`",
        );
        check(
            &Hint::Site(SiteHint::MakeShared { path: "/srv/it's".into() }),
            "Make it on the server, `mkdir -p '/srv/it'\\''s'`, and run the command again",
        );
        check(
            &Hint::Login(LoginHint::UnlockKey { path: "/home/me/my key".into(), has_agent: true }),
            "Load the key into your agent: `ssh-add '/home/me/my key'`",
        );
        check(
            &Hint::Login(LoginHint::ForgetHostKey { host: "[web1]:2222".into(), file: "/home/me/known hosts".into() }),
            "Someone may be intercepting the connection. If you know that the server was installed anew: `ssh-keygen -R \
             '[web1]:2222' -f '/home/me/known hosts'`",
        );
    }

    #[test]
    fn a_deploy_path_is_made_for_the_user() {
        let check = |path: &str, expected: &str| {
            let text = text(&Hint::Start(StartHint::MakeDeployPath { path: path.into() }));
            assert!(text.contains(expected), "{text}");
        };
        check("/srv/shop", "`sudo install -d -o USER /srv/shop`");
        check("/srv/a b", "`sudo install -d -o USER '/srv/a b'`");
    }
}
