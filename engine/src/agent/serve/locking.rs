//! The lock of a verb, and the verbs about the lock: `lock status`, `lock acquire`, `unlock`.

use crate::agent::adopt::check_finished;
use std::path::Path;

use crate::error::Error;
use crate::journal::RunHead;
use crate::manual_lock::{LockMessage, ManualLock};
use crate::report::RunSummary;
use crate::report::{AcquireReport, LockHolder, LockReport, UnlockReport};
use crate::request::LockRequest;
use crate::wire::message::Reply;

use super::Service;
use crate::agent::clock::now;
use crate::agent::reporter::Reporter;
use crate::agent::run::end_overdue_trial;
use crate::agent::site::Site;
use crate::agent::site::journal::{self, Journal};
use crate::agent::site::layout::Layout;
use crate::agent::site::lock::taking::LockOrder;
use crate::agent::site::lock::{Lock, manual};

impl Service<'_> {
    /// Takes the lock, and reads again what could have changed before.
    pub(super) fn lock(&self, layout: &mut Layout) -> Result<Lock, Error> {
        self.take_lock(layout, &self.hello.lock)
    }

    /// Takes the lock, and mends what an earlier run left: also a release whose trial did not end is left then.
    pub(super) fn hold(&self, path: &Path) -> Result<Site, Error> {
        let mut site = self.hold_as_left(path)?;
        end_overdue_trial(self.conversation, self.hello, &mut site)?;
        Ok(site)
    }

    /// Takes the lock, and leaves a release on trial as it is.
    pub(super) fn hold_as_left(&self, path: &Path) -> Result<Site, Error> {
        let mut layout = self.open(path)?;
        let lock = self.lock(&mut layout)?;
        check_finished(&layout)?;
        Site::hold(lock, layout)
    }

    fn take_lock(&self, layout: &mut Layout, request: &LockRequest) -> Result<Lock, Error> {
        let order =
            LockOrder { holder: self.holder(), request, patience: Default::default(), onlooker: self.conversation };
        let lock = Lock::take(&layout.private, &order)?;
        self.conversation.note_lock(lock.pulse());
        layout.refresh(&lock, &self.hello.policy)?;
        let head = RunHead { verb: self.hello.request.verb().to_owned(), provenance: self.hello.provenance.clone() };
        let before = journal::newest(&layout.private)?;
        self.conversation.begin_journal(Journal::new(layout, lock.fence(), head)?);
        // The warning begins a journal, so it is given once.
        if let Some(warning) = before.and_then(|run| unheard_warning(&run)) {
            self.conversation.warn(warning);
        }
        Ok(lock)
    }

    fn holder(&self) -> LockHolder {
        let provenance = self.hello.provenance.clone();
        LockHolder {
            who: provenance.who,
            from: provenance.from,
            since: now(),
            pid: std::process::id(),
            verb: self.hello.request.verb().to_owned(),
            commit: provenance.commit,
            job: provenance.job,
            hook: None,
        }
    }

    /// Reports who has the lock.
    pub(super) fn lock_status(&self, path: &Path) -> Result<Reply, Error> {
        let layout = self.open(path)?;
        Ok(Reply::LockStatus(LockReport {
            deploy_path: layout.root.path().display().to_string(),
            lock: Lock::holder(&layout.private)?,
            manual_lock: manual::read(&layout.private)?,
            warnings: Vec::new(),
        }))
    }

    /// Takes a manual lock.
    pub(super) fn acquire_lock(&self, path: &Path, message: &LockMessage) -> Result<Reply, Error> {
        let mut layout = self.open(path)?;
        let LockHolder { who, from, .. } = self.holder();
        // Another manual lock is refused here, before any wait.
        let lock = self.take_lock(&mut layout, &LockRequest { passes_manual: false, ..self.hello.lock })?;
        let manual_lock = ManualLock { who, from, since: now(), message: message.clone().into() };
        manual::acquire(&lock, &layout.private, &manual_lock)?;
        let deploy_path = layout.root.path().display().to_string();
        Ok(Reply::AcquireLock(AcquireReport { deploy_path, manual_lock, warnings: Vec::new() }))
    }

    /// Removes the manual lock.
    pub(super) fn unlock(&self, path: &Path) -> Result<Reply, Error> {
        let mut layout = self.open(path)?;
        let lock = self.take_lock(&mut layout, &LockRequest { passes_manual: true, ..self.hello.lock })?;
        let removed = manual::remove(&lock, &layout.private)?;
        let deploy_path = layout.root.path().display().to_string();
        Ok(Reply::Unlock(UnlockReport { deploy_path, removed, warnings: Vec::new() }))
    }
}

/// Returns a warning about a run that ended without its client. One that was killed has left its lock to take over.
fn unheard_warning(run: &RunSummary) -> Option<String> {
    let RunSummary { run: number, verb, who, error, .. } = run;
    run.ended.filter(|_| !run.is_heard)?;
    let end = match error {
        None => "succeeded after its client had gone".to_owned(),
        Some(error) => format!("failed after its client had gone: {error}"),
    };
    Some(format!("Run {number} ({verb} by {who}) {end}. The log of run {number} has its output"))
}
