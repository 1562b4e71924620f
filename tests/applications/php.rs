//! A shop in PHP behind nginx and PHP-FPM, with a database that deploys migrate.
//!
//! A visitor asks for the page all the time. He never sees anything but the page of one release, and no failure. The
//! first hook of each phase writes down what is live and what is served at that moment.

use std::fs;
use std::process::Command;

use serde_json::json;

use super::files;
use crate::support::nginx::Nginx;
use crate::support::php::Php;
use crate::support::site::{RunResult, Site};
use crate::support::sshd::run;
use crate::support::visitor::{Visitor, ask};

const PHASES: [&str; 11] = [
    "before_build",
    "build",
    "after_build",
    "before_upload",
    "after_upload",
    "before_switch",
    "after_switch",
    "after_deploy",
    "on_failure",
    "before_rollback",
    "after_rollback",
];

/// The shop, its servers and its visitor.
struct Shop {
    visitor: Visitor,
    nginx: Nginx,
    php: Php,
    site: Site,
}

/// The page of a version, once the database has what it asks for.
fn page(version: u32) -> String {
    format!("{version}-{version} tea{}", if version == 1 { "" } else { " of Ceylon" })
}

impl Shop {
    /// Starts the servers, and deploys version 1 as release 1.
    fn open() -> Shop {
        let mut site = Site::new();
        run(Command::new("cp").arg("-R").arg(files().join("shop/.")).arg(site.path("source")));
        let php = Php::start(&site);
        let nginx = Nginx::start(&site.path("nginx"), |port| php.server_block(&site, port));
        let config = config(&site, &php, nginx.port);
        site.configure(&config);
        write(&site, 1);
        site.deploy(&["--release", "1"]);
        assert_eq!(nginx.get("/", None).2, page(1));
        let visitor = Visitor::of(nginx.port);
        let shop = Shop { visitor, nginx, php, site };
        shop.moments();
        shop
    }

    /// Deploys a version as the release of that number.
    fn deploy(&self, version: u32) -> RunResult {
        write(&self.site, version);
        self.site.cutover(&["deploy", "--release", &version.to_string()])
    }

    /// Takes a fault out of the source.
    fn mend(&self, path: &str) {
        if fs::copy(files().join("shop").join(path), self.site.source(path)).is_err() {
            fs::remove_file(self.site.source(path)).unwrap();
        }
    }

    /// Deploys a version that must go live, and asserts what was served meanwhile.
    #[track_caller]
    fn replace(&self, old: u32, new: u32) {
        self.deploy(new).succeeded();
        assert_eq!(self.moments(), whole_deploy(old, new));
        assert_eq!(self.visitor.saw(), [old, new].map(|version| format!("200 {}", page(version))));
        self.is_open(new);
    }

    /// Asserts which release is live and served, and that its health is fine.
    #[track_caller]
    fn is_open(&self, version: u32) {
        assert_eq!(self.site.live(), Some(version.to_string()));
        assert_eq!(self.nginx.get("/", None).2, page(version));
        assert_eq!(ask(self.nginx.port, "/health").unwrap(), "200 fine: 1 goods");
    }

