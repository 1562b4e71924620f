//! `cutover doctor`: finds what would make a deploy fail or go wrong, and names the next step.
//!
//! ```text
//! 1 error, 1 note: a deploy to /srv/shop as deploy will fail
//! error  others-may-write
//!   The group `www-data` may write to `/srv/shop`, and could put other files in the place of what is deployed or run there
//!   Fix: Take that right away …: `chmod g-w /srv/shop` (on the server)
//!   More: `cutover explain others-may-write`
//! …
//! fine: connection, login, clock, …
//! ```
//! The engine returns findings as data. The modules here word them, with the flags and verbs of this command. An error of
//! the connection is a finding too; its hint and its exit code are those of every verb.

mod advice;
mod application;
mod connection;
mod directories;
mod machine;
mod releases;
mod web;

use std::collections::BTreeSet;
use std::path::Path;

use engine::error::{ErrorId, Kind};
use engine::report::{DoctorReport, Examined, Finding, FindingId, Severity, Subject, WebCheckReport};
use engine::{Context, DoctorRequest, WebCheckRequest};
use serde::Serialize;

use crate::args::DoctorArgs;
use crate::color::Palette;
use crate::failure::{Failure, at_place, command_at_place, one_line};
use crate::report::Report;
use crate::session::Session;
use crate::settings::Settings;
use crate::tally::Verbosity;
use crate::units::Counted;
use crate::uses::Uses;

use self::advice::{Advice, Surroundings};

/// The page with a section for each finding.
const PAGE: &str = "docs/doctor.md";

pub(crate) fn run(session: &Session<'_>, args: &DoctorArgs) -> Result<(), Failure> {
    let place = args.place.place()?;
    // Without a variable that a hook needs, the target can be examined all the same.
    let (settings, unset) = match session.settings(&place, Uses::Everything) {
        Ok(settings) => (settings, None),
        Err(failure) => match session.settings(&place, Uses::Server) {
            Ok(settings) => (settings, Some(failure)),
            Err(_) => return Err(failure),
        },
    };
    let request = request(session, args, &settings, unset.is_none());
    let web_request = web_request(args, &settings);
    session.run(&settings, Verbosity::Brief, |context| {
        let mut diagnosis = match engine::doctor(context, &request) {
            Ok(report) => {
                let (user, deploy_path) = (report.user.as_str(), Path::new(&report.deploy_path));
                let (source, shared_files) = (&*settings.source.directory, &*settings.policy.shared_files);
                let around = Surroundings { user, deploy_path, source, shared_files };
                let mut diagnosis = Diagnosis::of(&report, &around);
                diagnosis.ask_web_server(context, web_request.as_ref())?;
                diagnosis
            }
            Err(error) => match connection::id_of(&error) {
                Some(id) => Diagnosis::unreachable(id, &Failure::from(error)),
                None => return Err(Failure::from(error)),
            },
        };
        if let Some(failure) = unset {
            diagnosis.add(connection::CONFIG, failure_advice(&failure));
        }
        Ok(diagnosis.finish(&session.place))
    })
}

fn request(session: &Session<'_>, args: &DoctorArgs, settings: &Settings, is_complete: bool) -> DoctorRequest {
    let mut source = settings.source.clone();
    let given = args.source.as_ref().map(|source| session.environment.absolute(source));
    // Without a config the working directory may be anything.
    let is_known = given.is_some() || (is_complete && source.config.is_some());
    source.directory = given.unwrap_or(source.directory);
    DoctorRequest { full: args.full, web_user: args.web_user.clone(), source: is_known.then_some(source) }
}

/// Returns what to ask the web server. None: nothing.
fn web_request(args: &DoctorArgs, settings: &Settings) -> Option<WebCheckRequest> {
    let url = args.url.clone()?;
    let headers = web::headers_for(&url, &settings.procedure.checks);
    Some(WebCheckRequest { url, headers, root: args.root.clone(), version_file: args.version_file.clone() })
}

/// Returns the words of a failure as those of a finding.
fn failure_advice(failure: &Failure) -> Advice {
    let message = std::iter::once(&failure.message).chain(&failure.causes).cloned().collect::<Vec<_>>().join("; ");
    Advice::new(message).words(failure.hint.clone().unwrap_or_default())
}

/// The result of an examination, in words.
#[derive(Debug, Serialize)]
pub(crate) struct Diagnosis {
    /// The deploy path, if the server was reached.
    deploy_path: Option<String>,
    /// The user on the server.
    user: Option<String>,
    findings: Vec<Told>,
    checks: Vec<Checked>,
    /// The answers of the web server, if it was asked.
    web: Option<WebCheckReport>,
    warnings: Vec<String>,
    /// The failure of the connection.
    #[serde(skip)]
    failure: Option<(ErrorId, Kind, String)>,
}

