//! The statements of docs/security.md about the C code that is built in.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A row of the table of libraries.
struct Library {
    name: String,
    version: String,
    package: String,
    package_version: String,
    place: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn libraries() -> Vec<Library> {
    let docs = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let rows = docs.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
        let [name, version, package, _, place] = cells[..] else { return None };
        let (package, package_version) = package.strip_prefix('`')?.split_once("` ")?;
        let [name, version, package, package_version, place] =
            [name, version, package, package_version, place].map(str::to_owned);
        Some(Library { name, version, package, package_version, place })
    });
    rows.collect()
}

/// Returns version and directory of each package that is built in, as cargo knows them.
fn packages() -> BTreeMap<String, (String, PathBuf)> {
    let mut cargo = Command::new(env!("CARGO"));
    // Of other platforms, cargo has fetched nothing.
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    cargo.args(["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", &platform]);
    cargo.current_dir(root());
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let directory = |package: &Value| PathBuf::from(text(&package["manifest_path"])).parent().unwrap().to_owned();
    packages.map(|package| (text(&package["name"]), (text(&package["version"]), directory(package)))).collect()
}

/// Returns the version that a library's sources say.
fn version_of(library: &str, directory: &Path) -> String {
    let read = |path: &str| fs::read_to_string(directory.join(path)).unwrap();
    let value = |path: &str, name: &str| {
        let text = read(path);
        let words = |line: &str| -> Vec<String> {
            line.split([' ', '=']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
        };
        let mut lines = text.lines().map(words);
        let line = lines.find(|words| words.len() >= 2 && words[words.len() - 2] == name).unwrap();
        line.last().unwrap().trim_matches('"').to_owned()
    };
    let joined = |path: &str, names: [&str; 3]| names.map(|name| value(path, name)).join(".");
    match library {
        "libssh2" => value("libssh2/include/libssh2.h", "LIBSSH2_VERSION"),
        "OpenSSL" => joined("openssl/VERSION.dat", ["MAJOR", "MINOR", "PATCH"]),
        "SQLite" => value("sqlite3/sqlite3.h", "SQLITE_VERSION"),
        "ring" => value("Cargo.toml", "version"),
        "zlib" => value("src/zlib/zlib.h", "ZLIB_VERSION"),
        "zstd" => {
            let names = ["ZSTD_VERSION_MAJOR", "ZSTD_VERSION_MINOR", "ZSTD_VERSION_RELEASE"];
            joined("zstd/lib/zstd.h", names)
        }
        other => panic!("nothing is known of `{other}`"),
    }
}

#[test]
fn the_c_code_that_is_built_in_is_what_the_docs_say() {
    let packages = packages();
    let libraries = libraries();
    for Library { name, version, package, package_version, .. } in &libraries {
        let (found, directory) = &packages[package];
        assert_eq!((package, found), (package, package_version));
        assert_eq!((name, version_of(name, directory)), (name, version.clone()));
    }
    // What links C code says so by its name, as do bindings to a system, which hold none.
    let documented = |name: &str| libraries.iter().any(|library| library.package == name);
    let links = |name: &&String| name.ends_with("-sys") || name.ends_with("-src");
    let foreign = [
        "openssl-sys",
        "linux-raw-sys",
        "windows-sys",
        "js-sys",
        "web-sys",
        "core-foundation-sys",
        "netlink-sys",
        "security-framework-sys",
    ];
    let missing: Vec<&String> =
        packages.keys().filter(links).filter(|name| !documented(name) && !foreign.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "docs/security.md names no {missing:?}");
}

#[test]
fn the_programs_hold_the_libraries_that_the_docs_say() {
    let programs =
        [env!("CARGO_BIN_EXE_cutover"), env!("CARGO_BIN_EXE_cutover-agent")].map(|path| fs::read(path).unwrap());
    let holds = |program: &[u8], mark: &str| program.windows(mark.len()).any(|window| window == mark.as_bytes());
    for Library { name, version, place, .. } in libraries() {
        let mark = match name.as_str() {
            "libssh2" => format!("libssh2_{version}"),
            // The place of a panic in its sources.
            "ring" => format!("ring-{version}/src"),
            "SQLite" | "zlib" => format!("{version}\0"),
            // Neither OpenSSL nor zstd says its version in a program that does not ask for it.
            _ => continue,
        };
        let [client, agent] = programs.each_ref().map(|program| holds(program, &mark));
        assert_eq!((client, agent), (true, place == "both"), "{name}");
    }
}
