//! SQL on databases of SQLite, which waits for other programs.

use std::path::Path;
use std::process::Command;

use super::sshd::run;

/// Runs SQL on a database, and returns the answer.
#[track_caller]
pub(crate) fn sql(database: &Path, sql: &str) -> String {
    ask(Command::new("sqlite3"), database, sql)
}

/// Works like [`sql`], as a user with one group.
#[track_caller]
pub(crate) fn sql_as(user: &str, group: &str, database: &Path, sql: &str) -> String {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user, "--regid", group, "--clear-groups", "sqlite3"]);
    ask(command, database, sql)
}

#[track_caller]
fn ask(mut sqlite: Command, database: &Path, sql: &str) -> String {
    run(sqlite.args(["-cmd", ".timeout 30000"]).arg(database).arg(sql))
}
