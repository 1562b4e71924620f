//! Switches under load: nobody gets an error, a page of two releases, or an old page once the new release is live.
//!
//! Readers ask for files and pages all the time. A watcher notes when `current` changes. Each answer is compared with
//! the releases that were live between its request and its end. `tests/web-switches` runs 200 switches on each web server
//! and prints the figures.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::php::Php;
use crate::support::site::Site;
use crate::support::sshd::is_root;
use crate::support::visitor::exchange;
use crate::support::wait;
use crate::support::web_server::{WebServer, WebServerKind};

/// The switches on each web server, unless `CUTOVER_WEB_SWITCHES` says otherwise.
const SWITCHES: usize = 12;

/// The time between two looks at `current`.
const LOOK_EVERY: Duration = Duration::from_micros(500);

/// The longest time until the watcher notices a switch, on a machine that is busy with the readers.
const NOTICED_WITHIN: Duration = Duration::from_millis(500);

/// The path that is no page of PHP.
const FILE: &str = "/static.txt";

/// An answer: what was asked, when, and what came.
struct Answer {
    path: &'static str,
    asked: Instant,
    ended: Instant,
    text: String,
}

/// A release that went live.
struct Switch {
    seen: Instant,
    release: String,
}

/// What a run came to.
#[derive(Default)]
struct Figures {
    answers: usize,
    /// Answers of an older release to requests that began after the switch.
    old: usize,
    /// The longest time after a switch at which such an answer came.
    longest: Duration,
    /// The time from each switch to the first page of the new release.
    first: Vec<Duration>,
}

/// Writes a version: a page of two files, a page that asks for the second one by another way, and a file. Their lengths
/// differ between some versions, and their content between all.
fn write(site: &Site, version: usize) {
    let more = "+".repeat(version % 3);
    site.write(
        "public/index.php",
        format!("<?php echo '{version} ', include __DIR__ . '/../lib/version.php'; //{more}"),
    );
    let by_root = "include $_SERVER['DOCUMENT_ROOT'] . '/../lib/version.php'";
    site.write("public/root.php", format!("<?php echo '{version} ', {by_root}; //{more}"));
    site.write("lib/version.php", format!("<?php return '{version}'; //{more}"));
    site.write("public/static.txt", file(version));
}

/// Returns the file of a version.
fn file(version: usize) -> String {
    format!("{version} {version}\n{}", "+".repeat(version % 3))
}

/// Asks for a path. Returns the status and the body, or what is wrong with the answer.
fn get(port: u16, path: &str) -> String {
    let (head, body) = match exchange(port, &format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")) {
        Ok(answer) => answer,
        Err(error) => return format!("no answer: {error}"),
    };
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let status = head.split(' ').nth(1).unwrap_or_default();
    match length {
        Some(length) if length != body.len().to_string() => format!("{status} {body} instead of {length} bytes"),
        _ => format!("{status} {body}"),
    }
}

/// Switches: two deploys, back, and forth again. Names of releases never repeat.
fn switch(site: &Site, number: usize) {
    let version = number / 4 * 2 + 2;
    match number % 4 {
        first @ 0..2 => {
            write(site, version + first);
            site.deploy(&["--release", &(version + first).to_string()]);
        }
        2 => drop(site.succeed(&["rollback"])),
        _ => drop(site.succeed(&["switch", &(version + 1).to_string()])),
    }
}

/// Asks for a path until the end.
fn read(port: u16, path: &'static str, is_over: &AtomicBool, answers: &Mutex<Vec<Answer>>) {
    while !is_over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let text = get(port, path);
        answers.lock().unwrap().push(Answer { path, asked, ended: Instant::now(), text });
    }
}

/// Notes each release that goes live.
fn watch(site: &Site, is_over: &AtomicBool, switches: &Mutex<Vec<Switch>>) {
    while !is_over.load(Ordering::Relaxed) {
        let release = site.live().unwrap();
        let mut switches = switches.lock().unwrap();
        if switches.last().is_none_or(|last| last.release != release) {
            switches.push(Switch { seen: Instant::now(), release });
        }
        drop(switches);
        thread::sleep(LOOK_EVERY);
    }
}

