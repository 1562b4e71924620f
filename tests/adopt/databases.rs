//! SQLite databases that programs write to while they move: in each journal mode, by a program that holds one open, and by one
//! that opens it for each transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{adopt, deploy_path, undo};
use crate::support::site::{Site, text};
use crate::support::sqlite::sql;
use crate::support::sshd::run;
use crate::support::{strace, tree, wait};

/// Writes rows until a file appears, then prints the number of those that were committed, and what failed. It holds the
/// database open, or opens it for each row. A file with its name behind that of the other says that a row failed.
const WRITER: &str = r#"
import os, sqlite3, sys, time
path, name, held, end = sys.argv[1], sys.argv[2], sys.argv[3] == "held", sys.argv[4]
connect = lambda: sqlite3.connect(path, timeout=30)
kept, refused, failed, own = 0, 0, [], connect() if held else None
while not os.path.exists(end):
    try:
        database = own or connect()
        database.execute("INSERT INTO t VALUES (?, ?)", (name, kept))
        database.commit()
        kept, refused = kept + 1, 0
        if not held: database.close()
    except Exception as error:
        # Between resolving a path and opening it, the database may move: then the path has another meaning.
        refused += 1
        if held or refused > 1:
            failed.append(str(error))
            open(end + "." + name, "w").close()
    time.sleep(0.001)
print(kept, failed)
"#;

/// Programs that write to a database. Dropping it kills those that run still.
struct Writers {
    end: PathBuf,
    programs: Vec<(&'static str, Child)>,
}

impl Writers {
    /// Starts them, and waits until each has written.
    fn start(site: &Site, database: &str) -> Writers {
        let end = site.path("end");
        let root = site.path("target");
        let rows = |kind: &str| -> u64 {
            let count = format!("SELECT count(*) FROM t WHERE a = '{kind}'");
            sql(&root.join(database), &count).trim().parse().unwrap()
        };
        let kinds = ["held", "anew"];
        let before = kinds.map(rows);
        let program = |kind: &'static str| {
            let mut writer = Command::new("/usr/bin/python3");
            writer.args(["-c", WRITER]).arg(root.join(database)).args([kind, kind]).arg(&end);
            (kind, writer.current_dir(&root).stdout(Stdio::piped()).spawn().unwrap())
        };
        let programs = kinds.map(program).into();
        let writers = Writers { end, programs };
        for (kind, before) in kinds.into_iter().zip(before) {
            wait::until("it writes", || (rows(kind) > before).then_some(()));
        }
        writers
    }

    /// Ends them. None failed but those that were refused, with this error each time. Returns the rows that each committed.
    #[track_caller]
    fn end(mut self, refused: &[&str]) -> BTreeMap<&'static str, u64> {
        // A program may wait for its turn to be refused.
        for kind in refused {
            let told = self.end.with_extension(kind);
            wait::until("it is refused", || told.exists().then_some(()));
        }
        fs::write(&self.end, "").unwrap();
        let rows = |(kind, program): &mut (&'static str, Child)| {
            let said = std::io::read_to_string(program.stdout.take().unwrap()).unwrap();
            let (kept, failed) = said.trim().split_once(' ').unwrap();
            let errors: BTreeSet<&str> =
                failed.trim_matches(['[', ']']).split(", ").filter(|it| !it.is_empty()).collect();
            let expected = if refused.contains(kind) {
                BTreeSet::from(["'unable to open database file'"])
            } else {
                BTreeSet::new()
            };
            assert_eq!(errors, expected, "{kind}");
            (*kind, kept.parse().unwrap())
        };
        let kept = self.programs.iter_mut().map(rows).collect();
        // The next programs of the site have the same names.
        for kind in refused {
            fs::remove_file(self.end.with_extension(kind)).unwrap();
        }
        fs::remove_file(&self.end).unwrap();
        kept
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        for (_, program) in &mut self.programs {
            program.kill().ok();
            program.wait().ok();
        }
    }
}

/// Makes a site with a database in a directory that the source has too.
fn standing(journal: &str) -> Site {
    let site = Site::new();
    site.write_both("db/schema.rb", "1");
    let make = format!("PRAGMA journal_mode={journal}; CREATE TABLE t (a, b)");
    sql(&site.target("db/site.sqlite3"), &make);
    site
}

