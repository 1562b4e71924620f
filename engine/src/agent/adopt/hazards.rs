//! The warnings about a site: a person must know them before it is adopted, and none prevents the adoption.

use std::collections::BTreeSet;
use std::path::Path;

use crate::accounts::Accounts;
use crate::agent::access_list::{Entry, Tag, access_list};
use crate::error::Error;
use crate::path::shown_path;

use super::database;
use super::inventory::Inventory;
use super::rights::OTHERS_ENTER;
use super::standing::{Standing, user};

/// The names of directories that web servers serve.
const DOCUMENT_ROOTS: [&str; 8] = ["docroot", "htdocs", "html", "httpdocs", "public_html", "web", "webroot", "wwwroot"];
/// The files that a directory has if a web server serves it.
const SERVED_FILES: [&str; 4] = [".htaccess", "index.htm", "index.html", "index.php"];

/// Returns the databases that move while a program has them open, and that it cannot write to until it is restarted.
pub(super) fn held(
    standing: &Standing,
    inventory: &Inventory,
    written: &BTreeSet<Vec<u8>>,
) -> Result<Vec<String>, Error> {
    let mut held = Vec::new();
    for row in inventory.rows.iter().filter(|row| row.kind.is_shared() && !row.is_directory) {
        let (dir, name) = standing.holder(&row.path)?;
        if written.contains(row.path.as_bytes()) && database::needs_journal(&dir, name)? {
            held.push(row.path.to_string());
        }
    }
    Ok(held)
}

/// Returns the users and groups, other than this user, that may enter and list the site by an access list, each with the
/// group that could have this right. A release has no access list.
pub(super) fn named_by_acl(site: &Path) -> Vec<(String, Option<String>)> {
    let list = access_list(site).unwrap_or_default();
    let mask = list.iter().find(|entry| entry.tag == Tag::Mask).map_or(OTHERS_ENTER, |entry| entry.rights);
    let accounts = Accounts::read();
    let named = |entry: &Entry| match entry.tag {
        Tag::User(number) if number != user() => {
            let group = accounts.groups_of(number).first().and_then(|&number| accounts.group_name(number));
            Some((accounts.user_shown(number), group))
        }
        Tag::Group(number) => {
            let name = accounts.group_shown(number);
            Some((name.clone(), Some(name)))
        }
        _ => None,
    };
    list.iter().filter(|entry| entry.rights & mask & OTHERS_ENTER == OTHERS_ENTER).filter_map(named).collect()
}

/// Returns the directory that holds the deploy path, if a web server seems to serve it: then it serves `shared/` too.
pub(super) fn served_above(deploy_path: &Path) -> Option<String> {
    let above = deploy_path.parent()?;
    let is_root = above.file_name().is_some_and(|name| DOCUMENT_ROOTS.iter().any(|root| *root == name));
    let has_page = SERVED_FILES.iter().any(|file| above.join(file).exists());
    (is_root || has_page).then(|| shown_path(above))
}
