//! Takes the lock: at once, or after a wait, an end or an interruption of its holder.
//!
//! The kernel decides who holds it. This only tries again: every half second while the run may wait, and after it has
//! ended a holder that is silent, or interrupted one. A manual lock is not waited for.

use std::thread;
use std::time::{Duration, Instant};

use crate::disk::Dir;
use crate::error::{Error, ReleaseError};
use crate::report::LockHolder;
use crate::request::LockRequest;
use crate::units::Span;

use super::interrupt::{self, Interrupt};
use super::manual;
use super::owner::{Patience, touch};
use super::text::LockText;
use super::{Attempt, Lock};

/// The time between two tries.
const TRY_EVERY: Duration = Duration::from_millis(500);

/// The time between two tries after an interruption.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The time in which a holder that has begun to switch may still find that it is interrupted.
const CHANGE_OF_MIND: Duration = Duration::from_secs(1);

/// The person who waits for the lock.
pub(crate) trait Onlooker {
    /// Tells whom the run waits for.
    fn waits_for(&self, holder: &str);

    /// Tells that the wait is over.
    fn has_waited(&self);

    /// Tells something that the user should know.
    fn inform(&self, message: String);

    /// Fails if nobody waits any more.
    fn check(&self) -> Result<(), Error>;
}

/// The order to take the lock.
pub(crate) struct LockOrder<'a> {
    /// The holder to be.
    pub(crate) holder: LockHolder,
    /// The wishes of the user.
    pub(crate) request: &'a LockRequest,
    /// The times that the present holder is granted.
    pub(crate) patience: Patience,
    /// The user.
    pub(crate) onlooker: &'a dyn Onlooker,
}

impl Lock {
    /// Takes the lock, or fails with the name of its holder.
    pub(crate) fn take(private: &Dir, order: &LockOrder<'_>) -> Result<Lock, Error> {
        let mut taking = Taking::begin(private, order);
        loop {
            match Lock::attempt(private, &order.holder)? {
                Attempt::Taken(lock) => return taking.finish(lock),
                Attempt::Held(text) => taking.meet(text)?,
                Attempt::HookRuns(text) => taking.meet_hook(&text)?,
            }
        }
    }
}

/// The state between two tries.
struct Taking<'a> {
    private: &'a Dir,
    order: &'a LockOrder<'a>,
    began: Instant,
    /// The number of the holder that the user was told of.
    told: Option<u64>,
    /// The holder that was ended, and why.
    ended: Option<String>,
    /// The holder that could not be ended, by its number, and why.
    stuck: Option<(u64, Error)>,
    /// The run that was killed and whose hook runs, by its number.
    orphaned: Option<u64>,
    /// The holder that was asked to leave, by its number, and when.
    interrupted: Option<(u64, Instant)>,
    /// The holder that does not leave, by its number, and why.
    refused: Option<(u64, String)>,
}

