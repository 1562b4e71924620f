//! The login, the limits of the user, the config and the source.

use std::fs;

use super::{Target, chmod};

#[test]
fn a_login_that_prints_something_is_told_and_quiet_on_a_terminal_only() {
    let Some(target) = Target::deployed() else { return };
    target.put(&target.home(".bashrc"), "echo Welcome to the shop\n");
    let found = target.has(&[], &["login-noise"]);
    assert!(found["message"].as_str().unwrap().contains("prints `Welcome to the shop`"), "{found}");
    // With no agent there, a script finds that out and starts one.
    fs::remove_dir_all(target.site.target(".cutover/bin")).unwrap();
    target.has(&[], &["login-noise"]);
    let quiet = "[ -t 1 ] && ";
    assert!(found["fix"].as_str().unwrap().contains(&format!("put `{}`", quiet.trim())), "{found}");
    target.put(&target.home(".bashrc"), &format!("{quiet}echo Welcome to the shop\n"));
    target.is_healthy(&[]);
}

#[test]
fn a_umask_of_the_login_shell_that_hides_files_is_mended() {
    let Some(target) = Target::deployed() else { return };
    target.put(&target.home(".profile"), "PATH=$PATH\n umask 077\n");
    target.mends(&[], "umask");
    assert_eq!(fs::read_to_string(target.home(".profile")).unwrap(), "PATH=$PATH\n umask 022\n");
    // What else is on the line stays.
    target.put(&target.home(".profile"), "if true; then\numask 0027; else :; fi\n");
    target.mends(&[], "umask");
    assert_eq!(fs::read_to_string(target.home(".profile")).unwrap(), "if true; then\numask 022; else :; fi\n");
    // No command can mend what is no number.
    target.put(&target.home(".profile"), "umask u=rwx,go=\n");
    let found = target.has(&[], &["umask"]);
    assert!(found["command"].is_null() && found["fix"].as_str().unwrap().contains("Set `umask 022`"), "{found}");
}

#[test]
fn few_files_and_few_processes_are_told() {
    let Some(target) = Target::deployed() else { return };
    let rc = target.home(".bashrc");
    for (limit, id) in [("ulimit -n 256", "few-files"), ("ulimit -u 28", "few-processes")] {
        target.put(&rc, &format!("{limit}\n"));
        target.has(&[], &[id]);
        fs::remove_file(&rc).unwrap();
        target.is_healthy(&[]);
    }
}

#[test]
fn a_variable_that_is_not_set_is_a_finding_and_stops_nothing() {
    let Some(mut target) = Target::deployed() else { return };
    let hook = "[[hooks]]\nname = 'tell'\nphase = 'after_deploy'\nrun = 'true'\nenv = { TOKEN = '${DOCTOR_TOKEN}' }\n";
    target.site.configure(&format!("source = 'source'\n{hook}"));
    let found = target.has(&[], &["config"]);
    assert!(found["message"].as_str().unwrap().contains("DOCTOR_TOKEN"), "{found}");
    target.site.configure("source = 'source'\n");
    target.is_healthy(&[]);
}

#[test]
fn the_source_is_examined_with_the_warnings_of_a_deploy() {
    let Some(mut target) = Target::deployed() else { return };
    target.site.configure("source = 'source'\n");
    chmod("600", &target.site.source("index.php"));
    let found = target.has(&[], &["source-warning"]);
    assert!(found["message"].as_str().unwrap().contains("can be read by its owner alone"), "{found}");
    chmod("644", &target.site.source("index.php"));
    target.is_healthy(&[]);
    let nowhere = target.site.path("nowhere");
    target.has(&["--source", nowhere.to_str().unwrap()], &["source-refused"]);
}
