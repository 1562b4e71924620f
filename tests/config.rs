//! `cutover config`: the settings of a stage as they count, and the schema of `cutover.toml`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use insta::assert_snapshot;
use serde_json::Value;

const CONFIG: &str = r#"
keep_releases = 5
shared_dirs = ["storage", { path = "uploads", conflict = "seed" }]
exclude = ["/node_modules/", '[$]x']
secrets = ["TOKEN"]

[[hooks]]
name = "assets"
phase = "build"
run = "npm ci && echo $HOME ${HOME}"

[[hooks]]
name = "caches"
phase = "before_switch"
run = "php artisan optimize"

[staging]
host = "staging.example.com"
deploy_path = "/srv/shop"

[production]
host = "${WEB_HOST}"
port = "${WEB_PORT:-22}"
deploy_path = "/srv/shop"
source = "build"
keep_releases = 7
webhook = "https://hooks.example.com/${TOKEN}"
webhook_secret = "written-here"

[[production.hooks]]
name = "notify"
phase = "after_deploy"
run = '''
curl https://chat.example.com
'''
env = { TOKEN = "${TOKEN}", PLAIN = "written-there" }

[[production.checks]]
name = "health"
url = "https://shop.example.com/?key=${TOKEN}"
"#;

fn cutover(directory: &Path, words: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.args(words).current_dir(directory).env_clear().env("HOME", "/home/anna");
    command.envs(variables.iter().copied()).output().unwrap()
}

#[track_caller]
fn shown(directory: &Path, words: &[&str], variables: &[(&str, &str)]) -> String {
    let output = cutover(directory, &[&["config", "show"], words].concat(), variables);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().replace(directory.to_str().unwrap(), "DIR")
}

fn place() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("cutover.toml"), CONFIG).unwrap();
    place
}

#[test]
fn settings_are_shown_as_they_are_written_with_their_places_and_without_secrets() {
    let place = place();
    let text = shown(place.path(), &["production", "--set", "grace=10m", "--transport", "ssh2"], &[]);
    assert_snapshot!(text, @r"
    `[production]` of DIR/cutover.toml
    KEY             VALUE                                                 FROM
    deploy_path     /srv/shop                                             stage, line 24
    host            ${WEB_HOST}                                           stage, line 22
    port            ${WEB_PORT:-22}                                       stage, line 23
    transport       ssh2                                                  --transport
    source          build                                                 stage, line 25
    exclude         /node_modules/, [$]x                                  top, line 4
    gitignore       false                                                 default
    revision_file   true                                                  default
    keep_releases   7                                                     stage, line 26
    keep_manifests  5                                                     default
    grace           10m                                                   --set
    spare           true                                                  default
    shared_dirs     storage, uploads                                      top, line 3
    auto_shared     true                                                  default
    link            hardlink                                              default
    hook_edits      repair                                                default
    writable_mode   0775                                                  default
    hooks           assets (build): npm ci && echo $HOME ${HOME}          top, line 7
    hooks           caches (before_switch): php artisan optimize          top, line 12
    hooks           notify (after_deploy): curl https://chat.example.com  stage, line 30
    checks          health: https://shop.example.com/?key=${TOKEN}        stage, line 38
    secrets         TOKEN                                                 top, line 5
    webhook         https://hooks.example.com/${TOKEN}                    stage, line 27
    webhook_secret  ***                                                   stage, line 28
    ");
    assert!(!text.contains("written-"), "{text}");
}

#[test]
fn resolved_settings_have_no_variables_and_absolute_paths() {
    let place = place();
    let variables = [("WEB_HOST", "web1.example.com"), ("TOKEN", "s3cret-token")];
    let text = shown(place.path(), &["production", "--resolved"], &variables);
    assert_snapshot!(text, @r"
    `[production]` of DIR/cutover.toml
    KEY             VALUE                                                 FROM
    deploy_path     /srv/shop                                             stage, line 24
    host            web1.example.com                                      stage, line 22
    port            22                                                    stage, line 23
    transport       auto                                                  default
    source          DIR/build                                 stage, line 25
    exclude         /node_modules/, [$]x                                  top, line 4
    gitignore       false                                                 default
    revision_file   true                                                  default
    keep_releases   7                                                     stage, line 26
    keep_manifests  5                                                     default
    grace           60s                                                   default
    spare           true                                                  default
    shared_dirs     storage, uploads                                      top, line 3
    auto_shared     true                                                  default
    link            hardlink                                              default
    hook_edits      repair                                                default
    writable_mode   0775                                                  default
    hooks           assets (build): npm ci && echo $HOME ${HOME}          top, line 7
    hooks           caches (before_switch): php artisan optimize          top, line 12
    hooks           notify (after_deploy): curl https://chat.example.com  stage, line 30
    checks          health: https://shop.example.com/?key=***             stage, line 38
    secrets         TOKEN                                                 top, line 5
    webhook         https://hooks.example.com/***                         stage, line 27
    webhook_secret  ***                                                   stage, line 28
    ");
    assert!(!text.contains("s3cret") && !text.contains("written-"), "{text}");
    let output = cutover(place.path(), &["config", "show", "production", "--resolved"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("`TOKEN`"), "{output:?}");
}

#[test]
fn a_script_gets_the_values_as_they_are() {
    let place = place();
    let json: Value = serde_json::from_str(&shown(place.path(), &["production", "--json"], &[])).unwrap();
    assert_eq!((&json["config"], &json["stage"]), (&"DIR/cutover.toml".into(), &"production".into()));
    let setting = |key: &str| {
        let settings = json["settings"].as_array().unwrap();
        settings
            .iter()
            .find(|setting| setting["key"] == key)
            .unwrap_or_else(|| panic!("{key} is not in {json}"))
            .clone()
    };
    assert_eq!(
        setting("keep_releases"),
        serde_json::json!({ "key": "keep_releases", "value": 7, "from": "stage", "line": 26 })
    );
    assert_eq!(setting("spare"), serde_json::json!({ "key": "spare", "value": true, "from": "default", "line": null }));
    assert_eq!(setting("shared_dirs")["value"][1]["conflict"], "seed");
    assert_eq!(setting("hooks")["value"]["run"], "npm ci && echo $HOME ${HOME}");
    assert_eq!(setting("checks")["value"]["url"], "https://shop.example.com/?key=${TOKEN}");
}

#[test]
fn a_target_replaces_what_belongs_to_the_target_of_the_stage() {
    let place = place();
    let rows = |words: &[&str]| -> Vec<String> {
        let text = shown(place.path(), words, &[]);
        let rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        rows.filter(|row| ["deploy_path", "host", "user", "port"].iter().any(|key| row.starts_with(&format!("{key} "))))
            .collect()
    };
    let target = ["production", "--target", "ssh://me@web9:2222/srv/other"];
    assert_eq!(
        rows(&target),
        ["deploy_path /srv/other --target", "host web9 --target", "user me --target", "port 2222 --target"]
    );
    assert_eq!(rows(&["staging", "--set", "host=web8"]), ["deploy_path /srv/shop stage, line 19", "host web8 --set"]);
    assert_eq!(rows(&["--target", "/srv/here"]), ["deploy_path /srv/here --target"]);
    let output = cutover(place.path(), &["config", "show"], &[]);
    assert_eq!(output.status.code(), Some(2), "two stages, and none is named");
}

#[test]
fn the_schema_is_printed_and_is_that_of_the_docs() {
    let place = tempfile::tempdir().unwrap();
    let output = cutover(place.path(), &["config", "schema"], &[]);
    assert!(output.status.success());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cutover.schema.json");
    assert!(output.stdout == fs::read(file).unwrap());
}
