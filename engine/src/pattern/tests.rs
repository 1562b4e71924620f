//! Patterns by example, and compared with what `git check-ignore` says.
//!
//! One repository holds a directory for each list of patterns, so git runs once for thousands of lists. Only directories
//! are made: git treats a missing path as a file.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;

#[test]
fn patterns_follow_gitignore() {
    let check = |patterns: &[&str], path: &str, expected: bool| {
        let patterns = Patterns::parse(patterns.iter().copied(), "a test").unwrap();
        assert_eq!(patterns.mean_file(path.as_bytes()), expected, "{path}");
    };
    check(&["*.db"], "data/app.db", true);
    check(&["/app.db"], "data/app.db", false);
    check(&["cache/"], "var/cache/a/b", true);
    check(&["cache/"], "cache", false);
    check(&["*.db", "!app.db"], "app.db", false);
    check(&["!app.db", "*.db"], "app.db", true);
    check(&["app.db", "!*.db", "app.db"], "app.db", true);
    check(&["app", "!app/"], "app", true);
    check(&["!cache/", "cache"], "cache/a", true);
    check(&["var/", "!var/a"], "var/a", true);
    check(&["var/**/x"], "var/a/b/x", true);
    check(&["# a comment", "", "/", "!", "//"], "a", false);
    check(&["*.py{}"], "a.py", false);
    check(&["a "], "a", true);
    check(&["a\\ "], "a ", true);
    check(&["a\t"], "a", false);
    check(&["a\\\\ "], "a\\", true);
}

#[test]
fn a_path_has_a_pattern_that_matches_it_alone() {
    for path in ["a", "a b/c ", "*.log", "a[b]?", "back\\slash", "!a", "#a", "a/**", "  "] {
        let pattern = pattern_of(path);
        let patterns = Patterns::parse([&pattern[..]], "a test").unwrap();
        let meant =
            ["a", "a b/c ", "x.log", "*.log", "ab", "a[b]?", "back\\slash", "!a", "#a", "a/b", "a/**", "  ", "b/a"]
                .into_iter()
                .filter(|path| patterns.verdict(path.as_bytes(), false) == Some(true));
        assert_eq!(meant.collect::<Vec<_>>(), [path], "{pattern}");
    }
}

#[test]
fn a_file_is_read_by_lines() {
    let check = |text: &[u8], name: &[u8], expected: bool| {
        let patterns = Patterns::parse_file(text, "a test").unwrap();
        assert_eq!(patterns.mean_file(name), expected, "{} and {}", text.escape_ascii(), name.escape_ascii());
    };
    check(b"\xef\xbb\xbfa", b"a", true);
    check(b"a\r\nb\r\n", b"a", true);
    check(b"a\r\nb\r", b"b", true);
    check(b"Icon\r\r\n", b"Icon", false);
    check(b"Icon\r\r\n", b"Icon\r", true);
    check(b"geh\xe4lter.csv", b"geh\xe4lter.csv", true);
    check(b"geh\xe4lter.csv", "gehälter.csv".as_bytes(), false);
}

#[test]
fn a_file_with_nul_bytes_is_refused_by_name() {
    let error = Patterns::parse_file(b"\xff\xfe.\0e\0n\0v\0\n\0", "`.deployignore`").unwrap_err();
    assert!(matches!(error, Error::Source(SourceError::NulInPatterns { place }) if place == "`.deployignore`"));
}

/// Parts that patterns are put together from: each element of the grammar, and letters that names have too.
const PARTS: [&str; 61] = [
    "a",
    "b",
    "ab",
    "foo",
    "bar",
    "x",
    "A",
    "1",
    ".",
    "-",
    "_",
    "é",
    "\u{80}",
    "/",
    "/",
    "/",
    "/",
    "*",
    "*",
    "*",
    "**",
    "**/",
    "/**",
    "/**/",
    "***",
    "?",
    "?",
    "[ab]",
    "[!ab]",
    "[^ab]",
    "[a-c]",
    "[c-a]",
    "[]a]",
    "[!]a]",
    "[a-]",
    "[-a]",
    "[a-b-x]",
    "[[:alpha:]]",
    "[![:digit:]]",
    "[[:space:]]",
    "[[:punct:]x]",
    "[[:word:]]",
    "[[:alpha]",
    "[[:",
    "[",
    "]",
    "[/]",
    "[^x]",
    "[\\]]",
    "[\\a-\\c]",
    "[a\\-c]",
    "\\",
    "\\a",
    "\\*",
    "\\[",
    "\\/",
    "{a,b}",
    "!",
    "#",
    " ",
    "\t",
];

