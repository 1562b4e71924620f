//! Hooks on the server: their order and surroundings, what follows a failure, and the runner that outlives a client.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::support::line::Line;
use crate::support::site::{RunResult, Site, text};
use crate::support::wait;

/// Makes a site with hooks: name, phase, command and further keys.
fn site_with(hooks: &[(&str, &str, &str, &str)]) -> Site {
    let mut site = Site::new();
    configure(&mut site, "", hooks);
    site.write("index.html", "one");
    site
}

fn configure(site: &mut Site, top: &str, hooks: &[(&str, &str, &str, &str)]) {
    let table = |&(name, phase, run, more): &(&str, &str, &str, &str)| {
        format!("[[hooks]]\nname = \"{name}\"\nphase = \"{phase}\"\nrun = '''{run}'''\n{more}\n")
    };
    site.configure(&format!("auto_shared = false\n{top}\n{}", hooks.iter().map(table).collect::<String>()));
}

/// Returns the lines that hooks wrote into `shared/log`.
fn log(site: &Site) -> Vec<String> {
    let text = fs::read_to_string(site.target("shared/log")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// A command that writes a line into the log.
fn note(line: &str) -> String {
    format!("echo \"{line}\" >> \"$CUTOVER_SHARED_PATH/log\"")
}

/// Deploys another content, which must fail with an exit code and these words.
#[track_caller]
fn fail(site: &Site, code: i32, words: &[&str]) -> RunResult {
    site.write("index.html", format!("{:?}", Instant::now()));
    let ran = site.cutover(&["deploy"]);
    ran.failed(code, words);
    ran
}

#[test]
fn hooks_run_in_their_order_and_see_the_releases() {
    let all: Vec<(String, String)> = [
        "before_upload",
        "after_upload",
        "before_switch",
        "after_switch",
        "after_deploy",
        "before_rollback",
        "after_rollback",
        "on_failure",
    ]
    .map(|phase| {
        let line = "$CUTOVER_PHASE $CUTOVER_HOOK new=$CUTOVER_RELEASE old=$CUTOVER_PREVIOUS_RELEASE \
                    first=$CUTOVER_FIRST_DEPLOY back=$CUTOVER_ROLLBACK live=$(readlink $CUTOVER_CURRENT_PATH)";
        (phase.to_owned(), note(line))
    })
    .into();
    let hooks: Vec<(&str, &str, &str, &str)> =
        all.iter().map(|(phase, run)| (phase.as_str(), phase.as_str(), run.as_str(), "")).collect();
    let site = site_with(&hooks);
    site.deploy(&["--release", "1"]);
    let line = |phase: &str, new: &str, old: &str, first: u8, back: u8, live: &str| {
        let live = if live.is_empty() { String::new() } else { format!("releases/{live}") };
        format!("{phase} {phase} new={new} old={old} first={first} back={back} live={live}")
    };
    let first = [
        line("before_upload", "", "", 1, 0, ""),
        line("after_upload", "1", "", 1, 0, ""),
        line("before_switch", "1", "", 1, 0, ""),
        line("after_switch", "1", "", 1, 0, "1"),
        line("after_deploy", "1", "", 1, 0, "1"),
    ];
    assert_eq!(log(&site), first);

    fs::remove_file(site.target("shared/log")).unwrap();
    site.write("index.html", "two");
    site.deploy(&["--release", "2"]);
    let second = [
        line("before_upload", "", "1", 0, 0, "1"),
        line("after_upload", "2", "1", 0, 0, "1"),
        line("before_switch", "2", "1", 0, 0, "1"),
        line("after_switch", "2", "1", 0, 0, "2"),
        line("after_deploy", "2", "1", 0, 0, "2"),
    ];
    assert_eq!(log(&site), second);

    // A restart belongs to a rollback too. Nothing else of a deploy does.
    fs::remove_file(site.target("shared/log")).unwrap();
    site.succeed(&["rollback"]);
    let back = [
        line("before_rollback", "1", "2", 0, 1, "2"),
        line("after_switch", "1", "2", 0, 1, "1"),
        line("after_rollback", "1", "2", 0, 1, "1"),
    ];
    assert_eq!(log(&site), back);
}

#[test]
fn a_hook_that_fails_before_the_switch_leaves_the_previous_release_live() {
    for phase in ["before_upload", "after_upload", "before_switch"] {
        let mut site = site_with(&[]);
        let live = text(&site.deploy(&[])["release"]);
        let failed = note("failed, live is $(basename $(readlink $CUTOVER_CURRENT_PATH))");
        configure(&mut site, "", &[("break", phase, "echo reason; exit 3", ""), ("tell", "on_failure", &failed, "")]);
        let ran = fail(&site, 6, &[&format!("The hook `break` ({phase}) failed: it ended with exit code 3")]);
        assert!(ran.stderr.contains("[break] reason"), "{}", ran.stderr);
        assert!(ran.stderr.ends_with(&format!("The site still serves release {live}.\n")), "{}", ran.stderr);
        assert_eq!(ran.json["error"]["kind"], "hook");
        assert_eq!(site.live(), Some(live.clone()));
        assert_eq!(log(&site), [format!("failed, live is {live}")], "{phase}");
        // The server is able to deploy.
        configure(&mut site, "", &[]);
        site.deploy_and_compare(&[]);
    }
}

#[test]
fn a_hook_that_fails_after_the_switch_takes_the_release_back() {
    let mut site = site_with(&[]);
    let live = text(&site.deploy(&[])["release"]);
    let restart = note("restart $CUTOVER_RELEASE");
    let hooks: [(&str, &str, &str, &str); 3] = [
        ("restart", "after_switch", &restart, ""),
        ("probe", "after_switch", "exit 1", "on_rollback = false"),
        ("tell", "on_failure", &note("failed"), ""),
    ];
    configure(&mut site, "", &hooks);
    let ran = fail(&site, 6, &["The hook `probe` (after_switch) failed", "switching back to release"]);
    assert!(ran.stderr.ends_with(&format!("The site still serves release {live}.\n")), "{}", ran.stderr);
    assert_eq!(site.live(), Some(live.clone()));
    let [first, second, third] = &log(&site)[..] else { panic!("{:?}", log(&site)) };
    assert_ne!(first, &format!("restart {live}"));
    assert_eq!((second, third.as_str()), (&format!("restart {live}"), "failed"));

    // A policy may keep it.
    let hooks: [(&str, &str, &str, &str); 1] = [("probe", "after_switch", "exit 1", "on_error = 'keep'")];
    configure(&mut site, "", &hooks);
    let ran = fail(&site, 6, &["The hook `probe` (after_switch) failed"]);
    assert!(ran.stderr.contains("The site now serves release"), "{}", ran.stderr);
    assert_ne!(site.live(), Some(live));
}

#[test]
fn a_hook_that_need_not_succeed_is_only_a_warning() {
    let mut site = site_with(&[("warm", "before_switch", "exit 7", "halt_on_error = false")]);
    let report = site.deploy(&[]);
    assert_eq!(report["warnings"], json!(["The hook `warm` (before_switch) failed: it ended with exit code 7"]));
    configure(&mut site, "", &[("after", "after_switch", "kill -9 $$", "halt_on_error = false")]);
    site.write("index.html", "two");
    let report = site.deploy(&[]);
    assert_eq!(report["warnings"], json!(["The hook `after` (after_switch) failed: it was ended by signal 9"]));
}

#[test]
fn the_first_release_stays_live_since_there_is_none_to_go_back_to() {
    let site = site_with(&[("probe", "after_switch", "exit 1", "")]);
    let ran = site.cutover(&["deploy", "--release", "1"]);
    ran.failed(6, &["there is no earlier one to go back to", "The site now serves release 1."]);
    assert_eq!(site.live().as_deref(), Some("1"));
}

#[test]
fn conditions_decide_whether_a_hook_runs() {
    let (first, later, touched) = (note("first"), note("later"), note("touched"));
    let site = site_with(&[
        ("first", "before_switch", &first, "when = 'first'"),
        ("later", "before_switch", &later, "when = 'after_first'"),
        ("touched", "before_switch", &touched, "if_changed = ['*.lock', 'config/']"),
    ]);
    let deploy = |path: &str, content: &str, expected: &[&str]| {
        fs::remove_file(site.target("shared/log")).unwrap_or_default();
        site.write(path, content);
        site.deploy(&[]);
        assert_eq!(log(&site), expected, "{path}");
    };
    deploy("composer.lock", "one", &["first", "touched"]);
    deploy("index.html", "two", &["later"]);
    deploy("composer.lock", "two", &["later", "touched"]);
    deploy("config/deep/app.php", "one", &["later", "touched"]);
}

#[test]
fn a_hook_runs_where_and_as_it_is_told() {
    let site = site_with(&[
        ("place", "before_switch", &note("$(basename $PWD) $GREETING $0"), "env = { GREETING = 'hello' }"),
        ("above", "before_switch", &note("$(basename $PWD)"), "cwd = '../..'"),
        ("bash", "before_switch", &note("$BASH"), "shell = '/bin/bash'"),
        ("cache", "before_switch", "test -d \"$CUTOVER_CACHE_PATH\" && touch \"$CUTOVER_CACHE_PATH/warm\"", ""),
    ]);
    site.deploy(&["--release", "1"]);
    assert_eq!(log(&site), ["1 hello /bin/sh", "target", "/bin/bash"]);
    assert!(site.target("cache/warm").exists());
    // What a hook writes into the release is served.
    let mut site = site_with(&[]);
    configure(&mut site, "", &[("build", "before_switch", "mkdir -p var && echo cached > var/cache", "")]);
    site.deploy(&[]);
    assert_eq!(fs::read_to_string(site.current("var/cache")).unwrap(), "cached\n");
}

#[test]
fn a_hook_that_hangs_and_ignores_sigterm_is_killed_at_its_timeout() {
    let site = site_with(&[("hang", "before_switch", "trap '' TERM; echo hanging; sleep 1000", "timeout = '1s'")]);
    let began = Instant::now();
    let ran = site.cutover(&["deploy"]);
    ran.failed(6, &["[hang] hanging", "The hook `hang` (before_switch) failed: it took longer than its `timeout`"]);
    assert!(began.elapsed() < Duration::from_secs(60));
    assert!(site.live().is_none());
}

#[test]
fn a_daemon_of_a_hook_neither_keeps_the_lock_nor_the_deploy_waiting() {
    let site = site_with(&[("daemon", "after_switch", "sleep 300 & echo $! > \"$CUTOVER_SHARED_PATH/daemon\"", "")]);
    site.deploy(&[]);
    let pid = fs::read_to_string(site.target("shared/daemon")).unwrap().trim().parse().unwrap();
    let daemon = Pid::from_raw(pid).unwrap();
    kill_process(daemon, Signal::CONT).expect("the daemon lives on");
    assert_eq!(site.succeed(&["status"])["lock"], json!(null));
    site.write("index.html", "two");
    site.deploy(&[]);
    kill_process(daemon, Signal::KILL).unwrap();
}

#[test]
fn output_of_any_size_and_kind_is_shown_and_shortened() {
    let site = site_with(&[
        ("large", "before_switch", "yes x | head -c 100000000; echo end", ""),
        ("binary", "before_switch", "printf '\\000\\033[31m\\377\\n'", ""),
    ]);
    let ran = site.cutover(&["deploy"]);
    assert_eq!(ran.code, Some(0), "{}", &ran.stderr[..2000]);
    assert!(ran.stderr.len() < 2_000_000, "{}", ran.stderr.len());
    assert!(ran.stderr.contains("lines are left out") && ran.stderr.contains("[large] end"));
    assert!(ran.stderr.contains("[binary] \\u{0}\\u{1b}[31m\u{fffd}"), "{}", &ran.stderr[ran.stderr.len() - 500..]);
}

#[test]
fn a_secret_is_shown_nowhere() {
    let mut site = site_with(&[]);
    configure(
        &mut site,
        "",
        &[("leak", "before_switch", "echo the key is $APP_KEY", "env = { APP_KEY = '${APP_KEY}' }")],
    );
    let mut command = site.command(&["deploy"]);
    command.env("APP_KEY", "s3cret-value");
    let ran = RunResult::of(&command.output().unwrap());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("[leak] the key is ***"), "{}", ran.stderr);
    let journals = fs::read_dir(site.target(".cutover/journals")).unwrap();
    for journal in journals {
        let journal = fs::read_to_string(journal.unwrap().path()).unwrap();
        assert!(journal.contains("***") && !journal.contains("s3cret"), "{journal}");
    }
}

#[test]
fn a_hook_that_kills_the_agent_or_the_runner_leaves_a_server_that_can_deploy() {
    // The runner is the parent of the hook, and the agent that of the runner.
    let agent = "kill -9 $(ps -o ppid= -p $PPID); sleep 1; touch \"$CUTOVER_SHARED_PATH/ended\"";
    for (victim, run) in [("runner", "kill -9 $PPID"), ("agent", agent)] {
        let Some(mut line) = Line::start() else { return };
        let site = &mut line.site;
        site.write("index.html", "one");
        let live = text(&site.deploy(&[])["release"]);
        configure(site, "", &[("kill", "before_switch", run, "")]);
        site.write("index.html", "two");
        let ran = site.cutover(&["deploy"]);
        assert!(matches!(ran.code, Some(3 | 6)), "{victim}: {:?} {}", ran.code, ran.stderr);
        if victim == "agent" {
            wait::until("the hook has ended", || site.target("shared/ended").exists().then_some(()));
        }
        wait::until("the lock is free", || (site.succeed(&["status"])["lock"] == json!(null)).then_some(()));
        assert_eq!(site.live(), Some(live), "{victim}");
        configure(site, "", &[]);
        site.deploy_and_compare(&[]);
    }
}

/// A migration that says when it has begun, and then waits until a file lets it go on.
const MIGRATION: &str = "echo begun >> \"$CUTOVER_SHARED_PATH/log\"; \
     until test -e \"$CUTOVER_SHARED_PATH/go\"; do sleep 0.05; done; \
     echo migrated; echo done >> \"$CUTOVER_SHARED_PATH/log\"";

#[test]
fn a_migration_ends_once_also_when_the_client_is_killed_and_its_output_is_kept() {
    for is_cut in [false, true] {
        end_migration_without_client(is_cut);
    }
}

/// Deploys with a migration, whose client is killed, or whose connection is cut.
fn end_migration_without_client(is_cut: bool) {
    let Some(Line { mut site, relay, sshd, user }) = Line::start() else { return };
    let other = Site::over(&sshd, &user);
    site.write("index.html", "one");
    let live = text(&site.deploy(&[])["release"]);
    configure(&mut site, "", &[("migrate", "before_switch", MIGRATION, "migration = true")]);
    site.write("index.html", "two");
    let mut deploy = site.command(&["deploy"]).spawn().unwrap();
    wait::until("the migration has begun", || (log(&site) == ["begun"]).then_some(()));
    if is_cut {
        relay.cut();
        RunResult::wait(deploy).failed(3, &["The connection to the server was lost"]);
    } else {
        deploy.kill().unwrap();
        deploy.wait().unwrap();
    }
    // The runner works on, and holds the lock.
    other.write("index.html", "three");
    other.cutover(&["deploy"]).failed(5, &["at work"]);
    site.write_shared("go", "");
    wait::until("the lock is free", || (other.succeed(&["status"])["lock"] == json!(null)).then_some(()));
    assert_eq!(log(&site), ["begun", "done"]);
    // Nobody would have learnt of a switch.
    assert_eq!(site.live(), Some(live));
    let journals = fs::read_dir(site.target(".cutover/journals")).unwrap();
    let journals: Vec<String> = journals.map(|journal| fs::read_to_string(journal.unwrap().path()).unwrap()).collect();
    assert!(journals.iter().any(|journal| journal.contains("migrated") && journal.contains("\"done\"")));
}

#[test]
fn an_interruption_ends_the_hook_and_runs_those_for_failures() {
    let mut site = site_with(&[]);
    let live = text(&site.deploy(&[])["release"]);
    let begun = format!("{}; sleep 1000; {}", note("begun"), note("ended"));
    configure(&mut site, "", &[("wait", "before_switch", &begun, ""), ("tell", "on_failure", &note("failed"), "")]);
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 143)] {
        fs::remove_file(site.target("shared/log")).unwrap_or_default();
        site.write("index.html", format!("{signal:?}"));
        let deploy = site.command(&["deploy"]).spawn().unwrap();
        wait::until("the hook has begun", || (log(&site) == ["begun"]).then_some(()));
        kill_process(Pid::from_child(&deploy), signal).unwrap();
        let ran = RunResult::wait(deploy);
        ran.failed(code, &["Interrupted", &format!("The site still serves release {live}.")]);
        assert_eq!(log(&site), ["begun", "failed"]);
        assert_eq!(site.succeed(&["status"])["lock"], json!(null));
    }
}

