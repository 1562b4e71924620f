//! `cutover shared`: lists the paths in `shared/`, and puts, gets and edits files there.
//!
//! Before a file is written, the difference to its present content is shown. That content may be secret: it is shown on a
//! terminal only, and elsewhere the changed lines are counted.

use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use engine::error::ErrorId;
use engine::path::RelativePath;
use engine::report::{SharedEntryReport, SharedKind, SharedListReport, SharedWriteReport};
use engine::shell::quoted;
use serde::{Serialize, Serializer};
use similar::{ChangeTag, TextDiff};

use crate::args::{PlaceArgs, SharedArgs, SharedCommand, SharedFileArgs};
use crate::color::Palette;
use crate::failure::{Failure, one_line};
use crate::place::Place;
use crate::question::{can_ask, confirm};
use crate::report::Report;
use crate::secrets::Secrets;
use crate::session::Session;
use crate::settings::Settings;
use crate::table::Table;
use crate::tally::Verbosity;
use crate::units::{Bytes, Count, Counted};
use crate::uses::Uses;
use crate::words;

/// Stands for stdin or stdout in the place of a local file.
const STREAM: &str = "-";

pub(crate) fn run(session: &Session<'_>, args: &SharedArgs) -> Result<(), Failure> {
    match &args.command {
        SharedCommand::List(args) => list(session, args),
        SharedCommand::Push(args) => {
            let ([local, path], settings) = words_of(session, args)?;
            push(session, &settings, local, &shared_path(path)?)
        }
        SharedCommand::Pull(args) => {
            let ([path, local], settings) = words_of(session, args)?;
            pull(session, &settings, &shared_path(path)?, local)
        }
        SharedCommand::Edit(args) => {
            let ([path], settings) = words_of(session, args)?;
            edit(session, &settings, &shared_path(path)?)
        }
    }
}

/// Takes the words of a verb, and resolves the settings for the stage before them, if there is one.
fn words_of<'a, const COUNT: usize>(
    session: &Session<'_>,
    args: &'a SharedFileArgs,
) -> Result<([&'a str; COUNT], Settings), Failure> {
    let (stage, rest) = match args.words.len().checked_sub(COUNT) {
        Some(0) => (None, &args.words[..]),
        _ => (args.words.first().map(String::as_str), args.words.get(1..).unwrap_or_default()),
    };
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let words = <[&str; COUNT]>::try_from(rest)
        .map_err(|_| Failure::usage("There are too few or too many words").hint("See `cutover help shared`"))?;
    let place = Place { stage: words::stage(stage)?, target: args.target.target.clone() };
    Ok((words, session.settings(&place, Uses::Server)?))
}

fn shared_path(text: &str) -> Result<RelativePath, Failure> {
    RelativePath::parse(text.as_bytes()).map_err(|reason| {
        Failure::usage(format!("`{}` cannot be a path in `shared/`: {reason}", text.escape_debug()))
            .hint("Write it as it stands in `shared/`, such as `.env` or `config/local.php`")
    })
}

fn list(session: &Session<'_>, args: &PlaceArgs) -> Result<(), Failure> {
    let settings = session.settings(&args.place()?, Uses::Server)?;
    session.run(&settings, Verbosity::Brief, engine::shared_list)
}

fn push(session: &Session<'_>, settings: &Settings, local: &str, path: &RelativePath) -> Result<(), Failure> {
    let unreadable = |error| Failure::usage(format!("Could not read `{local}`")).because(&error);
    let content = match local {
        STREAM => read_stdin().map_err(unreadable)?,
        local => fs::read(session.environment.absolute(Path::new(local))).map_err(unreadable)?,
    };
    let known = read(session, settings, path)?;
    write(session, settings, path, known.as_deref(), &content)
}

fn read_stdin() -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    io::stdin().lock().read_to_end(&mut content)?;
    Ok(content)
}

fn read(session: &Session<'_>, settings: &Settings, path: &RelativePath) -> Result<Option<Vec<u8>>, Failure> {
    session.call(settings, Verbosity::Brief, |context| engine::shared_read(context, path))
}

/// Shows the difference, asks, and writes.
fn write(
    session: &Session<'_>,
    settings: &Settings,
    path: &RelativePath,
    known: Option<&[u8]>,
    content: &[u8],
) -> Result<(), Failure> {
    if known != Some(content) {
        let is_terminal = io::stderr().is_terminal();
        drop(io::stderr().write_all(difference(path, known, content, is_terminal).as_bytes()));
        let verb = if known.is_some() { "Replace" } else { "Make" };
        confirm(&format!("{verb} `shared/{path}` on {}?", settings.target.destination), session.everywhere.yes)?;
    }
    let whole = settings.target.destination.path().join("shared").join(path.as_path());
    session.run(settings, Verbosity::Brief, |context| {
        engine::shared_write(context, path, known, content).map(|report| Written { report, whole })
    })
}

