//! Values of the configuration, as the program reads them: variables, `--set`, the list of hooks.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Runs the program in a directory, with the variables of a client.
fn cutover(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.current_dir(directory).args(arguments).arg("--state-dir").arg(directory.join("state"));
    command.env("APP_NAME", "shop").env("CHAT_TOKEN", "s3cret-token").env_remove("NOT_SET");
    command.output().unwrap()
}

/// Checks the last lines of a failure, in which DIR is the directory.
#[track_caller]
fn refused(directory: &Path, arguments: &[&str], expected: &str) {
    let output = cutover(directory, arguments);
    let said = String::from_utf8(output.stderr).unwrap().replace(directory.to_str().unwrap(), "DIR");
    assert_eq!((output.status.code(), said.trim_end()), (Some(2), expected));
}

#[test]
fn a_variable_leads_to_the_deploy_path_and_set_leads_elsewhere() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().canonicalize().unwrap();
    fs::write(
        directory.join("cutover.toml"),
        "[a]\ndeploy_path = '${APP_NAME}'\n[b]\ndeploy_path = '/srv/${NOT_SET}'\n",
    )
    .unwrap();
    assert!(cutover(&directory, &["setup", "a"]).status.success());
    assert!(directory.join("shop/releases").is_dir());
    refused(
        &directory,
        &["setup", "b"],
        "Error [config]: `DIR/cutover.toml` line 4: the environment variable `NOT_SET` is not set, or is empty\n\
         Hint: Set it, or give a default: `${NOT_SET:-default}`",
    );
    assert!(cutover(&directory, &["setup", "b", "--set", "deploy_path=elsewhere"]).status.success());
    assert!(directory.join("elsewhere/releases").is_dir());
}

#[test]
fn set_needs_no_config() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().canonicalize().unwrap();
    assert!(cutover(&directory, &["setup", "--set", "deploy_path=site"]).status.success());
    assert!(directory.join("site/releases").is_dir());
    let refused = |word: &str, expected: &str| refused(&directory, &["setup", "--set", word], expected);
    refused(
        "keep_release=3",
        "Error [config]: `--set`: there is no key `keep_release`\nHint: Did you mean `keep_releases`?",
    );
    refused("keep_releases=0", "Error [config]: `--set`: `keep_releases` must be a whole number of at least 1");
    refused(
        "keep_releases",
        "Error [config]: `--set`: `keep_releases` has no `=`\nHint: Write `--set KEY=VALUE`, such as `--set keep_releases=5`",
    );
}

const HOOKS: &str = r#"
[[hooks]]
name = "migrate"
phase = "before_switch"
run = "php artisan migrate --force"
migration = true

[[hooks]]
name = "assets"
phase = "build"
run = "npm ci\nnpm run build"
if_changed = ["package-lock.json", "assets/**"]

[[checks]]
name = "health"
url = "https://shop.example.com/health?token=${CHAT_TOKEN}"
retries = 5

[production]
deploy_path = "/srv/shop"

[[production.hooks]]
name = "restart"
phase = "after_switch"
run = "sudo systemctl restart shop"

[[production.hooks]]
name = "notify"
phase = "after_deploy"
run = 'curl -H "X-Token: $TOKEN" https://chat.example.com'
env = { TOKEN = "${CHAT_TOKEN}" }
halt_on_error = false
"#;

#[test]
fn hooks_are_listed_in_the_order_of_a_deploy_and_show_no_secret() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("cutover.toml"), HOOKS).unwrap();
    let output = cutover(place.path(), &["hooks", "list", "production"]);
    assert!(output.status.success(), "{output:?}");
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap(), @r#"
    PHASE          NAME     RUNS                                                NOTES
    build          assets   npm ci …                                            if package-lock.json, assets/** changed
    before_switch  migrate  php artisan migrate --force                         migration
    after_switch   restart  sudo systemctl restart shop                         also on a rollback
    check          health   https://shop.example.com/health?token=***           from here; 6 tries
    after_deploy   notify   curl -H "X-Token: $TOKEN" https://chat.example.com  may fail
    "#);
    let output = cutover(place.path(), &["hooks", "list", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let hooks: Vec<&str> =
        json["hooks"].as_array().unwrap().iter().map(|hook| hook["name"].as_str().unwrap()).collect();
    assert_eq!(hooks, ["assets", "migrate", "restart", "notify"]);
    assert_eq!(json["hooks"][0]["phase"], "build");
    assert_eq!(json["hooks"][3]["env"], serde_json::json!(["TOKEN"]));
    assert_eq!(json["checks"][0]["url"], "https://shop.example.com/health?token=***");
    assert!(!String::from_utf8(output.stdout).unwrap().contains("s3cret-token"));
    assert!(!place.path().join("state").exists());
}

#[test]
fn of_two_secrets_of_which_one_contains_the_other_the_list_shows_nothing() {
    let place = tempfile::tempdir().unwrap();
    let config = "deploy_path = 'site'\nsecrets = ['A', 'B']\n\
                  [[checks]]\nname = 'page'\nurl = 'http://localhost/${B}/${A}'\n";
    fs::write(place.path().join("cutover.toml"), config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.args(["hooks", "list", "--json"]).current_dir(place.path());
    let output = command.env_clear().envs([("HOME", "/nowhere"), ("A", "abcd"), ("B", "abcdefgh")]).output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["checks"][0]["url"], "http://localhost/***/***");
}

