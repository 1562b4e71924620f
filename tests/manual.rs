//! The manual pages, as `man`, groff and mandoc read them.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

/// Writes the pages, and returns their directory and their files.
fn pages() -> (tempfile::TempDir, Vec<PathBuf>) {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    assert_eq!(ran(command.arg("man").arg(directory.path())), "");
    let files = |section: &str| -> Vec<PathBuf> {
        let entries = fs::read_dir(directory.path().join(section)).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let all = [files("man1"), files("man5")].concat();
    (directory, all)
}

/// Runs a program that finds no fault, and returns its stdout.
fn ran(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let stdout = text(stdout);
    assert_eq!((status.code(), text(stderr)), (Some(0), String::new()), "{stdout}");
    stdout
}

#[test]
fn the_manual_pages_are_without_fault() {
    let (_directory, files) = pages();
    assert!(files.len() > 35, "{files:?}");
    for file in &files {
        assert_eq!(ran(Command::new("mandoc").args(["-Tlint", "-Wwarning"]).arg(file)), "");
        let shown = ran(Command::new("groff").args(["-man", "-ww", "-Tutf8", "-P-cbou"]).arg(file));
        assert!(shown.contains("SEE ALSO"), "{}", file.display());
    }
}

#[test]
fn man_finds_each_page_by_its_name() {
    let (directory, _) = pages();
    let man = |name: &str| {
        let mut man = Command::new("man");
        man.args(["--warnings", name]).env("MANPATH", directory.path()).env("MANWIDTH", "100");
        ran(man.env("MAN_KEEP_FORMATTING", "").env("MANPAGER", "cat"))
    };
    let page = man("cutover-shared-push");
    assert!(page.contains("cutover shared push [OPTIONS]") && page.contains("--target"), "{page}");
    let page = man("cutover");
    for part in ["EXIT STATUS", "FILES", "ENVIRONMENT", "NO_COLOR", "cutover-deploy(1)"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(man("cutover.toml").contains("deploy_path"));
}
