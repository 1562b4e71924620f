//! The README and the guides: every config in them is accepted, and their examples run as they are printed.
//!
//! A page is run from its beginning to its end, on a small application with a real PHP and a database in SQLite. The target
//! is a path of this machine. Comments that a reader does not see say what happens to a block:
//!
//! ```text
//! <!-- test: config -->      the block is cutover.toml from here on
//! <!-- test: accepted -->    the block is a config that is only read
//! <!-- test: file NAME -->   the block is written to a file of the application
//! <!-- test: do COMMAND -->  a command runs before the next block
//! <!-- test: elsewhere -->   the next block needs a server, and does not run
//! <!-- test: exit CODE -->   the last command of the next block ends so
//! ```
//!
//! Commands of a `console` block run in a shell. Each line of output that a block shows must come, in this order;
//! `…` stands for any lines. Digits may differ.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::pages::Pages;
use crate::support::program;
use crate::support::shop;
use crate::support::site::Site;
use crate::support::wait;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A block of a page: its language, its content, and the comments before it.
#[derive(Debug)]
struct Block {
    language: String,
    text: String,
    comments: Vec<String>,
}

/// Returns the blocks of a page. Comments that stand before no block are those of an empty one at the end.
fn blocks(page: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut comments = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(comment) = line.strip_prefix("<!-- test: ").and_then(|line| line.strip_suffix(" -->")) {
            comments.push(comment.to_owned());
        } else if let Some(language) = line.strip_prefix("```") {
            let text: String =
                lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
            found.push(Block { language: language.to_owned(), text, comments: std::mem::take(&mut comments) });
        }
    }
    found.push(Block { language: String::new(), text: String::new(), comments });
    found
}

/// Returns the names of the stages of a config.
fn stages(config: &str) -> Vec<&str> {
    let table = |line: &'_ str| line.starts_with('[') && !line.starts_with("[[") && !line.contains('.');
    config.lines().filter(|line| table(line)).map(|line| line.trim_matches(['[', ']'])).collect()
}

/// Returns the environment variables that a config uses.
fn variables(config: &str) -> Vec<&str> {
    let names = config.split("${").skip(1).filter_map(|rest| rest.split_once('}'));
    names.map(|(name, _)| name.split(":-").next().unwrap()).collect()
}

/// Returns a value that a variable of this name may have.
fn value_of(variable: &str) -> &'static str {
    match variable {
        "WEB_PORT" => "22",
        "WEB_HOST_KEY" => "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHq4lW8QZ1jVn3wTAv0c5h6O7pGv0U8mB3mPq2r9mQkR",
        _ => "value",
    }
}

/// Reads a config for each of its stages. Returns the exit codes, and what was said.
fn read_config(config: &str) -> Vec<(Option<i32>, String)> {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("cutover.toml");
    fs::write(&file, config).unwrap();
    let run = |stage: Option<&&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command.args(["hooks", "list"]).args(stage).arg("--config").arg(&file);
        // A part of a config has no target.
        if !config.contains("deploy_path") {
            command.args(["--target", "web1.example.com:/srv/shop"]);
        }
        command.env_clear().env("HOME", place.path()).current_dir(place.path());
        for name in variables(config) {
            command.env(name, value_of(name));
        }
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let stages = stages(config);
    if stages.is_empty() { vec![run(None)] } else { stages.iter().map(|stage| run(Some(stage))).collect() }
}