/// Asserts that a database has these rows.
#[track_caller]
fn assert_kept(database: &Path, kept: &BTreeMap<&str, u64>) {
    let rows = "PRAGMA integrity_check; SELECT a, count(*), count(DISTINCT b) FROM t GROUP BY a ORDER BY a";
    let found = sql(database, rows);
    let expected: String = kept.iter().map(|(kind, rows)| format!("{kind}|{rows}|{rows}\n")).collect();
    assert_eq!(found, format!("ok\n{expected}"));
}

#[test]
fn no_transaction_is_lost_when_a_database_moves_while_programs_write_to_it() {
    // Without a `-wal`, a program that holds the database open needs the old name of its `-journal`: it must be restarted.
    for (journal, refused) in [("wal", &[][..]), ("delete", &["held"][..])] {
        let mut site = standing(journal);
        let path = "db/site.sqlite3";
        let writers = Writers::start(&site, path);
        let report = adopt(&site, &["--yes"]).succeeded();
        assert_eq!(super::strings(&report["shared"]), [path], "{journal}");
        let shared = deploy_path(&site).join("shared/db");
        assert!(fs::symlink_metadata(shared.join("site.sqlite3")).unwrap().is_file());
        // SQLite opens no link, so a program that knows the old path makes no second file there.
        let closed = ["-journal", "-wal", "-shm"].map(|end| format!("{path}{end}"));
        let original = deploy_path(&site).join(".cutover/original");
        for closed in closed {
            assert!(fs::read_link(original.join(&closed)).is_ok(), "{journal} {closed}");
        }
        let mut kept = writers.end(refused);
        assert_kept(&site.target(path), &kept);

        let writers = Writers::start(&site, path);
        site.write("db/schema.rb", "2");
        let target = site.path("target");
        site.move_to(&deploy_path(&site));
        site.deploy(&[]);
        site.move_to(&target);
        undo(&mut site);
        let again = writers.end(refused);
        again.into_iter().for_each(|(kind, rows)| *kept.entry(kind).or_default() += rows);
        assert!(fs::symlink_metadata(site.target(path)).unwrap().is_file());
        let found = sql(&site.target(path), "PRAGMA integrity_check; SELECT a, count(*) FROM t GROUP BY a ORDER BY a");
        let expected: String = kept.iter().map(|(kind, rows)| format!("{kind}|{rows}\n")).collect();
        assert_eq!(found, format!("ok\n{expected}"), "{journal}");
    }
}

#[test]
fn a_program_that_asks_first_after_the_adoption_is_refused_and_makes_no_second_file() {
    for journal in ["wal", "delete"] {
        let site = standing(journal);
        let database = site.target("db/site.sqlite3");
        let ask = "import sqlite3, sys\nd = sqlite3.connect(sys.argv[1])\nprint('open', flush=True)\n\
                   sys.stdin.readline()\ntry:\n    d.execute('INSERT INTO t VALUES (1, 1)')\n    d.commit()\n\
                   except Exception as error:\n    print(error)\n";
        let mut program = Command::new("/usr/bin/python3");
        program.args(["-c", ask]).arg(&database).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut program = program.spawn().unwrap();
        let mut said = BufReader::new(program.stdout.take().unwrap()).lines();
        assert_eq!(said.next().unwrap().unwrap(), "open");
        adopt(&site, &["--yes"]).succeeded();
        let mut kept = BTreeMap::from([("new", 0)]);
        for _ in 0..20 {
            sql(&database, &format!("INSERT INTO t VALUES ('new', {})", kept["new"]));
            kept.entry("new").and_modify(|rows| *rows += 1);
        }
        drop(program.stdin.take());
        let said: Vec<String> = said.map(Result::unwrap).collect();
        assert_eq!(said, ["unable to open database file"], "{journal}");
        program.wait().unwrap();
        assert_kept(&database, &kept);
        let release = fs::read_link(site.path("target")).unwrap();
        for end in ["-journal", "-wal", "-shm"] {
            assert!(fs::read_link(release.join(format!("db/site.sqlite3{end}"))).is_ok(), "{journal} {end}");
        }
    }
}