/// A finding in words.
#[derive(Debug, Serialize)]
struct Told {
    id: &'static str,
    severity: Severity,
    check: &'static str,
    message: String,
    /// The next step.
    fix: Option<String>,
    /// The command of the next step.
    command: Option<String>,
    /// Whether the command is for the server.
    on_server: bool,
    page: String,
}

/// A subject that was examined, or not.
#[derive(Debug, Serialize)]
struct Checked {
    check: &'static str,
    /// `fine`, `skipped`, or the greatest severity of its findings.
    state: &'static str,
    facts: Vec<String>,
    skipped: Option<String>,
}

impl Diagnosis {
    fn of(report: &DoctorReport, around: &Surroundings<'_>) -> Diagnosis {
        let mut diagnosis = Diagnosis {
            deploy_path: Some(report.deploy_path.clone()),
            user: Some(report.user.clone()),
            findings: Vec::new(),
            checks: report.examined.iter().map(checked).collect(),
            web: None,
            warnings: report.warnings.clone(),
            failure: None,
        };
        for finding in &report.findings {
            diagnosis.add(finding.id(), advice_of(finding, around));
        }
        diagnosis
    }

    /// Returns the result of a connection that failed: its one finding.
    fn unreachable(id: FindingId, failure: &Failure) -> Diagnosis {
        let skipped = Some("the server was not reached".to_owned());
        let others = Subject::ALL.iter().filter(|&&subject| subject != id.subject);
        let mut checks = vec![Checked { check: id.subject.name(), state: "fine", facts: Vec::new(), skipped: None }];
        checks.extend(others.map(|subject| checked_of(*subject, skipped.clone())));
        let mut diagnosis = Diagnosis {
            deploy_path: None,
            user: None,
            findings: Vec::new(),
            checks,
            web: None,
            warnings: Vec::new(),
            failure: Some((failure.id, failure.kind, failure.message.clone())),
        };
        diagnosis.add(id, failure_advice(failure));
        diagnosis
    }

    /// Asks the web server which release it serves. An error is the reason that this is not known, unless the question was
    /// interrupted or the program has a bug.
    fn ask_web_server(&mut self, context: &Context, request: Option<&WebCheckRequest>) -> Result<(), Failure> {
        let Some(request) = request else {
            self.checks.push(checked_of(Subject::WebServer, Some(web::NOT_ASKED.to_owned())));
            return Ok(());
        };
        self.checks.push(checked_of(Subject::WebServer, None));
        let found = match engine::web_check(context, request) {
            Ok(report) => {
                let found = web::finding(&report);
                self.web = Some(report);
                found
            }
            Err(error) => {
                let failure = Failure::from(error);
                if matches!(failure.kind, Kind::Interrupted | Kind::Bug) {
                    return Err(failure);
                }
                Some((web::UNKNOWN, failure_advice(&failure)))
            }
        };
        if let Some((id, advice)) = found {
            self.add(id, advice);
        }
        Ok(())
    }

    fn add(&mut self, known: FindingId, advice: Advice) {
        let Advice { message, words, command, on_server } = advice;
        self.findings.push(Told {
            id: known.id,
            severity: known.severity,
            check: known.subject.name(),
            message,
            fix: Some(words).filter(|words| !words.is_empty()),
            command,
            on_server,
            page: format!("{PAGE}#{}", known.id),
        });
    }

    /// Sorts the findings, completes commands with the place, and notes the state of each subject.
    fn finish(mut self, place: &str) -> Diagnosis {
        self.findings.sort_by_key(|found| found.severity);
        for found in &mut self.findings {
            found.fix = found.fix.take().map(|fix| at_place(&fix, place));
            let is_here = !found.on_server;
            found.command = found.command.take().map(|command| match is_here {
                true => command_at_place(&command, place),
                false => command,
            });
        }
        for checked in &mut self.checks {
            let worst = self.findings.iter().find(|found| found.check == checked.check);
            if let Some(found) = worst {
                checked.state = found.severity.name();
            }
        }
        self
    }

    fn count(&self, severity: Severity) -> u64 {
        self.findings.iter().filter(|found| found.severity == severity).count() as u64
    }

