//! Words the findings about the lock, the releases, the store and the processes.

use engine::report::Finding;
use engine::shell::quoted;

use crate::units::{Bytes, Count};

use super::advice::{Advice, Surroundings};

pub(super) fn advice(finding: &Finding, around: &Surroundings<'_>) -> Option<Advice> {
    of_lock(finding)
        .or_else(|| of_leftovers(finding, around))
        .or_else(|| of_releases(finding))
        .or_else(|| of_objects(finding))
}

fn of_lock(finding: &Finding) -> Option<Advice> {
    Some(match finding {
        Finding::AnotherRun { holder } => Advice::new(format!("Another run has the lock: {holder}"))
            .words("Wait for its end, or deploy with `--lock-wait`. `cutover log --follow` shows what it does")
            .here("cutover log --follow"),
        Finding::HookStillRuns { holder, hook } => Advice::new(format!(
            "The hook `{hook}` still runs, and its run was killed: {holder}"
        ))
        .words("Nobody gets the lock before the hook has ended. The refusal of the next deploy names its process"),
        Finding::DeploysLocked { lock } => Advice::new(format!("The deploy path is locked by {lock}"))
            .words("When nobody needs that any more, `cutover unlock` lets deploys in again")
            .here("cutover unlock"),
        Finding::LockLeft { holder } => Advice::new(format!("A run was killed while it had the lock: {holder}"))
            .words("`cutover cleanup` takes it over, or the next run does")
            .here("cutover cleanup"),
        Finding::TrialOpen { release, back_to: Some(to) } => Advice::new(format!(
            "The checks of release {release} did not end: the next run that takes the lock switches back to {to}"
        ))
        .words("If the release is good, deploy it again after that"),
        Finding::TrialOpen { release, back_to: None } => {
            Advice::new(format!("The checks of release {release} did not end. The release stays"))
                .words("`cutover cleanup` notes that, or the next run does")
                .here("cutover cleanup")
        }
        _ => return None,
    })
}

fn of_leftovers(finding: &Finding, around: &Surroundings<'_>) -> Option<Advice> {
    let give = |path: &str, user: &str| around.as_root(format!("chown -R {} {}", quoted(user), quoted(path)));
    Some(match finding {
        Finding::StagingLeft { path, bytes } => {
            Advice::new(format!("Interrupted deploys left {} in `{path}`, which the next deploy uses", Bytes(*bytes)))
                .words("`cutover cleanup` removes it")
                .here("cutover cleanup")
        }
        Finding::TrashStuck { path, owner, user } => Advice::new(format!(
            "`{path}` is of a release that was removed. It belongs to `{owner}`, so `{user}` cannot delete it"
        ))
        .words("Nothing is served from there. Give it to the user, and the next cleanup deletes it")
        .on_server(give(path, user)),
        Finding::ReleaseNotRemovable { release, path, owner, user } => Advice::new(format!(
            "`{path}` belongs to `{owner}`: when release {release} is due, `{user}` cannot delete it"
        ))
        .words("Keep what the application writes in `shared_dirs`, or name its directory in `writable_dirs`"),
        Finding::ProcessInOldRelease { name, pid, release } => Advice::new(format!(
            "The process `{name}` ({pid}) runs in release {release}, which is not live, and has its old code"
        ))
        .words(format!(
            "Restart it, in an `after_switch` hook from now on. If systemd restarts it, `kill {pid}` on the server is enough"
        ))
        .on_server(format!("kill {pid}")),
        _ => return None,
    })
}

fn of_releases(finding: &Finding) -> Option<Advice> {
    Some(match finding {
        Finding::ReleaseForeign { path } => {
            Advice::new(format!("`{path}` was not made by Cutover. It is never removed, and no rollback goes to it"))
                .words("If nothing uses it, move it away")
        }
        Finding::ReleaseDamaged { release, reason, is_live: true, .. } => {
            Advice::new(format!("Release {release} is live and damaged: {reason}"))
                .words("Deploy again, or go back to another release")
                .here("cutover deploy")
        }
        Finding::ReleaseDamaged { release, reason, is_remnant: true, .. } => {
            Advice::new(format!("Release {release} is damaged: {reason}"))
                .words("`cutover cleanup` removes its record, or the next run does")
                .here("cutover cleanup")
        }
        Finding::ReleaseDamaged { release, path, reason, .. } => {
            Advice::new(format!("Release {release} is damaged: {reason}")).words(format!(
                "If nothing serves from it, delete `{path}` on the server; the next deploy or cleanup removes the rest"
            ))
        }
        Finding::ReleaseEdited { differences, is_live, is_only_added } => {
            let ids: Vec<&str> = differences.releases.iter().map(engine::release::ReleaseId::as_str).collect();
            let message = format!("{} was changed on the server: {differences}", ids.join(", "));
            match (is_live, is_only_added) {
                (_, true) => Advice::new(message)
                    .words("Names that the application adds belong to `shared_dirs`, `writable_dirs` or `copy_paths`"),
                (true, false) => Advice::new(message)
                    .words("Take the changes over into the source if you need them. The next deploy makes the release anew")
                    .here("cutover deploy"),
                (false, false) => {
                    Advice::new(message).words("A rollback to it needs `--force`. To go back to it, deploy its source again")
                }
            }
        }
        _ => return None,
    })
}

fn of_objects(finding: &Finding) -> Option<Advice> {
    Some(match finding {
        Finding::ObjectDamaged { path, file, is_live, further } => {
            let of = file.as_ref().map_or(String::new(), |file| format!(", the content of `{file}`,"));
            let more = match further {
                0 => String::new(),
                further => format!(", and {} more", Count(*further)),
            };
            let live = if *is_live { " The live release serves it." } else { "" };
            Advice::new(format!("The object `{path}`{of} has other content than was stored{more}.{live}"))
                .words(
                    "Check the disk. Then remove the object, and deploy with `--force`, which sends the content again. The \
                     releases keep their file",
                )
                .on_server(format!("rm -f {}", quoted(path)))
        }
        Finding::ObjectOtherOwner { path, owner, user, is_protected } => {
            let so = match is_protected {
                true => "and `fs.protected_hardlinks` keeps it from being linked",
                false => "and cannot be trusted",
            };
            Advice::new(format!("The object `{path}` belongs to `{owner}`, not to `{user}`, {so}: it is sent again"))
                .words(format!(
                    "If `{owner}` deployed here before, let one user deploy: log in as `{owner}`, or set `run_as`"
                ))
        }
        _ => return None,
    })
}
