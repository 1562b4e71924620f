//! A source, a target and a state directory, and the real binary run on them in a clean environment.
//!
//! ```text
//! <temporary directory>/
//! ├── source/        the source
//! ├── target/        the deploy path, if it is local
//! ├── state/         the manifest database
//! ├── home/          HOME, empty
//! ├── bin/           programs that a test puts before those of the system
//! └── cutover.toml   the config, if the test writes one
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::program;
use super::sshd::{HOST, Sshd, run};
use super::tree;

/// A site.
pub(crate) struct Site {
    directory: TempDir,
    destination: String,
    target: PathBuf,
    words: Vec<String>,
}

/// The result of a run.
#[derive(Debug)]
pub(crate) struct RunResult {
    /// The exit code, or nothing if the process was killed.
    pub(crate) code: Option<i32>,
    /// The object on stdout, or null.
    pub(crate) json: Value,
    /// The text on stderr.
    pub(crate) stderr: String,
}

impl Site {
    /// Makes a site with a local target.
    pub(crate) fn new() -> Site {
        Site::at(tempfile::tempdir().unwrap())
    }

    /// Makes a site with a local target, on a filesystem in memory if there is one, for tests that deploy very often.
    pub(crate) fn in_memory() -> Site {
        Site::at(tempfile::tempdir_in(super::edits::memory()).unwrap())
    }

    fn at(directory: TempDir) -> Site {
        let target = directory.path().join("target");
        let destination = target.to_str().unwrap().to_owned();
        Site::make(directory, destination, target, Vec::new())
    }

    /// Makes a site whose target is the deploy path `site` in the home of a user of a server.
    pub(crate) fn over(sshd: &Sshd, user: &str) -> Site {
        let target = sshd.home(user).join("site");
        let destination = format!("{user}@{HOST}:{}", target.display());
        let words = vec!["-F".to_owned(), sshd.client(".ssh/config").to_str().unwrap().to_owned()];
        Site::make(tempfile::tempdir().unwrap(), destination, target, words)
    }

    /// Makes a site whose target is a path of a server, which has another path on this machine.
    pub(crate) fn over_at(sshd: &Sshd, user: &str, path: &Path, here: PathBuf) -> Site {
        let site = Site::over(sshd, user);
        Site { destination: format!("{user}@{HOST}:{}", path.display()), target: here, ..site }
    }

    /// Sets another deploy path on the server.
    pub(crate) fn move_on_server(&mut self, user: &str, path: &Path) {
        self.target = path.to_owned();
        self.destination = format!("{user}@{HOST}:{}", path.display());
    }

    fn make(directory: TempDir, destination: String, target: PathBuf, words: Vec<String>) -> Site {
        for name in ["source", "home"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        Site { directory, destination, target, words }
    }

    /// Writes `cutover.toml`. Its keys at the top apply from now on; the target stays.
    pub(crate) fn configure(&mut self, config: &str) {
        let file = self.path("cutover.toml");
        fs::write(&file, config).unwrap();
        if !self.words.iter().any(|word| word == "--config") {
            self.words.extend(["--config".to_owned(), file.to_str().unwrap().to_owned()]);
        }
    }

    /// Writes what `cutover init` writes for the source, without the stage.
    pub(crate) fn configure_as_init_does(&mut self) {
        let mut init = Command::new(env!("CARGO_BIN_EXE_cutover"));
        let printed = run(init.args(["init", "--print"]).current_dir(self.path("source")));
        self.configure(printed.split("\n[").next().unwrap());
    }

    /// Names no target any more: a stage of the config does.
    pub(crate) fn reach_by_stage(&mut self) {
        self.destination.clear();
    }

    /// Sets another deploy path on this machine.
    pub(crate) fn move_to(&mut self, target: &Path) {
        self.target = target.to_owned();
        self.destination = target.to_str().unwrap().to_owned();
    }

    /// Reaches this machine by a shell script in the place of `ssh`, which gets the command as its last argument.
    pub(crate) fn reach_by_script(&mut self, script: &str) {
        fs::create_dir_all(self.path("bin")).unwrap();
        program::write(&self.path("bin/ssh"), script);
        self.destination = format!("here:{}", self.target.display());
        self.words.extend(["--transport".to_owned(), "openssh".to_owned()]);
    }

    /// Reaches the server by another `ssh_config`.
    pub(crate) fn reach_by(&mut self, ssh_config: &Path) {
        let at = self.words.iter().position(|word| word == "-F").unwrap();
        self.words[at + 1] = ssh_config.to_str().unwrap().to_owned();
    }

    /// Returns a path in the site's directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Returns a path in the source.
    pub(crate) fn source(&self, path: &str) -> PathBuf {
        self.path("source").join(path)
    }

    /// Returns a path in the deploy path, as seen from this machine.
    pub(crate) fn target(&self, path: &str) -> PathBuf {
        self.target.join(path)
    }

    /// Returns a path in the live release.
    pub(crate) fn current(&self, path: &str) -> PathBuf {
        self.target("current").join(path)
    }

    /// Returns a release's directory.
    pub(crate) fn release(&self, id: &str) -> PathBuf {
        self.target("releases").join(id)
    }

    /// Writes a file of the source, and the directories above it.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        tree::write(&self.source(path), content);
    }

    /// Writes a file of the source, and the same in the deploy path.
    pub(crate) fn write_both(&self, path: &str, content: impl AsRef<[u8]>) {
        self.write(path, &content);
        tree::write(&self.target(path), content);
    }

    /// Writes a file in `shared/`, and the directories above it.
    pub(crate) fn write_shared(&self, path: &str, content: impl AsRef<[u8]>) {
        tree::write(&self.target("shared").join(path), content);
    }

