//! The borders between the parts, read from the sources: the names that a part may use, the files that may change a
//! disk, and the largest size of a part.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

use crate::support::circle::Circle;
use crate::support::imports::{Program, attributes, is_for_tests};

/// A file of the project: its path from the root, and its text without the tests at its end.
struct Source {
    path: String,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Returns every Rust file below a directory.
fn sources(directory: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut waiting = vec![root().join(directory)];
    while let Some(directory) = waiting.pop() {
        for path in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let whole = fs::read_to_string(&path).unwrap();
                // Tests that are a file of their own are no code of the program either.
                let tests = if path.ends_with("tests.rs") { "\n\nuse " } else { "#[cfg(test)]\nmod tests" };
                let text = whole.split(tests).next().unwrap().to_owned();
                let path = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                found.push(Source { path, text });
            }
        }
    }
    assert!(!found.is_empty(), "no sources in {directory}");
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// Returns the lines of code, without comments, in which one of these words stands.
fn naming(sources: &[Source], words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let is_of_tests = |source: &&Source| source.path.ends_with("/tests.rs");
    for Source { path, text } in sources.iter().filter(|source| !is_of_tests(source)) {
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap();
            if words.iter().any(|word| stands_in(code, word)) {
                found.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    found
}

/// Finds a word that is not the end of a longer one; what begins with a dot is a method of whatever it stands behind.
fn stands_in(code: &str, word: &str) -> bool {
    if word.starts_with('.') {
        return code.contains(word);
    }
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        before.is_none_or(|c| !(c.is_alphanumeric() || c == '_'))
    })
}

#[track_caller]
fn check(found: &[String], allowed: &[&str]) {
    let wrong: Vec<&String> =
        found.iter().filter(|line| !allowed.iter().any(|path| line.starts_with(&format!("{path}:")))).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    for path in allowed {
        let is_used = found.iter().any(|line| line.starts_with(&format!("{path}:")));
        assert!(is_used, "`{path}` is an exception that nothing needs any more");
    }
}

#[test]
fn client_and_agent_never_name_each_other() {
    check(&naming(&sources("engine/src/client"), &["agent::", "crate::agent"]), &[]);
    check(&naming(&sources("engine/src/agent"), &["client::", "crate::client"]), &[]);
}

#[test]
fn the_wire_names_neither_side() {
    check(&naming(&sources("engine/src/wire"), &["agent::", "client::", "crate::agent", "crate::client"]), &[]);
}

#[test]
fn the_scan_names_neither_side_and_no_wire() {
    let words = ["agent::", "client::", "wire::", "crate::agent", "crate::client", "crate::wire"];
    check(&naming(&sources("engine/src/scan"), &words), &[]);
}

#[test]
fn the_nouns_name_no_side_no_wire_and_no_scan() {
    let nouns: Vec<Source> = sources("engine/src")
        .into_iter()
        .filter(|source| !["client/", "agent/", "wire/", "scan/"].iter().any(|part| source.path.contains(part)))
        .filter(|source| !source.path.contains("/verbs"))
        .collect();
    check(&naming(&nouns, &["crate::agent", "crate::client", "crate::wire", "crate::scan"]), &[]);
}

#[test]
fn sqlite_is_named_in_one_file() {
    let mut all = sources("engine/src");
    all.extend(sources("cli/src"));
    check(&naming(&all, &["rusqlite"]), &["engine/src/client/database.rs"]);
}

#[test]
fn blake3_is_named_where_content_is_hashed() {
    check(&naming(&sources("engine/src"), &["blake3::"]), &["engine/src/hash.rs", "engine/src/hasher.rs"]);
}

#[test]
fn ssh_is_named_in_the_wire_alone() {
    let elsewhere = sources("engine/src").into_iter().filter(|source| !source.path.contains("/wire/"));
    check(&naming(&elsewhere.collect::<Vec<_>>(), &["ssh2::"]), &[]);
}

#[test]
fn http_is_named_in_one_folder_and_tls_in_one_file() {
    let engine = sources("engine/src");
    let elsewhere = sources("engine/src").into_iter().filter(|source| !source.path.contains("/http/"));
    check(&naming(&elsewhere.collect::<Vec<_>>(), &["ureq::"]), &[]);
    check(&naming(&engine, &["rustls::", "rustls_native_certs::"]), &["engine/src/http/tls.rs"]);
}

