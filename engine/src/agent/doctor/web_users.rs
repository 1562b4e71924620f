//! Examines whether the users of the web server can enter and read the live release, and write where the application keeps
//! data: computed from owners, modes and access lists.
//!
//! The users are those of the running web servers and application servers of the machine, or the one that the request
//! names. Root and the user that deploys are left out.

use std::fs;
use std::path::{Path, PathBuf};

use crate::accounts::ROOT;
use crate::agent::site::records::read_manifest;
use crate::error::Error;
use crate::manifest::Node;
use crate::path::{RelativePath, Shown, shown_path};
use crate::release::Record;
use crate::report::Finding;

use super::look::Look;
use super::person::{ENTER, Person, READ, WRITE};
use super::place::{Ours, Place};

/// The names of processes that serve an application, by their beginnings.
const SERVERS: [&str; 12] = [
    "nginx",
    "apache2",
    "httpd",
    "caddy",
    "lighttpd",
    "php-fpm",
    "frankenphp",
    "litespeed",
    "unicorn",
    "puma",
    "gunicorn",
    "uwsgi",
];

/// Those that only send files and pass requests on to others.
const ONLY_SERVE: [&str; 3] = ["nginx", "caddy", "lighttpd"];

pub(super) fn look(place: &Place<'_>, ours: &Ours, people: &[Person]) -> Result<Look, Error> {
    let mut look = Look::default();
    if let Some(user) = place.order.web_user.as_ref().filter(|_| people.is_empty()) {
        look.find(Finding::WebUserUnknown { user: user.clone() });
    }
    let Some(record) = ours.layout.current.live()?.and_then(|live| ours.releases.find(&live)) else {
        return Ok(Look::fact("nothing is live"));
    };
    if people.is_empty() && look.findings.is_empty() {
        look.facts.push("no web server of another user runs".into());
    }
    for person in people {
        look.facts.push(person.name.clone());
        examine(place, ours, record, person, &mut look)?;
    }
    Ok(look)
}

/// Returns the user that the request names, if there is one; otherwise those of running servers.
pub(super) fn people(place: &Place<'_>) -> Vec<Person> {
    match &place.order.web_user {
        None => find_people(place),
        Some(user) => Person::named(user, &place.accounts).into_iter().collect(),
    }
}

/// Finds the users of running servers.
fn find_people(place: &Place<'_>) -> Vec<Person> {
    let mut people: Vec<Person> = Vec::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        if !SERVERS.iter().any(|server| name.starts_with(server)) {
            continue;
        }
        let status = fs::read_to_string(process.path().join("status")).unwrap_or_default();
        let Some(person) = parse_status(&status, |uid| place.name_of(uid)) else { continue };
        let only_serves = ONLY_SERVE.iter().any(|server| name.starts_with(server));
        match people.iter_mut().find(|known| known.uid == person.uid) {
            Some(known) => known.only_serves &= only_serves,
            None if [ROOT, place.uid].contains(&person.uid) => {}
            None => people.push(Person { only_serves, ..person }),
        }
    }
    // Without a server of an application, nobody else is known who could write.
    if people.iter().all(|person| person.only_serves) {
        people.iter_mut().for_each(|person| person.only_serves = false);
    }
    people.sort_by_key(|person| person.uid);
    people
}

/// Parses the effective user and the groups of a process.
fn parse_status(status: &str, name_of: impl FnOnce(u32) -> String) -> Option<Person> {
    let numbers = |key: &str| -> Option<Vec<u32>> {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect())
    };
    let uid = *numbers("Uid:")?.get(1)?;
    let gid = *numbers("Gid:")?.get(1)?;
    let groups = numbers("Groups:").unwrap_or_default();
    Some(Person { name: name_of(uid), uid, groups: [vec![gid], groups].concat(), only_serves: false })
}

