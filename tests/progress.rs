//! Progress counts the bytes that the server has, not those in a buffer on the way.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr};

use crate::support::person::Person;
use crate::support::real_tree::noise;
use crate::support::relay::Relay;
use crate::support::site::{RunResult, Site};
use crate::support::sshd::{Sshd, is_root};
use crate::support::tree::assert_same;
use crate::support::wait;

const MIB: u64 = 1 << 20;

/// A deploy that runs, and what it says.
struct Deploy {
    child: Child,
    said: BufReader<ChildStderr>,
}

impl Deploy {
    fn start(site: &Site) -> Deploy {
        let mut child = site.command(&["deploy"]).spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        Deploy { child, said }
    }

    /// Reads on until a line begins so, and returns the rest of it.
    #[track_caller]
    fn line_of(&mut self, begin: &str) -> String {
        let mut line = String::new();
        let mut before = String::new();
        while self.said.read_line(&mut line).unwrap() > 0 {
            if let Some(rest) = line.strip_prefix(begin) {
                return rest.trim_end().to_owned();
            }
            before += &std::mem::take(&mut line);
        }
        panic!("no {begin:?} in: {before}");
    }
}

/// Returns the megabytes of `… 1.5 MB of 16.8 MB …`.
#[track_caller]
fn megabytes(text: &str) -> (f64, f64) {
    let bytes = |words: &str| {
        let (value, unit) = words.rsplit_once(' ').unwrap();
        let factor = match unit {
            "MB" => 1.0,
            "kB" => 1e-3,
            "B" => 1e-6,
            _ => panic!("{words:?}"),
        };
        value.parse::<f64>().unwrap() * factor
    };
    let part = text.split(", ").find(|part| part.contains("B of ")).unwrap_or_else(|| panic!("{text:?}"));
    let (done, total) = part.split_once(" of ").unwrap();
    (bytes(done.trim_start_matches(": ")), bytes(total))
}

#[test]
fn what_the_server_does_not_have_yet_is_not_shown_as_sent() {
    if !is_root() {
        return;
    }
    let mut sshd = Sshd::start();
    let user = sshd.add_user("/bin/bash");
    let relay = Relay::start_narrow(sshd.port());
    let mut site = Site::over(&sshd, &user);
    site.reach_by(&sshd.through(relay.port()));
    site.write("large", noise(1, 16 * MIB as usize));

    // The agent is copied first; its first half megabyte passes.
    relay.hold_after(MIB / 2);
    let mut deploy = Deploy::start(&site);
    relay.wait_until_held();
    let (done, agent) = megabytes(&deploy.line_of("Copying the agent"));
    assert!(done <= 1.0 && agent >= 1.5, "{done} of {agent}");
    relay.release();
    deploy.line_of("Copied the agent to the server");

    // Of the content, 3 MB pass, and what passed before the relay heard of it.
    relay.hold_after(3 * MIB);
    relay.wait_until_held();
    let mut line = deploy.line_of("Sending");
    // The first lines may be of the time before the relay held.
    while !line.contains("B of ") {
        line = deploy.line_of("Sending");
    }
    let passed = relay.passed_bytes() as f64 / 1e6 - agent + 0.1;
    let (done, total) = megabytes(&line);
    assert!(done <= passed && (16.7..16.9).contains(&total), "{line}, and {passed} MB have passed");
    let (done, _) = megabytes(&deploy.line_of("Sending"));
    assert!((1.0..=passed).contains(&done), "{done}, and {passed} MB have passed");
    relay.release();
    let sent = deploy.line_of("Sent ");
    assert!(sent.starts_with("1 file, 16.8 MB in "), "{sent}");
    RunResult::wait(deploy.child).succeeded();
    assert_same(&site.path("source"), &site.current(""));
}

/// Returns what was drawn between two moves of the cursor, and the codes of the terminal that were used.
fn drawn(screen: &str) -> (Vec<String>, Vec<String>) {
    let (mut lines, mut codes) = (vec![String::new()], Vec::new());
    let mut letters = screen.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\x1b' => {
                let code: String = letters.by_ref().skip(1).take_while_inclusive(|c| !c.is_ascii_alphabetic());
                lines.push(String::new());
                codes.push(code);
            }
            '\r' | '\n' => lines.push(String::new()),
            letter => lines.last_mut().unwrap().push(letter),
        }
    }
    (lines, codes)
}