/// What opens a file for writing; makes, links, renames or removes a name; sets a length, a mode, an owner or times; makes
/// durable. What only writes content is not among them, as streams are written so too: it takes a file that something of these
/// has opened.
const WRITERS: [&str; 56] = [
    // The standard library.
    "fs::write",
    "fs::create_dir",
    "fs::remove_",
    "fs::rename",
    "fs::hard_link",
    "fs::soft_link",
    "fs::copy",
    "fs::set_permissions",
    "unix::fs::symlink",
    "unix::fs::chown",
    "unix::fs::fchown",
    "unix::fs::lchown",
    "File::create",
    "File::options",
    "OpenOptions",
    "DirBuilder",
    ".set_len(",
    ".set_modified(",
    ".set_permissions(",
    ".set_times(",
    ".sync_all(",
    ".sync_data(",
    ".write_all_at(",
    ".write_at(",
    // `rustix`, which names its calls as the kernel does.
    "OFlags::APPEND",
    "OFlags::CREATE",
    "OFlags::RDWR",
    "OFlags::TMPFILE",
    "OFlags::TRUNC",
    "OFlags::WRONLY",
    "chmod(",
    "chmodat",
    "chown(",
    "chownat",
    "copy_file_range",
    "fallocate",
    "fchmod",
    "fchown",
    "fdatasync",
    "fremovexattr",
    "fsetxattr",
    "fsync",
    "ftruncate",
    "futimens",
    "ioctl_ficlone",
    "linkat",
    "mkdirat",
    "mknodat",
    "pwrite",
    "renameat",
    "sendfile",
    "symlinkat",
    "sync_file_range",
    "syncfs",
    "unlinkat",
    "utimensat",
];

#[test]
fn one_file_changes_disks() {
    check(&naming(&sources("engine/src"), &WRITERS), &["engine/src/disk/call.rs"]);
    // The manual pages are files of a package, and not of a site. The other one opens the terminal.
    check(&naming(&sources("cli/src"), &WRITERS), &["cli/src/man.rs", "cli/src/terminal.rs"]);
}

#[test]
fn the_engine_does_not_print_and_does_not_read_the_environment() {
    let words = ["println!", "eprintln!", "print!", "eprint!", "env::var", "env::args", "std::env"];
    check(&naming(&sources("engine/src"), &words), &[]);
}

/// Returns the flags that the reference lists, which are all that the command has.
fn flags() -> Vec<String> {
    let docs = fs::read_to_string(root().join("docs/reference.md")).unwrap();
    let flag_of = |line: &str| {
        let (_, flag) = line.strip_prefix("| `").and_then(|row| row.split_once("--"))?;
        Some(format!("--{}", flag.split([' ', '`']).next()?))
    };
    let flags: Vec<String> = docs.lines().filter(|line| line.starts_with("| `-")).filter_map(flag_of).collect();
    assert!(flags.contains(&"--ssh-config".to_owned()), "{flags:?}");
    flags
}

#[test]
fn the_engine_words_no_flag_and_no_verb_of_the_command() {
    let engine = sources("engine/src");
    check(&naming(&engine, &["`cutover ", "`--"]), &[]);
    let flags = flags();
    let words: Vec<&str> = flags.iter().map(String::as_str).collect();
    // Flags of git, and one of the agent.
    let others = [
        "engine/src/client/git.rs",
        "engine/src/client/git/gitmodules.rs",
        "engine/src/client/worktree/modes.rs",
        "engine/src/client/worktree/private_repository.rs",
        "engine/src/wire/bootstrap/script.rs",
    ];
    check(&naming(&engine, &words), &others);
}

#[test]
fn every_file_says_what_it_owns() {
    for directory in ["engine/src", "cli/src", "bench/src", "tests"] {
        for source in sources(directory) {
            assert!(source.text.starts_with("//!"), "{} does not start with `//!`", source.path);
        }
    }
}