/// Returns the difference of two contents: its lines where they may be shown, else their number.
fn difference(path: &RelativePath, known: Option<&[u8]>, content: &[u8], shows_lines: bool) -> String {
    let sizes = || {
        let before = known.map_or("new".to_owned(), |known| Bytes(known.len() as u64).to_string());
        format!("shared/{path}: {before} → {}\n", Bytes(content.len() as u64))
    };
    let (Ok(before), Ok(after)) = (std::str::from_utf8(known.unwrap_or_default()), std::str::from_utf8(content)) else {
        return sizes();
    };
    if before.contains('\0') || after.contains('\0') {
        return sizes();
    }
    let diff = TextDiff::from_lines(before, after);
    if shows_lines {
        let name = format!("shared/{path}");
        let unified = diff.unified_diff().context_radius(3).header(&name, &name).to_string();
        return unified.lines().map(|line| format!("{}\n", one_line(line))).collect();
    }
    let count = |tag| diff.iter_all_changes().filter(|change| change.tag() == tag).count() as u64;
    let (added, removed) = (count(ChangeTag::Insert), count(ChangeTag::Delete));
    format!("shared/{path}: {} added, {} removed\n", Counted(added, "line"), Count(removed))
}

/// A file that was fetched.
#[derive(Debug, Serialize)]
struct PullReport {
    path: String,
    file: PathBuf,
    bytes: u64,
}

impl Report for PullReport {
    const ANSWERS: bool = false;

    fn text(&self, _: Palette, _: bool) -> String {
        format!("`{}` has the content of `shared/{}`, {}\n", self.file.display(), self.path, Bytes(self.bytes))
    }
}

fn pull(session: &Session<'_>, settings: &Settings, path: &RelativePath, local: &str) -> Result<(), Failure> {
    let content = read(session, settings, path)?.ok_or_else(|| missing(path))?;
    let failed = |error: io::Error| {
        Failure::refused(ErrorId::OutputFailed, format!("Could not write `{local}`")).because(&error)
    };
    if local == STREAM {
        return io::stdout().write_all(&content).map_err(failed);
    }
    let file = session.environment.absolute(Path::new(local));
    if fs::read(&file).is_ok_and(|found| found != content) {
        confirm(&format!("Replace `{local}`?"), session.everywhere.yes)?;
    }
    engine::write_private_file(&file, &content)?;
    let report = PullReport { path: path.to_string(), file, bytes: content.len() as u64 };
    session.print(&report, &Secrets::default())
}

fn missing(path: &RelativePath) -> Failure {
    Failure::refused(ErrorId::SharedMissing, format!("There is no `shared/{path}`"))
        .hint("`cutover shared list` shows what is there")
}

fn edit(session: &Session<'_>, settings: &Settings, path: &RelativePath) -> Result<(), Failure> {
    let known = read(session, settings, path)?;
    let failed = |error: io::Error| Failure::refused(ErrorId::EditorFailed, "Could not edit the file").because(&error);
    // Only this user may read it.
    let mut file = tempfile::Builder::new().prefix("cutover-").suffix(&suffix(path)).tempfile().map_err(failed)?;
    file.write_all(known.as_deref().unwrap_or_default()).map_err(failed)?;
    run_editor(session, file.path())?;
    // The editor may have put another file in its place.
    let content = fs::read(file.path()).map_err(failed)?;
    if known.is_none() && content.is_empty() {
        return Err(Failure::refused(ErrorId::Declined, "Nothing was written: the file is empty"));
    }
    write(session, settings, path, known.as_deref(), &content).map_err(|failure| match file.keep() {
        Ok((_, kept)) => Failure {
            hint: Some(match failure.hint {
                Some(hint) => format!("{hint}. Your text is in `{}`", kept.display()),
                None => format!("Your text is in `{}`", kept.display()),
            }),
            ..failure
        },
        Err(_) => failure,
    })
}

/// Returns the end of a file's name, by which an editor knows its language.
fn suffix(path: &RelativePath) -> String {
    let name = path.as_path().file_name().unwrap_or_default().to_string_lossy();
    format!("-{}", name.replace(|character: char| !character.is_ascii_alphanumeric() && character != '.', "_"))
}

/// Runs the editor, and waits for its end.
fn run_editor(session: &Session<'_>, file: &Path) -> Result<(), Failure> {
    let editor = match &session.environment.editor {
        Some(editor) => editor,
        None if can_ask() => "vi",
        None => {
            let hint =
                "Set EDITOR, or take the file with `cutover shared pull` and put it back with `cutover shared push`";
            return Err(Failure::usage("There is no terminal for an editor").with_id(ErrorId::NoTerminal).hint(hint));
        }
    };
    crate::interrupt::release();
    // An editor may have arguments: the shell splits them.
    let status = Command::new("sh").arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(file).status();
    let refused = |message: String| Failure::refused(ErrorId::EditorFailed, message);
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(refused(format!("The editor `{editor}` failed ({status}), and nothing was written"))),
        Err(error) => Err(refused(format!("The editor `{editor}` could not be started")).because(&error)),
    }
}

impl Report for SharedListReport {
    const ANSWERS: bool = true;