/// Switches under load.
fn run(kind: WebServerKind, paths: &[&'static str], count: usize, change: impl Fn(String) -> String) -> Figures {
    let site = Site::new();
    write(&site, 1);
    site.deploy(&["--release", "1"]);
    let php = Php::start_as(&site, "www-data", "");
    let server = WebServer::start(kind, &site, &change(php.printed(kind, &site)));
    for path in paths {
        assert!(get(server.port, path).starts_with("200 1 1"), "{kind:?} {path}");
    }
    let (is_over, switches) = (AtomicBool::new(false), Mutex::default());
    let answers: Mutex<Vec<Answer>> = Mutex::default();
    thread::scope(|scope| {
        scope.spawn(|| watch(&site, &is_over, &switches));
        for path in paths {
            scope.spawn(|| read(server.port, path, &is_over, &answers));
        }
        for number in 0..count {
            switch(&site, number);
            // Each path is answered some times, of which the last began after the switch.
            let before = answers.lock().unwrap().len();
            wait::until("each path is answered", || {
                thread::sleep(LOOK_EVERY);
                let answers = answers.lock().unwrap();
                let count = |path: &str| answers[before..].iter().filter(|answer| answer.path == path).count();
                paths.iter().all(|path| count(path) >= 2 * paths.len()).then_some(())
            });
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let (answers, switches) = (answers.into_inner().unwrap(), switches.into_inner().unwrap());
    assert_eq!(switches.len(), count + 1, "{kind:?}: each switch was seen");
    judge(kind, &answers, &switches)
}

/// Returns the release that an answer is of, if it is whole and of one.
fn release_of(Answer { path, text, .. }: &Answer) -> Option<&str> {
    let (status, body) = text.split_once(' ')?;
    let release = body.split_whitespace().next()?;
    let whole = if *path == FILE { file(release.parse().ok()?) } else { format!("{release} {release}") };
    (status == "200" && body == whole).then_some(release)
}

/// Compares each answer with the releases that were live.
fn judge(kind: WebServerKind, answers: &[Answer], switches: &[Switch]) -> Figures {
    let mut figures = Figures { answers: answers.len(), ..Figures::default() };
    for answer in answers {
        let Answer { path, asked, ended, text } = answer;
        // The newest release that was live when the request began, and those that became live until its end.
        let first = switches.iter().rposition(|switch| switch.seen <= *asked).unwrap_or_default();
        let last = switches.iter().rposition(|switch| switch.seen <= *ended + NOTICED_WITHIN).unwrap_or_default();
        let release = release_of(answer).unwrap_or_else(|| panic!("{kind:?} {path} is not of one release: {text}"));
        if switches[first..=last].iter().any(|switch| switch.release == release) {
            continue;
        }
        assert!(switches[..first].iter().any(|switch| switch.release == release), "{kind:?} {path}: {text}");
        figures.old += 1;
        figures.longest = figures.longest.max(*ended - switches[first].seen);
    }
    for switch in &switches[1..] {
        let is_new = |answer: &&Answer| {
            answer.path.ends_with(".php")
                && answer.ended > switch.seen
                && answer.text.split(' ').nth(1) == Some(&switch.release)
        };
        let first = answers.iter().filter(is_new).map(|answer| answer.ended - switch.seen).min();
        figures.first.extend(first);
    }
    figures.first.sort();
    figures
}

#[test]
fn visitors_get_one_release_and_the_new_one_as_soon_as_it_is_live() {
    if !is_root() {
        return;
    }
    let count = std::env::var("CUTOVER_WEB_SWITCHES").map_or(SWITCHES, |count| count.parse().unwrap());
    for kind in WebServerKind::ALL {
        let mut paths = vec!["/", "/index.php", "/index.php", FILE];
        if kind != WebServerKind::ApacheModule {
            // In mod_php, `DOCUMENT_ROOT` leads through the symlink: the guide says so.
            paths.push("/root.php");
        }
        let Figures { answers, old, longest, first } = run(kind, &paths, count, |config| config);
        assert_eq!(first.len(), count, "{kind:?}: each release was served");
        let median = first[first.len() / 2];
        eprintln!(
            "{kind:?}: {count} switches, {answers} answers; {old} old ones; first new \
             page after {median:?} (median), {:?} (longest)",
            first[first.len() - 1]
        );
        assert_eq!(old, 0, "{kind:?}: the last came {longest:?} after the switch");
    }
}

#[test]
fn without_its_lines_for_php_the_configuration_serves_the_old_release() {
    if !is_root() {
        return;
    }
    let stock = |config: String| {
        let is_stock = |line: &&str| {
            !["realpath_cache_size", "revalidate_path", "resolve_root", "ProxyFCGI"]
                .iter()
                .any(|own| line.contains(own))
        };
        let stock: Vec<&str> = config.lines().filter(is_stock).collect();
        stock.join("\n").replace("set $release_root $realpath_root", "set $release_root $document_root") + "\n"
    };
    for kind in WebServerKind::ALL {
        let figures = run(kind, &["/", "/index.php"], 2, stock);
        assert!(figures.old > 0, "{kind:?}: {} answers", figures.answers);
        assert_eq!(figures.first, [], "{kind:?}: no new page");
    }
}
