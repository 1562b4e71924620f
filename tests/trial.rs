//! The trial of a live release: what follows if its hooks after the switch fail, or if their runner is killed or stopped.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::process;
use crate::support::site::{RunResult, Site, text};
use crate::support::tree;
use crate::support::wait;

/// Makes a site with the release 1, whose next deploys have a config.
fn site_with(config: &str) -> Site {
    let mut site = Site::new();
    site.write("index.html", "one");
    site.deploy(&["--release", "1"]);
    site.configure(config);
    site.write("index.html", "two");
    site
}

/// A hook as TOML.
fn hook(name: &str, phase: &str, run: &str, more: &str) -> String {
    format!("[[hooks]]\nname = '{name}'\nphase = '{phase}'\nrun = '''{run}'''\n{more}\n")
}

/// A command that writes a line into `shared/log`.
fn note(line: &str) -> String {
    format!("echo \"{line}\" >> \"$CUTOVER_SHARED_PATH/log\"")
}

/// A command that says when it has begun, and waits for a file.
const WAIT: &str =
    "touch \"$CUTOVER_SHARED_PATH/begun\"; until test -e \"$CUTOVER_SHARED_PATH/go\"; do sleep 0.05; done";

/// Starts a run, and waits until its hook waits.
fn run_until_it_waits(site: &Site, words: &[&str]) -> Child {
    let run = site.command(words).spawn().unwrap();
    wait::until("the hook waits", || site.target("shared/begun").exists().then_some(()));
    let lock = || fs::read_to_string(site.target(".cutover/lock")).unwrap();
    wait::until("the lock names the hook", || lock().contains("\"hook\":\"wait\"").then_some(()));
    run
}

/// Lets the hook that waits end, and waits for that.
fn let_hook_end(site: &Site) {
    site.write_shared("go", "");
    wait::until("the lock is free", || (site.succeed(&["status"])["lock"] == json!(null)).then_some(()));
}

/// Returns a release of `cutover releases`.
fn release(site: &Site, id: &str) -> Value {
    let releases = site.succeed(&["releases"])["releases"].clone();
    releases.as_array().unwrap().iter().find(|release| release["id"] == id).unwrap().clone()
}

