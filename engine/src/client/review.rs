//! Reviews a scan for surprises, before the release goes live: one warning of each kind, with the number of paths.
//!
//! | kind | reason for the warning |
//! |---|---|
//! | bits and capabilities that a release does not keep | a program that needs them fails |
//! | paths that only their owner may enter or read | a web server is mostly another user |
//! | symlinks that lead out of the source | on the server they lead to something else |
//! | files that git ignores | they are mostly secrets, or output of a build |
//!
//! The scan has all that is needed but the ignore files, so the tree is not read again. A pattern of `.deployignore` or
//! `exclude` that begins with `!` and brings in an ignored file or a symlink shows the user's intention, so there is no
//! warning.

mod directory_rules;
mod ignored;
mod paths;
mod subject;
mod symlink;

use crate::manifest::{EntryRef, Node};
use crate::path::Shown;
use crate::scan::stat::{FileStat, SHARED_WRITE, STICKY};
use crate::shell::quoted;

pub(crate) use ignored::IgnoredFiles;
pub(crate) use subject::Review;

use directory_rules::DirectoryRules;
use paths::Paths;
use symlink::leads_out;

/// The setuid, setgid and sticky bits.
const SPECIAL: u32 = 0o7000;
/// The bits by which group and others enter a directory.
const SHARED_ENTER: u32 = 0o011;
/// The bits by which group and others read.
const SHARED_READ: u32 = 0o044;

#[derive(Debug, Default)]
struct Findings {
    files_with_bits: Paths,
    directories_with_bits: Paths,
    closed_directories: Paths,
    capable_files: Paths,
    private_directories: Paths,
    private_files: Paths,
    symlinks_out: Paths,
}

impl Review<'_> {
    /// Returns the warnings, and the files that git ignores, if they differ from those `kept` at the last review.
    pub(crate) fn warnings(&self, kept: Option<&IgnoredFiles>) -> (Vec<String>, Option<IgnoredFiles>) {
        let (ignored, is_new) = IgnoredFiles::find(self, kept);
        let warnings = self.describe(&self.findings(), &ignored);
        (warnings, is_new.then_some(ignored))
    }

    fn findings(&self) -> Findings {
        let mut findings = Findings::default();
        let mut rules = DirectoryRules::new(self);
        findings.add_directory(self.found.root.mode, || b".".to_vec());
        for number in 0..self.found.manifest.directories().len() as u32 {
            for named in self.found.manifest.children(number).filter(|named| !self.found.is_generated(named.index)) {
                self.inspect(number, &named, &mut rules, &mut findings);
            }
        }
        findings
    }

    fn inspect(&self, directory: u32, named: &EntryRef<'_>, rules: &mut DirectoryRules<'_>, findings: &mut Findings) {
        let FileStat { mode, .. } = self.found.stats[named.index as usize];
        let path = || self.found.manifest.path(named.index);
        match named.node {
            Node::Directory(_) => {
                findings.add_directory(mode, path);
                findings.private_directories.add_if(mode & SHARED_ENTER == 0, path);
            }
            Node::File(_) => {
                findings.files_with_bits.add_if(mode & SPECIAL != 0, path);
                findings.capable_files.add_if(self.found.is_capable(named.index), path);
                findings.private_files.add_if(mode & SHARED_READ == 0, path);
            }
            Node::Symlink(target) => {
                let target = self.found.manifest.text(target);
                if leads_out(&self.found.manifest, directory, target) && !rules.is_meant(directory, &path(), false) {
                    findings.symlinks_out.add(format!("`{}` to `{}`", Shown(&path()), Shown(target)));
                }
            }
        }
    }

    fn describe(&self, findings: &Findings, ignored: &IgnoredFiles) -> Vec<String> {
        let mut warnings = Vec::new();
        if (0..self.found.manifest.len()).all(|entry| self.found.is_generated(entry)) {
            warnings.push(format!("There is nothing to deploy in `{}`: the release is empty", self.source.display()));
        }
        let root = self.found.root.mode;
        if root & SHARED_ENTER == 0 {
            let mode = root & 0o777;
            warnings.push(format!(
                "Only its owner may enter the release, as the source has mode {mode:o}: a web server that runs as another user cannot \
                 read it. If it should, run `chmod go+rx {}` and deploy again",
                quoted(&self.source.to_string_lossy())
            ));
        }
        let mut warn = |paths: &Paths, one: &str, several: &str| {
            if paths.number > 0 {
                warnings.push(format!("{}: {paths}", paths.count(one, several)));
            }
        };
        warn(
            &findings.private_directories,
            "1 directory can be entered by its owner alone, and not by a web server of another user",
            "{} directories can be entered by their owner alone, and not by a web server of another user",
        );
        warn(
            &findings.private_files,
            "1 file can be read by its owner alone, and not by a web server of another user",
            "{} files can be read by their owner alone, and not by a web server of another user",
        );
        warn(
            &findings.files_with_bits,
            "1 file loses its setuid, setgid or sticky bit",
            "{} files lose their setuid, setgid or sticky bits",
        );
        warn(
            &findings.directories_with_bits,
            "1 directory loses its setgid or sticky bit",
            "{} directories lose their setgid or sticky bits",
        );
        warn(
            &findings.closed_directories,
            "1 directory can be written to by its owner alone, as it loses its sticky bit",
            "{} directories can be written to by their owner alone, as they lose their sticky bits",
        );
        warn(
            &findings.capable_files,
            "1 file loses its capabilities, which a service manager can give to the process instead",
            "{} files lose their capabilities, which a service manager can give to the processes instead",
        );
        warn(
            &findings.symlinks_out,
            "1 symlink leads out of the source, and on the server to something else or nothing",
            "{} symlinks lead out of the source, and on the server to something else or nothing",
        );
        warnings.extend(ignored.warning());
        warnings
    }
}

impl Findings {
    fn add_directory(&mut self, mode: u32, path: impl Fn() -> Vec<u8>) {
        let is_closed = mode & STICKY != 0 && mode & SHARED_WRITE != 0;
        let paths = if is_closed { &mut self.closed_directories } else { &mut self.directories_with_bits };
        paths.add_if(mode & SPECIAL != 0, path);
    }
}