#[test]
fn an_adoption_that_is_killed_at_any_rename_and_goes_on_loses_no_transaction() {
    for journal in ["wal", "delete"] {
        for at in 1.. {
            let site = standing(journal);
            let path = "db/site.sqlite3";
            let writers = Writers::start(&site, path);
            let source = site.path("source");
            let words = ["adopt", "--source", source.to_str().unwrap(), "--yes"];
            let injection = format!("rename,renameat,renameat2:signal=KILL:when={at}");
            let Some(ran) = strace::inject(&site, &words, &injection, None) else { return };
            // If only the client was left to end, nothing is left to do.
            if ran.code != Some(0) && fs::read_link(site.path("target")).is_err() {
                let survey = adopt(&site, &["--dry-run"]).succeeded();
                let found = survey["paths"].as_array().unwrap();
                assert!(
                    found.iter().all(|found| !text(&found["path"]).ends_with("-journal")),
                    "{journal} {at}: {survey}"
                );
                adopt(&site, &["--yes"]).succeeded();
            }
            let refused = if journal == "wal" { &[][..] } else { &["held"] };
            assert_kept(&site.target(path), &writers.end(refused));
            if ran.code == Some(0) {
                assert!(at > 4, "{at}");
                break;
            }
        }
    }
}

#[test]
fn an_encrypted_database_moves_with_the_files_beside_it_and_other_files_of_such_names_stay() {
    let mut site = standing("delete");
    for (path, content) in [("secret.db", "no sign"), ("secret.db-wal", "pages"), ("docs/a", "1")] {
        tree::write(&site.target(path), content);
    }
    for path in ["public/uploads-journal/index.html", ".env-wal", "storage-shm"] {
        site.write_both(path, "of the source");
    }
    for path in ["public/uploads/a.jpg", ".env", "storage/logs/app.log"] {
        tree::write(&site.target(path), "of the server");
    }
    let report = adopt(&site, &["--yes"]).succeeded();
    let expected = [".env", "db/site.sqlite3", "public/uploads", "secret.db", "storage"];
    assert_eq!(super::strings(&report["shared"]), expected);
    let shared = deploy_path(&site).join("shared");
    assert_eq!(fs::read_to_string(shared.join("secret.db-wal")).unwrap(), "pages");
    for path in ["public/uploads-journal/index.html", ".env-wal", "storage-shm"] {
        assert_eq!(fs::read_to_string(site.target(path)).unwrap(), "of the source", "{path}");
    }
    fs::write(shared.join("secret.db-wal"), "newer pages").unwrap();
    undo(&mut site);
    assert_eq!(fs::read_to_string(site.target("secret.db-wal")).unwrap(), "newer pages");
}

#[test]
fn a_transaction_that_was_cut_short_is_undone_at_the_new_place() {
    let site = standing("delete");
    let database = site.target("db/site.sqlite3");
    // A program that is killed in a transaction whose pages are in the file already.
    let crash = "import os, sqlite3, sys\nd = sqlite3.connect(sys.argv[1])\nd.execute('PRAGMA cache_size=1')\n\
                 d.executemany('INSERT INTO t VALUES (1, ?)', (('x' * 1000,) for _ in range(200)))\nos._exit(0)\n";
    run(Command::new("/usr/bin/python3").args(["-c", crash]).arg(&database));
    assert!(site.target("db/site.sqlite3-journal").exists());
    adopt(&site, &["--yes"]).succeeded();
    assert!(deploy_path(&site).join("shared/db/site.sqlite3-journal").exists());
    let found = sql(&database, "PRAGMA integrity_check; SELECT count(*) FROM t");
    assert_eq!(found, "ok\n0\n");
}

/// A program that opens a database, waits until its path has changed, and is killed in a transaction that has written to the
/// file. Then another one writes.
const KILLED: &str = "
import os, signal, sqlite3, sys, time
path, done = sys.argv[1:]
is_link = lambda: os.path.islink(path) or os.path.islink(os.path.dirname(os.path.dirname(path)))
before = is_link()
if os.fork() == 0:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute('PRAGMA cache_size=2')
    db.execute('SELECT count(*) FROM t').fetchone()
    open(done + '.open', 'w').close()
    while is_link() == before:
        time.sleep(.0005)
    db.execute('BEGIN IMMEDIATE')
    db.execute('UPDATE t SET b = randomblob(900)')
    os.kill(os.getpid(), signal.SIGKILL)
os.wait()
time.sleep(.02)
db = sqlite3.connect(path, isolation_level=None, timeout=30)
for number in range(100):
    db.execute('INSERT INTO t VALUES (?, ?)', ('new', number))
