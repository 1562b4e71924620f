//! Examines a target: finds what would make a deploy fail or go wrong.
//!
//! Each subject has a file. A subject that cannot be examined is skipped with a reason, and stops no other. It works where
//! nothing is set up yet, on a directory of others, and on one with broken parts.
//!
//! Nothing is changed. The abilities of the filesystem are tried in a directory of staging, which is removed again. If
//! the agent is killed before, the next examination or cleanup removes it (`staging`). No lock is taken, so a deploy may
//! run meanwhile.
//!
//! | module | what it examines |
//! |---|---|
//! | `clock`, `limits` | the machine, and what the user may do on it |
//! | `agent_path`, `deploy_path` | the directories: who may use and change them, and what is there |
//! | `filesystem`, `space` | the disk |
//! | `current`, `lock`, `leftovers` | the state of the deploy path |
//! | `releases`, `trees`, `content`, `processes` | the releases and the store |
//! | `caches`, `shared` with `databases`, `web_users` with `person` | the application and the web server |
//! | `security_modules`, `programs` | what the kernel allows programs, and the programs of hooks |

mod agent_path;
mod caches;
mod clock;
mod content;
mod current;
mod databases;
mod deploy_path;
mod filesystem;
mod leftovers;
mod limits;
mod lock;
mod look;
mod person;
mod place;
mod processes;
mod programs;
mod releases;
mod security_modules;
mod shared;
mod space;
mod trees;
mod walk;
mod web_users;

use std::path::Path;

use crate::error::{Error, Refusal, SiteError};
use crate::path::shown_path;
use crate::report::{DoctorReport, Examined, Finding, Severity, Subject};
use crate::target::Policy;
use crate::threads;
use crate::wire::message::{DoctorOrder, Hello};

use super::conversation::Conversation;
use super::site::layout::Layout;
use super::site::records::Releases;

use self::deploy_path::Content;
use self::look::Look;
use self::place::{Ours, Place};

/// An examination.
struct Examination<'a> {
    conversation: &'a Conversation,
    report: DoctorReport,
}

impl Examination<'_> {
    /// Examines a subject. An error skips it.
    fn look(&mut self, subject: Subject, look: impl FnOnce() -> Result<Look, Error>) -> Result<(), Error> {
        self.conversation.check_line()?;
        match look() {
            Ok(Look { findings, facts }) => {
                self.report.findings.extend(findings);
                self.report.examined.push(Examined { subject, facts, skipped: None });
            }
            Err(error) => self.skip(subject, &error.with_cause()),
        }
        Ok(())
    }

    /// Adds an error of the deploy path, unless a finding has its reason.
    fn tell_unless_told(&mut self, refusal: Refusal) {
        if self.report.findings.iter().all(|found| found.id().severity != Severity::Error) {
            self.report.findings.push(Finding::Refused { refusal });
        }
    }

    fn skip(&mut self, subject: Subject, reason: &str) {
        let skipped = Some(reason.to_owned());
        self.report.examined.push(Examined { subject, facts: Vec::new(), skipped });
    }

    /// Examines a subject that only a deploy path of ours has.
    fn look_at_ours(
        &mut self,
        subject: Subject,
        ours: &Result<Ours, Closed>,
        look: impl FnOnce(&Ours) -> Result<Look, Error>,
    ) -> Result<(), Error> {
        match ours {
            Ok(ours) => self.look(subject, || look(ours)),
            Err(closed) => {
                self.skip(subject, &closed.reason);
                Ok(())
            }
        }
    }
}

/// The reason to skip what only a deploy path of ours has.
struct Closed {
    /// The reason.
    reason: String,
    /// The error of a deploy path that is ours and cannot be opened.
    refusal: Option<Refusal>,
}