    fn headline(&self) -> String {
        let counts: Vec<String> = [Severity::Error, Severity::Warning, Severity::Note]
            .into_iter()
            .filter(|&severity| self.count(severity) > 0)
            .map(|severity| Counted(self.count(severity), severity.name()).to_string())
            .collect();
        let to = match (&self.deploy_path, &self.user) {
            (Some(path), Some(user)) => format!("a deploy to {path} as {user}"),
            _ => "a deploy".to_owned(),
        };
        let will = if self.count(Severity::Error) > 0 { "will fail" } else { "should work" };
        match counts[..] {
            [] => format!("Nothing was found: {to} {will}"),
            _ => format!("{}: {to} {will}", counts.join(", ")),
        }
    }
}

fn checked(examined: &Examined) -> Checked {
    Checked { facts: examined.facts.clone(), ..checked_of(examined.subject, examined.skipped.clone()) }
}

fn checked_of(subject: Subject, skipped: Option<String>) -> Checked {
    let state = if skipped.is_some() { "skipped" } else { "fine" };
    Checked { check: subject.name(), state, facts: Vec::new(), skipped }
}

/// Tells whether the facts of a subject are printed without `--verbose` too: the free space, and what was left out.
fn tells_always(check: &str) -> bool {
    [Subject::Space, Subject::Caches].iter().any(|subject| subject.name() == check)
}

/// Returns the words of a finding.
fn advice_of(finding: &Finding, around: &Surroundings<'_>) -> Advice {
    let groups = [machine::advice, directories::advice, releases::advice, application::advice];
    groups.iter().find_map(|group| group(finding, around)).unwrap_or_else(|| Advice::new(finding.id().id))
}

impl Report for Diagnosis {
    const ANSWERS: bool = true;

    fn text(&self, palette: Palette, is_verbose: bool) -> String {
        let mut text = format!("{}\n", palette.strong(one_line(&self.headline())));
        for found in &self.findings {
            text += &found.text(palette);
        }
        text += &self.web.as_ref().map(|web| web::table(web, palette)).unwrap_or_default();
        let fine = self.checks.iter().filter(|checked| checked.state == "fine");
        let fine: Vec<String> = fine.map(|checked| checked.text(is_verbose)).collect();
        if !fine.is_empty() {
            text += &format!("fine: {}\n", fine.join(", "));
        }
        let reasons: BTreeSet<&String> = self.checks.iter().filter_map(|checked| checked.skipped.as_ref()).collect();
        for reason in reasons {
            let of_reason = self.checks.iter().filter(|checked| checked.skipped.as_ref() == Some(reason));
            let names: Vec<&str> = of_reason.map(|checked| checked.check).collect();
            text += &format!("not checked, as {}: {}\n", one_line(reason), names.join(", "));
        }
        text
    }

    fn failure(&self) -> Option<Failure> {
        let not_served = self.findings.iter().find(|found| found.check == Subject::WebServer.name());
        let failure = match (&self.failure, self.count(Severity::Error)) {
            (Some((id, kind, message)), _) => Failure { kind: *kind, ..Failure::refused(*id, message.clone()) },
            (None, 0) => {
                Failure { kind: Kind::Hook, ..Failure::refused(ErrorId::NotServed, not_served?.message.clone()) }
            }
            (None, errors) => {
                Failure::refused(ErrorId::DeployWillFail, format!("A deploy will fail: {}", Counted(errors, "error")))
            }
        };
        Some(failure.hint("Each finding above has its next step; `cutover explain ID` says more").reported())
    }
}

impl Told {
    fn text(&self, palette: Palette) -> String {
        let severity = match self.severity {
            Severity::Error => palette.error(self.severity.name()).to_string(),
            Severity::Warning => palette.warning(self.severity.name()).to_string(),
            Severity::Note => palette.hint(self.severity.name()).to_string(),
        };
        let mut text = format!("{severity}  {}\n  {}\n", self.id, one_line(&self.message));
        let place = if self.on_server { " (on the server)" } else { "" };
        // A command that the sentence has already is not said twice.
        let is_told = |command: &&String| self.fix.as_ref().is_some_and(|fix| fix.contains(&format!("`{command}`")));
        let command = self.command.as_ref().filter(|command| !is_told(command));
        let command = command.map(|command| format!("`{command}`{place}"));
        let fix: Vec<String> = self.fix.iter().cloned().chain(command).collect();
        if !fix.is_empty() {
            text += &format!("  Fix: {}\n", one_line(&fix.join(": ")));
        }
        text + &format!("  More: `cutover explain {}`\n", self.id)
    }
}

impl Checked {
    fn text(&self, is_verbose: bool) -> String {
        let facts = self.facts.join("; ");
        match facts.as_str() {
            "" => self.check.to_owned(),
            _ if !is_verbose && !tells_always(self.check) => self.check.to_owned(),
            facts => format!("{} ({})", self.check, one_line(facts)),
        }
    }
}

#[cfg(test)]
mod tests;