#[test]
fn a_switch_to_a_ready_release_runs_the_hooks_of_a_deploy() {
    let (before, after) = (note("before $CUTOVER_RELEASE"), note("after $CUTOVER_RELEASE"));
    let site = site_with(&[("before", "before_switch", &before, ""), ("after", "after_switch", &after, "")]);
    site.deploy(&["--release", "1", "--no-switch"]);
    assert_eq!(log(&site), [""; 0]);
    site.succeed(&["switch", "1"]);
    assert_eq!(log(&site), ["before 1", "after 1"]);
}

#[test]
fn a_command_runs_in_the_live_release() {
    let site = site_with(&[]);
    site.deploy(&["--release", "1"]);
    let exec = |words: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cutover"));
        command.args(["exec", "--target", site.target("").to_str().unwrap(), "--"]).args(words);
        command.env("HOME", site.path("home")).output().unwrap()
    };
    let output = exec(&["echo $CUTOVER_RELEASE; cat index.html; echo; exit 9"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1\none\n");
    assert_eq!(output.status.code(), Some(9));
    let output = exec(&["printf", "%s", "a  b"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "a  b\n");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_run_whose_first_news_is_of_a_hook_is_in_the_log() {
    let site = site_with(&[("look", "before_upload", "echo looking", ""), ("restart", "after_switch", "true", "")]);
    site.deploy(&[]);
    site.succeed(&["hooks", "run", "restart"]);
    let runs = site.succeed(&["log"])["runs"].clone();
    let verbs: Vec<&str> = runs.as_array().unwrap().iter().map(|run| run["verb"].as_str().unwrap()).collect();
    assert_eq!(verbs, ["hooks run", "deploy"]);
    let journal = site.command(&["log", &runs[1]["run"].to_string()]).output().unwrap();
    let first = String::from_utf8(journal.stdout).unwrap().lines().next().unwrap().to_owned();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&first).unwrap()["verb"], "deploy");
}

#[test]
fn a_release_that_failed_and_stayed_live_is_made_anew_by_the_next_deploy() {
    let mut site = site_with(&[("reload", "after_switch", "exit 1", "")]);
    // A new name in `shared/` would be a reason of its own.
    site.succeed(&["setup"]);
    site.write_shared("log", "");
    site.cutover(&["deploy", "--release", "1"]).failed(6, &["The site now serves release 1."]);
    configure(&mut site, "", &[("reload", "after_switch", &note("reloaded"), "")]);
    // The source is the same.
    let report = site.deploy(&["--release", "2"]);
    assert_eq!((&report["state"], &report["previous"]), (&json!("live"), &json!("1")));
    assert_eq!(log(&site), ["reloaded"]);
    site.deploy(&["--release", "3"]);
    assert_eq!(site.live().as_deref(), Some("2"));
}

#[test]
fn a_hook_that_failed_runs_again_though_nothing_changed_that_it_depends_on() {
    let if_changed = "if_changed = ['*.html']";
    let mut site = site_with(&[("index", "after_switch", "exit 1", if_changed)]);
    site.cutover(&["deploy", "--release", "1"]).failed(6, &["The site now serves release 1."]);
    let mended = ("index", "after_switch", &*note("$CUTOVER_RELEASE"), if_changed);
    configure(&mut site, "", &[mended]);
    site.deploy(&["--release", "2"]);
    site.deploy(&["--release", "3", "--force"]);
    assert_eq!(log(&site), ["2"]);
}

#[test]
fn a_hook_that_fails_at_the_end_can_be_run_alone() {
    let mut site = site_with(&[("tell", "after_deploy", "exit 1", "")]);
    let hint = "`cutover hooks run tell";
    site.cutover(&["deploy", "--release", "1"]).failed(6, &["The site now serves release 1.", hint]);
    configure(&mut site, "", &[("tell", "after_deploy", &note("told $CUTOVER_RELEASE"), "")]);
    site.succeed(&["hooks", "run", "tell"]);
    assert_eq!(log(&site), ["told 1"]);
}

#[test]
fn a_dry_run_names_the_hooks_that_a_deploy_would_run_and_runs_none() {
    let site = site_with(&[
        ("make", "build", "touch made", ""),
        ("styles", "after_build", "touch made", "if_changed = ['*.css']"),
        ("announce", "before_upload", "touch made", ""),
        ("warm", "after_upload", "touch made", "if_changed = ['*.php']"),
        ("install", "before_switch", "touch made", "when = 'first'"),
        ("migrate", "before_switch", "touch made", "when = 'after_first'"),
        ("restart", "after_switch", "touch made", "if_changed = ['*.html']"),
        ("tell", "after_deploy", "touch made", ""),
        ("alarm", "on_failure", "touch made", ""),
        ("undo", "after_rollback", "touch made", ""),
    ]);
    let planned = |flags: &[&str]| site.deploy(&[&["--dry-run"], flags].concat())["hooks"].clone();
    assert_eq!(planned(&[]), json!(["make", "styles", "announce", "warm", "install", "restart", "tell"]));
    assert!(!site.source("made").exists() && !site.target("").exists());
    assert_eq!(site.deploy(&[])["hooks"], json!([]));
    site.write("index.php", "new");
    assert_eq!(planned(&[]), json!(["make", "announce", "warm", "migrate", "tell"]));
    assert_eq!(planned(&["--no-switch"]), json!(["make", "announce", "warm"]));
    assert_eq!(planned(&["--skip-hooks"]), json!([]));
    site.write("index.html", "two");
    assert_eq!(planned(&[])[4], "restart");
}