    /// Makes the command for a verb, to be started by the caller.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        self.command_of(Path::new(env!("CARGO_BIN_EXE_cutover")), words)
    }

    /// Works like [`Site::command`], with another copy of the program.
    pub(crate) fn command_of(&self, program: &Path, words: &[&str]) -> Command {
        self.speaking(program, words, &["--json"])
    }

    /// Works like [`Site::command`], and prints what a person sees.
    pub(crate) fn plain(&self, words: &[&str]) -> Command {
        self.speaking(Path::new(env!("CARGO_BIN_EXE_cutover")), words, &[])
    }

    fn speaking(&self, program: &Path, words: &[&str], format: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(words).args(format).args(&self.words);
        if !self.destination.is_empty() {
            command.args(["--target", &self.destination]);
        }
        if words[0] == "deploy" && !words.contains(&"--source") {
            command.arg("--source").arg(self.path("source"));
        }
        if !words.contains(&"--state-dir") {
            command.arg("--state-dir").arg(self.path("state"));
        }
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        command.env_clear().env("HOME", self.path("home")).env("USER", "tester").env("PATH", path);
        command.env("XDG_CACHE_HOME", self.path("cache"));
        command.current_dir(self.directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a verb.
    pub(crate) fn cutover(&self, words: &[&str]) -> RunResult {
        RunResult::of(&self.command(words).output().unwrap())
    }

    /// Runs a verb, and returns what a person sees on stdout.
    pub(crate) fn shows(&self, words: &[&str]) -> String {
        String::from_utf8(self.plain(words).output().unwrap().stdout).unwrap()
    }

    /// Runs a verb that must succeed, and returns its object.
    #[track_caller]
    pub(crate) fn succeed(&self, words: &[&str]) -> Value {
        self.cutover(words).succeeded()
    }

    /// Returns the configuration that `cutover web` prints.
    #[track_caller]
    pub(crate) fn prints(&self, words: &[&str]) -> String {
        text(&self.succeed(words)["config"])
    }

    /// Deploys, with further flags. It must succeed. Returns the object.
    #[track_caller]
    pub(crate) fn deploy(&self, flags: &[&str]) -> Value {
        let mut words = vec!["deploy"];
        words.extend(flags);
        self.succeed(&words)
    }

    /// Deploys and asserts that the live release equals the source. Returns the release.
    #[track_caller]
    pub(crate) fn deploy_and_compare(&self, flags: &[&str]) -> String {
        let report = self.deploy(flags);
        assert_eq!(report["state"], "live");
        tree::assert_same(&self.path("source"), &self.current(""));
        text(&report["release"])
    }

    /// Runs a verb that must be refused with an exit code and these words on stderr. `current` must be unchanged, and
    /// the last line must say which release is live.
    #[track_caller]
    pub(crate) fn refused(&self, words: &[&str], code: i32, expected: &[&str]) -> RunResult {
        let before = self.live();
        let ran = self.cutover(words);
        ran.failed(code, expected);
        assert!(ran.stderr.contains("\nHint: "), "no next step in: {}", ran.stderr);
        assert_eq!(self.live(), before);
        let last = ran.stderr.trim_end().lines().last().unwrap().to_owned();
        let truths = match &before {
            Some(id) => [format!("The site still serves release {id}."), "Nothing was switched.".to_owned()],
            None => ["No release is live.".to_owned(), "Nothing was switched.".to_owned()],
        };
        assert!(truths.contains(&last), "{last:?} is none of {truths:?}");
        ran
    }

    /// Returns the name that `current` leads to.
    pub(crate) fn live(&self) -> Option<String> {
        let target = fs::read_link(self.target("current")).ok()?;
        Some(target.file_name().unwrap().to_str().unwrap().to_owned())
    }

    /// Returns the names in `releases/`, sorted.
    pub(crate) fn release_names(&self) -> Vec<String> {
        names(&self.target("releases"))
    }

    /// Returns all objects as their paths.
    pub(crate) fn objects(&self) -> Vec<PathBuf> {
        let shards = fs::read_dir(self.target(".cutover/objects")).unwrap();
        let below = |shard: PathBuf| fs::read_dir(shard).unwrap().map(|object| object.unwrap().path());
        let mut objects: Vec<PathBuf> = shards.flat_map(|shard| below(shard.unwrap().path())).collect();
        objects.sort();
        objects
    }

    /// Returns the object that a file of the live release is linked to.
    #[track_caller]
    pub(crate) fn object_of(&self, path: &str) -> PathBuf {
        let inode = tree::stat(&self.current(path)).inode;
        let is_it = |object: &PathBuf| tree::stat(object).inode == inode;
        self.objects().into_iter().find(is_it).unwrap_or_else(|| panic!("`{path}` is linked to no object"))
    }

    /// Removes the client's manifest database.
    pub(crate) fn forget(&self) {
        fs::remove_dir_all(self.path("state")).unwrap();
    }
}

impl RunResult {
    /// Makes a result from the output of a process.
    pub(crate) fn of(output: &Output) -> RunResult {
        RunResult {
            code: output.status.code(),
            json: serde_json::from_slice(&output.stdout).unwrap_or(Value::Null),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Waits for a process that was started from [`Site::command`].
    pub(crate) fn wait(child: Child) -> RunResult {
        RunResult::of(&child.wait_with_output().unwrap())
    }

    /// Asserts that it succeeded, and returns its object.
    #[track_caller]
    pub(crate) fn succeeded(self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self.json
    }

    /// Asserts an exit code and words on stderr.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32, expected: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        for words in expected {
            assert!(self.stderr.contains(words), "{words:?} is not in: {}", self.stderr);
        }
    }
}

/// Returns a string of a report.
#[track_caller]
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no string")).to_owned()
}

/// Returns a number of a report.
#[track_caller]
pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Returns the names in a directory, sorted.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