/// Returns the rows of a terminal of so many columns that begin so.
fn rows_of(begin: &str, screen: &str, columns: usize) -> Vec<String> {
    let (lines, _) = drawn(screen);
    // Each line is drawn to the edge of the terminal, and the next one follows without a break.
    let letters: Vec<Vec<char>> = lines.iter().map(|line| line.chars().collect()).collect();
    let rows = letters.iter().flat_map(|line| line.chunks(columns)).map(String::from_iter);
    rows.filter(|row: &String| row.starts_with(begin)).collect()
}

trait TakeWhileInclusive: Iterator<Item = char> + Sized {
    /// Takes letters up to the first one for which `goes_on` is false, with that one.
    fn take_while_inclusive(self, goes_on: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        for letter in self {
            taken.push(letter);
            if !goes_on(letter) {
                break;
            }
        }
        taken
    }
}

impl<T: Iterator<Item = char>> TakeWhileInclusive for T {}

#[test]
fn phases_are_drawn_on_one_line_each_however_narrow_the_terminal_is() {
    if !is_root() {
        return;
    }
    let mut sshd = Sshd::start();
    let user = sshd.add_user("/bin/bash");
    let relay = Relay::start_narrow(sshd.port());
    let mut site = Site::over(&sshd, &user);
    site.write("small", "one");
    site.deploy(&[]);
    site.reach_by(&sshd.through(relay.port()));
    let widths: [(usize, &[&str]); 3] = [
        (20, &["%"]),
        (60, &["Sending     [", " of 25.2 MB"]),
        (120, &["Sending     [", "MB/s, ", " left", "0 of 1 file, "]),
    ];
    for (columns, told) in widths {
        site.write("large", noise(columns as u64, 24 * MIB as usize));
        // The agent reports whole frames, which have at most 8 MiB.
        relay.hold_after(16 * MIB);
        let mut command = site.command(&["deploy"]);
        command.env("NO_COLOR", "1");
        let person = Person::run_at_width(&command, columns as u16);
        relay.wait_until_held();
        // The line itself is waited for: on a slow machine it is drawn before the agent has reported a frame, and
        // what is released may be sent before it is drawn again.
        wait::until("the sending is told", || {
            let sending = rows_of("Sending ", &person.screen(), columns);
            told.iter().all(|words| sending.iter().any(|row| row.contains(words))).then_some(())
        });
        relay.release();
        let (code, screen) = person.ends();
        assert_eq!(code, Some(0), "{screen}");
        let (lines, codes) = drawn(&screen);
        for row in rows_of("Sending ", &screen, columns) {
            let width = row.trim_end().chars().count();
            assert!(width < columns, "{columns}: {width} in {row:?}");
        }
        // A wrapped text would begin a row.
        assert!(lines.iter().all(|line| !line.contains("Assembling") || line.starts_with("Assembling")), "{lines:?}");
        assert!(!codes.iter().any(|code| code.ends_with('m')), "{codes:?}");
    }
}

#[test]
fn a_table_fits_the_terminal_and_names_the_columns_that_it_leaves_out() {
    let site = Site::new();
    site.write("file", "content");
    site.deploy(&[]);
    let shown = |columns: u16| {
        let mut command = site.plain(&["releases"]);
        command.env("NO_COLOR", "1");
        let (code, screen) = Person::run_at_width(&command, columns).ends();
        assert_eq!(code, Some(0), "{screen}");
        screen
    };
    let (narrow, wide) = (shown(60), shown(200));
    let lines = || narrow.lines().map(|line| line.chars().count());
    assert!(lines().all(|width| width <= 60), "{narrow}");
    assert!(narrow.contains("LIVE SINCE") && narrow.contains("WHO"), "{narrow}");
    assert!(narrow.contains("A wider terminal shows too: ") && narrow.contains("OWN"), "{narrow}");
    assert!(wide.contains("FILES") && !wide.contains("A wider terminal"), "{wide}");
}