impl<'a> Taking<'a> {
    fn begin(private: &'a Dir, order: &'a LockOrder<'a>) -> Taking<'a> {
        Taking {
            private,
            order,
            began: Instant::now(),
            told: None,
            ended: None,
            stuck: None,
            orphaned: None,
            interrupted: None,
            refused: None,
        }
    }

    /// Checks and reports a lock that was taken.
    fn finish(&mut self, mut lock: Lock) -> Result<Lock, Error> {
        self.interrupted = None;
        if self.told.is_some() {
            self.order.onlooker.has_waited();
        }
        self.check_manual()?;
        let dead = lock.taken_over.take();
        let dead = || dead.map(|dead| format!("Took over the lock of a run that died: {dead}"));
        if let Some(message) = self.ended.take().or_else(dead) {
            self.order.onlooker.inform(message);
        }
        Ok(lock)
    }

    fn check_manual(&self) -> Result<(), Error> {
        match manual::read(self.private)? {
            Some(held) if !self.order.request.passes_manual => {
                Err(ReleaseError::LockedManually { held: held.to_string() }.into())
            }
            _ => Ok(()),
        }
    }

    /// Does what helps against the present holder, and returns when it is time to try again. Fails if nothing helps.
    fn meet(&mut self, text: Option<LockText>) -> Result<(), Error> {
        self.order.onlooker.check()?;
        self.check_manual()?;
        let Some(text) = text else {
            // A text that is being written is there the next time.
            return self.wait(None);
        };
        refuse_inside_hook(&text)?;
        let is_stuck = self.stuck.as_ref().is_some_and(|(fence, _)| *fence == text.fence);
        if !is_stuck && let Some(silence) = text.silent_for(&self.order.patience) {
            return self.end_silent(&text, silence);
        }
        let is_refused = self.refused.as_ref().is_some_and(|(fence, _)| *fence == text.fence);
        if self.order.request.interrupt && !is_refused {
            return self.interrupt(&text);
        }
        self.wait(Some(&text))
    }

    /// Waits for the end of a hook whose run was killed.
    fn meet_hook(&mut self, text: &LockText) -> Result<(), Error> {
        self.order.onlooker.check()?;
        self.check_manual()?;
        refuse_inside_hook(text)?;
        self.orphaned = Some(text.fence);
        self.wait(Some(text))
    }

    /// Returns the error of a run that does not wait, or no longer.
    fn refusal(&mut self, text: Option<&LockText>) -> Error {
        let Some(text) = text else { return ReleaseError::Locked { holder: "somebody".to_owned() }.into() };
        let holder = text.holder.to_string();
        if let (Some(process), true) = (&text.hook_process, self.orphaned == Some(text.fence)) {
            let hook = text.holder.hook.clone().unwrap_or_default();
            return ReleaseError::HookRuns { hook, pid: process.pid, holder }.into();
        }
        if let Some((_, error)) = self.stuck.take_if(|(fence, _)| *fence == text.fence) {
            return error;
        }
        if let Some((_, reason)) = self.refused.take_if(|(fence, _)| *fence == text.fence) {
            return ReleaseError::NotInterrupted { holder, reason }.into();
        }
        match self.order.request.wait {
            Some(waited) => ReleaseError::StillLocked { holder, waited }.into(),
            None => ReleaseError::Locked { holder }.into(),
        }
    }

    /// Ends a holder that is silent.
    fn end_silent(&mut self, text: &LockText, silence: Duration) -> Result<(), Error> {
        touch(self.private);
        self.pause(self.order.patience.second_look)?;
        if super::read(self.private)?.is_none_or(|again| again != *text) {
            return Ok(());
        }
        let silence = silence + self.order.patience.second_look;
        match text.end_owner(&self.order.patience) {
            Ok(()) => self.note_end(text, &format!("it was silent for {}", Span(silence))),
            Err(reason) => {
                let error = ReleaseError::Stuck {
                    holder: text.holder.to_string(),
                    silence,
                    reason: reason.to_string(),
                    path: self.private.path().display().to_string(),
                };
                self.stuck = Some((text.fence, error.into()));
            }
        }
        Ok(())
    }

    fn note_end(&mut self, text: &LockText, reason: &str) {
        self.ended = Some(format!("Took over the lock of {}: {reason}, so its process was ended", text.holder));
    }

    /// Asks the holder to leave, then waits until it has, then ends it.
    fn interrupt(&mut self, text: &LockText) -> Result<(), Error> {
        let Some((_, asked)) = self.interrupted.filter(|(fence, _)| *fence == text.fence) else {
            match text.busy() {
                Some(reason) => self.refused = Some((text.fence, reason)),
                None => self.ask_to_leave(text)?,
            }
            return Ok(());
        };
        match text.busy() {
            Some(reason) if asked.elapsed() > CHANGE_OF_MIND => self.refuse(text, reason),
            None if asked.elapsed() > self.order.patience.leave => match text.end_owner(&self.order.patience) {
                Ok(()) => self.note_end(text, "it was interrupted and did not leave"),
                Err(reason) => self.refuse(text, format!("it does not leave, and could not be ended: {reason}")),
            },
            _ => self.pause(LOOK_EVERY)?,
        }
        Ok(())
    }

    fn ask_to_leave(&mut self, text: &LockText) -> Result<(), Error> {
        let LockHolder { who, from, verb, .. } = &self.order.holder;
        let (by, interrupted) = (format!("{who}@{from}"), text.holder.verb.clone());
        let interrupt = Interrupt { fence: text.fence, interrupted, by, verb: verb.clone() };
        match interrupt.write(self.private) {
            // On a full disk the holder is ended, without a word to its user.
            Err(error) if !error.is_full() => return Err(error),
            _ => {}
        }
        self.interrupted = Some((text.fence, Instant::now()));
        self.ended = Some(format!("Interrupted {}", text.holder));
        Ok(())
    }

    fn refuse(&mut self, text: &LockText, reason: String) {
        interrupt::remove(self.private);
        (self.interrupted, self.ended) = (None, None);
        self.refused = Some((text.fence, reason));
    }

    /// Waits a moment. Fails if the run may not wait, or no longer.
    fn wait(&mut self, text: Option<&LockText>) -> Result<(), Error> {
        // A parent of the process that was ended may need a moment to end too.
        let least = if self.ended.is_some() { self.order.patience.leave } else { Duration::ZERO };
        let wait = self.order.request.wait.unwrap_or_default().max(least);
        let left = wait.saturating_sub(self.began.elapsed());
        if left.is_zero() {
            return Err(self.refusal(text));
        }
        if let Some(text) = text.filter(|text| self.told != Some(text.fence)) {
            self.told = Some(text.fence);
            self.order.onlooker.waits_for(&text.holder.to_string());
        }
        self.pause(TRY_EVERY.min(left))
    }

    /// Waits. Fails if nobody waits any more.
    fn pause(&self, time: Duration) -> Result<(), Error> {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.order.onlooker.check()?;
            thread::sleep(left.min(TRY_EVERY));
        }
    }
}