    /// Returns what the hooks wrote down since the last call.
    fn moments(&self) -> Vec<String> {
        let log = self.site.path("moments");
        let text = fs::read_to_string(&log).unwrap_or_default();
        fs::remove_file(log).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Returns the migrations that the database has.
    fn migrations(&self) -> String {
        let script = "echo implode(' ', (new PDO($argv[1]))->query('SELECT name FROM migrations ORDER BY name')->\
                      fetchAll(PDO::FETCH_COLUMN)), ' / ', implode(' ', (new PDO($argv[1]))->\
                      query('SELECT name FROM pragma_table_info(\"goods\")')->fetchAll(PDO::FETCH_COLUMN));";
        let database = format!("sqlite:{}", self.site.target("shared/data/shop.sqlite").display());
        run(Command::new("php").args(["-r", script, "--", &database]))
    }
}

/// Writes the source of a version. Two files hold it, so that a page of two releases would show.
fn write(site: &Site, version: u32) {
    let index = fs::read_to_string(files().join("shop/public/index.php")).unwrap();
    site.write("public/index.php", index.replace("VERSION", &version.to_string()));
    let columns = if version == 1 { "name" } else { "name, origin" };
    site.write("lib/version.php", format!("<?php return ['version' => {version}, 'columns' => '{columns}'];\n"));
    if version > 1 {
        site.write(
            "migrations/2_origin.sql",
            "ALTER TABLE goods ADD COLUMN origin TEXT NOT NULL DEFAULT 'of Ceylon';\n",
        );
    }
}

/// Returns the config: in each phase a look, and then a real step.
fn config(site: &Site, php: &Php, port: u16) -> String {
    let hook = |name: &str, phase: &str, run: &str, more: &str| {
        format!("[[hooks]]\nname = '{name}'\nphase = '{phase}'\nrun = '''{run}'''\n{more}\n")
    };
    let look = |phase: &str| {
        let (log, current) = (site.path("moments"), site.target("current"));
        // Without its settings, PHP starts faster.
        format!("php -n {} {} {} {port} {phase}", files().join("look.php").display(), log.display(), current.display())
    };
    let mut config = "shared_dirs = ['data']\n".to_owned();
    for phase in PHASES {
        config += &hook(&format!("look-{phase}"), phase, &look(phase), "");
    }
    let lint = "cd \"$CUTOVER_SOURCE_PATH/public\" && cd .. || exit 1; \
                for file in $(find . -name '*.php'); do php -n -l $file || exit 1; done";
    config += &hook("lint", "build", lint, "");
    config += &hook("open", "before_upload", "test ! -e \"$CUTOVER_SHARED_PATH/data/closed\"", "");
    config +=
        &hook("migrate", "before_switch", "php bin/migrate.php", "migration = true\nif_changed = ['/migrations/']");
    config += &hook("fpm", "after_switch", &format!("kill -USR2 $(cat {})", php.pid.display()), "");
    // A version may have a step of its own in each phase, which fails in the tests.
    for phase in PHASES {
        let step = format!("if test -e bin/{phase}.php; then php bin/{phase}.php; fi");
        config += &hook(phase, phase, &step, if phase.ends_with("build") { "cwd = 'source'" } else { "" });
    }
    config += &format!("[[checks]]\nname = 'look'\nrun = '{}'\nfrom = 'server'\n", look("checks"));
    for from in ["server", "client"] {
        config += &format!(
            "[[checks]]\nname = 'health of the {from}'\nurl = 'http://127.0.0.1:{port}/health'\nbody = 'fine: 1 goods'\n\
             from = '{from}'\nheaders = {{ X-From = '{from}' }}\nretries = 1\ninterval = '0s'\n"
        );
    }
    config
}

/// Returns the moments of some phases, all with one release live.
fn moments(phases: &[&str], version: u32) -> Vec<String> {
    phases.iter().map(|phase| format!("{phase}: {version} serves {}", page(version))).collect()
}

/// Returns the moments of a deploy that succeeds.
fn whole_deploy(old: u32, new: u32) -> Vec<String> {
    [moments(&PHASES[..6], old), moments(&["after_switch", "checks", "after_deploy"], new)].concat()
}

/// Returns the moments of a rollback that succeeds.
fn whole_rollback(from: u32, to: u32) -> Vec<String> {
    [moments(&["before_rollback"], from), moments(&["after_switch", "checks", "after_rollback"], to)].concat()
}

/// A way to break a deploy, and what is expected of it.
struct Fault {
    /// The file of the source that breaks it, and its content.
    file: (&'static str, &'static str),
    /// The words on stderr.
    words: &'static [&'static str],
    /// The phases in which the old release is still live, then those in which the new one is, then those in which the
    /// old one is again.
    phases: [&'static [&'static str]; 3],
}

/// A step of a version that fails.
const BROKEN: &str = "<?php throw new RuntimeException('the queue does not answer');";

const BACK: &[&str] = &["after_switch", "after_rollback", "on_failure"];

