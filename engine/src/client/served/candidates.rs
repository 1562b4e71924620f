//! Chooses the files that tell two releases apart.

use crate::hash::Hash;
use crate::manifest::{File, Manifest, Node, diff};
use crate::path::RelativePath;
use crate::report::Change;

/// The largest file that is asked for.
pub(crate) const FILE_BYTES_MAX: u64 = 4 << 20;

/// The number of files that are asked for: caches may have some of them.
const FILES: usize = 3;

/// The mode bit that lets everybody read.
const ALL_READ: u16 = 0o004;

/// Endings of code, which a web server runs or hides.
const CODE: [&str; 11] = ["php", "phtml", "phar", "inc", "py", "rb", "pl", "cgi", "jsp", "asp", "aspx"];

/// A file that tells releases apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Its path, from the root of the site.
    pub(crate) path: Vec<u8>,
    /// Its content in the live release.
    pub(crate) live: Option<Hash>,
    /// Its content in the release before.
    pub(crate) before: Option<Hash>,
}

/// Returns the files that tell the live release from the one before, those of both first. Without one before, they are
/// any files.
pub(crate) fn candidates(live: &Manifest, before: Option<&Manifest>, root: Option<&RelativePath>) -> Vec<Candidate> {
    let mut both = Vec::new();
    let mut either = Vec::new();
    diff::compare(before, live, |difference| {
        if both.len() == FILES || difference.change == Change::Mode || !is_shown(&difference.path, root) {
            return;
        }
        let hash = |manifest: &Manifest| shown_file(manifest, &difference.path).map(|file| file.key.hash);
        let (live, before) = (hash(live), before.and_then(hash));
        let path = below(&difference.path, root).unwrap_or_default().to_vec();
        match (live, before) {
            (None, None) => {}
            (Some(_), Some(_)) => both.push(Candidate { path, live, before }),
            _ if either.len() == FILES => {}
            _ => either.push(Candidate { path, live, before }),
        }
    });
    both.extend(either);
    both.truncate(FILES);
    both
}

/// Returns the path from the root of the site. None: it is not below it.
fn below<'a>(path: &'a [u8], root: Option<&RelativePath>) -> Option<&'a [u8]> {
    let Some(root) = root else { return Some(path) };
    path.strip_prefix(root.as_bytes())?.strip_prefix(b"/")
}

/// Tells whether web servers show files of such a path: no code, and no name that begins with a dot.
fn is_shown(path: &[u8], root: Option<&RelativePath>) -> bool {
    let Some(path) = below(path, root) else { return false };
    let ending = path.rsplit(|&byte| byte == b'.').next().unwrap_or_default();
    let is_code = CODE.iter().any(|code| ending.eq_ignore_ascii_case(code.as_bytes()));
    !is_code && !path.split(|&byte| byte == b'/').any(|name| name.starts_with(b"."))
}

/// Returns a file that everybody may read and that is not large. An empty one tells nothing.
fn shown_file(manifest: &Manifest, path: &[u8]) -> Option<File> {
    let Node::File(file) = manifest.find(path.split(|&byte| byte == b'/'))?.node else { return None };
    (file.size > 0 && file.size <= FILE_BYTES_MAX && file.key.mode & ALL_READ != 0).then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Builder, ObjectKey};

    /// Makes a manifest of files in `public`, with one beside it.
    fn manifest(files: &[(&str, &str, u16)]) -> Manifest {
        let mut builder = Builder::new();
        let file = |content: &str, mode: u16| File {
            key: ObjectKey { hash: Hash::of(content.as_bytes()), mode },
            size: content.len() as u64,
        };
        builder.begin(0o755).unwrap();
        builder.directory(b"public").unwrap();
        builder.file(b"secret.txt", file(&format!("{files:?}"), 0o444)).unwrap();
        builder.begin(0o755).unwrap();
        for (name, content, mode) in files {
            builder.file(name.as_bytes(), file(content, *mode)).unwrap();
        }
        builder.finish().unwrap()
    }

    #[test]
    fn only_files_that_a_web_server_shows_and_that_differ_are_asked_for() {
        let root = RelativePath::parse(b"public").unwrap();
        let paths = |live: &Manifest, before: Option<&Manifest>| -> Vec<String> {
            let found = candidates(live, before, Some(&root));
            found.into_iter().map(|found| String::from_utf8(found.path).unwrap()).collect()
        };
        let before = manifest(&[
            (".hidden", "1", 0o444),
            ("a.css", "1", 0o444),
            ("b.PHP", "1", 0o444),
            ("c.js", "1", 0o444),
            ("d.txt", "1", 0o440),
            ("e.txt", "", 0o444),
            ("f.txt", "1", 0o444),
            ("gone.txt", "1", 0o444),
        ]);
        let live = manifest(&[
            (".hidden", "2", 0o444),
            ("a.css", "2", 0o444),
            ("b.PHP", "2", 0o444),
            ("c.js", "1", 0o555),
            ("d.txt", "2", 0o440),
            ("e.txt", "2", 0o444),
            ("f.txt", "2", 0o444),
            ("new.txt", "2", 0o444),
        ]);
        assert_eq!(paths(&live, Some(&before)), ["a.css", "f.txt", "e.txt"], "those of both come first");
        let found = candidates(&live, Some(&before), Some(&root));
        assert_eq!((found[0].live, found[0].before), (Some(Hash::of(b"2")), Some(Hash::of(b"1"))));
        assert_eq!((found[2].live, found[2].before), (Some(Hash::of(b"2")), None));
        assert_eq!(paths(&live, Some(&live)), [""; 0]);
        // Without another release, any files do.
        assert_eq!(paths(&live, None), ["a.css", "c.js", "e.txt"]);
        assert_eq!(candidates(&live, Some(&before), None)[0].path, b"public/a.css");
    }
}
