//! The failure of a run: its text, and the one table of exit codes.
//!
//! ```text
//! Error [permission-denied]: Could not switch `/srv/shop/current`
//! Caused by: Permission denied (os error 13)
//! Hint: The user that runs this must own the directory; check with `ls -ld`
//! Log: /home/anna/.cache/cutover/logs/deploy-web1-srv-shop-1a2b3c4d/20260302120000.250-deploy.jsonl
//! The site still serves release 20260227093000.
//! ```
//! The word in brackets is the id, which has a section in `docs/troubleshooting.md`; wrong usage has none, as its message says
//! all. The last line is printed if a verb that switches has failed, and the one before it if the run has a log. With `--json` and `--events` the failure is also an
//! object on stdout.

use std::io::{self, Write};
use std::panic;
use std::sync::Arc;

use engine::error::{Error, ErrorId, Kind, LoginError, ReachError};
use engine::live::LiveNow;
use engine::path::Shown;
use engine::report::DeployFailure;
use serde_json::json;

use crate::color::Palette;
use crate::events;
use crate::hint::{self, RUN_AGAIN};
use crate::json;
use crate::output::Output;
use crate::run_log::RunLog;
use crate::secrets::Secrets;
use crate::stdout;

/// The next step after a connection that was lost while the server was at work.
const SEE_LOG: &str = "`cutover log --follow` shows what the server does now. Then run the command again";

/// A run that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The id, which people look up.
    pub(crate) id: ErrorId,
    /// The kind, for scripts.
    pub(crate) kind: Kind,
    /// The failed action, and its object.
    pub(crate) message: String,
    /// The causes, outermost first.
    pub(crate) causes: Vec<String>,
    /// The next step.
    pub(crate) hint: Option<String>,
    /// The live release, for the verbs that switch.
    pub(crate) live: Option<LiveNow>,
    /// The log of the run, which waits for its last line.
    pub(crate) log: Option<Arc<RunLog>>,
    /// Whether stdout has the report already that tells of it.
    pub(crate) is_reported: bool,
}

/// The way in which a failure is printed.
#[derive(Debug, Clone)]
pub(crate) struct FailureStyle {
    /// The colours of stderr.
    pub(crate) palette: Palette,
    /// The form of the result on stdout.
    pub(crate) output: Output,
    /// The command that shows the live release.
    pub(crate) status_command: String,
}