/// The faults before the switch and after it.
fn faults() -> Vec<Fault> {
    let fault =
        |path, content, words, old, new, again| Fault { file: (path, content), words, phases: [old, new, again] };
    let step = |path, words, old, new, again| fault(path, BROKEN, words, old, new, again);
    vec![
        step("bin/before_build.php", &["The hook `before_build` (before_build) failed"], &PHASES[..1], &[], &[]),
        fault(
            "lib/price.php",
            "<?php return [;",
            &["[lint] Parse error: ", "The hook `lint` (build) failed: it ended with exit code 1"],
            &PHASES[..2],
            &[],
            &[],
        ),
        step("bin/after_build.php", &["The hook `after_build` (after_build) failed"], &PHASES[..3], &[], &[]),
        step(
            "bin/after_upload.php",
            &[
                "the queue does not answer",
                "The hook `after_upload` (after_upload) failed: it ended with exit code 255",
            ],
            &PHASES[..5],
            &[],
            &["on_failure"],
        ),
        fault(
            "migrations/3_broken.sql",
            "ALTER TABLE goods ADD COLUMN price; ALTER TABLE absent ADD COLUMN price;",
            &["no such table: absent", "The hook `migrate` (before_switch) failed: it ended with exit code 255"],
            &PHASES[..6],
            &[],
            &["on_failure"],
        ),
        step(
            "bin/after_switch.php",
            &["The hook `after_switch` (after_switch) failed", "switching back to release"],
            &PHASES[..6],
            &["after_switch"],
            BACK,
        ),
        fault(
            "lib/health.php",
            "<?php function health() { throw new RuntimeException('no goods'); }",
            &["The check `health of the server` failed 2 times", "Expected status 200, and got 500"],
            &PHASES[..6],
            &["after_switch", "checks"],
            BACK,
        ),
        fault(
            "lib/health.php",
            "<?php function health() { return $_SERVER['HTTP_X_FROM'] === 'client' ? 'no goods' : '1 goods'; }",
            &["The check `health of the client` failed 2 times", "Expected `fine: 1 goods` in the body"],
            &PHASES[..6],
            &["after_switch", "checks"],
            BACK,
        ),
        step(
            "bin/after_deploy.php",
            &["The hook `after_deploy` (after_deploy) failed"],
            &PHASES[..6],
            &["after_switch", "checks", "after_deploy", "on_failure"],
            &[],
        ),
    ]
}

#[test]
fn a_php_application_that_is_broken_in_a_phase_serves_what_it_served_before_or_its_new_version() {
    let shop = Shop::open();
    shop.replace(1, 2);
    let mut live = 2;
    for Fault { file: (path, content), words, phases: [before, meanwhile, after] } in faults() {
        let new = live + 1;
        shop.site.write(path, content);
        let ran = shop.deploy(new);
        ran.failed(6, words);
        assert_eq!(ran.json["error"]["kind"], "hook", "{path}");
        let expected = [moments(before, live), moments(meanwhile, new), moments(after, live)].concat();
        assert_eq!(shop.moments(), expected, "{path}");
        let stays = !meanwhile.is_empty() && after.is_empty();
        let served = if stays { new } else { live };
        let last = match before.len() {
            // The server was not asked yet.
            ..=3 => "Nothing was switched.\n".to_owned(),
            _ if stays => format!("The site now serves release {new}.\n"),
            _ => format!("The site still serves release {live}.\n"),
        };
        assert!(ran.stderr.ends_with(&last), "{last:?} does not end {}", ran.stderr);
        let mut saw = shop.visitor.saw();
        // Whether the visitor came while the new release was live is chance.
        if !meanwhile.is_empty() && !stays && saw.len() > 1 {
            assert_eq!(saw.remove(1), format!("200 {}", page(new)));
            saw.dedup();
        }
        let expected = if stays { vec![live, new] } else { vec![live] };
        assert_eq!(saw, expected.iter().map(|&version| format!("200 {}", page(version))).collect::<Vec<_>>(), "{path}");
        shop.is_open(served);
        assert_eq!(shop.migrations(), "1_goods 2_origin / name origin");
        shop.mend(path);
        shop.replace(served, new + 1);
        live = new + 1;
    }
}

#[test]
fn a_php_application_whose_server_is_closed_or_whose_fpm_cannot_be_reloaded_keeps_serving() {
    let shop = Shop::open();
    shop.site.write_shared("data/closed", "");
    shop.deploy(2)
        .failed(6, &["The hook `open` (before_upload) failed: it ended with exit code 1", "still serves release 1"]);
    assert_eq!(shop.moments(), [moments(&PHASES[..4], 1), moments(&["on_failure"], 1)].concat());
    assert_eq!(shop.visitor.saw(), [format!("200 {}", page(1))]);
    fs::remove_file(shop.site.target("shared/data/closed")).unwrap();
    shop.replace(1, 2);

    // The reload fails on the way back too. The links lead back all the same.
    let aside = shop.php.pid.with_extension("aside");
    fs::rename(&shop.php.pid, &aside).unwrap();
    let ran = shop.deploy(3);
    ran.failed(6, &["The hook `fpm` (after_switch) failed", "The site still serves release 2."]);
    assert_eq!(ran.stderr.matches("The hook `fpm` (after_switch) failed").count(), 2, "{}", ran.stderr);
    let phases = [moments(&PHASES[..6], 2), moments(&["after_switch"], 3), moments(BACK, 2)];
    assert_eq!(shop.moments(), phases.concat());
    shop.is_open(2);
    fs::rename(aside, &shop.php.pid).unwrap();
    shop.visitor.saw();
    shop.replace(2, 4);
}