#[test]
fn every_config_of_the_docs_is_accepted() {
    let guides = fs::read_dir(root().join("docs/guides")).unwrap().map(|entry| entry.unwrap().path());
    let pages: Vec<PathBuf> =
        guides.chain(["README.md", "docs/ci.md", "docs/configuration.md"].map(|page| root().join(page))).collect();
    let schema = fs::read_to_string(root().join("docs/cutover.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let mut count = 0;
    for page in pages {
        let name = page.strip_prefix(root()).unwrap().display().to_string();
        for block in blocks(&fs::read_to_string(&page).unwrap()).iter().filter(|block| block.language == "toml") {
            for (code, stderr) in read_config(&block.text) {
                assert_eq!(code, Some(0), "{name}: {stderr}\n{}", block.text);
                count += 1;
            }
            let table: toml::Table = toml::from_str(&block.text).unwrap();
            let errors: Vec<String> =
                schema.iter_errors(&serde_json::to_value(&table).unwrap()).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{name}: {errors:?}\n{}", block.text);
            let spoilt = format!("hoooks = 1\n{}", block.text);
            assert!(read_config(&spoilt).iter().all(|(code, _)| *code == Some(2)), "{name}: {spoilt}");
        }
    }
    assert!(count >= 25, "{count}");
}

/// Files by which the presets know that a part of them is used.
const PARTS: [&str; 5] = [
    "package.json",
    "importmap.php",
    "config/packages/doctrine_migrations.yaml",
    "config/packages/messenger.yaml",
    ".git/HEAD",
];

/// Returns the config that `cutover init` writes for a preset.
fn written_by_init(preset: &str) -> String {
    let place = tempfile::tempdir().unwrap();
    for part in PARTS {
        let file = place.path().join(part);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "ref: refs/heads/main\n").unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.args(["init", "--print", "--preset", preset, "--target", "deploy@web1.example.com:/srv/shop"]);
    let output = command.current_dir(place.path()).env("HOME", place.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_recipes_are_what_init_writes() {
    let file = root().join("docs/guides/recipes.md");
    let page = fs::read_to_string(&file).unwrap();
    let mut expected = String::new();
    let mut rest = page.as_str();
    let mut presets = Vec::new();
    while let Some((before, after)) = rest.split_once("<!-- test: preset ") {
        let (preset, after) = after.split_once(" -->\n```toml\n").unwrap();
        let end = if after.starts_with("```") { 0 } else { after.find("\n```").unwrap() + 1 };
        expected += &format!("{before}<!-- test: preset {preset} -->\n```toml\n{}", written_by_init(preset));
        rest = &after[end..];
        presets.push(preset);
    }
    expected += rest;
    if std::env::var_os("INSTA_UPDATE").is_some_and(|update| update == "always") {
        fs::write(&file, &expected).unwrap();
    }
    assert_eq!(presets, ["laravel", "symfony", "wordpress", "magento", "rails", "django", "node", "static"]);
    assert!(page == expected, "write the configs of {} anew: INSTA_UPDATE=always", file.display());
}

/// A guide that is being run.
struct Walk {
    site: Site,
    pages: Pages,
    /// The page from the root of the project.
    name: String,
}

impl Walk {
    fn start(name: &str) -> Walk {
        let site = Site::new();
        shop::write(&site);
        fs::create_dir_all(site.path("bin")).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_cutover"), site.path("bin/cutover")).unwrap();
        let calls = site.path("calls");
        for (name, line) in [("sudo", ""), ("composer", "Installing dependencies from lock file"), ("npm", "built")] {
            let script = format!("#!/bin/sh\necho \"{name} $*\" >> '{}'\necho '{line}'\n", calls.display());
            program::write(&site.path("bin").join(name), &script);
        }
        let pages = Pages::start(&site.target("current/public"));
        Walk { site, pages, name: name.to_owned() }
    }

    /// Runs a guide to its end.
    fn run(&self) {
        let page = fs::read_to_string(root().join(&self.name)).unwrap();
        for block in blocks(&page) {
            let mut code = 0;
            let (mut use_of_config, mut runs) = (None, true);
            for comment in &block.comments {
                match comment.split_once(' ').unwrap_or((comment, "")) {
                    ("do", command) => drop(self.check(command, 0, &[])),
                    ("elsewhere", "") => runs = false,
                    ("exit", number) => code = number.parse().unwrap(),
                    ("file", file) => self.site.write(file, &block.text),
                    (word @ ("config" | "accepted"), "") => use_of_config = Some(word),
                    _ => panic!("{}: `{comment}` is no comment for tests", self.name),
                }
            }
            match (block.language.as_str(), use_of_config) {
                ("toml", Some("config")) => self.site.write("cutover.toml", self.local(&block.text)),
                ("toml", use_of_config) => assert_eq!(use_of_config, Some("accepted"), "{}: {}", self.name, block.text),
                ("console", _) if runs => self.run_block(&block.text, code),
                _ => {}
            }
        }
    }

    /// Returns a config or a command for the target on this machine.
    fn local(&self, text: &str) -> String {
        let target = self.site.target("").display().to_string();
        let pages = self.pages.address();
        let is_remote = |line: &&str| ["host = ", "user = ", "host_key = "].iter().any(|key| line.starts_with(key));
        let lines = text.lines().filter(|line| !is_remote(line)).map(|line| format!("{line}\n")).collect::<String>();
        lines
            .replace("/srv/shop", target.trim_end_matches('/'))
            .replace("https://shop.example.com", &pages)
            .replace("http://127.0.0.1:3000", &pages)
    }

    /// Runs the commands of a block. The last one ends with this code.
    fn run_block(&self, text: &str, code: i32) {
        let mut commands: Vec<(&str, Vec<&str>)> = Vec::new();
        for line in text.lines() {
            match line.strip_prefix("$ ") {
                Some(command) => commands.push((command, Vec::new())),
                None => commands.last_mut().expect("a block begins with a command").1.push(line),
            }
        }
        let last = commands.len() - 1;
        for (at, (command, lines)) in commands.iter().enumerate() {
            self.check(command, if at == last { code } else { 0 }, lines);
        }
    }

    /// Runs a command, which must end with this code and print these lines among others. Returns all that it printed.
    fn check(&self, command: &str, code: i32, lines: &[&str]) -> String {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &format!("exec 2>&1\n{}", self.local(command))]);
        shell.env_clear().env("HOME", self.site.path("home")).env("USER", "anna");
        shell.env("PATH", format!("{}:/usr/bin:/bin", self.site.path("bin").display()));
        let output = shell.current_dir(self.site.source("")).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let name = &self.name;
        assert_eq!(output.status.code(), Some(code), "{name}: `{command}` printed:\n{text}");
        let target = self.site.target("").display().to_string();
        let text = text.replace(target.trim_end_matches('/'), "/srv/shop");
        // The deploy path beside it.
        let beside = self.site.path(".target.cutover").display().to_string();
        let text = text.replace(&beside, "/srv/.shop.cutover");
        let mut printed = text.lines().map(shape);
        for line in lines.iter().filter(|line| **line != "…") {
            let wanted = shape(line);
            assert!(printed.any(|line| line == wanted), "{name}: `{command}` does not print `{line}` there:\n{text}");
        }
        if lines.iter().all(|line| *line != "…") && !lines.is_empty() {
            assert_eq!(text.lines().count(), lines.len(), "{name}: `{command}` printed:\n{text}");
        }
        text
    }

    /// Returns the calls of programs that cannot run here.
    fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.site.path("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// Returns a line without what differs from run to run: digits, commits, the width of columns, and the name of this
/// machine.
fn shape(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        let core = word.trim_matches(|c: char| !c.is_alphanumeric());
        if core.len() == 12 && core.chars().all(|c| c.is_ascii_hexdigit()) {
            return word.replace(core, "commit");
        }
        if let Some((person, host)) = word.split_once('@') {
            return format!(
                "{person}@{}",
                host.trim_start_matches(|c: char| c.is_alphanumeric() || c == '-' || c == '.')
            );
        }
        let mut shape = String::new();
        for letter in word.chars() {
            let letter = if letter.is_ascii_digit() { '0' } else { letter };
            if letter != '0' || !shape.ends_with('0') {
                shape.push(letter);
            }
        }
        shape
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_examples_of_the_guide_to_hooks_run() {
    let walk = Walk::start("docs/guides/hooks.md");
    walk.run();
    let calls = walk.calls();
    let count = |call: &str| calls.iter().filter(|line| line.starts_with(call)).count();
    assert_eq!((count("sudo systemctl reload php8.2-fpm"), count("sudo systemctl restart shop")), (3, 1), "{calls:?}");
    assert!(count("composer install --no-dev") == 1 && count("npm ci") == 2, "{calls:?}");
}

#[test]
fn the_examples_of_the_guide_to_shared_files_run() {
    let walk = Walk::start("docs/guides/shared.md");
    walk.run();
    let env = fs::read_to_string(walk.site.target("shared/.env")).unwrap();
    assert!(env.contains("base64"), "{env}");
}

#[test]
fn the_examples_of_the_guide_to_moving_in_run() {
    let walk = Walk::start("docs/guides/moving.md");
    walk.run();
    assert_eq!(fs::read_to_string(walk.site.target("public/uploads/a.jpg")).unwrap(), "a picture\n");
    assert!(fs::symlink_metadata(walk.site.path("target")).unwrap().is_dir());
}

#[test]
fn the_examples_of_the_guide_to_checks_run() {
    let walk = Walk::start("docs/guides/checks.md");
    walk.run();
    let asked = walk.pages.asked();
    assert!(asked.iter().filter(|path| *path == "/health").count() >= 8, "{asked:?}");
}

#[test]
fn the_examples_of_the_guide_to_rollbacks_run() {
    let walk = Walk::start("docs/guides/rollback.md");
    walk.run();
    assert_eq!(walk.calls().len(), 5, "{:?}", walk.calls());
}

#[test]
fn the_examples_of_the_guide_for_teams_run() {
    let walk = Walk::start("docs/guides/teams.md");
    walk.run();
    // The receiver of the guide accepts notices that have its secret, and no others.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let said = walk.site.path("said");
    let mut receiver = Command::new("php");
    receiver
        .args(["-S", &address.to_string()])
        .arg(walk.site.source("receiver.php"))
        .env("WEBHOOK_SECRET", "right-secret");
    receiver.stdout(Stdio::null()).stderr(fs::File::create(&said).unwrap());
    let mut receiver = receiver.spawn().unwrap();
    wait::until("the receiver listens", || TcpStream::connect(address).ok());
    let deploy = |secret: &str| {
        format!("cutover deploy production --force --set webhook=http://{address}/ --set webhook_secret={secret}")
    };
    let right = walk.check(&deploy("right-secret"), 0, &[]);
    let told = fs::read_to_string(&said).unwrap();
    let wrong = walk.check(&deploy("wrong-secret"), 0, &[]);
    let all = fs::read_to_string(&said).unwrap();
    receiver.kill().unwrap();
    receiver.wait().unwrap();
    assert!(told.contains("start: release  by anna") && told.contains("success: release 2"), "{told}");
    assert!(!right.contains("Warning") && wrong.contains("403"), "{right}{wrong}");
    assert_eq!(all.matches("success: release").count(), 1, "{all}");
}

#[test]
fn the_examples_of_the_guide_to_little_disk_run() {
    let walk = Walk::start("docs/guides/low-disk.md");
    walk.run();
    assert_eq!(walk.site.release_names().len(), 2);
}

#[test]
fn the_examples_of_the_readme_run() {
    let walk = Walk::start("README.md");
    walk.run();
    assert_eq!(walk.site.release_names().len(), 2);
}
