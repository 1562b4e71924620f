//! The place of the link to the live release.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::site::{RunResult, Site};
use crate::support::tree::assert_same;

/// Deploys with keys of a `cutover.toml`: `--target` would stand in place of `current_path`.
fn deploy_with(site: &Site, keys: &str) -> RunResult {
    let config = format!("deploy_path = '{}'\n{keys}", site.target("").display());
    fs::write(site.path("cutover.toml"), config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.args(["deploy", "--json", "--source", "source", "--state-dir", "state"]).current_dir(site.path(""));
    RunResult::of(&command.output().unwrap())
}

#[test]
fn the_link_may_stand_elsewhere() {
    let site = Site::new();
    let link: PathBuf = site.path("public_html");
    site.write("version", "A");
    deploy_with(&site, &format!("current_path = '{}'\n", link.display())).succeeded();
    assert_same(&site.path("source"), &link.join(""));
    assert!(!site.target("current").exists());
}

#[test]
fn where_the_link_stands_is_remembered_and_another_place_is_refused() {
    let site = Site::new();
    let (link, other) = (site.path("public_html"), site.path("htdocs"));
    site.write("version", "A");
    deploy_with(&site, &format!("current_path = '{}'\n", link.display())).succeeded();
    site.write("version", "B");
    deploy_with(&site, "").succeeded();
    assert_same(&site.path("source"), &link.join(""));
    assert!(!site.target("current").exists());
    let before = fs::read_link(&link).unwrap();
    site.write("version", "C");
    let elsewhere = format!("current_path = '{}'\n", other.display());
    let ran = deploy_with(&site, &elsewhere);
    ran.failed(1, &["public_html", "htdocs", "Hint: Leave `current_path` as it was", "Nothing was switched"]);
    assert_eq!(fs::read_link(&link).unwrap(), before);
    assert!(!other.exists());
    // Once nothing serves from it any more, it may move.
    fs::remove_file(&link).unwrap();
    deploy_with(&site, &elsewhere).succeeded();
    assert_same(&site.path("source"), &other.join(""));
    assert!(!link.exists());
}
