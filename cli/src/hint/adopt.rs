//! Words the hints about a site to adopt.

use engine::error::{AdoptHint, RightsHint};
use engine::shell::quoted;

use crate::toml_string::toml_string;

/// Returns the sentence of a hint.
pub(super) fn text(hint: &AdoptHint) -> String {
    match hint {
        AdoptHint::Rights(hint) => rights(hint),
        AdoptHint::NameSite => {
            "Name the directory that the web server serves, or the one above it that you deploy to: \
                                `current_path` in the config, or `--target`"
                .into()
        }
        AdoptHint::Deploy { site, deploy_path } => format!(
            "Deploy to it: with `--target`, name `{deploy_path}`; in the config of the stage, write `current_path = {}` and \
             `deploy_path = {}`",
            toml_string(site),
            toml_string(deploy_path)
        ),
        AdoptHint::ChooseBeside => {
            "Name a deploy path beside the site, on the same filesystem, with `--deploy-path`".into()
        }
        AdoptHint::PointTheWebServer => "Deploy to a deploy path of its own instead, and point the web server at \
                                         `current` there: `cutover help web`"
            .into(),
        AdoptHint::MountInShared { path } => format!(
            "Unmount `{path}`, adopt, and mount it at the same path in `shared/` of the deploy path; each release then has \
             a link to it"
        ),
        AdoptHint::Link => "Free some space, or let the files be linked and not copied with `--link`".into(),
        AdoptHint::NameShared => {
            "With `--share`, `shared_dirs` and `shared_files`, name paths that the site has, and none that lies in another of them".into()
        }
        AdoptHint::DeclareShared => {
            "Add the lines above to cutover.toml, leave paths in the release with `--keep`, or \
                                     set `auto_shared = true`"
                .into()
        }
        AdoptHint::DecideOnConfig { path } => of_config(path),
        AdoptHint::ShareAbove => "Share a directory above them with `--share`, or leave them with `--keep`".into(),
        AdoptHint::MakeAbsolute { path } => {
            format!("Make `{path}` an absolute symlink, or share the directory that it leads to")
        }
        AdoptHint::RemoveFromShared { path, whole } => {
            format!("Look at both, and move one of them away: `{path}` in the site, or `{whole}`")
        }
        AdoptHint::GoOnAt { deploy_path } => {
            format!("Go on with `--deploy-path {}`, or go back with `--undo` and that flag", quoted(deploy_path))
        }
        AdoptHint::ShareWhatChanges => {
            "Share what the application writes all the time with `--share PATH`, or adopt when it rests".into()
        }
        AdoptHint::LetRest => {
            "Run it again when the application writes less, or stop the application for that time".into()
        }
        AdoptHint::DecideOnJournal { path, journal } => of_journal(path, journal),
        AdoptHint::WaitForTool { lock } => {
            format!("Wait until it is done. If it was killed, remove `{lock}` on the server")
        }
        AdoptHint::PointAtRelease => "Point `current` at a directory in `releases/`".into(),
        AdoptHint::DeployFurther => {
            "The first release has its files: `cutover releases` lists it, if it was not removed".into()
        }
        AdoptHint::NameDeployPath => {
            "Name the site as when you adopted it. If the adoption was undone, all is as it was".into()
        }
        AdoptHint::FinishFirst { site } => {
            format!("`cutover adopt` with the site `{site}` finishes it, and with `--undo` goes back")
        }
        AdoptHint::RemoveOriginal { path } => format!(
            "To go back to it, move what stands at the path of the site away, and run `cutover adopt --undo`. If you do not need it, \
             remove it on the server with `rm -rf {}`, and adopt again",
            quoted(path)
        ),
        AdoptHint::MoveAway { path } => format!(
            "Move it away on the server with `mv {0} {1}`, and run this again",
            quoted(path),
            quoted(&format!("{path}.other"))
        ),
        AdoptHint::LookByHand { path } => {
            format!("Look at `{path}` on the server: somebody has changed it since. Nothing was removed")
        }
    }
}

fn rights(hint: &RightsHint) -> String {
    match hint {
        RightsHint::GiveGroup { site, group } => {
            let (site, group) = (quoted(site), group.as_deref().map_or("GROUP".into(), quoted));
            format!(
                "Run `sudo chgrp -R {group} {site} && sudo chmod -R g+rX {site}` on the server. A release keeps the group of \
                 the site if the user that deploys is in it"
            )
        }
        RightsHint::JoinGroup { group, user } => {
            format!("Run `sudo usermod -a -G {} {}` on the server, or adopt as root", quoted(group), quoted(user))
        }
        RightsHint::ShareParent { parent, user, group } => {
            let (parent, group) = (quoted(parent), quoted(group));
            format!(
                "Run `sudo chgrp {group} {parent} && sudo chmod g+w,+t {parent}` once on the server: \
                 `{user}` may then exchange its own names there, and no others"
            )
        }
        RightsHint::LogInAsRoot => "Adopt and deploy as root: `user = \"root\"`".into(),
        RightsHint::AllowWriting { path, user } => {
            format!("Run `sudo setfacl -m u:{}:rwx {}` on the server, or adopt as root", quoted(user), quoted(path))
        }
        RightsHint::AllowReading { site, user } => format!(
            "Run `sudo setfacl -R -m u:{}:rX {}` on the server, share those paths with `--share`, or adopt as root",
            quoted(user),
            quoted(site)
        ),
        RightsHint::AllowLocking { path, user } => {
            format!("Run `sudo setfacl -m u:{}:rw {}` on the server, or adopt as root", quoted(user), quoted(path))
        }
        RightsHint::ShareWholeDirectory { root_may } => format!(
            "Share the directory of the database as a whole with `--share`, if it has one of its own{}",
            if *root_may { ", or adopt as root" } else { "" }
        ),
    }
}

/// Returns the step where the source has other settings than the server.
fn of_config(path: &str) -> String {
    format!(
        "If that of the server is right, share it with `--share {0}`, and add the line `/{path}` to `.deployignore`. If that of the \
         source is right, let it come with `--keep {0}`",
        quoted(path)
    )
}

/// Returns the step after a transaction that was cut short.
fn of_journal(path: &str, journal: &str) -> String {
    format!(
        "Stop the application. If nothing wrote to the database since, run `mv {} {}` on the server, which undoes the transaction. \
         Otherwise remove `{journal}`, and look at the database with `PRAGMA integrity_check`. Then run it again",
        quoted(journal),
        quoted(&format!("{path}-journal"))
    )
}