/// Fails if this run descends from the hook of the holder: both would wait for each other.
fn refuse_inside_hook(text: &LockText) -> Result<(), Error> {
    match (&text.holder.hook, &text.hook_process) {
        (Some(hook), Some(process)) if process.is_ancestor() => {
            Err(ReleaseError::InsideHook { hook: hook.clone() }.into())
        }
        _ => Ok(()),
    }
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        // A run that gives up takes its request back.
        if self.interrupted.is_some() {
            interrupt::remove(self.private);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::{Child, Command, Stdio};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::text::BEAT_AT;
    use super::*;
    use crate::manual_lock::ManualLock;
    use crate::process::ProcessIdentity;

    const QUICK: Patience = Patience {
        silence: Duration::from_millis(500),
        second_look: Duration::from_millis(300),
        end: Duration::from_secs(2),
        leave: Duration::from_millis(300),
    };

    #[derive(Default)]
    struct User {
        told: Mutex<Vec<String>>,
        has_gone: AtomicBool,
    }

    impl User {
        fn told(&self) -> Vec<String> {
            self.told.lock().unwrap().clone()
        }
    }

    impl Onlooker for User {
        fn waits_for(&self, holder: &str) {
            self.inform(format!("waits for {holder}"));
        }

        fn has_waited(&self) {
            self.inform("has waited".to_owned());
        }

        fn inform(&self, message: String) {
            self.told.lock().unwrap().push(message);
        }

        fn check(&self) -> Result<(), Error> {
            if self.has_gone.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
        }
    }

    fn private() -> (tempfile::TempDir, Dir) {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open(place.path()).unwrap();
        (place, dir)
    }

    fn holder(who: &str, verb: &str) -> LockHolder {
        let (who, from, verb) = (who.to_owned(), "laptop".to_owned(), verb.to_owned());
        LockHolder { who, from, since: 1_774_447_200, pid: 0, verb, commit: None, job: None, hook: None }
    }

    fn take(dir: &Dir, user: &User, request: LockRequest) -> Result<Lock, Error> {
        let holder = holder("anna", "rollback");
        Lock::take(dir, &LockOrder { holder, request: &request, patience: QUICK, onlooker: user })
    }

    fn waiting(seconds: u64) -> LockRequest {
        LockRequest { wait: Some(Duration::from_secs(seconds)), ..LockRequest::default() }
    }

    const INTERRUPT: LockRequest = LockRequest { wait: None, interrupt: true, passes_manual: false };

    #[track_caller]
    fn refused(taken: Result<Lock, Error>) -> ReleaseError {
        match taken {
            Err(Error::Release(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    /// Makes another process hold the lock. Its text has a beat of an hour ago, and what `change` changes.
    fn silent_owner(place: &Path, dir: &Dir, change: impl FnOnce(&mut LockText)) -> Child {
        let Attempt::Taken(lock) = Lock::attempt(dir, &holder("bert", "deploy")).unwrap() else { panic!() };
        let descriptors = lock.descriptors_for_child().unwrap();
        let mut child = Command::new("sleep");
        child.arg("1000").stdin(descriptors.directory.unwrap()).stdout(descriptors.file.unwrap());
        let child = child.stderr(Stdio::null()).spawn().unwrap();
        let mut text = LockText::new(holder("bert", "deploy"), lock.fence());
        lock.leave_to_other();
        text.process = ProcessIdentity::of(child.id());
        text.holder.pid = child.id();
        change(&mut text);
        let mut written = text.to_text();
        written.replace_range(BEAT_AT as usize..BEAT_AT as usize + 20, &format!("{:>20}", 1));
        fs::write(place.join("lock"), written).unwrap();
        child
    }

    fn is_alive(child: &mut Child) -> bool {
        child.try_wait().unwrap().is_none()
    }

    fn end(mut child: Child) {
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_silent_owner_is_ended_and_its_lock_is_taken_with_a_message() {
        let (place, dir) = private();
        let mut child = silent_owner(place.path(), &dir, |_| {});
        let user = User::default();
        let lock = take(&dir, &user, LockRequest::default()).unwrap();
        assert_eq!(lock.fence(), 2);
        assert!(!is_alive(&mut child));
        let pid = child.id();
        let told = &user.told()[0];
        let start = format!(
            "Took over the lock of bert@laptop since 2026-03-25 14:00:00Z: deploy (process {pid}): it was silent for "
        );
        assert!(told.starts_with(&start) && told.ends_with(", so its process was ended"), "{told}");
        assert_eq!(user.told().len(), 1);
    }

    #[test]
    fn a_stopped_owner_is_ended() {
        let (place, dir) = private();
        let child = silent_owner(place.path(), &dir, |_| {});
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
        take(&dir, &User::default(), LockRequest::default()).unwrap();
        assert!(rustix::process::test_kill_process(pid).is_ok(), "it is a zombie until it is waited for");
        let mut child = child;
        assert!(!is_alive(&mut child));
    }

    #[test]
    fn a_silent_owner_whose_hook_has_ended_is_ended() {
        let (place, dir) = private();
        let mut hook = Command::new("true").spawn().unwrap();
        let process = ProcessIdentity::of(hook.id());
        hook.wait().unwrap();
        let mut child = silent_owner(place.path(), &dir, |text| {
            text.holder.hook = Some("migrate".into());
            text.hook_process = process;
        });
        take(&dir, &User::default(), LockRequest::default()).unwrap();
        assert!(!is_alive(&mut child));
    }

    /// Makes a run die whose hook lives on.
    fn orphaned_hook(place: &Path, dir: &Dir) -> Child {
        let hook = Command::new("sleep").arg("1000").stdout(Stdio::null()).spawn().unwrap();
        let mut owner = silent_owner(place, dir, |text| {
            text.note_hook(Some("migrate"));
            text.note_hook_process(hook.id());
        });
        owner.kill().unwrap();
        owner.wait().unwrap();
        hook
    }

    #[test]
    fn nobody_gets_the_lock_while_the_hook_of_a_killed_run_runs() {
        let (place, dir) = private();
        let hook = orphaned_hook(place.path(), &dir);
        let user = User::default();
        for request in [LockRequest::default(), INTERRUPT, waiting(1)] {
            match refused(take(&dir, &user, request)) {
                ReleaseError::HookRuns { hook: name, pid, .. } => {
                    assert_eq!((name.as_str(), pid), ("migrate", hook.id()));
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(Lock::holder(&dir).unwrap().unwrap().hook.as_deref(), Some("migrate"));
        end(hook);
        let lock = take(&dir, &user, LockRequest::default()).unwrap();
        assert_eq!(lock.fence(), 2);
        let told = user.told();
        assert!(told.last().unwrap().starts_with("Took over the lock of a run that died"), "{told:?}");
    }

    #[test]
    fn a_run_inside_the_hook_of_the_holder_is_refused_at_once() {
        let (_place, dir) = private();
        let Attempt::Taken(lock) = Lock::attempt(&dir, &holder("bert", "deploy")).unwrap() else { panic!() };
        lock.begin_hook("migrate");
        lock.note_hook_process(std::process::id());
        match refused(take(&dir, &User::default(), waiting(600))) {
            ReleaseError::InsideHook { hook } => assert_eq!(hook, "migrate"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_owner_that_runs_a_hook_is_not_ended() {
        let (place, dir) = private();
        let mut child = silent_owner(place.path(), &dir, |text| text.holder.hook = Some("migrate".into()));
        let error = refused(take(&dir, &User::default(), LockRequest::default()));
        assert!(
            matches!(&error, ReleaseError::Locked { holder } if holder.contains("in the hook `migrate`")),
            "{error:?}"
        );
        assert!(is_alive(&mut child));
        end(child);
    }

    #[test]
    fn an_owner_that_shows_life_between_two_looks_is_not_ended() {
        let (place, dir) = private();
        let mut child = silent_owner(place.path(), &dir, |_| {});
        let file = place.path().join("lock");
        let beats = || {
            // Between the first look and the second.
            thread::sleep(Duration::from_millis(100));
            let text = LockText::parse(&fs::read(&file).unwrap()).unwrap();
            fs::write(&file, text.to_text()).unwrap();
        };
        let taken = thread::scope(|scope| {
            scope.spawn(beats);
            take(&dir, &User::default(), LockRequest::default())
        });
        assert!(matches!(refused(taken), ReleaseError::Locked { .. }));
        assert!(is_alive(&mut child));
        end(child);
    }

    #[test]
    fn an_owner_that_cannot_be_ended_is_reported_with_its_reason() {
        let check = |change: fn(&mut LockText), expected: Option<&str>| {
            let (place, dir) = private();
            let mut child = silent_owner(place.path(), &dir, change);
            let user = User::default();
            match (refused(take(&dir, &user, LockRequest::default())), expected) {
                (ReleaseError::Stuck { reason, path, .. }, Some(expected)) => {
                    assert_eq!((reason.as_str(), path.as_str()), (expected, place.path().to_str().unwrap()));
                }
                (ReleaseError::Locked { .. }, None) => {}
                other => panic!("{other:?}"),
            }
            assert!(is_alive(&mut child));
            end(child);
        };
        // The id went to another process, which is left alone.
        let gone = "it is gone, and another process has its lock";
        check(|text| text.process.as_mut().unwrap().started -= 1000, Some(gone));
        check(|text| text.process = ProcessIdentity::own(), Some("it is the process that asks"));
        // On another machine no clock of this one counts.
        check(|text| text.process.as_mut().unwrap().boot = "another".into(), None);
        check(|text| text.process = None, None);
    }

    #[test]
    fn a_run_waits_for_the_lock_and_is_told_once_for_whom() {
        let (_place, dir) = private();
        let Attempt::Taken(lock) = Lock::attempt(&dir, &holder("bert", "deploy")).unwrap() else { panic!() };
        let user = User::default();
        thread::scope(|scope| {
            let taken = scope.spawn(|| take(&dir, &user, waiting(60)).map(|lock| lock.fence()));
            while user.told().is_empty() {
                thread::yield_now();
            }
            lock.begin_hook("migrate");
            drop(lock);
            assert_eq!(taken.join().unwrap().unwrap(), 2);
        });
        let pid = std::process::id();
        let waits = format!("waits for bert@laptop since 2026-03-25 14:00:00Z: deploy (process {pid})");
        assert_eq!(user.told(), [waits, "has waited".to_owned()]);
    }

    #[test]
    fn a_wait_ends_with_its_time_with_the_user_and_with_a_manual_lock() {
        let (_place, dir) = private();
        let Attempt::Taken(lock) = Lock::attempt(&dir, &holder("bert", "deploy")).unwrap() else { panic!() };
        let error = refused(take(&dir, &User::default(), waiting(0)));
        assert!(matches!(error, ReleaseError::StillLocked { waited: Duration::ZERO, .. }), "{error:?}");

        let user = User::default();
        let ended_by = |change: &dyn Fn()| {
            thread::scope(|scope| {
                let taken = scope.spawn(|| take(&dir, &user, waiting(60)).err().unwrap());
                while user.told().is_empty() {
                    thread::yield_now();
                }
                change();
                taken.join().unwrap()
            })
        };
        let manual = ManualLock { who: "carl".into(), from: "pc".into(), since: 0, message: "freeze".into() };
        let error = ended_by(&|| manual::acquire(&lock, &dir, &manual).unwrap());
        assert!(matches!(error, Error::Release(ReleaseError::LockedManually { .. })), "{error:?}");
        manual::remove(&lock, &dir).unwrap();
        user.told.lock().unwrap().clear();
        assert!(matches!(ended_by(&|| user.has_gone.store(true, Ordering::Relaxed)), Error::Interrupted));
    }

    #[test]
    fn a_manual_lock_keeps_runs_out_until_it_is_removed() {
        let (place, dir) = private();
        let user = User::default();
        let manual = ManualLock { who: "carl".into(), from: "pc".into(), since: 0, message: "freeze".into() };
        let passes = LockRequest { passes_manual: true, ..LockRequest::default() };
        manual::acquire(&take(&dir, &user, LockRequest::default()).unwrap(), &dir, &manual).unwrap();
        let error = refused(take(&dir, &user, waiting(60)));
        assert_eq!(error.to_string(), "The deploy path is locked by carl@pc since 1970-01-01 00:00:00Z: freeze");
        let lock = take(&dir, &user, passes).unwrap();
        assert!(matches!(
            manual::acquire(&lock, &dir, &manual),
            Err(Error::Release(ReleaseError::LockedManually { .. }))
        ));
        assert_eq!(manual::remove(&lock, &dir).unwrap(), Some(manual));
        assert_eq!(manual::remove(&lock, &dir).unwrap(), None);
        drop(lock);
        drop(take(&dir, &user, LockRequest::default()).unwrap());
        // A file that cannot be read keeps runs out too: somebody wanted it.
        fs::write(place.path().join("manual-lock"), "nonsense").unwrap();
        let error = refused(take(&dir, &user, LockRequest::default()));
        assert!(error.to_string().ends_with("its file cannot be read"), "{error}");
    }

    #[test]
    fn an_interrupted_holder_learns_by_whom_and_leaves() {
        let (place, dir) = private();
        let Attempt::Taken(lock) = Lock::attempt(&dir, &holder("bert", "deploy")).unwrap() else { panic!() };
        let user = User::default();
        let taken = thread::scope(|scope| {
            let taken = scope.spawn(|| take(&dir, &user, INTERRUPT));
            let pulse = lock.pulse();
            let interrupt = loop {
                if let Some(interrupt) = pulse.interrupt() {
                    break interrupt;
                }
                thread::yield_now();
            };
            assert_eq!(interrupt.into_error().to_string(), "anna@laptop interrupted this deploy with a rollback");
            assert!(matches!(lock.check_interrupt(), Err(Error::Release(ReleaseError::InterruptedBy { .. }))));
            drop(lock);
            taken.join().unwrap().unwrap()
        });
        assert!(user.told()[0].starts_with("Interrupted bert@laptop since "), "{:?}", user.told());
        // Nothing is left that could interrupt another one.
        assert!(!place.path().join("interrupt").exists());
        taken.check_interrupt().unwrap();
    }

    #[test]
    fn an_interrupted_holder_that_does_not_leave_is_ended() {
        let (place, dir) = private();
        let mut child = silent_owner(place.path(), &dir, |_| {});
        let patience = Patience { silence: Duration::MAX, ..QUICK };
        let (holder, user) = (holder("anna", "rollback"), User::default());
        Lock::take(&dir, &LockOrder { holder, request: &INTERRUPT, patience, onlooker: &user }).unwrap();
        assert!(!is_alive(&mut child));
        assert!(user.told()[0].contains("it was interrupted and did not leave"), "{:?}", user.told());
    }

    #[test]
    fn a_holder_that_runs_a_hook_or_switches_is_not_interrupted() {
        let check = |change: &dyn Fn(&Lock, &Dir), expected: &str| {
            let (place, dir) = private();
            let Attempt::Taken(lock) = Lock::attempt(&dir, &holder("bert", "deploy")).unwrap() else { panic!() };
            change(&lock, &dir);
            match refused(take(&dir, &User::default(), INTERRUPT)) {
                ReleaseError::NotInterrupted { reason, .. } => assert_eq!(reason, expected),
                other => panic!("{other:?}"),
            }
            assert!(!place.path().join("interrupt").exists());
            assert!(lock.pulse().interrupt().is_none());
        };
        check(&|lock, _| lock.begin_hook("migrate"), "it runs the hook `migrate`");
        check(&|lock, dir| lock.begin_switch(dir).unwrap(), "it has begun to switch");
    }

    #[test]
    fn a_run_that_gives_up_takes_its_interruption_back() {
        let (place, dir) = private();
        let Attempt::Taken(lock) = Lock::attempt(&dir, &holder("bert", "deploy")).unwrap() else { panic!() };
        let user = User::default();
        let error = thread::scope(|scope| {
            let taken = scope.spawn(|| take(&dir, &user, INTERRUPT).err().unwrap());
            while lock.pulse().interrupt().is_none() {
                thread::yield_now();
            }
            user.has_gone.store(true, Ordering::Relaxed);
            taken.join().unwrap()
        });
        assert!(matches!(error, Error::Interrupted | Error::Release(_)), "{error:?}");
        assert!(!place.path().join("interrupt").exists());
    }
}