open(done, 'w').close()
";

#[test]
fn a_transaction_of_a_program_that_is_killed_while_its_database_moves_is_undone() {
    let mut site = standing("delete");
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400) \
                INSERT INTO t SELECT 'old', zeroblob(900) FROM n";
    sql(&site.target("db/site.sqlite3"), rows);
    let path = site.target("db/site.sqlite3");
    let mut expected = 0;
    for flags in [&["--yes"][..], &["--undo", "--yes"]] {
        let done = site.path("done");
        let mut program = Command::new("python3");
        let mut program = program.args(["-c", KILLED]).arg(&path).arg(&done).spawn().unwrap();
        wait::until("the database is open", || site.path("done.open").exists().then_some(()));
        match flags {
            ["--yes"] => drop(adopt(&site, flags).succeeded()),
            _ => drop(undo(&mut site)),
        }
        assert!(program.wait().unwrap().success());
        fs::remove_file(&done).unwrap();
        fs::remove_file(site.path("done.open")).unwrap();
        expected += 100;
        let found = "PRAGMA integrity_check; SELECT count(*) FROM t WHERE b = zeroblob(900); SELECT count(*) FROM t WHERE a = 'new'";
        assert_eq!(sql(&path, found), format!("ok\n400\n{expected}\n"));
    }
}

#[test]
fn the_database_of_a_developer_does_not_replace_that_of_the_server() {
    let mut site = standing("delete");
    let fill = |path: PathBuf, rows: u32| {
        sql(&path, &format!("INSERT INTO t SELECT 1, value FROM generate_series(1, {rows})"));
    };
    fs::copy(site.target("db/site.sqlite3"), site.source("db/site.sqlite3")).unwrap();
    fs::copy(site.target("db/site.sqlite3"), site.source("db/seeds.sqlite3")).unwrap();
    fs::copy(site.target("db/site.sqlite3"), site.target("db/seeds.sqlite3")).unwrap();
    fill(site.target("db/site.sqlite3"), 5);
    fill(site.source("db/site.sqlite3"), 2);
    let report = adopt(&site, &["--yes"]).succeeded();
    // The other one is the same in both: it came with the source.
    assert_eq!(super::strings(&report["shared"]), ["db/site.sqlite3"]);
    let target = site.path("target");
    site.move_to(&deploy_path(&site));
    let refused = site.cutover(&["deploy"]);
    refused.failed(1, &["db/site.sqlite3", "\nHint: "]);
    fs::write(site.source(".deployignore"), "/db/site.sqlite3\n").unwrap();
    site.deploy(&[]);
    let rows = sql(&target.join("db/site.sqlite3"), "SELECT count(*) FROM t");
    assert_eq!(rows.trim(), "5");
}

#[test]
fn a_file_that_a_program_writes_to_becomes_shared_and_one_of_the_source_is_named() {
    let site = standing("delete");
    tree::write(&site.target("app.out"), "");
    tree::write(&site.target("db/data/orders.sqlite3"), "");
    sql(&site.target("db/data/orders.sqlite3"), "CREATE TABLE t (a)");
    tree::write(&site.target("lib/geo/geo.sqlite3"), "");
    sql(&site.target("lib/geo/geo.sqlite3"), "CREATE TABLE t (a)");
    tree::write(&site.target("lib/geo/geo.php"), "");
    let mut program = Command::new("sleep");
    let output = |path: &str| fs::OpenOptions::new().append(true).open(site.target(path)).unwrap();
    program.arg("600").stdout(output("app.out")).stderr(output("db/schema.rb")).current_dir(site.target("db"));
    let mut running = program.spawn().unwrap();
    // This process has the files open no longer.
    drop(program);
    let survey = adopt(&site, &["--dry-run"]).succeeded();
    // A database beside code is a part of it, unless somebody uses it.
    assert_eq!(
        super::proposal(&survey),
        ["open app.out", "database db/data", "database db/site.sqlite3", "leftover lib"]
    );
    assert_eq!(survey["running"], serde_json::json!([format!("sleep ({})", running.id())]));
    assert_eq!(survey["written"], serde_json::json!(["db/schema.rb"]));
    let report = adopt(&site, &["--yes"]).succeeded();
    assert!(report["warnings"].to_string().contains(&format!("sleep ({})", running.id())), "{report}");
    running.kill().unwrap();
    running.wait().unwrap();
}
