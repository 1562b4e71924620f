//! Words the findings about directories: the agent's, the deploy path, the link to the live release.

use std::path::Path;

use engine::report::Finding;
use engine::shell::quoted;

use crate::hint;

use super::advice::{Advice, Surroundings};

pub(super) fn advice(finding: &Finding, around: &Surroundings<'_>) -> Option<Advice> {
    of_agent(finding, around)
        .or_else(|| of_owners(finding, around))
        .or_else(|| of_rights(finding, around))
        .or_else(|| of_content(finding))
        .or_else(|| of_current(finding, around))
}

fn install(around: &Surroundings<'_>, path: &str, user: &str) -> String {
    around.as_root(format!("install -d -o {} {}", quoted(user), quoted(path)))
}

fn of_agent(finding: &Finding, around: &Surroundings<'_>) -> Option<Advice> {
    Some(match finding {
        Finding::AgentNoexec { path, user } => {
            Advice::new(format!("The agent cannot run from `{path}`: its filesystem is mounted noexec"))
                .words("Set `agent_path = \"/var/lib/cutover\"`, and make that directory")
                .on_server(install(around, "/var/lib/cutover", user))
        }
        Finding::AgentPathNotWritable { path, user } => {
            Advice::new(format!("`{user}` cannot put the agent into `{path}`, which `agent_path` names"))
                .on_server(install(around, path, user))
        }
        _ => return None,
    })
}

fn of_owners(finding: &Finding, around: &Surroundings<'_>) -> Option<Advice> {
    const THEY: &str = "could put other files in the place of what is deployed or run there";
    Some(match finding {
        Finding::OthersMayWrite { path, by, is_own } => {
            let command = hint::take_right_command(path, by);
            Advice::new(format!("{by} may write to `{path}`, and {THEY}"))
                .words("Take that right away; others can still read there, and write to directories in `shared/`")
                .on_server(if *is_own { command } else { around.as_root(command) })
        }
        Finding::OtherOwner { path, owner, user, is_empty: true } => {
            Advice::new(format!("`{path}` belongs to `{owner}`, and not to `{user}`"))
                .on_server(around.as_root(format!("chown {} {}", quoted(user), quoted(path))))
        }
        Finding::OtherOwner { path, owner, .. } => {
            Advice::new(format!("`{path}` belongs to `{owner}`, who {THEY}")).words(format!(
                "Log in as `{owner}`, or choose a deploy path below directories that belong to root or to the user that logs in"
            ))
        }
        _ => return None,
    })
}

fn of_rights(finding: &Finding, around: &Surroundings<'_>) -> Option<Advice> {
    Some(match finding {
        Finding::DeployPathNotCreatable { path, above, user } => {
            Advice::new(format!("`{path}` does not exist, and `{user}` may not make it in `{above}`"))
                .on_server(install(around, path, user))
        }
        Finding::PathNotEnterable { path, user } => {
            Advice::new(format!("`{user}` may not enter `{path}`")).on_server(around.allow(user, "x", path))
        }
        Finding::PathNotWritable { path, user, owner: None, .. } => {
            Advice::new(format!("`{user}` owns `{path}` and may not write to it"))
                .on_server(format!("chmod u+rwx {}", quoted(path)))
        }
        Finding::PathNotWritable { path, user, owner: Some(owner), is_to_give: true } => {
            Advice::new(format!("`{path}` belongs to `{owner}`, and `{user}` may not write to it"))
                .on_server(around.as_root(format!("chown {} {}", quoted(user), quoted(path))))
        }
        Finding::PathNotWritable { path, user, owner: Some(owner), .. } => {
            Advice::new(format!("`{path}` belongs to `{owner}`, and `{user}` may not write to it"))
                .words(format!("Log in as `{owner}`, or choose a deploy path that `{user}` owns"))
        }
        Finding::Immutable { path } => Advice::new(format!("`{path}` is immutable: nobody may change it"))
            .on_server(around.as_root(format!("chattr -i {}", quoted(path)))),
        Finding::ReadOnly { path, mount } => {
            Advice::new(format!("The filesystem of `{path}` is mounted read-only at `{mount}`"))
                .words("If that is not on purpose, and the disk has no errors, mount it for writing")
                .on_server(around.as_root(format!("mount -o remount,rw {}", quoted(mount))))
        }
        _ => return None,
    })
}