/// Examines a deploy path and its server.
pub(crate) fn examine(
    conversation: &Conversation,
    hello: &Hello,
    order: &DoctorOrder,
    path: &Path,
) -> Result<DoctorReport, Error> {
    threads::start_pool()?;
    let place = &Place::new(hello, order, path);
    let report = DoctorReport {
        deploy_path: shown_path(path),
        user: place.user.clone(),
        examined: Vec::new(),
        findings: Vec::new(),
        warnings: Vec::new(),
    };
    let mut examination = Examination { conversation, report };
    let it = &mut examination;
    it.look(Subject::Clock, || Ok(clock::look(order)))?;
    it.look(Subject::Limits, || Ok(limits::look(place)))?;
    it.look(Subject::AgentPath, || Ok(agent_path::look(place)))?;
    let mut content = Content::Unusable;
    it.look(Subject::DeployPath, || {
        let (look, found) = deploy_path::look(place)?;
        content = found;
        Ok(look)
    })?;
    let ours = open(place, content);
    match content {
        Content::Missing => it.skip(Subject::Filesystem, "the deploy path does not exist yet"),
        Content::Unusable => it.skip(Subject::Filesystem, "the deploy path cannot be used as it is"),
        _ => it.look(Subject::Filesystem, || filesystem::look(place, content, ours.as_ref().ok()))?,
    }
    // A full disk has too little space for anything, which is told already.
    let is_full = |found: &Finding| matches!(found, Finding::DiskFull { .. } | Finding::QuotaReached { .. });
    let is_full = it.report.findings.iter().any(is_full);
    it.look(Subject::Space, || {
        let look = space::look(place, ours.as_ref().ok())?;
        Ok(if is_full { Look { findings: Vec::new(), ..look } } else { look })
    })?;
    it.look(Subject::Current, || current::look(place, ours.as_ref().ok()))?;
    it.look_at_ours(Subject::Lock, &ours, lock::look)?;
    it.look_at_ours(Subject::Leftovers, &ours, |ours| leftovers::look(place, ours))?;
    it.look_at_ours(Subject::Releases, &ours, releases::look)?;
    it.look_at_ours(Subject::Trees, &ours, |ours| trees::look(place, ours))?;
    it.look_at_ours(Subject::Content, &ours, |ours| content::look(place, ours, conversation))?;
    it.look_at_ours(Subject::Processes, &ours, |ours| processes::look(place, ours))?;
    it.look_at_ours(Subject::Caches, &ours, caches::look)?;
    let people = web_users::people(place);
    it.look(Subject::Shared, || Ok(shared::look(place, ours.as_ref().ok(), &people)))?;
    it.look_at_ours(Subject::WebUsers, &ours, |ours| web_users::look(place, ours, &people))?;
    it.look(Subject::SecurityModules, || Ok(security_modules::look(place, ours.as_ref().ok())))?;
    it.look(Subject::Programs, || programs::look(place, ours.as_ref().ok()))?;
    if let Err(Closed { refusal: Some(refusal), .. }) = ours {
        it.tell_unless_told(refusal);
    }
    Ok(examination.report)
}

/// Opens a deploy path that is ours.
fn open(place: &Place<'_>, content: Content) -> Result<Ours, Closed> {
    let reason = match content {
        Content::Ours => {
            return open_ours(place)
                .map_err(|error| Closed { reason: error.with_cause(), refusal: Some(error.to_refusal()) });
        }
        Content::Missing | Content::Empty => "nothing was deployed yet",
        Content::Incomplete => "a directory of the deploy path is missing",
        Content::Unusable => "the deploy path cannot be used as it is",
    };
    Err(Closed { reason: reason.to_owned(), refusal: None })
}

fn open_ours(place: &Place<'_>) -> Result<Ours, Error> {
    let policy = &place.hello.policy;
    let layout = match Layout::open_to_examine(place.path, policy) {
        // The link stays where it is known to be.
        Err(Error::Site(SiteError::CurrentElsewhere { .. })) => {
            Layout::open_to_examine(place.path, &Policy { current_path: None, ..policy.clone() })
        }
        layout => layout,
    }?;
    Ok(Ours { releases: Releases::read(&layout)?, layout })
}