/// Names that files and directories are made of.
const NAMES: [&str; 34] = [
    "a", "b", "c", "ab", "ba", "abc", "foo", "bar", "foobar", "x", "xa", "A", "1", ".", ".a", "a.b", "-", "_", "a-",
    "é", "\u{80}", "{a,b}", "!", "#", "!a", "#a", " ", "a ", "\t", "a\t", "[ab]", "]", "*", "\\",
];

/// Lists in the style of public templates, each for one kind of project.
const TEMPLATES: [&str; 22] = [
    "__pycache__/\n*.py[cod]\n*$py.class\n*.so\nbuild/\n!lib/build/\n*.egg-info/\n.env\n.venv\nenv/\nlocal_settings.py\n",
    "node_modules/\nnpm-debug.log*\n.npm\n*.tsbuildinfo\n.env\n.env.*\n!.env.example\ndist\n.cache/\n**/coverage/\n",
    "/vendor/\n/public/hot\n/storage/*.key\n.env\n.env.backup\nHomestead.json\n/.idea\n/.vscode\n",
    "*\n!.gitignore\n!public/\n!public/**\n",
    "*.[oa]\n*.ko\n*.mod.c\nmodules.order\n/tags\n!.gitignore\n.*\n!.mailmap\n*.dtb[o]\n",
    "[Bb]in/\n[Oo]bj/\n[Ll]og/\n[Ll]ogs/\n*.user\n*.rsuser\n[Dd]ebug/\n[Rr]elease/\nx64/\n*_i.c\n~$*\n!?*.[Cc]ache/\n",
    ".DS_Store\n.AppleDouble\nIcon\r\r\n._*\n.Spotlight-V100\n",
    "target\n**/*.rs.bk\n*.pdb\n!/target/keep/\n",
    "/wp-content/*\n!/wp-content/themes/\n!/wp-content/plugins/\n/wp-content/plugins/*\n!/wp-content/plugins/own/\n*.log\n",
    "# comment\n\\#file#\n\\!bang\n*~\n\\#*\\#\n.\\#*\n*.swp\n[._]*.s[a-v][a-z]\n[._]sw[a-p]\nSession.vim\n",
    "*.aux\n*.synctex(busy)\n*.run.xml\n/figures/**/*.pdf\n!/figures/keep/*.pdf\n",
    "**/foo\nfoo/**\na/**/b\n!a/**/b/keep\n/**/x/\n",
    "\u{feff}/first\r\nsecond/\r\n\r\n!second/third\r\n*.Cache \r\n",
    "Thumbs.db\nehthumbs.db\n[Dd]esktop.ini\n$RECYCLE.BIN/\n*.lnk\n*.cab \n",
    "gradle/\n!gradle/wrapper/gradle-wrapper.jar\n.gradle\n**/build/\n!src/**/build/\n",
    "*.class\n*.jar\nhs_err_pid*\nreplay_pid*\n!lib/*.jar\n",
    "/.bundle\n/log/*\n/tmp/*\n!/log/.keep\n!/tmp/.keep\n/tmp/pids/*\n!/tmp/pids/\n/config/master.key\n",
    "*.exe\n*.test\n*.out\ngo.work\n/vendor/*/\n!/vendor/modules.txt\n",
    "Pods/\n*.xcworkspace\n!default.xcworkspace\nxcuserdata/\n*.xc[a-z]*/\n",
    "*.py{}\n*.{js,css}\n{a,b}\nx{y\n",
    "*.db-journal\n[0-9][0-9]*\n[[:upper:]]*\n[![:alnum:]._]*\n?\n",
    "a b\na\\ b\\ \n c\n\\ d\ne   \n\tf\n",
];

