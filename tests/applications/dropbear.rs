//! Hooks on a server whose SSH server is `dropbear`: they run, and outlive the connection.

use std::fs;

use serde_json::json;

use crate::support::dropbear::Dropbear;
use crate::support::relay::Relay;
use crate::support::site::{RunResult, Site};
use crate::support::sshd::{Sshd, is_root};
use crate::support::wait;

/// Hooks that write into `shared/log`. The migration waits while there is a file `shared/wait`.
const CONFIG: &str = r#"
[[hooks]]
name = "migrate"
phase = "before_switch"
migration = true
run = """
cd "$CUTOVER_SHARED_PATH"
echo "begun $CUTOVER_RELEASE" >> log
while test -e wait; do sleep 0.05; done
echo "migrated $CUTOVER_RELEASE" | tee -a log
"""

[[hooks]]
name = "restart"
phase = "after_switch"
run = 'echo "restarted $(cat index.html)" >> "$CUTOVER_SHARED_PATH/log"'
"#;

#[test]
fn hooks_run_over_dropbear_and_a_migration_ends_once_though_the_connection_is_cut() {
    if !is_root() {
        return;
    }
    let mut sshd = Sshd::start();
    let user = sshd.add_user("/bin/bash");
    let dropbear = Dropbear::start(&sshd, &user);
    let relay = Relay::start(dropbear.port);
    let (mut site, mut other) = (Site::over(&sshd, &user), Site::over(&sshd, &user));
    site.reach_by(&sshd.through(relay.port()));
    other.reach_by(&dropbear.config);
    site.configure(CONFIG);
    let log = || -> Vec<String> {
        let text = fs::read_to_string(site.target("shared/log")).unwrap_or_default();
        fs::remove_file(site.target("shared/log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    };
    let deploy = |version: &str| {
        site.write("index.html", version);
        site.command(&["deploy", "--release", version]).spawn().unwrap()
    };
    for version in ["1", "2"] {
        let ran = RunResult::wait(deploy(version));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(ran.stderr.contains(&format!("[migrate] migrated {version}")), "{}", ran.stderr);
        assert_eq!(log(), ["begun", "migrated", "restarted"].map(|word| format!("{word} {version}")));
    }

    site.write_shared("wait", "");
    let cut = deploy("3");
    wait::until("the migration has begun", || site.target("shared/log").exists().then_some(()));
    relay.cut();
    RunResult::wait(cut).failed(3, &["The connection to the server was lost"]);
    // The runner works on, and holds the lock.
    other.write("index.html", "4");
    other.cutover(&["deploy"]).failed(5, &["at work"]);
    fs::remove_file(site.target("shared/wait")).unwrap();
    wait::until("the lock is free", || (other.succeed(&["status"])["lock"] == json!(null)).then_some(()));
    assert_eq!((log(), site.live()), (vec!["begun 3".to_owned(), "migrated 3".to_owned()], Some("2".to_owned())));
    // The log has its output and its result.
    let report = other.succeed(&["log"]);
    let unheard: Vec<_> = report["runs"].as_array().unwrap().iter().filter(|run| run["is_heard"] == false).collect();
    assert_eq!(unheard.len(), 1, "{report}");
    assert_eq!((&unheard[0]["live"], unheard[0]["error"].is_string()), (&json!("2"), true), "{report}");
    let journal = other.command(&["log", &unheard[0]["run"].to_string()]).output().unwrap();
    let journal = String::from_utf8(journal.stdout).unwrap();
    assert!(journal.contains("migrated 3"), "{journal}");

    // The next deploy migrates again, which a migration must bear.
    let ran = RunResult::wait(deploy("4"));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(log(), ["begun", "migrated", "restarted"].map(|word| format!("{word} 4")));
    assert_eq!(fs::read_to_string(site.current("index.html")).unwrap(), "4");
}
