//! Applications that keep running, with a SQLite database in their directory: Django in gunicorn, Rails in Puma. They are
//! adopted while they run and write, and restarted afterwards. No request fails, and no order is lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Pid;

use crate::adopt;
use crate::support::load::{Load, copy, expect};
use crate::support::nginx::Nginx;
use crate::support::process::children_of;
use crate::support::site::{Site, text};
use crate::support::sqlite::sql;
use crate::support::sshd::run;
use crate::support::tree;
use crate::support::visitor::{ask, wait_for};
use crate::support::wait;

use super::files;

/// The pages of the versions.
const PAGES: [&str; 2] = ["200 version 1", "200 version 2"];

/// An application that runs in the directory of a site. Dropping it ends it.
struct Server {
    process: Child,
    port: u16,
    _nginx: Option<Nginx>,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its workers end with it.
        Command::new("kill").arg(self.process.id().to_string()).status().ok();
        self.process.wait().ok();
    }
}

/// Copies an application into the source of a site and into its directory, with what only the server has.
fn stand(application: &str, database: &str, journal: &str, own: &[(&str, &str)]) -> Site {
    let site = Site::new();
    let root = site.path("target");
    copy(&files().join(application), &site.path("source"));
    copy(&files().join(application), &root);
    for (path, content) in own {
        tree::write(&root.join(path), content);
    }
    fs::create_dir_all(root.join(database).parent().unwrap()).unwrap();
    let tables = "CREATE TABLE orders (id INTEGER PRIMARY KEY, number INTEGER)";
    sql(&root.join(database), &format!("PRAGMA journal_mode={journal}; {tables}"));
    site
}

/// Adopts a site whose application runs, deploys a version, goes back, and undoes the adoption. `restart` is the command by
/// which the application enters the release, in its directory.
fn live(mut site: Site, server: &Server, restart: &str, version_in: &str, database: &str) {
    let (root, port) = (site.path("target"), server.port);
    let deploy_path = adopt::deploy_path(&site);
    wait::until("the application answers", || ask(port, "/").is_ok_and(|answer| answer == PAGES[0]).then_some(()));
    let survey = adopt::adopt(&site, &["--dry-run"]).succeeded();
    let runs = text(&survey["running"][0]);
    assert!(runs.contains(&format!("({})", server.process.id())), "{runs}");
    let mut load = Load::default();
    for _ in 0..2 {
        load.ask(port, "/", &PAGES);
    }
    load.keep(move |number| expect(port, &format!("/order/{number}"), &format!("200 kept {number}")));
    load.watch(root.join(database));

    let adopted = adopt::adopt(&site, &["--yes"]).succeeded();
    assert!(adopted["shared"].as_array().unwrap().iter().any(|path| path == database), "{adopted}");
    assert!(adopted["warnings"].to_string().contains("Programs run in the old directory still"), "{adopted}");
    let in_root = |script: &str| drop(run(Command::new("sh").args(["-c", script]).current_dir(&root)));
    in_root(restart);
    let enters = |place: &Path| {
        wait::until("the application runs in its new place", || {
            let cwd = |pid: Pid| fs::read_link(format!("/proc/{}/cwd", pid.as_raw_nonzero())).unwrap_or_default();
            let server = Pid::from_child(&server.process);
            let mut processes = children_of(server).into_iter().chain([server]);
            processes.all(|pid| cwd(pid).starts_with(place)).then_some(())
        });
    };
    enters(&deploy_path.join("releases"));
    // It hears the next signal once it answers.
    wait_for(port, PAGES[0]);

    site.move_to(&deploy_path);
    let hook = format!("[[hooks]]\nname = 'restart'\nphase = 'after_switch'\nrun = \"{restart}\"\n");
    site.configure(&format!("current_path = '{}'\n{hook}", root.display()));
    let source = fs::read_to_string(site.source(version_in)).unwrap();
    site.write(version_in, source.replace("VERSION = 1", "VERSION = 2"));
    site.deploy(&[]);
    wait_for(port, PAGES[1]);
    site.succeed(&["rollback", "--yes"]);
    wait_for(port, PAGES[0]);
    site.configure("");
    site.succeed(&["adopt", "--undo", "--yes"]);
    in_root(restart);
    enters(&root);
    let kept = load.end(version_in, 20, 20);
    assert!(fs::symlink_metadata(root.join(database)).unwrap().is_file());
    let orders =
        sql(&root.join(database), "PRAGMA integrity_check; SELECT count(*), count(DISTINCT number) FROM orders");
    assert_eq!(orders, format!("ok\n{kept}|{kept}\n"));
}

fn start(program: &str, words: &[&str], root: &PathBuf) -> Child {
    let mut command = Command::new(program);
    command.args(words).current_dir(root).env("RAILS_ENV", "production").env("SITE", root);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_django_site_is_adopted_while_it_writes_to_its_database_and_no_order_is_lost() {
    let own = [(".env", "secret"), ("media/old.txt", "old"), ("logs/access.log", ""), ("run/none", "")];
    let site = stand("django", "db.sqlite3", "wal", &own);
    let port = crate::support::free_port();
    let bind = format!("127.0.0.1:{port}");
    let words = ["--bind", &bind, "--workers", "2", "--pid", "run/gunicorn.pid", "--access-logfile", "logs/access.log"];
    let process = start("gunicorn", &[&words[..], &["shop.wsgi"]].concat(), &site.path("target"));
    let server = Server { process, port, _nginx: None };
    live(site, &server, "kill -HUP $(cat run/gunicorn.pid)", "shop/urls.py", "db.sqlite3");
}

#[test]
fn a_rails_site_is_adopted_while_it_holds_its_database_open_and_no_order_is_lost() {
    let key = "0123456789012345678901234567890123456789";
    let own = [("config/master.key", key), ("log/production.log", ""), ("tmp/pids/none", ""), ("tmp/sockets/none", "")];
    let site = stand("rails", "db/production.sqlite3", "wal", &own);
    // It has the directory, so the database is shared as a file.
    site.write_both("db/schema.rb", "");
    let process = start("puma", &["--environment", "production"], &site.path("target"));
    let nginx = Nginx::start(&site.path("nginx"), |port| {
        let socket = site.target("tmp/sockets/puma.sock");
        format!("server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://unix:{}; }} }}", socket.display())
    });
    let server = Server { process, port: nginx.port, _nginx: Some(nginx) };
    live(site, &server, "kill -USR2 $(cat tmp/pids/server.pid)", "config/environment.rb", "db/production.sqlite3");
}