#[test]
fn a_rollback_of_a_php_application_that_fails_before_its_switch_changes_nothing_and_after_it_stays() {
    let shop = Shop::open();
    shop.replace(1, 2);
    let break_it = |path: &str, content: &str, version: u32| {
        shop.site.write(path, content);
        shop.deploy(version).succeeded();
        shop.mend(path);
        shop.deploy(version + 1).succeeded();
        shop.moments();
        shop.visitor.saw();
    };
    // What the earlier release needs may be gone by then.
    let needs = "<?php function health() { return is_file(__DIR__ . '/../data/legacy') ? '1 goods' : 'none'; }";
    // A fault, and the phases after the switch to the earlier release.
    let before = ("bin/before_rollback.php", BROKEN, "The hook `before_rollback` (before_rollback) failed");
    let checks = ("lib/health.php", needs, "The check `health of the server` failed 2 times");
    let last = ("bin/after_rollback.php", BROKEN, "The hook `after_rollback` (after_rollback) failed");
    let faults: [(_, &[&str]); 3] = [
        (before, &[]),
        (checks, &["after_switch", "checks", "on_failure"]),
        (last, &["after_switch", "checks", "after_rollback", "on_failure"]),
    ];
    for (((path, content, words), after), begin) in faults.into_iter().zip([3, 5, 7]) {
        shop.site.write_shared("data/legacy", "");
        break_it(path, content, begin);
        fs::remove_file(shop.site.target("shared/data/legacy")).unwrap();
        let ran = shop.site.cutover(&["rollback", "--yes"]);
        ran.failed(6, &[words]);
        let (word, live) = if after.is_empty() { ("still", begin + 1) } else { ("now", begin) };
        assert!(ran.stderr.ends_with(&format!("The site {word} serves release {live}.\n")), "{}", ran.stderr);
        let first: &[&str] = if after.is_empty() { &["before_rollback", "on_failure"] } else { &["before_rollback"] };
        assert_eq!(shop.moments(), [moments(first, begin + 1), moments(after, begin)].concat(), "{path}");
        shop.site.write_shared("data/legacy", "");
        shop.is_open(live);
    }
}

#[test]
fn a_php_application_is_deployed_migrated_rolled_back_and_returned_to_and_no_visitor_notices() {
    let shop = Shop::open();
    assert_eq!(shop.migrations(), "1_goods / name");
    // The page of version 2 asks for what only its migration makes: so it ran before the switch.
    shop.replace(1, 2);
    assert_eq!(shop.migrations(), "1_goods 2_origin / name origin");
    shop.replace(2, 3);

    // Version 3 migrated nothing. Version 2 did.
    shop.site.succeed(&["rollback"]);
    shop.is_open(2);
    let asked = "A rollback to release 1 does not undo migrations that ran since: `migrate` of release 2";
    shop.site.refused(&["rollback"], 1, &[asked, "run the command again with `--yes`"]);
    shop.moments();
    shop.visitor.saw();
    let report = shop.site.succeed(&["rollback", "--yes"]);
    assert_eq!(
        report["warnings"],
        json!(["The switch to release 1 does not undo migrations that ran since: `migrate` of release 2"])
    );
    assert_eq!(shop.moments(), whole_rollback(2, 1));
    assert_eq!(shop.visitor.saw(), [2, 1].map(|version| format!("200 {}", page(version))));
    shop.is_open(1);
    // What was migrated stays: version 1 lives with it.
    assert_eq!(shop.migrations(), "1_goods 2_origin / name origin");
    shop.site.succeed(&["rollback", "--forward"]);
    assert_eq!(shop.moments(), whole_rollback(1, 2));
    assert_eq!(shop.visitor.saw(), [1, 2].map(|version| format!("200 {}", page(version))));
    shop.is_open(2);
    shop.replace(2, 4);
}