/// Paths that the templates are about.
const TEMPLATE_PATHS: &str = "build/x lib/build/x a.pyc a.pyd a$py.class .env .env.local .env.example node_modules/a/b \
    deep/node_modules/x npm-debug.log.1 dist/a web/coverage/x vendor/a/b public/hot public/index.php storage/a.key storage/x/a.key \
    .gitignore src/main.rs target/keep/x deep/target/x a.o b.a x.mod.c tags a/tags .mailmap x.dtb Bin/x bin/x obj/y Debug/z x64/a \
    ~$doc x_i.c .DS_Store ._x Icon wp-content/themes/t/a wp-content/uploads/x wp-content/plugins/own/a \
    wp-content/plugins/other/a #file# !bang x~ .#lock a.swp .a.swp Session.vim figures/a/b.pdf figures/keep/a.pdf foo/x b/foo \
    a/b a/c/b a/c/d/b/keep x/y first second/third deep/second/third a.Cache Thumbs.db desktop.ini $RECYCLE.BIN/x a.cab \
    gradle/wrapper/gradle-wrapper.jar src/a/build/x hs_err_pid12 lib/a.jar log/.keep log/a tmp/pids/x config/master.key a.exe \
    vendor/modules.txt vendor/m/x x.xcworkspace/a default.xcworkspace/a x.py{} x.py a.js a.{js,css} x{y a b 12a Upper -dash q e d c";

/// A list of patterns, and the paths of files that it is asked about.
#[derive(Debug)]
struct Case {
    text: Vec<u8>,
    files: BTreeSet<Vec<u8>>,
}

fn templates() -> Vec<Case> {
    let mut files: BTreeSet<Vec<u8>> = TEMPLATE_PATHS.split_whitespace().map(|path| path.as_bytes().to_vec()).collect();
    files.extend([&b"a b"[..], b"a b ", b" c", b" d", b"\tf", b"Icon\r", b"a.Cache "].map(<[u8]>::to_vec));
    // A name cannot be that of a file and of a directory.
    let is_directory = |path: &Vec<u8>| files.iter().any(|other| other.starts_with(&[path, &b"/"[..]].concat()));
    let files: BTreeSet<Vec<u8>> = files.iter().filter(|path| !is_directory(path)).cloned().collect();
    TEMPLATES.iter().map(|text| Case { text: text.as_bytes().to_vec(), files: files.clone() }).collect()
}

/// Bytes of a text, with each character below U+0100 as one byte: what a file in Latin-1 would hold.
fn latin(text: &str) -> Vec<u8> {
    let bytes =
        |letter: char| u8::try_from(u32::from(letter)).map_or(letter.to_string().into_bytes(), |byte| vec![byte]);
    text.chars().flat_map(bytes).collect()
}

fn case() -> impl Strategy<Value = Case> {
    let part = || prop::sample::select(&PARTS[..]);
    let end = prop::sample::select(vec!["", "", "", "/", " ", "  ", "\\ ", "\t", "\r", "\r\r", "\\"]);
    let begin = prop::sample::select(vec!["", "", "", "", "!", "!", "/", "**/", "#", "\\!", "\\#"]);
    let line = (begin, prop::collection::vec(part(), 1..6), end, any::<bool>())
        .prop_map(|(begin, parts, end, utf8)| (format!("{begin}{}{end}", parts.concat()), utf8))
        .prop_map(|(line, utf8)| if utf8 { line.into_bytes() } else { latin(&line) });
    let name = || (prop::sample::select(&NAMES[..]), any::<bool>());
    let path = prop::collection::vec(name(), 1..4).prop_map(|names| {
        let names = names.iter().map(|&(name, utf8)| if utf8 { name.as_bytes().to_vec() } else { latin(name) });
        names.map(|name| if name == b"." { b"..a".to_vec() } else { name }).collect::<Vec<_>>().join(&b'/')
    });
    let paths = prop::collection::btree_set(path, 30..40);
    let bom = prop::sample::select(vec![&b""[..], b"", b"", b"\xef\xbb\xbf"]);
    (bom, prop::collection::vec(line, 1..4), prop::sample::select(vec![&b"\n"[..], b"\r\n"]), paths).prop_map(
        |(bom, lines, end, paths)| {
            let text = [bom, &lines.join(end)].concat();
            let is_directory =
                |path: &Vec<u8>| paths.iter().any(|other| other.starts_with(&[path, &b"/"[..]].concat()));
            let files = paths.iter().filter(|path| !is_directory(path)).cloned().collect();
            Case { text, files }
        },
    )
}