fn of_content(finding: &Finding) -> Option<Advice> {
    Some(match finding {
        Finding::DeployPathNotEmpty { path, found } => Advice::new(format!(
            "The deploy path `{path}` is not empty and was not made by Cutover: it holds `{found}`"
        ))
        .words("Choose a deploy path that is empty or does not exist yet. If it is a site that stands already, `cutover adopt \
                 --dry-run` shows how it becomes the first release, or says what to write in the config if it is adopted")
        .here("cutover adopt --dry-run"),
        Finding::Refused { refusal } | Finding::CurrentPathChanged { refusal } => Advice::of_refusal(refusal),
        Finding::StoreDamaged { refusal } => {
            Advice::new(refusal.text()).words("No release is lost. `cutover setup` writes it anew").here("cutover setup")
        }
        Finding::PartsMissing { path, parts } => {
            let parts: Vec<String> = parts.iter().map(|part| format!("`{part}`")).collect();
            Advice::new(format!("`{path}` lacks {}, as after a restore from a backup", parts.join(", ")))
                .words("`cutover setup` makes them, or the next deploy does")
                .here("cutover setup")
        }
        _ => return None,
    })
}

fn of_current(finding: &Finding, around: &Surroundings<'_>) -> Option<Advice> {
    Some(match finding {
        Finding::CurrentNotALink { path, is_directory } => {
            let kind = if *is_directory { "directory" } else { "file" };
            let advice = Advice::new(format!("`{path}` is a {kind}, and must become the symlink to the live release"));
            // The directory of `current_path` can be adopted: its deploy path is another one.
            match *is_directory && !Path::new(path).starts_with(around.deploy_path) {
                true => advice
                    .words("`cutover adopt` makes it the first release, while it is served; `cutover adopt --dry-run` shows what would happen")
                    .here("cutover adopt --dry-run"),
                false => advice.words("Remove it once nothing uses it: the next deploy makes the link"),
            }
        }
        Finding::AdoptionUnfinished { site } => {
            Advice::new(format!("The adoption of `{site}` did not end. The site is served"))
                .words("`cutover adopt` finishes it, and `cutover adopt --undo` goes back. See first what would happen")
                .here("cutover adopt --dry-run")
        }
        Finding::CurrentLeadsElsewhere { path, target } => Advice::new(format!(
            "`{path}` leads to `{target}`, which is no release of this deploy path"
        ))
        .words("Something may be served through it. Once nothing is, remove the link: the next deploy makes it anew"),
        Finding::CurrentMissing { path, release } => {
            Advice::new(format!("Nothing is live: `{path}` is missing, and release {release} was live last"))
                .words("`cutover rollback` makes that release live again; `cutover deploy` makes a new one")
                .here("cutover rollback")
        }
        Finding::CurrentDangling { path, release, rollback } => {
            let advice = Advice::new(format!("`{path}` leads to release {release}, which is gone: nothing is served"));
            match rollback {
                Some(_) => advice.here("cutover rollback"),
                None => advice.here("cutover deploy"),
            }
        }
        Finding::CurrentNotWritable { path, user, is_missing: true } => {
            Advice::new(format!("`{path}`, the directory of `current_path`, does not exist"))
                .on_server(install(around, path, user))
        }
        Finding::CurrentNotWritable { path, user, .. } => {
            Advice::new(format!("`{user}` may not write to `{path}`, the directory of `current_path`"))
                .on_server(around.allow(user, "rwx", path))
        }
        Finding::LinkLeft { path } => {
            Advice::new(format!("`{path}` is the rest of an interrupted switch, and nothing uses it"))
                .on_server(format!("rm {}", quoted(path)))
        }
        _ => return None,
    })
}