fn examine(place: &Place<'_>, ours: &Ours, record: &Record, person: &Person, look: &mut Look) -> Result<(), Error> {
    let tree = ours.layout.releases.path_of(record.id.as_str().as_bytes());
    let closed = person.find_closed(&tree).or_else(|| person.find_closed(ours.layout.current.dir.path()));
    if let Some(closed) = closed {
        // Nothing below can be reached.
        look.find(Finding::WebUserCannotEnter { user: person.name.clone(), path: shown_path(&closed) });
        return Ok(());
    }
    look.findings.extend(unreadable(place, ours, record, person)?);
    let policy = &place.hello.policy;
    // What only the application reads, such as `.env`, is none of a server that passes requests on.
    for declared in policy.shared_files.iter().filter(|_| !person.only_serves) {
        look.findings.extend(check(place, person, &ours.layout.shared.path().join(declared.path.as_path()), READ));
    }
    let shared = policy.shared_dirs.iter().map(|declared| ours.layout.shared.path().join(declared.path.as_path()));
    let mut directories: Vec<PathBuf> = shared.collect();
    for path in &policy.writable.directories {
        let path = tree.join(RelativePath::as_path(path));
        let real = fs::canonicalize(&path).unwrap_or(path);
        if !directories.iter().any(|known| fs::canonicalize(known).is_ok_and(|known| known == real)) {
            directories.push(real);
        }
    }
    let wanted = if person.only_serves { ENTER } else { WRITE | ENTER };
    for directory in directories {
        look.findings.extend(check(place, person, &directory, wanted));
    }
    Ok(())
}

/// Examines one path. One that does not exist is examined with `shared/`.
fn check(place: &Place<'_>, person: &Person, path: &Path, rights: u32) -> Option<Finding> {
    let user = person.name.clone();
    let is_shared =
        fs::canonicalize(path.parent()?).ok()?.starts_with(fs::canonicalize(place.path.join("shared")).ok()?);
    if let Some(closed) = person.find_closed(path.parent()?) {
        return Some(Finding::WebUserCannotEnter { user, path: shown_path(&closed) });
    }
    if person.may(path, rights).ok()? {
        return None;
    }
    let path = shown_path(path);
    Some(match rights & WRITE {
        0 => Finding::WebUserCannotRead { user, path, further: 0, is_shared },
        _ => Finding::WebUserCannotWrite { user, path, is_shared },
    })
}

/// Finds what the person cannot read in a release, by the modes of its manifest. Its files belong to the user that deploys.
fn unreadable(place: &Place<'_>, ours: &Ours, record: &Record, person: &Person) -> Result<Option<Finding>, Error> {
    let stored = read_manifest(&ours.layout, &record.id, &record.root)?;
    let manifest = &stored.manifest;
    let gid = ours.layout.releases.own_stat()?.gid;
    let can = |entry: u32| match manifest.node(entry) {
        Node::File(file) => person.may_by_mode(place.uid, gid, u32::from(file.key.mode), READ),
        Node::Directory(number) => {
            let mode = u32::from(manifest.directories()[number as usize].mode);
            person.may_by_mode(place.uid, gid, mode, ENTER)
        }
        Node::Symlink(_) => true,
    };
    let mut closed = (0..manifest.len()).filter(|&entry| !can(entry));
    let Some(first) = closed.next() else { return Ok(None) };
    let path = format!("{}/{}", record.id, Shown(&manifest.path(first)));
    let path = format!("{}/{path}", shown_path(ours.layout.releases.path()));
    let (user, further) = (person.name.clone(), closed.count() as u64);
    Ok(Some(Finding::WebUserCannotRead { user, path, further, is_shared: false }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_groups_of_a_process_are_the_effective_ones() {
        let status = "Name:\tphp-fpm8.2\nUid:\t0\t33\t0\t33\nGid:\t0\t34\t0\t34\nGroups:\t50 60 \n";
        let person = parse_status(status, |uid| format!("user {uid}")).unwrap();
        assert_eq!(person, Person { name: "user 33".into(), uid: 33, groups: vec![34, 50, 60], only_serves: false });
        assert_eq!(parse_status("Name:\tx\n", |_| String::new()), None);
    }
}