impl Failure {
    /// Makes a failure of wrong usage or configuration.
    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure {
            id: ErrorId::Usage,
            kind: Kind::Usage,
            message: message.into(),
            causes: Vec::new(),
            hint: None,
            live: None,
            log: None,
            is_reported: false,
        }
    }

    /// Makes a failure that the user can mend.
    pub(crate) fn refused(id: ErrorId, message: impl Into<String>) -> Failure {
        Failure { kind: Kind::Refused, ..Failure::usage(message).with_id(id) }
    }

    /// Replaces the id.
    pub(crate) fn with_id(self, id: ErrorId) -> Failure {
        Failure { id, ..self }
    }

    /// Makes a failure of a panic, which the hook has already printed. `may_switch` says whether the verb switches.
    pub(crate) fn panic(may_switch: bool) -> Failure {
        let live = may_switch.then_some(LiveNow::Unknown);
        Failure { live, ..Failure::from(Error::Bug("it panicked".into())) }
    }

    /// Notes that stdout has the report already.
    pub(crate) fn reported(mut self) -> Failure {
        self.is_reported = true;
        self
    }

    /// Adds a cause.
    pub(crate) fn because(mut self, cause: &impl ToString) -> Failure {
        self.causes.push(cause.to_string());
        self
    }

    /// Adds the next step.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// Reports that nothing was switched, unless more is known.
    pub(crate) fn before_any_switch(mut self) -> Failure {
        self.live.get_or_insert(LiveNow::Unchanged);
        self
    }

    /// Adds that content is not sent twice, if the connection failed during a verb that sends.
    pub(crate) fn after_sending(mut self) -> Failure {
        if let Some(hint) = self.hint.as_mut().filter(|hint| *hint == RUN_AGAIN) {
            hint.push_str("; received content is kept");
        }
        self
    }

    /// Completes the commands in the hint with a place.
    pub(crate) fn at_place(mut self, place: &str) -> Failure {
        self.hint = self.hint.map(|hint| at_place(&hint, place));
        self
    }

    /// Returns the exit code, from the one table. `signal` is the code of a received signal.
    pub(crate) fn exit_code(&self, signal: Option<u8>) -> u8 {
        match self.kind {
            Kind::Refused => 1,
            Kind::Usage => 2,
            Kind::Line => 3,
            Kind::Damage => 4,
            Kind::Locked => 5,
            Kind::Hook => 6,
            Kind::Interrupted => signal.unwrap_or(130),
            Kind::Bug => 255,
        }
    }

    /// Prints the failure, and ends the log of the run. If nobody reads stderr, that is no further failure.
    pub(crate) fn print(&self, style: &FailureStyle) {
        if let Some(log) = &self.log {
            log.end("failed", &self.object().to_string());
        }
        drop(io::stderr().write_all(self.text(style).as_bytes()));
        if !self.is_reported {
            self.print_object(style.output);
        }
    }

    /// Prints the object of `--json`, or the last line of `--events`.
    pub(crate) fn print_object(&self, output: Output) {
        let text = match output {
            Output::Text => return,
            Output::Object => format!("{}\n", json::on_one_line(&self.object().to_string())),
            Output::Events => events::line("failed", &self.object().to_string()),
        };
        drop(stdout::write(&text));
    }

    /// Returns the failure without secrets.
    pub(crate) fn masked(self, secrets: &Secrets) -> Failure {
        let masked = |text| secrets.mask_text(text);
        Failure {
            message: masked(self.message),
            causes: self.causes.into_iter().map(masked).collect(),
            hint: self.hint.map(masked),
            ..self
        }
    }

    fn text(&self, style: &FailureStyle) -> String {
        let palette = style.palette;
        let head = match self.id {
            ErrorId::Usage => "Error:".to_owned(),
            id => format!("Error [{id}]:"),
        };
        let mut text = format!("{} {}\n", palette.error(&head), printable(&self.message));
        for cause in &self.causes {
            text += &format!("{} {}\n", palette.error("Caused by:"), printable(cause));
        }
        if let Some(hint) = &self.hint {
            text += &format!("{} {}\n", palette.hint("Hint:"), printable(hint));
        }
        if let Some(log) = &self.log {
            text += &format!("{} {}\n", palette.hint("Log:"), printable(&log.path().display().to_string()));
        }
        if let Some(live) = &self.live {
            text += &format!("{}\n", live_line(live, self.kind, &style.status_command));
        }
        text
    }

    /// Returns the object of `--json`.
    pub(crate) fn object(&self) -> serde_json::Value {
        let mut object = json!({ "error": {
            "id": self.id.word(),
            "kind": kind_name(self.kind),
            "message": self.message,
            "causes": self.causes,
            "hint": self.hint,
        } });
        if let Some(live) = &self.live {
            object["live"] = json!({ "state": live.state(), "release": live.release() });
        }
        if let Some(log) = &self.log {
            object["log"] = json!(log.path().display().to_string());
        }
        object
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let mut causes = details(&error);
        let refusal = error.to_refusal();
        causes.extend(refusal.causes);
        Failure {
            id: refusal.id,
            kind: refusal.kind,
            message: refusal.message,
            causes,
            hint: refusal.hint.as_ref().map(hint::text),
            live: None,
            log: None,
            is_reported: false,
        }
    }
}

impl From<DeployFailure> for Failure {
    fn from(failure: DeployFailure) -> Failure {
        let is_unknown = failure.live == LiveNow::Unknown;
        let mut failed = Failure { live: Some(failure.live), ..Failure::from(failure.error) };
        if let Some(hint) = failed.hint.as_mut().filter(|hint| is_unknown && *hint == RUN_AGAIN) {
            SEE_LOG.clone_into(hint);
        }
        failed
    }
}