/// Returns the lines of `shared/log`.
fn log(site: &Site) -> Vec<String> {
    let text = fs::read_to_string(site.target("shared/log")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Returns the number of the newest run.
fn run_number(site: &Site) -> String {
    site.succeed(&["log"])["runs"][0]["run"].to_string()
}

const UNFINISHED: &str = "its trial did not end: the process that ran its hooks and checks was ended";

#[test]
fn a_release_whose_runner_was_killed_after_the_switch_is_left_by_the_next_run() {
    for words in [&["cleanup"][..], &["deploy"], &["hooks", "run", "tell"]] {
        // The way back is over, so the run can be interrupted again.
        let is_over = "grep -q '\"switching\":false' \"$CUTOVER_DEPLOY_PATH/.cutover/lock\"";
        let tell = hook("tell", "on_failure", is_over, "");
        let site = site_with(&format!("{}{tell}", hook("wait", "after_switch", WAIT, "on_rollback = false")));
        process::kill_with_runner(run_until_it_waits(&site, &["deploy", "--release", "2"]));
        let_hook_end(&site);
        assert_eq!(site.live().as_deref(), Some("2"), "nobody has looked yet");
        fs::remove_file(site.target("shared/begun")).unwrap();
        let ran = site.cutover(words);
        assert_eq!(ran.code, Some(0), "{words:?}: {}", ran.stderr);
        let told = [format!("Release 2 is left: {UNFINISHED}"), "switching back to release 1".to_owned()];
        for words in told {
            assert_eq!(ran.stderr.matches(&words).count(), 1, "{words:?}: {}", ran.stderr);
        }
        let marked = release(&site, "2");
        assert_eq!((&marked["state"], text(&marked["bad"]["reason"])), (&json!("bad"), UNFINISHED.to_owned()));
        let live = site.live().unwrap();
        assert_eq!(live == "1", words[0] != "deploy", "{live}");
    }
}

#[test]
fn the_hook_of_a_runner_that_was_killed_keeps_the_lock_until_it_has_ended() {
    let site = site_with(&hook("wait", "before_switch", WAIT, ""));
    process::kill_with_runner(run_until_it_waits(&site, &["deploy", "--release", "2"]));
    let status = site.succeed(&["lock", "status"]);
    assert_eq!(status["lock"]["hook"], "wait", "{status}");
    for words in [&["cleanup"][..], &["deploy"], &["rollback", "--interrupt"]] {
        let told = ["The hook `wait` still runs (process ", "), although its run was ended", "kill -- -"];
        site.cutover(words).failed(5, &told);
    }
    // Who waits gets it.
    let waits = site.command(&["cleanup", "--lock-wait"]).spawn().unwrap();
    site.write_shared("go", "");
    let ran = RunResult::wait(waits);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("Took over the lock of a run that died"), "{}", ran.stderr);
    assert_eq!(site.live().as_deref(), Some("1"));
}

#[test]
fn an_agent_whose_runner_was_killed_goes_back_at_once_when_the_hook_has_ended() {
    let site = site_with(&hook("wait", "after_switch", WAIT, "on_rollback = false"));
    let deploy = run_until_it_waits(&site, &["deploy", "--release", "2"]);
    let runner = process::runner_of(&deploy);
    kill_process(runner, Signal::KILL).unwrap();
    let journal = site.target(".cutover/journals").join(run_number(&site));
    let is_told = || fs::read_to_string(&journal).unwrap().contains("waiting for its end");
    wait::until("the agent waits for the hook", || is_told().then_some(()));
    site.write_shared("go", "");
    let ran = RunResult::wait(deploy);
    let told = [
        "Its hook `wait` (process ",
        ") still runs: waiting for its end",
        &format!("Release 2 is left: {UNFINISHED}"),
        "The process that ran the hooks on the server ended before they were done",
        "The site still serves release 1.",
    ];
    ran.failed(6, &told);
    assert_eq!((site.live().as_deref(), &release(&site, "2")["state"]), (Some("1"), &json!("bad")));
}

#[test]
fn an_interruption_ends_the_hook_of_a_runner_that_was_killed() {
    let site = site_with(&hook("wait", "after_switch", &format!("trap '' TERM; {WAIT}"), "on_rollback = false"));
    let deploy = run_until_it_waits(&site, &["deploy", "--release", "2"]);
    let runner = process::runner_of(&deploy);
    let hook = process::child_of(runner);
    kill_process(runner, Signal::KILL).unwrap();
    process::wait_for_end(runner);
    kill_process(Pid::from_child(&deploy), Signal::INT).unwrap();
    let ran = RunResult::wait(deploy);
    assert!(matches!(ran.code, Some(6 | 130)), "{:?}: {}", ran.code, ran.stderr);
    process::wait_for_end(hook);
    wait::until("the lock is free", || (site.succeed(&["status"])["lock"] == json!(null)).then_some(()));
    site.succeed(&["cleanup"]);
    assert_eq!(site.live().as_deref(), Some("1"));
}

#[test]
fn a_release_stays_where_a_failed_hook_would_keep_it() {
    // The policy of the hook, and a first release.
    for (config, is_first) in [("on_error = 'keep'", false), ("", true)] {
        let mut site = if is_first { Site::new() } else { site_with("") };
        site.write("index.html", "two");
        site.configure(&hook("wait", "after_switch", WAIT, config));
        process::kill_with_runner(run_until_it_waits(&site, &["deploy", "--release", "2"]));
        let_hook_end(&site);
        let stays = format!("Release 2 stays live, but {UNFINISHED}");
        let ran = site.cutover(&["cleanup"]);
        assert!(ran.code == Some(0) && ran.stderr.contains(&stays), "{}", ran.stderr);
        assert_eq!((site.live().as_deref(), &release(&site, "2")["bad"]["reason"]), (Some("2"), &json!(UNFINISHED)));
        let ran = site.cutover(&["cleanup"]);
        assert!(!ran.stderr.contains("Release 2"), "it is told once: {}", ran.stderr);
    }
}

/// Makes a site with the releases 1 and 2, of which 2 is live, and a config for what follows.
fn site_of_two(config: &str) -> Site {
    let mut site = site_with("");
    site.deploy(&["--release", "2"]);
    site.configure(config);
    site
}

#[test]
fn a_rollback_never_leads_back_to_the_release_that_was_left() {
    let failing = hook("restart", "after_switch", "exit 1", "");
    let without_shell = hook("restart", "after_switch", "exit 1", "shell = '/no/such/shell'");
    let check = "[[checks]]\nname = 'page'\nrun = 'exit 1'\nfrom = 'server'\n".to_owned();
    let hint = "`cutover hooks run restart ";
    for (config, told) in [
        (failing, &["The hook `restart` (after_switch) failed", hint][..]),
        (without_shell, &["The hook `restart` (after_switch) could not be run", hint]),
        (check, &["The check `page`"]),
    ] {
        let site = site_of_two(&config);
        let ran = site.cutover(&["rollback"]);
        ran.failed(6, told);
        ran.failed(6, &["Release 1 stays live: a rollback is not taken back", "The site now serves release 1."]);
        assert_eq!(site.live().as_deref(), Some("1"), "{}", ran.stderr);
        assert_eq!((&release(&site, "1")["bad"], &release(&site, "2")["state"]), (&json!(null), &json!("bad")));
        // Nothing is left to be done later.
        let ran = site.cutover(&["cleanup"]);
        assert!(ran.code == Some(0) && !ran.stderr.contains("Release 1"), "{}", ran.stderr);
    }
}

#[test]
fn a_return_and_a_switch_whose_hooks_fail_lead_back() {
    let failing = hook("restart", "after_switch", "exit 1", "");
    let site = site_of_two(&failing);
    let ran = site.cutover(&["switch", "1"]);
    ran.failed(6, &["switching back to release 2", "The site still serves release 2."]);
    assert_eq!(site.live().as_deref(), Some("2"));

    let mut site = site_of_two("");
    site.succeed(&["rollback"]);
    site.configure(&failing);
    let ran = site.cutover(&["rollback", "--forward"]);
    ran.failed(6, &["switching back to release 1", "The site still serves release 1."]);
    assert_eq!(site.live().as_deref(), Some("1"));
}

#[test]
fn a_rollback_whose_runner_was_killed_stays_and_is_told() {
    let site = site_of_two(&hook("wait", "after_switch", WAIT, ""));
    process::kill_with_runner(run_until_it_waits(&site, &["rollback"]));
    let_hook_end(&site);
    let ran = site.cutover(&["cleanup"]);
    let stays = format!("Release 1 stays live, but {UNFINISHED}. Check it, and run its hooks after the switch again");
    assert!(ran.code == Some(0) && ran.stderr.contains(&stays), "{}", ran.stderr);
    assert_eq!((site.live().as_deref(), &release(&site, "1")["bad"]), (Some("1"), &json!(null)));
}

#[test]
fn a_rollback_whose_runner_alone_was_killed_says_what_is_left_to_run_and_runs_the_hooks_for_failures() {
    let told = hook("told", "on_failure", &note("told"), "");
    let site = site_of_two(&format!("{}{told}", hook("wait", "after_switch", WAIT, "")));
    let rollback = run_until_it_waits(&site, &["rollback"]);
    kill_process(process::runner_of(&rollback), Signal::KILL).unwrap();
    site.write_shared("go", "");
    let hint = "run the hooks that did not run: `cutover hooks run NAME";
    RunResult::wait(rollback).failed(6, &["ended before they were done", hint, "The site now serves release 1."]);
    assert_eq!((site.live().as_deref(), &release(&site, "1")["bad"]), (Some("1"), &json!(null)));
    assert_eq!(log(&site), ["told"]);
}

#[test]
fn a_way_back_whose_runner_was_killed_is_told() {
    let site = site_with(&format!(
        "{}{}",
        hook("fail", "after_switch", "exit 1", "on_rollback = false"),
        hook("wait", "after_switch", &format!("{}; {WAIT}", note("$CUTOVER_RELEASE")), "")
    ));
    process::kill_with_runner(run_until_it_waits(&site, &["deploy", "--release", "2"]));
    assert_eq!((site.live().as_deref(), log(&site)), (Some("1"), vec!["1".to_owned()]));
    let_hook_end(&site);
    let ran = site.cutover(&["cleanup"]);
    let stays = format!("Release 1 stays live, but {UNFINISHED}");
    assert!(ran.code == Some(0) && ran.stderr.contains(&stays), "{}", ran.stderr);
    assert_eq!((site.live().as_deref(), &release(&site, "1")["bad"]), (Some("1"), &json!(null)));
}

#[test]
fn a_way_back_runs_all_hooks_also_behind_one_that_cannot_work_there() {
    let config = format!(
        "{}{}{}{}",
        hook("new", "after_switch", "test -e new.php", ""),
        hook("restart", "after_switch", &note("restart $CUTOVER_RELEASE"), ""),
        hook("break", "after_switch", "exit 1", "on_rollback = false"),
        hook("tell", "after_rollback", &note("told"), "")
    );
    let site = site_with(&config);
    site.write("new.php", "");
    let ran = site.cutover(&["deploy", "--release", "2"]);
    ran.failed(6, &["The hook `break` (after_switch) failed", "live again: The hook `new` (after_switch) failed"]);
    assert_eq!(log(&site), ["restart 2", "restart 1", "told"]);
    assert_eq!(site.live().as_deref(), Some("1"));
}

#[test]
fn an_edit_of_the_release_that_is_gone_back_to_is_named_and_stops_nothing() {
    let edit = |site: &Site| {
        let file = site.release("1").join("index.html");
        tree::set_mode(&file, 0o644);
        fs::write(&file, "edited in place").unwrap();
    };
    let site = site_with(&hook("break", "after_switch", "exit 1", ""));
    edit(&site);
    let ran = site.cutover(&["deploy", "--release", "2"]);
    ran.failed(6, &["index.html", "The site still serves release 1."]);
    let lines = site.command(&["log", &run_number(&site)]).output().unwrap().stdout;
    assert!(String::from_utf8_lossy(&lines).contains("index.html"), "the journal names it");

    let site = site_with(&hook("wait", "after_switch", WAIT, "on_rollback = false"));
    edit(&site);
    process::kill_with_runner(run_until_it_waits(&site, &["deploy", "--release", "2"]));
    let_hook_end(&site);
    let warnings = site.succeed(&["cleanup"])["warnings"].to_string();
    assert!(warnings.contains("index.html"), "{warnings}");
    assert_eq!(site.live().as_deref(), Some("1"));
}

#[test]
fn a_runner_that_is_stopped_is_ended_and_its_release_is_left() {
    let site = site_with("[[checks]]\nname = 'slow'\nrun = 'sleep 1000'\nfrom = 'client'\ntimeout = '1h'\n");
    let mut deploy = site.command(&["deploy", "--release", "2"]).spawn().unwrap();
    wait::until("release 2 is live", || (site.live().as_deref() == Some("2")).then_some(()));
    let runner = wait::until("the runner has its journal", || {
        let text = fs::read_to_string(site.target(".cutover/lock")).ok()?;
        let pid = serde_json::from_str::<Value>(&text).ok()?["pid"].as_i64()?;
        (pid != i64::from(deploy.id())).then(|| Pid::from_raw(pid.try_into().unwrap()).unwrap())
    });
    kill_process(runner, Signal::STOP).unwrap();
    // As after a minute. The agent, which lives on, gives no signs for the runner.
    let lock = site.target(".cutover/lock");
    let text = fs::read_to_string(&lock).unwrap();
    let at = "{\"beat\":".len();
    fs::write(&lock, format!("{}{:>20}{}", &text[..at], 1, &text[at + 20..])).unwrap();
    let ran = site.cutover(&["cleanup", "--lock-wait=1m"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("it was silent for"), "{}", ran.stderr);
    process::wait_for_end(runner);
    assert_eq!((site.live().as_deref(), &release(&site, "2")["state"]), (Some("1"), &json!("bad")));
    deploy.kill().unwrap();
    deploy.wait().unwrap();
}

/// A command that asks the run of its hook to leave, as another run does.
const INTERRUPT: &str = "printf '{\"fence\":%s,\"interrupted\":\"deploy\",\"by\":\"ops@pager\",\"verb\":\"rollback\"}' \
     \"$(cat \"$CUTOVER_DEPLOY_PATH/.cutover/fence\")\" > \"$CUTOVER_DEPLOY_PATH/.cutover/interrupt\"";

#[test]
fn an_interruption_by_another_run_ends_no_hook_and_no_further_one_begins_before_the_switch() {
    for (phase, next) in
        [("before_switch", "before_switch"), ("after_upload", "before_switch"), ("before_upload", "before_upload")]
    {
        // The agent looks twice a second.
        let ask = hook("ask", phase, &format!("{INTERRUPT}; sleep 1.2; {}", note("whole")), "");
        let more = if next == "before_upload" { "" } else { "migration = true\n" };
        let migrate = hook("migrate", next, &note("migrate"), &format!("{more}halt_on_error = false"));
        let told = hook("told", "on_failure", &note("told"), "");
        let site = site_with(&format!("{ask}{migrate}{told}"));
        let ran = site.cutover(&["deploy", "--release", "2"]);
        ran.failed(5, &["ops@pager interrupted this deploy with a rollback", "The site still serves release 1."]);
        assert_eq!(log(&site), ["whole", "told"], "{phase}: {}", ran.stderr);
    }
}

#[test]
fn an_interruption_that_its_run_took_back_stops_nothing() {
    let remove = "rm \"$CUTOVER_DEPLOY_PATH/.cutover/interrupt\"";
    for phase in ["before_upload", "after_upload", "before_switch"] {
        let site = site_with(&hook("ask", phase, &format!("{INTERRUPT}; sleep 1.2; {remove}"), ""));
        site.deploy(&["--release", "2"]);
    }
}

#[test]
fn an_interruption_does_not_stop_a_way_back() {
    let failing = hook("ask", "after_switch", &format!("{INTERRUPT}; exit 1"), "on_rollback = false");
    let site = site_with(&format!("{failing}{}", hook("restart", "after_switch", &note("$CUTOVER_RELEASE"), "")));
    let ran = site.cutover(&["deploy", "--release", "2"]);
    ran.failed(6, &["The hook `ask` (after_switch) failed", "The site still serves release 1."]);
    assert_eq!((site.live().as_deref(), log(&site)), (Some("1"), vec!["1".to_owned()]));
}

#[test]
fn no_further_hook_begins_before_the_switch_once_the_client_has_gone() {
    for (phase, next) in [("before_switch", "before_switch"), ("after_upload", "after_upload")] {
        let first = hook("wait", phase, &format!("{WAIT}; sleep 0.5; {}", note("whole")), "");
        let next = hook("next", next, &note("next"), "halt_on_error = false");
        let site = site_with(&format!("{first}{next}{}", hook("told", "on_failure", &note("told"), "")));
        let mut deploy = run_until_it_waits(&site, &["deploy", "--release", "2"]);
        deploy.kill().unwrap();
        deploy.wait().unwrap();
        let_hook_end(&site);
        assert_eq!((site.live().as_deref(), log(&site)), (Some("1"), vec!["whole".to_owned(), "told".to_owned()]));
    }
}

#[test]
fn a_second_interruption_ends_the_client_alone_and_the_runner_goes_back() {
    let go_on = "trap 'touch \"$CUTOVER_SHARED_PATH/told\"' TERM";
    let site = site_with(&hook("wait", "after_switch", &format!("{go_on}; {WAIT}"), "on_rollback = false"));
    let mut deploy = run_until_it_waits(&site, &["deploy", "--release", "2"]);
    let client = Pid::from_child(&deploy);
    let interrupt = || kill_process(client, Signal::INT).unwrap();
    interrupt();
    let mut lines = BufReader::new(deploy.stderr.take().unwrap()).lines();
    lines.find(|line| line.as_ref().unwrap().contains("interrupt again to stop at once")).unwrap().unwrap();
    wait::until("the hook is told", || site.target("shared/told").exists().then_some(()));
    interrupt();
    assert_eq!(deploy.wait().unwrap().code(), Some(130));
    wait::until("the lock is free", || (site.succeed(&["status"])["lock"] == json!(null)).then_some(()));
    assert_eq!((site.live().as_deref(), &release(&site, "2")["state"]), (Some("1"), &json!("bad")));
    let ran = site.cutover(&["cleanup"]);
    assert!(ran.code == Some(0) && !ran.stderr.contains("is left"), "{}", ran.stderr);
}

#[test]
fn a_runner_that_is_killed_in_a_hook_for_failures_leaves_what_was_live() {
    for phase in ["before_switch", "after_switch"] {
        let site = site_with(&format!(
            "{}{}",
            hook("fail", phase, "exit 1", "on_rollback = false"),
            hook("wait", "on_failure", WAIT, "")
        ));
        process::kill_with_runner(run_until_it_waits(&site, &["deploy", "--release", "2"]));
        let_hook_end(&site);
        assert_eq!(site.live().as_deref(), Some("1"), "{phase}");
        let ran = site.cutover(&["cleanup"]);
        assert!(ran.code == Some(0) && !ran.stderr.contains("Release"), "{phase}: {}", ran.stderr);
        assert_eq!(site.live().as_deref(), Some("1"), "{phase}");
    }
}

#[test]
fn an_agent_that_is_killed_in_the_way_back_does_not_end_it() {
    let site = site_with(&format!(
        "{}{}",
        hook("fail", "after_switch", "exit 1", "on_rollback = false"),
        hook(
            "wait",
            "after_switch",
            &format!("test \"$CUTOVER_ROLLBACK\" = 0 || {{ {WAIT}; }}; {}", note("$CUTOVER_RELEASE")),
            ""
        )
    ));
    let mut deploy = run_until_it_waits(&site, &["deploy", "--release", "2"]);
    deploy.kill().unwrap();
    deploy.wait().unwrap();
    let_hook_end(&site);
    assert_eq!((site.live().as_deref(), log(&site)), (Some("1"), vec!["1".to_owned()]));
    let ran = site.cutover(&["cleanup"]);
    assert!(ran.code == Some(0) && !ran.stderr.contains("stays live"), "{}", ran.stderr);
    assert!(ran.stderr.contains("failed after its client had gone: The hook `fail`"), "{}", ran.stderr);
}