/// Checks what the files of a program import, one `file: names of file` after another.
#[track_caller]
fn check_imports(files: &[(&str, &str)], expected: &[&str]) {
    let place = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = place.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let imports = Program::read(place.path(), "lib.rs").imports();
    let line = |((from, to), names): (&(String, String), &BTreeSet<String>)| {
        format!("{from}: {} of {to}", names.iter().map(String::as_str).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(imports.iter().map(line).collect::<Vec<_>>(), expected);
}

#[test]
fn an_import_leads_to_the_file_that_defines_the_name() {
    let lib = ("lib.rs", "mod a; mod b; pub use b::deep::Deep as Passed;");
    let deep = ("b/deep.rs", "pub struct Deep; pub const MAX: u32 = 1; pub fn deep() {}");
    let check = |a: &str, expected: &[&str]| {
        check_imports(
            &[lib, ("a.rs", a), ("b/mod.rs", "pub mod deep; pub use deep::*; pub struct Own;"), deep],
            expected,
        );
    };
    // A module by itself is no import, nor is what is passed on.
    check("use crate::b;", &[]);
    check("pub use crate::b::deep::Deep;", &[]);
    check("use crate::b::{Own, deep::{self, MAX as M}};", &["a.rs: MAX of b/deep.rs", "a.rs: Own of b/mod.rs"]);
    check("use super::Passed;", &["a.rs: Deep of b/deep.rs"]);
    check("fn f() { let _ = crate::b::deep::deep(); }", &["a.rs: deep of b/deep.rs"]);
    check(
        "use crate::b; fn f(own: b::Own, max: u32) { b::MAX; }",
        &["a.rs: MAX of b/deep.rs", "a.rs: Own of b/mod.rs"],
    );
    check("fn f() { println!(\"{}\", crate::b::MAX); }", &["a.rs: MAX of b/deep.rs"]);
    check("mod inside { use super::super::b::Own; }", &["a.rs: Own of b/mod.rs"]);
    check("#[cfg(test)] mod tests { use crate::b::Own; }", &[]);
    check("// crate::b::Own\nuse std::fs; fn f() { fs::read(\"crate::b::Own\"); }", &[]);
}

#[test]
fn a_circle_is_found_and_told_with_what_ties_it() {
    let place = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| fs::write(place.path().join(file), text).unwrap();
    write("lib.rs", "mod a; mod b; mod c; mod d;");
    write("a.rs", "use crate::b::B; pub struct A;");
    write("b.rs", "use crate::c::C; use crate::d::D; pub struct B;");
    write("c.rs", "use crate::a::A; pub struct C;");
    let ties = || -> Vec<String> {
        let circles = Circle::find(&Program::read(place.path(), "lib.rs").imports());
        let ties = circles.iter().flat_map(|circle| circle.ties.keys());
        ties.map(|(from, to)| format!("{from} {to}")).collect()
    };
    write("d.rs", "pub struct D;");
    assert_eq!(ties(), ["a.rs b.rs", "b.rs c.rs", "c.rs a.rs"]);
    write("c.rs", "pub struct C;");
    assert_eq!(ties(), [""; 0]);
}

#[test]
fn no_file_leads_back_to_itself_through_what_it_imports() {
    let mut found = Vec::new();
    for first in ["engine/src/lib.rs", "cli/src/main.rs", "bench/src/main.rs"] {
        let imports = Program::read(&root(), first).imports();
        assert!(!imports.is_empty(), "no imports below {first}");
        for circle in Circle::find(&imports) {
            found.extend(circle.ties.iter().map(|((from, to), names)| format!("{from}: imports {names:?} of {to}")));
        }
    }
    check(&found, &[]);
}

/// No file has more lines than this without its tests, so that it can be read at one sitting.
const FILE_LINES_MAX: usize = 400;

/// No function has more lines than this, so that it can be seen at one glance.
const FUNCTION_LINES_MAX: usize = 80;

fn sources_of_programs() -> impl Iterator<Item = Source> {
    let all = ["engine/src", "cli/src", "bench/src"].into_iter().flat_map(sources);
    all.filter(|source| !source.path.ends_with("/tests.rs"))
}

#[test]
fn no_file_is_longer_than_it_may_be() {
    let lines = |source: &Source| source.text.trim_end().lines().count();
    let long = sources_of_programs().filter(|source| lines(source) > FILE_LINES_MAX);
    let found: Vec<String> = long.map(|source| format!("{}: has {} lines", source.path, lines(&source))).collect();
    check(&found, &[]);
}

/// The functions of a file that are longer than they may be.
#[derive(Default)]
struct LongFunctions(Vec<String>);

impl LongFunctions {
    fn note(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let lines = body.brace_token.span.close().end().line + 1 - signature.fn_token.span.start().line;
        if lines > FUNCTION_LINES_MAX {
            self.0.push(format!("`{}` has {lines} lines", signature.ident));
        }
    }
}

impl<'ast> Visit<'ast> for LongFunctions {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.note(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.note(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }
}

#[test]
fn no_function_is_longer_than_it_may_be() {
    let mut found = Vec::new();
    for Source { path, text } in sources_of_programs() {
        let mut long = LongFunctions::default();
        long.visit_file(&syn::parse_file(&text).unwrap_or_else(|error| panic!("{path}: {error}")));
        found.extend(long.0.into_iter().map(|function| format!("{path}: {function}")));
    }
    check(&found, &[]);
}