/// Prints a panic with a request to report it, instead of the usual lines.
pub(crate) fn ask_for_reports() {
    panic::set_hook(Box::new(|info| {
        let text = format!(
            "Cutover {} panicked: {}\nPlease report this with your command and its output.\n",
            env!("CARGO_PKG_VERSION"),
            printable(&info.to_string())
        );
        drop(io::stderr().write_all(text.as_bytes()));
    }));
}

fn live_line(live: &LiveNow, kind: Kind, status_command: &str) -> String {
    let see = format!("run `{status_command}` to see what is live.");
    match (live, kind) {
        (LiveNow::Release(id), _) => format!("The site still serves release {id}."),
        (LiveNow::Switched(id), _) => format!("The site now serves release {id}."),
        (LiveNow::Nothing, _) => "No release is live.".to_owned(),
        (LiveNow::Unchanged, _) => "Nothing was switched.".to_owned(),
        (LiveNow::Unknown, Kind::Line) => {
            format!("The connection was lost, and the switch may or may not have happened: {see}")
        }
        (LiveNow::Unknown, _) => format!("The switch may or may not have happened: {see}"),
    }
}

/// Returns the last line of a verb that switches when a second signal ends it at once.
pub(crate) fn ended_at_once(status_command: &str) -> String {
    live_line(&LiveNow::Unknown, Kind::Interrupted, status_command)
}

/// Completes each `cutover VERB …` between backticks with a place, before its own flags. A command that has the words
/// of another command behind `--` is an example, and stays.
pub(crate) fn at_place(text: &str, place: &str) -> String {
    // The parts between backticks have odd numbers.
    let parts = text.split('`').enumerate().map(|(at, part)| {
        let is_command = at % 2 == 1 && part.starts_with("cutover ") && !part.contains(" -- ") && takes_place(part);
        if is_command { command_at_place(part, place) } else { part.to_owned() }
    });
    parts.collect::<Vec<String>>().join("`")
}

/// Tells whether a command is about a place.
fn takes_place(command: &str) -> bool {
    !["cutover help ", "cutover explain "].iter().any(|verb| command.starts_with(verb))
}

/// Completes a command with a place, before its own flags.
pub(crate) fn command_at_place(command: &str, place: &str) -> String {
    // A file and a path stand behind the stage.
    let verb = ["cutover shared push", "cutover shared pull", "cutover shared edit"];
    let verb = verb.iter().find(|verb| command.starts_with(**verb)).map(|verb| verb.len());
    let (words, rest) = command.split_at(verb.or_else(|| command.find(" -")).unwrap_or(command.len()));
    format!("{words}{place}{rest}")
}

/// Returns the details of an error that are in neither its message nor its sources.
fn details(error: &Error) -> Vec<String> {
    match error {
        Error::Login(LoginError::Refused { tried, .. }) => tried.clone(),
        Error::Reach(ReachError::OpensshFailed { output, .. }) => output.lines().map(str::to_owned).collect(),
        Error::Login(LoginError::SshConfigRefused { said }) => said.lines().map(str::to_owned).collect(),
        Error::Login(LoginError::HostKeyUnknown { searched, .. }) => {
            let searched: Vec<String> = searched.iter().map(|file| format!("`{}`", file.display())).collect();
            match &searched[..] {
                [] => Vec::new(),
                [file] => vec![format!("It is not in {file}")],
                files => vec![format!("It is in none of {}", files.join(", "))],
            }
        }
        _ => Vec::new(),
    }
}

/// Returns the name of a kind in `--json`.
fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Refused => "refused",
        Kind::Usage => "usage",
        Kind::Line => "line",
        Kind::Damage => "damage",
        Kind::Locked => "locked",
        Kind::Hook => "hook",
        Kind::Interrupted => "interrupted",
        Kind::Bug => "bug",
    }
}