    fn text(&self, palette: Palette, _: bool) -> String {
        if self.paths.is_empty() {
            return "`shared/` is empty\n".to_owned();
        }
        let heads = ["PATH", "KIND", "SIZE", "MODE", "LIVE"];
        let mut text = Table::new(heads).numbers(&[2]).rows(self.paths.iter().map(row)).text(palette);
        if self.paths_left_out > 0 {
            text += &format!("and {} more\n", Count(self.paths_left_out));
        }
        text
    }
}

fn row(entry: &SharedEntryReport) -> [String; 5] {
    let kind = match entry.kind {
        SharedKind::File => "file",
        SharedKind::Directory => "directory",
        SharedKind::Symlink => "symlink",
        SharedKind::Other => "other",
    };
    let size = entry.bytes.map_or("-".to_owned(), |bytes| Bytes(bytes).to_string());
    let linked = if entry.linked { "linked" } else { "-" };
    [entry.path.clone(), kind.to_owned(), size, entry.mode.clone(), linked.to_owned()]
}

impl Report for SharedWriteReport {
    const ANSWERS: bool = false;

    fn text(&self, palette: Palette, _: bool) -> String {
        let path = palette.strong(format!("shared/{}", one_line(&self.path)));
        match (self.written, self.created) {
            (false, _) => format!("{path} has that content already\n"),
            (true, true) => format!("{path} is made, {}, mode {}\n", Bytes(self.bytes), one_line(&self.mode)),
            (true, false) => format!("{path} is replaced, {}, mode {}\n", Bytes(self.bytes), one_line(&self.mode)),
        }
    }
}

/// A file that was written, with its place.
struct Written {
    report: SharedWriteReport,
    /// The whole path on the server.
    whole: PathBuf,
}

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.report.serialize(serializer)
    }
}

impl Report for Written {
    const ANSWERS: bool = false;

    fn text(&self, palette: Palette, is_verbose: bool) -> String {
        self.report.text(palette, is_verbose)
    }

    /// A new file is readable for its owner alone, and the application may run as another user.
    fn next(&self) -> Option<String> {
        let path = quoted(&one_line(&self.whole.to_string_lossy()));
        (self.report.written && self.report.created).then(|| {
            format!(
                "Only the user that deploys may read it. If the application runs as another user, such as `www-data`: \
                 `sudo chgrp www-data {path} && sudo chmod 640 {path}` on the server"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_shown_on_a_terminal_only() {
        let path = RelativePath::parse(b".env").unwrap();
        let shown = |known: Option<&[u8]>, content: &[u8], shows| difference(&path, known, content, shows);
        assert_eq!(
            shown(Some(b"A=1\nB=2\n"), b"A=1\nB=3\nC=4\n", true),
            "--- shared/.env\n+++ shared/.env\n@@ -1,2 +1,3 @@\n A=1\n-B=2\n+B=3\n+C=4\n"
        );
        assert_eq!(shown(Some(b"A=1\nB=2\n"), b"A=1\nB=3\nC=4\n", false), "shared/.env: 2 lines added, 1 removed\n");
        assert_eq!(shown(None, b"\0\x01", true), "shared/.env: new → 2 B\n");
        assert_eq!(shown(None, b"\x1b[2J\n", true).lines().last().unwrap(), "+\\u{1b}[2J");
    }

    #[test]
    fn a_new_file_is_told_with_the_command_that_lets_another_user_read_it() {
        let written = |created| {
            let (path, mode) = (".env".to_owned(), "0600".to_owned());
            let report = SharedWriteReport { path, written: true, created, bytes: 5, mode, warnings: Vec::new() };
            Written { report, whole: "/srv/a b/shared/.env".into() }
        };
        assert_eq!(written(true).text(Palette::plain(), false), "shared/.env is made, 5 B, mode 0600\n");
        let next = written(true).next().unwrap();
        let command = "`sudo chgrp www-data '/srv/a b/shared/.env' && sudo chmod 640 '/srv/a b/shared/.env'`";
        assert!(next.contains(command), "{next}");
        assert_eq!(written(false).next(), None);
    }

    #[test]
    fn a_list_says_what_the_live_release_uses() {
        let entry = |path: &str, kind, bytes, mode: &str, linked| SharedEntryReport {
            path: path.into(),
            kind,
            bytes,
            mode: mode.into(),
            linked,
        };
        let report = SharedListReport {
            paths: vec![
                entry(".env", SharedKind::File, Some(120), "0600", true),
                entry("uploads", SharedKind::Directory, None, "0755", false),
            ],
            paths_left_out: 2,
            warnings: Vec::new(),
        };
        let expected = "PATH     KIND        SIZE  MODE  LIVE\n.env     file       120 B  0600  linked\n\
                        uploads  directory      -  0755  -\nand 2 more\n";
        assert_eq!(report.text(Palette::plain(), false), expected);
        assert_eq!(SharedListReport::default().text(Palette::plain(), false), "`shared/` is empty\n");
    }
}
