//! Wrong usage and wrong configuration, through the real binary: messages and exit codes.
//!
//! No test here reaches the engine: each mistake is found before any connection.

use std::fs;
use std::os::unix::fs::{lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::tree;

/// A working directory with nothing of the user's around it.
struct Place {
    directory: TempDir,
}

/// What a run came to, with the working directory written as `[DIR]`.
#[derive(Debug, PartialEq, Eq)]
struct RunResult {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Place {
    fn new() -> Place {
        let directory = tempfile::tempdir().unwrap();
        Place { directory }
    }

    /// A place with a config.
    fn with(config: &str) -> Place {
        let place = Place::new();
        fs::write(place.path().join("cutover.toml"), config).unwrap();
        place
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Runs a command line, its words apart by spaces.
    fn run(&self, line: &str) -> RunResult {
        self.run_in(self.path(), line)
    }

    fn run_in(&self, directory: &Path, line: &str) -> RunResult {
        let output = Command::new(env!("CARGO_BIN_EXE_cutover"))
            .args(line.split(' '))
            .arg("--state-dir")
            .arg(self.path().join("state"))
            .env_clear()
            .env("HOME", self.path().join("home"))
            .current_dir(directory)
            .output()
            .unwrap();
        self.normalised(output)
    }

    fn normalised(&self, output: Output) -> RunResult {
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            text.replace(self.path().to_str().unwrap(), "[DIR]")
        };
        RunResult { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// A config that names a program which leaves a file behind when it runs, and that file.
fn place_with_a_program() -> (Place, PathBuf) {
    let place = Place::with("[shop]\nhost = 'shop'\ndeploy_path = '/srv/shop'\nssh_config = 'ssh_config'\n");
    let proof = place.path().join("proof");
    fs::write(place.path().join("ssh_config"), format!("ProxyCommand touch '{}'\n", proof.display())).unwrap();
    (place, proof)
}

/// Checks that a command line is refused as wrong usage, with this on stderr and nothing on stdout.
fn check(place: &Place, line: &str, stderr: &str) {
    let expected = RunResult { code: Some(2), stdout: String::new(), stderr: stderr.to_owned() };
    assert_eq!(place.run(line), expected, "{line}");
}

#[test]
fn a_misspelt_key_is_refused_with_its_line_and_the_right_name() {
    let place = Place::with("deploy_path = '/srv/shop'\nkeep_release = 5\n");
    check(
        &place,
        "releases",
        "Error [config]: `[DIR]/cutover.toml` line 2: there is no key `keep_release`\n\
         Hint: Did you mean `keep_releases`?\n",
    );
    check(
        &place,
        "deploy",
        "Error [config]: `[DIR]/cutover.toml` line 2: there is no key `keep_release`\n\
         Hint: Did you mean `keep_releases`?\n\
         Nothing was switched.\n",
    );
}

#[test]
fn a_value_of_the_wrong_type_is_refused() {
    check(
        &Place::with("[shop]\ndeploy_path = '/srv/shop'\nkeep_releases = 'three'\n"),
        "status",
        "Error [config]: `[DIR]/cutover.toml` line 3: `keep_releases` must be a whole number of at least 1\n",
    );
    check(
        &Place::with("deploy_path = /srv/shop\n"),
        "status",
        "Error [config]: `[DIR]/cutover.toml` line 1: string values must be quoted, expected literal string\n",
    );
}

#[test]
fn a_shared_path_that_leads_out_or_into_another_is_refused() {
    let shared = |paths: &str, stderr: &str| {
        let place = Place::with(&format!("deploy_path = '/srv/shop'\nshared_dirs = [{paths}]\n"));
        check(&place, "status", stderr);
    };
    shared(
        "'/var/log'",
        "Error [config]: `[DIR]/cutover.toml` line 2: `/var/log` cannot be a shared path: it is absolute\n\
         Hint: Write it as it stands in a release, such as `storage/app`\n",
    );
    shared(
        "'../log'",
        "Error [config]: `[DIR]/cutover.toml` line 2: `../log` cannot be a shared path: it holds `.` or `..`\n\
         Hint: Write it as it stands in a release, such as `storage/app`\n",
    );
    shared(
        "'storage', 'storage/app'",
        "Error [config]: `[DIR]/cutover.toml` line 2: the shared path `storage/app` lies within `storage` (line 2)\n\
         Hint: Name the outer one only: all that is in it is shared with it\n",
    );
}

#[test]
fn without_a_target_the_ways_to_name_one_are_shown() {
    check(
        &Place::new(),
        "status",
        "Error [no-target]: There is no target: no `--target`, and no `cutover.toml` here or above\n\
         Hint: Name one with `--target DEST`, such as `--target /srv/site` or `--target deploy@web1:/srv/site`\n",
    );
    check(
        &Place::with("[shop]\ndeploy_path = '/srv/shop'\n[blog]\ndeploy_path = '/srv/blog'\n"),
        "status",
        "Error [stage]: No stage is named, and `[DIR]/cutover.toml` has several\n\
         Hint: Its stages are `blog` and `shop`\n",
    );
    check(
        &Place::new(),
        "status --config nowhere.toml",
        "Error [config]: Could not read `[DIR]/nowhere.toml`\n\
         Caused by: No such file or directory (os error 2)\n",
    );
}

#[test]
fn an_unknown_stage_is_refused_with_those_that_there_are() {
    check(
        &Place::with("[shop]\ndeploy_path = '/srv/shop'\n"),
        "status shpo",
        "Error [stage]: There is no stage `shpo` in `[DIR]/cutover.toml`\n\
         Hint: Its stage is `shop`\n",
    );
}

#[test]
fn a_config_is_found_in_a_directory_above() {
    let place = Place::with("typo = 1\n[shop]\n");
    let below = place.path().join("a/b");
    fs::create_dir_all(&below).unwrap();
    let ran = place.run_in(&below, "status");
    assert!(ran.stderr.starts_with("Error [config]: `[DIR]/cutover.toml` line 1: "), "{ran:?}");
}

#[test]
fn a_destination_that_is_no_place_is_refused() {
    check(
        &Place::new(),
        "status --target shop",
        "Error: The target `shop` is neither a path nor a server: a path begins with `/` or `./`, and a server ends \
         with `:`\n\
         Hint: Write `/path`, `user@host:/path` or `ssh://user@host:2222/path`\n",
    );
    check(
        &Place::new(),
        "switch 20260325140000 --target=-oProxyCommand=id:/srv",
        "Error: The target `-oProxyCommand=id:/srv` has a host that begins with `-`\n\
         Hint: Write `/path`, `user@host:/path` or `ssh://user@host:2222/path`\n\
         Nothing was switched.\n",
    );
    check(
        &Place::new(),
        "status --target ssh://me:secret@web1/srv",
        "Error: The target holds a password, which others could read\n\
         Hint: Leave it out, and log in with a key: `--identity FILE`, or an ssh-agent\n",
    );
}

#[test]
fn a_password_is_refused_in_the_form_of_scp_too() {
    check(
        &Place::new(),
        "status --target me:secret@web1:/srv",
        "Error: The target holds a password, which others could read\n\
         Hint: Leave it out, and log in with a key: `--identity FILE`, or an ssh-agent\n",
    );
}

#[test]
fn a_key_that_is_not_there_is_refused() {
    check(
        &Place::new(),
        "status --target web1:/srv -i /no/such/key",
        "Error: There is no key `/no/such/key`\n\
         Hint: Name a private key with `--identity FILE` or `identity_file`, or leave both out\n",
    );
}

#[test]
fn the_parser_proposes_no_hidden_verb() {
    for line in ["-q", "agnt"] {
        let ran = Place::new().run(line);
        assert_eq!(ran.code, Some(2), "{line}");
        assert!(!ran.stderr.contains("agent"), "{}", ran.stderr);
    }
    assert!(Place::new().run("deploi").stderr.contains("'deploy'"));
}

#[test]
fn a_duration_without_a_unit_is_refused() {
    check(
        &Place::new(),
        "cleanup --grace 60",
        "error: invalid value '60' for '--grace <DURATION>': expected a number and a unit, such as `60s`, `10m`, \
         `1h30m` or `7d`\n\
         \n\
         For more information, try '--help'.\n",
    );
}

#[test]
fn a_level_that_there_is_none_of_is_refused() {
    check(
        &Place::new(),
        "deploy --zstd-level 20",
        "error: invalid value '20' for '--zstd-level <LEVEL>': 20 is not in 1..=19\n\
         \n\
         For more information, try '--help'.\n",
    );
}

#[test]
fn a_release_is_no_stage_and_a_stage_no_release() {
    check(&Place::new(), "status 20260325140000", "Error: Expected a stage, and `20260325140000` is a release\n");
    check(
        &Place::new(),
        "switch shop",
        "Error: No release to switch to is named\n\
         Hint: Name one of those that `cutover releases shop` lists\n\
         Nothing was switched.\n",
    );
    check(
        &Place::new(),
        "switch",
        "error: the following required arguments were not provided:\n  \
         <ID>\n\
         \n\
         Usage: cutover switch [OPTIONS] <ID> [STAGE]\n\
         \n\
         For more information, try '--help'.\n",
    );
}

#[test]
fn with_json_a_failure_is_an_object_too() {
    let place = Place::new();
    let ran = place.run("rollback live --json");
    assert_eq!(ran.code, Some(2));
    assert_eq!(
        ran.stdout,
        "{\"error\":{\"causes\":[],\"hint\":\"See `cutover releases`\",\"id\":\"usage\",\"kind\":\"usage\",\"message\":\"A rollback \
         goes to one release\"},\"live\":{\"release\":null,\"state\":\"unchanged\"}}\n"
    );
    let ran = place.run("status --jsn --json");
    assert_eq!(ran.code, Some(2));
    assert_eq!(
        ran.stdout,
        "{\"error\":{\"causes\":[],\"hint\":null,\"id\":\"usage\",\"kind\":\"usage\",\"message\":\"unexpected argument '--jsn' found\"}}\n"
    );
}

#[test]
fn colour_is_given_when_asked_for() {
    let ran = Place::new().run("status live --color always");
    assert_eq!(ran.stderr, "\x1b[1;31mError:\x1b[0m `live` cannot name a stage: the word is reserved\n");
}

#[test]
fn the_version_is_one_line() {
    let expected =
        RunResult { code: Some(0), stdout: format!("cutover {}\n", env!("CARGO_PKG_VERSION")), stderr: String::new() };
    assert_eq!(Place::new().run("--version"), expected);
}

#[test]
fn the_help_lists_the_verbs_and_hides_the_agent() {
    let ran = Place::new().run("-h");
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let expected = "\
Deploys large trees to Linux servers over SSH

Usage: cutover [OPTIONS] <VERB>

Verbs:
  init         Write a `cutover.toml` for the application in this directory
  setup        Create the deploy path's directories
  adopt        Turn an existing site into the first release of a deploy path
  deploy       Make a release of the source and switch to it
  releases     List the releases on the server
  status       Show the live release and the state of the server
  du           Show the space that each release and each part of the deploy path takes
  doctor       Find what would make a deploy fail or go wrong, and how to mend it
  switch       Make a ready or an earlier release live
  rollback     Switch back to an earlier release
  pin          Keep a release, whatever retention says
  unpin        Let retention remove a pinned release again
  cleanup      Remove old releases, beyond `keep_releases`, and what no release needs
  lock         Keep deploys out, or see who is at work
  unlock       Let deploys in again, whoever keeps them out
  diff         Show what a deploy would change, or the differences between two releases
  ssh          Open a shell on the server, in the live release
  log          List the runs on the server, or show what one of them did
  exec         Run a command on the server, in the live release
  shared       List, push, pull and edit files in `shared/`
  hooks        List the hooks and checks of a stage, or run a hook
  web          Print the configuration of a web server
  config       Show the settings of a stage, or the schema of `cutover.toml`
  explain      Explain an error or a finding: what it means, and what to do
  completions  Print a script that completes verbs and flags in bash, zsh or fish
  help         Print this message or the help of the given subcommand(s)

Options:
  -h, --help     Print help (see more with '--help')
  -V, --version  Print version

Everywhere:
      --config <FILE>      The configuration [default: cutover.toml here or above]
      --set <KEY=VALUE>    Set a key instead of the config, such as `keep_releases=5`; repeatable
  -F, --ssh-config <FILE>  The ssh_config to use instead of the user's and the system's
  -i, --identity <FILE>    A private key to try first
      --transport <SSH>    The SSH client: ssh2 (built in), openssh (the system's `ssh`) or auto
                           [default: auto]
      --state-dir <DIR>    The directory of caches, worktrees and logs of this machine [default:
                           $XDG_CACHE_HOME/cutover]
      --json               Print one JSON object on stdout at the end
      --events             Print a line of JSON on stdout for each event; the last one has the
                           object of `--json`
      --yes                Answer yes to every question
  -q, --quiet              Print only errors, warnings and the requested result
  -v, --verbose            Print more
      --color <WHEN>       Colour: auto, always or never

`cutover help VERB` shows details and examples.
";
    assert_eq!(ran.stdout, expected);
}

#[test]
fn a_config_that_was_found_and_that_others_could_change_runs_nothing() {
    const MAY: &str = "and `[DIR]/cutover.toml` can name programs that run as you";
    const NAME: &str = "name it: `--config [DIR]/cutover.toml`";
    let refused = |alter: &dyn Fn(&Path), words: &str| {
        let (place, proof) = place_with_a_program();
        alter(place.path());
        for line in ["status", "deploy --dry-run", "releases shop", "status --target shop:/srv/shop"] {
            let ran = place.run(line);
            assert_eq!(ran.code, Some(2), "{}", ran.stderr);
            assert!(
                ran.stderr.starts_with(&format!("Error [config-not-private]: {words}, {MAY}\nHint: ")),
                "{}",
                ran.stderr
            );
            assert!(ran.stderr.lines().nth(1).unwrap().ends_with(NAME), "{}", ran.stderr);
            assert!(!proof.exists(), "{words}");
        }
        // Further down it is found as well.
        fs::create_dir(place.path().join("below")).unwrap();
        assert_eq!(place.run_in(&place.path().join("below"), "status").code, Some(2));
        // To name it is to trust it, and what it names.
        place.run("status --config cutover.toml");
        assert!(proof.exists());
    };
    refused(&|path| tree::set_mode(path.join("cutover.toml"), 0o646), "Everyone may write to `[DIR]/cutover.toml`");
    refused(&|path| tree::set_mode(path, 0o777), "Everyone may write to `[DIR]`");
    if rustix::process::geteuid().is_root() {
        let give = |path: &Path| lchown(path, Some(54_321), Some(54_321)).unwrap();
        refused(&|path| give(&path.join("cutover.toml")), "`[DIR]/cutover.toml` belongs to `54321`");
        refused(&|path| give(path), "`[DIR]` belongs to `54321`");
        let linked = |path: &Path| {
            fs::rename(path.join("cutover.toml"), path.join("mine.toml")).unwrap();
            symlink("mine.toml", path.join("cutover.toml")).unwrap();
            give(&path.join("cutover.toml"));
        };
        refused(&linked, "`[DIR]/cutover.toml` belongs to `54321`");
    }
}

#[test]
fn a_config_among_the_files_of_others_is_used_where_only_its_owner_can_change_it() {
    let (place, proof) = place_with_a_program();
    tree::set_mode(place.path(), 0o1777);
    // It is used, and names what came with it.
    let ran = place.run("status");
    assert!(ran.stderr.contains("`[DIR]/ssh_config` comes with the source, and can name programs"), "{}", ran.stderr);
    assert!(!proof.exists());
    place.run("status -F ssh_config");
    assert!(proof.exists());
}

#[test]
fn an_ssh_config_that_comes_with_a_checkout_runs_nothing() {
    let (place, proof) = place_with_a_program();
    let ran = place.run("status");
    let hint = "Hint: If you trust whoever wrote it, name it: `--ssh-config [DIR]/ssh_config`\n";
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.ends_with(hint), "{}", ran.stderr);
    assert!(!proof.exists());
    place.run("status --ssh-config ssh_config");
    assert!(proof.exists());
}

#[test]
fn an_ssh_config_that_a_config_names_and_others_could_change_runs_nothing() {
    let (place, proof) = place_with_a_program();
    tree::set_mode(place.path().join("ssh_config"), 0o666);
    let ran = place.run("status");
    assert_eq!(ran.code, Some(2));
    let words = "Error [config-not-private]: Everyone may write to `[DIR]/ssh_config`, and `[DIR]/ssh_config` can name programs that run as you\n\
        Hint: Take that right away, `chmod go-w [DIR]/ssh_config`; or, if you trust them, name it: `--ssh-config [DIR]/ssh_config`\n";
    assert_eq!(ran.stderr, words);
    assert!(!proof.exists());
    place.run("status -F ssh_config");
    assert!(proof.exists());
}

#[test]
fn a_host_with_a_user_or_a_port_is_refused_with_what_to_write() {
    let check = |host: &str, reason: &str| {
        let place = Place::with(&format!("[shop]\nhost = '{host}'\ndeploy_path = '/srv/shop'\n"));
        let ran = place.run("status shop");
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        for words in ["line 2", reason] {
            assert!(ran.stderr.contains(words), "{words:?} is not in: {}", ran.stderr);
        }
    };
    check("deploy@web1", "write `user = \"deploy\"` and `host = \"web1\"`");
    check("web1:2222", "write `host = \"web1\"` and `port = 2222`");
}

#[test]
fn a_word_that_is_refused_cannot_move_the_cursor_or_forge_a_line() {
    let evil = "x\x1b[2J\u{9b}2J\nRelease 9 is live\u{202e}";
    let flag = format!("--{evil}");
    for words in [&["pin", "1", "--note", evil][..], &["deploy", &flag], &["lock", "acquire", "-m", evil], &[evil]] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_cutover")).args(words).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        let moves = |character: char| character.is_control() && character != '\n' || character == '\u{202e}';
        assert!(!said.contains(moves) && !said.lines().any(|line| line.starts_with("Release")), "{words:?}: {said:?}");
    }
}

#[test]
fn a_script_refuses_an_argument_that_it_does_not_know_and_does_nothing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let check = |script: &str, arguments: &[&str], usage: &str| {
        let ran = Command::new(root.join(script)).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert_eq!((ran.status.code(), &*said), (Some(2), usage), "{script} {arguments:?}");
    };
    for arguments in [&["--owm"][..], &["--own", "--all"], &[""]] {
        check("cli/package/build", arguments, "Usage: cli/package/build [--own]\n");
    }
    for arguments in [&["--no-buidl"][..], &["--no-build", "--fast"]] {
        check("tests/packages", arguments, "Usage: tests/packages [--no-build]\n");
    }
}