/// Returns the message of the command-line parser, without its first word and the usage below it.
pub(crate) fn summary(text: &str) -> String {
    let first = text.split("\n\n").next().unwrap_or_default();
    first.strip_prefix("error: ").unwrap_or(first).trim().to_owned()
}

/// Escapes control characters, which could move the cursor or forge a line: some of this text comes from servers and
/// file names. Further lines of one text are indented.
pub(crate) fn printable(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| Shown(line.as_bytes()).to_string()).collect();
    lines.join("\n  ")
}

/// Escapes a text in the same way for a place that has one line, such as a cell of a table: a line break is escaped too.
pub(crate) fn one_line(text: &str) -> String {
    Shown(text.as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use engine::error::LoginRemedy;
    use engine::server::Server;

    use super::*;

    fn style() -> FailureStyle {
        FailureStyle { palette: Palette::plain(), output: Output::Text, status_command: "cutover status shop".into() }
    }

    #[test]
    fn a_failure_is_told_from_what_to_what_now() {
        let error = Error::io("switch", "/srv/shop/current", io::Error::from_raw_os_error(13));
        let failure = Failure::from(DeployFailure { error, live: LiveNow::Release("20260227093000".parse().unwrap()) });
        assert_eq!(
            failure.text(&style()),
            "Error [permission-denied]: Could not switch `/srv/shop/current`\n\
             Caused by: Permission denied (os error 13)\n\
             Hint: The user that runs this must own the directory; check with `ls -ld`\n\
             The site still serves release 20260227093000.\n"
        );
        assert_eq!(
            failure.object().to_string(),
            "{\"error\":{\"causes\":[\"Permission denied (os error 13)\"],\
             \"hint\":\"The user that runs this must own the directory; check with `ls -ld`\",\
             \"id\":\"permission-denied\",\"kind\":\"refused\",\"message\":\"Could not switch `/srv/shop/current`\"},\
             \"live\":{\"release\":\"20260227093000\",\"state\":\"release\"}}"
        );
    }

    #[test]
    fn the_last_line_never_claims_more_than_is_known() {
        let check = |live: LiveNow, kind: Kind, expected: &str| {
            assert_eq!(live_line(&live, kind, "cutover status shop"), expected);
        };
        let id = "20260227093000".parse().unwrap();
        check(LiveNow::Switched(id), Kind::Interrupted, "The site now serves release 20260227093000.");
        check(LiveNow::Nothing, Kind::Refused, "No release is live.");
        check(LiveNow::Unchanged, Kind::Line, "Nothing was switched.");
        let lost = "The connection was lost, and the switch may or may not have happened: run `cutover status shop` to \
                    see what is live.";
        check(LiveNow::Unknown, Kind::Line, lost);
        let left = "The switch may or may not have happened: run `cutover status shop` to see what is live.";
        check(LiveNow::Unknown, Kind::Interrupted, left);
        assert_eq!(ended_at_once("cutover status shop"), left);
    }

    #[test]
    fn a_panic_of_a_verb_that_switches_leaves_open_what_is_live() {
        assert_eq!(Failure::panic(true).live, Some(LiveNow::Unknown));
        assert_eq!(Failure::panic(false).live, None);
    }

    #[test]
    fn each_kind_has_its_exit_code() {
        let check = |kind: Kind, signal: Option<u8>, expected: u8| {
            let failure = Failure { kind, ..Failure::usage("") };
            assert_eq!(failure.exit_code(signal), expected, "{kind:?}");
        };
        check(Kind::Refused, None, 1);
        check(Kind::Usage, None, 2);
        check(Kind::Line, None, 3);
        check(Kind::Damage, None, 4);
        check(Kind::Locked, None, 5);
        check(Kind::Hook, None, 6);
        check(Kind::Interrupted, None, 130);
        check(Kind::Interrupted, Some(143), 143);
        check(Kind::Line, Some(143), 3);
        check(Kind::Bug, None, 255);
    }

    #[test]
    fn commands_are_named_as_they_run() {
        let check = |text: &str, expected: &str| assert_eq!(at_place(text, " shop -F a"), expected);
        check("`cutover shared push FILE .env --yes`", "`cutover shared push shop -F a FILE .env --yes`");
        check("See `cutover releases`", "See `cutover releases shop -F a`");
        check("`cutover switch ID` goes, see `x`", "`cutover switch ID shop -F a` goes, see `x`");
        check("cutover releases, `keep_releases`", "cutover releases, `keep_releases`");
        check("`cutover rollback --pass-lock`", "`cutover rollback shop -F a --pass-lock`");
        check("`cutover exec STAGE -- ls`", "`cutover exec STAGE -- ls`");
        check("`cutover help web`, `cutover explain ID`", "`cutover help web`, `cutover explain ID`");
    }

    #[test]
    fn hints_name_flags_and_verbs_that_the_command_has() {
        use clap::CommandFactory;
        let mut command = crate::args::Args::command();
        command.build();
        let verbs: Vec<&clap::Command> = command.get_subcommands().collect();
        let text = concat!(
            include_str!("doctor/directories.rs"),
            include_str!("doctor/machine.rs"),
            include_str!("doctor/releases.rs"),
            include_str!("doctor/application.rs"),
            include_str!("hint/mod.rs"),
            include_str!("hint/server.rs")
        );
        let (text, _) = text.split_once("#[cfg(test)]").unwrap();
        let word = |rest: &str| rest.split(|c: char| !(c.is_alphanumeric() || c == '-')).next().unwrap().to_owned();
        let named = |start: &str| text.split(start).skip(1).map(word).collect::<Vec<_>>();
        let (flags, used) = (named("`--"), named("`cutover "));
        assert!(flags.contains(&"target".into()) && used.contains(&"releases".into()));
        for flag in flags {
            let has = |verb: &&clap::Command| verb.get_arguments().any(|argument| argument.get_long() == Some(&flag));
            assert!(verbs.iter().any(has), "--{flag}");
        }
        for verb in used {
            assert!(verbs.iter().any(|known| known.get_name() == verb), "{verb}");
        }
    }

    #[test]
    fn only_a_line_that_failed_speaks_of_what_arrived() {
        let lost = || Error::LineLost { source: io::Error::from_raw_os_error(104) };
        assert_eq!(Failure::from(lost()).hint.as_deref(), Some("Run the command again"));
        let sent = Failure::from(lost()).after_sending().hint;
        assert_eq!(sent.as_deref(), Some("Run the command again; received content is kept"));
        assert_eq!(Failure::usage("").after_sending().hint, None);
    }

    #[test]
    fn what_was_tried_is_told_once() {
        let server = Server { name: "web1".into(), host_name: "10.0.0.1".into(), port: 2222 };
        let tried = vec!["`key`: not accepted".into()];
        let error = Error::from(LoginError::Refused { user: "me".into(), server, tried, remedy: LoginRemedy::Key });
        let text = Failure::from(error).text(&style());
        assert!(
            text.starts_with("Error [login-refused]: `web1` (`10.0.0.1` port 2222) refused the login of `me`\n"),
            "{text}"
        );
        assert_eq!(text.matches("not accepted").count(), 1);
    }

    #[test]
    fn each_line_of_ssh_is_told_as_a_line() {
        let server = Server { name: "web1".into(), host_name: "web1".into(), port: 22 };
        let failure = Failure::from(Error::from(ReachError::OpensshFailed { server, output: "one\ntwo".into() }));
        let text = failure.text(&style());
        assert!(
            text.starts_with("Error [ssh-failed]: `ssh` could not reach `web1`\nCaused by: one\nCaused by: two\n"),
            "{text}"
        );
    }

    #[test]
    fn text_of_others_cannot_forge_a_line() {
        assert_eq!(printable("sh: no\x1b[2J\r\nError: all well"), "sh: no\\u{1b}[2J\n  Error: all well");
        assert_eq!(one_line("no\nError: all \u{202e}well"), "no\\nError: all \\u{202e}well");
    }
}
