//! Finds SQLite databases in `shared/` that a program may open and cannot write to: SQLite makes a journal beside a database,
//! and the first transaction of a user who may make no file there fails.
//!
//! The users are the owner of the database and those of the web servers. Their rights are computed from owner, mode and access
//! list. A database that the user who deploys may not read is not known as one. One that nobody writes to, such as a list of
//! countries, has no finding if its mode says so.

use crate::agent::sqlite::is_database;
use crate::disk::{Dir, Stat};
use crate::path::shown_path;
use crate::report::Finding;
use crate::units::Count;

use super::look::Look;
use super::person::{ENTER, Person, WRITE};
use super::place::Place;
use super::walk::{BOUNDS, Walk};

/// The unit of the size of a database: its pages have 512 bytes or a multiple of that.
const PAGE_BYTES: u64 = 512;

/// Adds a finding for each user with databases that it cannot write to.
pub(super) fn find(place: &Place<'_>, people: &[Person], look: &mut Look) {
    let Ok(shared) = Dir::open(place.path).and_then(|path| path.open_dir(b"shared")) else { return };
    let mut closed: Vec<Closed> = Vec::new();
    let mut walk = Walk::new(BOUNDS);
    walk.visit(&shared, |_| true, &mut |directory, name, stat| {
        let may_be_one = stat.size > 0 && stat.size.is_multiple_of(PAGE_BYTES);
        if !may_be_one || !is_database(directory, name).unwrap_or(false) {
            return;
        }
        for person in writers(place, people, directory, name, stat) {
            match closed.iter_mut().find(|known| known.user == person.name) {
                Some(known) => known.further += 1,
                None => closed.push(Closed {
                    user: person.name,
                    path: shown_path(&directory.path_of(name)),
                    directory: shown_path(directory.path()),
                    is_top: directory.path() == shared.path(),
                    further: 0,
                }),
            }
        }
    });
    if walk.is_cut {
        look.facts.push(format!("only {} names searched for databases", Count(BOUNDS.names as u64)));
    }
    look.findings.extend(closed.into_iter().map(Closed::into_finding));
}

/// A user, and the first database that it cannot write to.
struct Closed {
    user: String,
    path: String,
    directory: String,
    is_top: bool,
    further: u64,
}

impl Closed {
    fn into_finding(self) -> Finding {
        let Closed { user, path, directory, is_top, further } = self;
        Finding::DatabaseNotWritable { user, path, directory, is_top, further }
    }
}

/// Returns those who may write to a database and make no files beside it, each once.
fn writers(place: &Place<'_>, people: &[Person], directory: &Dir, name: &[u8], stat: &Stat) -> Vec<Person> {
    let is_closed = |person: &Person| {
        let may_write = person.may(&directory.path_of(name), WRITE).unwrap_or(false);
        may_write && !person.may(directory.path(), WRITE | ENTER).unwrap_or(true)
    };
    let owner = place.person(stat.uid);
    let others = people.iter().filter(|person| person.uid != owner.uid && !person.only_serves).cloned();
    std::iter::once(owner.clone()).chain(others).filter(is_closed).collect()
}
