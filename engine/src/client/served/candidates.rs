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
    /// Its content in the other releases that have it, by their numbers in [`Choice`].
    pub(crate) others: Vec<(usize, Hash)>,
}

impl Candidate {
    /// Returns the numbers of the other releases with this content.
    pub(crate) fn releases_with(&self, content: Hash) -> impl Iterator<Item = usize> {
        self.others.iter().filter(move |(_, other)| *other == content).map(|(number, _)| *number)
    }

    /// Returns how little an answer tells: a file that only the live release has with this content comes first, and
    /// before that one that the release before has too, with other content.
    fn rank(&self, has_before: bool) -> u8 {
        match self.live {
            Some(live) if self.releases_with(live).next().is_some() => 2,
            Some(_) if has_before && self.others.iter().any(|(number, _)| *number == 0) => 0,
            Some(_) => 1,
            None => 3,
        }
    }
}

/// The choice of the files to ask for. Other releases than the live one have numbers: the one before has 0.
pub(crate) struct Choice {
    has_before: bool,
    /// The files that differ, with their paths from the root of the release.
    files: Vec<(Vec<u8>, Candidate)>,
}

impl Choice {
    /// Takes the files that tell the live release from the one before. Without one before, they are any files.
    pub(crate) fn new(live: &Manifest, before: Option<&Manifest>, root: Option<&RelativePath>) -> Choice {
        let mut files = Vec::new();
        diff::compare(before, live, |difference| {
            let is_shown = difference.change != Change::Mode && is_shown(&difference.path, root);
            let Some(path) = below(&difference.path, root).filter(|_| is_shown) else { return };
            let hash = |manifest: &Manifest| shown_file(manifest, &difference.path).map(|file| file.key.hash);
            let (live, before) = (hash(live), before.and_then(hash));
            if live.is_some() || before.is_some() {
                let others = before.map(|before| (0, before)).into_iter().collect();
                files.push((difference.path.clone(), Candidate { path: path.to_vec(), live, others }));
            }
        });
        Choice { has_before: before.is_some(), files }
    }

    /// Compares the files with those of another release that stands.
    pub(crate) fn compare(&mut self, number: usize, manifest: &Manifest) {
        for (path, candidate) in &mut self.files {
            candidate.others.extend(shown_file(manifest, path).map(|file| (number, file.key.hash)));
        }
    }

    /// Returns the files to ask for. One whose content another release has too is asked for if too few others differ: it
    /// cannot tell that the live release is served, but that another one is.
    pub(crate) fn files(mut self) -> Vec<Candidate> {
        self.files.sort_by_key(|(_, candidate)| candidate.rank(self.has_before));
        self.files.truncate(FILES);
        self.files.into_iter().map(|(_, candidate)| candidate).collect()
    }
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
            let found = Choice::new(live, before, Some(&root)).files();
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
        let found = Choice::new(&live, Some(&before), Some(&root)).files();
        assert_eq!((found[0].live, &found[0].others[..]), (Some(Hash::of(b"2")), &[(0, Hash::of(b"1"))][..]));
        assert_eq!((found[2].live, &found[2].others[..]), (Some(Hash::of(b"2")), &[][..]));
        assert_eq!(paths(&live, Some(&live)), [""; 0]);
        // Without another release, any files do.
        assert_eq!(paths(&live, None), ["a.css", "c.js", "e.txt"]);
        assert_eq!(Choice::new(&live, Some(&before), None).files()[0].path, b"public/a.css");
    }

    #[test]
    fn a_file_that_another_release_has_with_the_same_content_comes_last() {
        let root = RelativePath::parse(b"public").unwrap();
        let of = |contents: [&str; 4]| {
            let files = ["a", "b", "c", "d"].into_iter().zip(contents);
            manifest(&files.map(|(name, content)| (name, content, 0o444)).collect::<Vec<_>>())
        };
        let (live, before) = (of(["2"; 4]), of(["1"; 4]));
        let mut choice = Choice::new(&live, Some(&before), Some(&root));
        choice.compare(1, &of(["2", "1", "0", "1"]));
        choice.compare(2, &of(["0", "1", "2", "1"]));
        let found = choice.files();
        let paths: Vec<&[u8]> = found.iter().map(|found| &found.path[..]).collect();
        assert_eq!(paths, [b"b", b"d", b"a"]);
        assert_eq!(found[2].releases_with(Hash::of(b"2")).collect::<Vec<_>>(), [1]);
        assert_eq!(found[0].releases_with(Hash::of(b"1")).collect::<Vec<_>>(), [0, 1, 2]);
    }
}