#[test]
fn a_place_without_hooks_says_so() {
    let place = tempfile::tempdir().unwrap();
    let output = cutover(place.path(), &["hooks", "list", "--target", "/srv/site"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "There are no hooks and no checks\n");
}

#[test]
fn a_verb_that_asks_needs_no_variables_of_hooks_checks_and_notices() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().canonicalize().unwrap();
    let config = "deploy_path = 'site'\nsource = '.'\nwritable_group = '${NOT_SET}'\nsecrets = ['NOT_SET']\n\
                  webhook = 'https://hooks.example.com'\nwebhook_secret = '${NOT_SET}'\n\
                  [[hooks]]\nname = 'notify'\nphase = 'after_deploy'\nrun = 'true'\nenv = { TOKEN = '${NOT_SET}' }\n\
                  [[checks]]\nname = 'page'\nurl = 'https://${NOT_SET}/'\n";
    fs::write(directory.join("cutover.toml"), config).unwrap();
    let asking = [
        "setup",
        "status",
        "status --check",
        "releases",
        "log",
        "lock status",
        "lock acquire -m freeze",
        "unlock",
        "shared list",
        "cleanup --dry-run",
    ];
    for line in asking {
        let output = cutover(&directory, &line.split(' ').collect::<Vec<_>>());
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let refusal = "Error [config]: `DIR/cutover.toml` line 3: the environment variable `NOT_SET` is not set, or is empty\n\
                   Hint: Set it, or give a default: `${NOT_SET:-default}`";
    for line in ["deploy", "deploy --dry-run", "switch 1", "rollback", "pin 1", "cleanup", "hooks list"] {
        let output = cutover(&directory, &line.split(' ').collect::<Vec<_>>());
        let said = String::from_utf8(output.stderr).unwrap().replace(directory.to_str().unwrap(), "DIR");
        assert!(said.starts_with(refusal), "{line}: {said}");
        assert_eq!(output.status.code(), Some(2), "{line}");
    }
    // The source of a diff is one of its sides.
    fs::write(directory.join("cutover.toml"), config.replace("source = '.'", "source = '${NOT_SET}'")).unwrap();
    assert!(cutover(&directory, &["status"]).status.success());
    refused(&directory, &["diff"], &refusal.replace("line 3", "line 2"));
}

#[test]
fn no_error_no_list_and_no_event_shows_a_value_that_is_named_a_secret() {
    let place = tempfile::tempdir().unwrap();
    let config = r#"
        host = "${SECRET_HOST}"
        deploy_path = "/srv/shop"
        secrets = ["SECRET_HOST", "WORD", "LONGER"]
        [[hooks]]
        name = "notify"
        phase = "after_deploy"
        run = "curl https://chat.example.com/pass1word"
        cwd = "/srv/pass1word"
        env = { TOKEN = "${LONGER}" }
    "#;
    fs::write(place.path().join("cutover.toml"), config).unwrap();
    fs::write(place.path().join("index.html"), "one").unwrap();
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command.current_dir(place.path()).args(words).args(["--state-dir", "state"]);
        // The one is the beginning of the other, and comes first in the config.
        command.env("SECRET_HOST", "s3cret.invalid").env("WORD", "pass1").env("LONGER", "pass1word");
        let output = command.output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!said.contains("s3cret") && !said.contains("word"), "{words:?}: {said}");
        said
    };
    assert!(run(&["hooks", "list"]).contains("curl https://chat.example.com/***\n"));
    assert!(run(&["hooks", "list", "--json"]).contains("\"cwd\":\"/srv/***\""));
    for form in [None, Some("--json"), Some("--events"), Some("-v")] {
        for verb in ["status", "deploy", "exec"] {
            let words: Vec<&str> = [verb].into_iter().chain(form).collect();
            let words = if verb == "exec" { [&words[..], &["--", "true"]].concat() } else { words };
            let said = run(&words);
            assert!(said.contains("***"), "{words:?}: {said}");
        }
    }
}

#[test]
fn what_adopt_would_do_and_what_is_in_its_way_show_no_secret() {
    let place = tempfile::tempdir().unwrap();
    let config = "source = 'source'\ncurrent_path = '/${PLACE}/shop'\ndeploy_path = '/${PLACE}/.shop'\n\
                  secrets = ['PLACE', 'NAME']\n";
    fs::create_dir(place.path().join("source")).unwrap();
    fs::write(place.path().join("cutover.toml"), config).unwrap();
    let directory = place.path().canonicalize().unwrap();
    fs::create_dir_all(directory.join("s3cret/shop")).unwrap();
    fs::write(directory.join("s3cret/shop/index.html"), "one").unwrap();
    let secret = directory.join("s3cret").to_str().unwrap().trim_start_matches('/').to_owned();
    let run = |words: &[&str], code: i32, expected: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command.current_dir(&directory).args(words).args(["--state-dir", "state"]);
        command.env("PLACE", &secret).env("NAME", "s3cret-name");
        let output = command.output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!said.contains("s3cret") && said.contains(expected), "{words:?}: {said}");
        assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
    };
    run(&["adopt", "--dry-run"], 0, "/***/shop becomes the link to the live release of /***/.shop");
    run(&["adopt"], 1, "/***/shop becomes the link to the live release of /***/.shop");
    run(&["adopt"], 1, "There is no terminal to ask on: Adopt /***/shop?");
    run(&["adopt", "--share", "s3cret-name"], 1, "Obstacle [cannot-share]: `***` cannot be shared");
    run(&["adopt", "--share", "s3cret-name"], 1, "Error [cannot-share]: `***` cannot be shared");
    run(&["adopt", "--undo"], 1, "Give /***/shop back as it was before it was adopted?");
}