/// Tells whether a list has a line such as `a**/b`. Before 2.52 git mistook these stars, which do not follow a slash, for
/// directories, against its own documentation.
fn is_misread_by_old_git(text: &[u8]) -> bool {
    text.split(|&byte| byte == b'\n').any(|line| {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        let line = line.strip_prefix(b"!").unwrap_or(line);
        let plain = line.iter().take_while(|byte| !b"*?[\\".contains(byte)).count();
        line[plain..].starts_with(b"**") && !matches!(line[..plain].last(), None | Some(b'/'))
    })
}

/// Asks git which of the files are ignored, in order.
fn ask_git(cases: &[Case]) -> Vec<bool> {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let git = |words: &[&str]| {
        let mut command = Command::new("git");
        command.current_dir(place.path()).args(words);
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        command
    };
    assert!(git(&["init", "-q"]).status().unwrap().success());
    let mut questions = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let directory = place.path().join(number.to_string());
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join(".gitignore"), &case.text).unwrap();
        for file in &case.files {
            if let Some(slash) = file.iter().rposition(|&byte| byte == b'/') {
                fs::create_dir_all(directory.join(OsStr::from_bytes(&file[..slash]))).unwrap();
            }
            questions.extend([number.to_string().as_bytes(), b"/", file, b"\0"].concat());
        }
    }
    let words = ["check-ignore", "--no-index", "--stdin", "-z", "--verbose", "--non-matching"];
    let mut process = git(&words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = process.stdin.take().unwrap();
    let asking = std::thread::spawn(move || stdin.write_all(&questions).unwrap());
    let output = process.wait_with_output().unwrap();
    asking.join().unwrap();
    // Of each: the file that the pattern stands in, its line, the pattern, and the path.
    let answers: Vec<&[u8]> = output.stdout.split(|&byte| byte == 0).collect();
    answers.chunks_exact(4).map(|answer| !answer[0].is_empty() && !answer[2].starts_with(b"!")).collect()
}

/// Compares with git, and returns how many pairs of a list and a path there were, and of how many the path was meant.
fn compare(cases: &[Case]) -> (usize, usize) {
    let answers = ask_git(cases);
    let pairs: Vec<(&Case, &Vec<u8>)> =
        cases.iter().flat_map(|case| case.files.iter().map(move |file| (case, file))).collect();
    assert_eq!(answers.len(), pairs.len());
    let mut others = Vec::new();
    for (&(case, file), &expected) in pairs.iter().zip(&answers) {
        if Patterns::parse_file(&case.text, "a test").unwrap().mean_file(file) != expected {
            let (text, file) = (case.text.escape_ascii(), file.escape_ascii());
            others.push(format!("\"{text}\" and \"{file}\": git says {expected}"));
        }
    }
    assert!(others.is_empty(), "{} of {} differ: {:#?}", others.len(), pairs.len(), &others[..others.len().min(20)]);
    (pairs.len(), answers.iter().filter(|&&is_meant| is_meant).count())
}

#[test]
fn lists_in_the_style_of_templates_mean_what_they_mean_to_git() {
    let (pairs, meant) = compare(&templates());
    assert!(meant * 20 > pairs && meant * 2 < pairs, "{meant} of {pairs}");
}

#[test]
fn generated_lists_mean_what_they_mean_to_git() {
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let any_cases = std::iter::repeat_with(|| case().new_tree(&mut runner).unwrap().current());
    let cases: Vec<Case> = any_cases.filter(|case| !is_misread_by_old_git(&case.text)).take(2000).collect();
    let (pairs, meant) = compare(&cases);
    assert!(meant * 20 > pairs && meant * 2 < pairs, "{meant} of {pairs}");
}

#[test]
fn each_byte_is_in_the_classes_and_sets_that_git_puts_it_in() {
    let classes =
        ["alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "xdigit"];
    let sets = classes.iter().flat_map(|class| [format!("[[:{class}:]]"), format!("[^[:{class}:]]")]);
    let sets = sets
        .map(String::into_bytes)
        .chain([&b"[\x01-\xff]"[..], b"[!a]", b"[\x7f-\xa0]", b"?", b"[ -~]"].map(<[u8]>::to_vec));
    // Behind a letter, so that no name is `.`.
    let files: BTreeSet<Vec<u8>> = (1..=255).filter(|&byte| byte != b'/').map(|byte| vec![b'x', byte]).collect();
    let cases = sets.map(|set| Case { text: [b"x", &set[..]].concat(), files: files.clone() });
    compare(&cases.collect::<Vec<_>>());
}
