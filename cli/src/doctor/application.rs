//! Words the findings about the application and the web server: caches, `shared/`, rights, the programs of hooks.

use engine::report::{CacheRemedy, Finding};
use engine::shell::quoted;

use crate::units::Count;

use super::advice::{Advice, Surroundings};

pub(super) fn advice(finding: &Finding, around: &Surroundings<'_>) -> Option<Advice> {
    of_caches(finding)
        .or_else(|| of_shared(finding, around))
        .or_else(|| of_web_users(finding, around))
        .or_else(|| of_rest(finding))
}

fn more(further: u64) -> String {
    if further == 0 { String::new() } else { format!(" and {} more", Count(further)) }
}

fn of_caches(finding: &Finding) -> Option<Advice> {
    let Finding::OldPathInCache { file, release, remedy, further } = finding else { return None };
    let message = format!(
        "`{file}`{} names files of release {release}, which is not live: the application goes on with old files",
        more(*further)
    );
    let words = "Make the cache anew in a `before_switch` hook, and keep it in the release and not in `shared/`";
    let advice = Advice::new(message).words(words);
    let now = format!("{words}. Until then, make it anew in the live release");
    Some(match remedy {
        Some(CacheRemedy::Artisan) => advice.words(now).here("cutover exec -- php artisan optimize"),
        Some(CacheRemedy::Console) => advice.words(now).here("cutover exec -- php bin/console cache:clear"),
        None => advice,
    })
}

fn of_shared(finding: &Finding, around: &Surroundings<'_>) -> Option<Advice> {
    Some(match finding {
        Finding::SharedMissing { path, whole, is_directory: true } => {
            Advice::new(format!("`{whole}` does not exist, and `shared_dirs` names `{path}`"))
                .on_server(format!("mkdir -p {}", quoted(whole)))
        }
        Finding::SharedMissing { path, whole, .. } => {
            let advice = Advice::new(format!("`{whole}` does not exist, and `shared_files` names `{path}`"));
            // A hostile server must not name a file of this machine to be pushed.
            let Some(declared) = around.shared_file(path) else { return Some(advice) };
            let local = around.source.join(declared);
            match local.is_file() {
                true => {
                    let local = local.to_string_lossy().into_owned();
                    advice.words("If the file of the source is the right one, push it").here(push(&local, path))
                }
                false => advice.words(format!("Copy it there: `{}`", push("FILE", path))),
            }
        }
        Finding::DatabaseNotWritable { user, path, directory, is_top, further } => {
            let advice = Advice::new(format!(
                "`{user}` may write to the database `{path}`{}, and may make no files in its directory: SQLite makes files \
                 beside a database, so the first transaction fails",
                more(*further)
            ));
            match is_top {
                true => advice
                    .words("Keep databases in a directory of their own, in which that user may write, and share it"),
                false => advice.words("Let the user make files there").on_server(around.allow(user, "rwx", directory)),
            }
        }
        Finding::SharedLinkBroken { release, whole } => {
            Advice::new(format!("Release {release} is live and links to `{whole}`, which does not exist any more"))
                .words("Put it back, or deploy: a new release has no link to it")
        }
        _ => return None,
    })
}

fn push(file: &str, path: &str) -> String {
    format!("cutover shared push {} {} --yes", quoted(file), quoted(path))
}

fn of_web_users(finding: &Finding, around: &Surroundings<'_>) -> Option<Advice> {
    Some(match finding {
        Finding::WebUserUnknown { user } => Advice::new(format!("The server has no user `{user}`")),
        Finding::WebUserCannotEnter { user, path } => {
            Advice::new(format!("`{user}` may not enter `{path}`, so it cannot read the release"))
                .on_server(around.allow(user, "x", path))
        }
        Finding::WebUserCannotRead { user, path, is_shared: true, .. } => {
            Advice::new(format!("`{user}` cannot read `{path}`")).on_server(around.allow(user, "r", path))
        }
        Finding::WebUserCannotRead { user, path, further, .. } => {
            Advice::new(format!("`{user}` cannot read `{path}`{}", more(*further))).words(
                "If the web server needs it, change its mode in the source, `chmod go+rX`, and deploy again",
            )
        }
        Finding::WebUserCannotWrite { user, path, is_shared: true } => {
            Advice::new(format!("`{user}` cannot write to `{path}`"))
                .words("Give it the right, or name the directory in `writable_dirs` and its group in `writable_group`")
                .on_server(around.allow(user, "rwx", path))
        }
        Finding::WebUserCannotWrite { user, path, .. } => Advice::new(format!("`{user}` cannot write to `{path}`"))
            .words(
                "Name a group of that user in `writable_group`, and deploy again; or keep the directory in `shared_dirs`",
            ),
        _ => return None,
    })
}

fn of_rest(finding: &Finding) -> Option<Advice> {
    Some(match finding {
        Finding::Selinux { context, path } => {
            let context =
                context.as_ref().map_or("no context".to_owned(), |context| format!("the context `{context}`"));
            Advice::new(format!("SELinux is enforced, and `{path}` has {context}: a web server may not read it"))
                .words("Set a type that it may read, with `semanage fcontext`, and then `restorecon -R`")
        }
        Finding::Apparmor { name, profile, path } => {
            Advice::new(format!("AppArmor confines `{name}` by the profile `{profile}`"))
                .words(format!("Check that the profile allows to read `{path}`"))
        }
        Finding::ProgramMissing { hook, program, user, is_in_login_shell: true } => {
            Advice::new(format!("The hook `{hook}` names `{program}`, which only the login shell of `{user}` finds"))
                .words(format!("Set `shell = \"login\"` for `{hook}`, or name the program with its path"))
        }
        Finding::ProgramMissing { hook, program, user, .. } => {
            Advice::new(format!("The hook `{hook}` names `{program}`, which is not in the `PATH` of `{user}`"))
                .words("Install it on the server, or name it with its path")
        }
        _ => return None,
    })
}
