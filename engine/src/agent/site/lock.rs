//! One deploy at a time: `.cutover/lock`.
//!
//! The lock is an `flock` on open files. The kernel releases it when the last process with these files ends, however
//! it ends. It is held on the directory `.cutover` and on the file, so removing the file admits nobody. Some network
//! filesystems cannot lock directories: there a run holds the file alone, and checks before a switch that it still is
//! that file.
//!
//! Each time the lock is taken it gets a number, greater than any before (see [`super::fence`]). Before a switch a
//! run checks that the number is still its own: a greater one shows that another run was admitted all the same.
//!
//! A process that outlives its parent gets the parent's open files. Both hold the one lock then, until both have
//! ended.
//!
//! The file has a text ([`text`]) with signs of life ([`pulse`]). A holder that ends clears it, so text in a free lock
//! belongs to a run that died. If a hook of that run still runs, nobody gets the lock before the hook has ended: two
//! migrations at once could damage a database. On a full disk there is no text. [`taking`] is how a run comes by the lock: it waits, ends
//! a holder that is silent ([`owner`]), or interrupts one ([`interrupt`]). [`manual`] is a lock that a person takes.
//!
//! A function that changes a deploy path takes a [`Lock`], so that none can be called without one. Only setup comes
//! before the lock: it makes missing parts and changes nothing else.

mod interrupt;
pub(crate) mod manual;
mod owner;
mod pulse;
pub(crate) mod taking;
mod text;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;

use crate::disk::{self, Dir, Kind, LockFile};
use crate::error::{Error, ReleaseError};
use crate::report::LockHolder;

use super::fence;
use crate::agent::clock::now;
use crate::process::ProcessIdentity;

use self::text::LockText;

pub(crate) use self::interrupt::Interrupt;
pub(crate) use self::pulse::{BEAT_EVERY, Pulse};

const LOCK: &[u8] = b"lock";

/// The lock, held. Dropping it releases it, unless another process has its descriptors.
#[derive(Debug)]
pub(crate) struct Lock {
    /// `.cutover`, locked; nothing if the filesystem cannot lock directories.
    directory: Option<OwnedFd>,
    /// The file with the text, locked.
    pulse: Arc<Pulse>,
    /// The fencing number of this holder.
    fence: u64,
    /// Whether a child goes on with the text.
    is_left: bool,
    /// The holder that died with the lock, if one did.
    taken_over: Option<LockHolder>,
}

/// The open files that hold the lock. A child process that gets them as stdout and stderr holds the lock too.
#[derive(Debug)]
pub(crate) struct Descriptors {
    /// `.cutover`; nothing if the filesystem cannot lock directories.
    pub(crate) directory: Option<OwnedFd>,
    /// `.cutover/lock`; nothing if a full disk had no space for it.
    pub(crate) file: Option<OwnedFd>,
}

impl Descriptors {
    /// Returns the descriptors that a parent gave as stdout and stderr. A stream that is neither a file nor a directory
    /// stands for none.
    pub(crate) fn of_child(file: OwnedFd, directory: OwnedFd) -> Result<Descriptors, Error> {
        let is = |descriptor: &OwnedFd, kind: Kind| {
            let stat = disk::file_stat(descriptor).map_err(|error| Error::io("inherit", "the lock", error))?;
            Ok::<_, Error>(stat.kind == kind)
        };
        let file = if is(&file, Kind::File)? { Some(file) } else { None };
        let directory = if is(&directory, Kind::Directory)? { Some(directory) } else { None };
        Ok(Descriptors { directory, file })
    }
}

/// The state of the lock.
#[derive(Debug)]
pub(crate) enum LockState {
    /// Nobody has it.
    Free,
    /// A run has it.
    Held(LockHolder),
    /// A hook of a run that was killed still runs.
    HookRuns {
        /// The run.
        holder: LockHolder,
        /// The hook.
        hook: String,
    },
    /// A run was killed while it had it.
    Left(LockHolder),
}

/// The result of one try to take the lock.
enum Attempt {
    /// It is taken.
    Taken(Lock),
    /// Another run holds it. Its text may be missing.
    Held(Option<LockText>),
    /// Nobody holds it, but a hook of a run that was killed still runs.
    HookRuns(LockText),
}

impl Lock {
    /// Tries to take the lock.
    fn attempt(private: &Dir, holder: &LockHolder) -> Result<Attempt, Error> {
        let held_by_another = || Ok(Attempt::Held(read(private).ok().flatten()));
        let reopened = private.reopen()?;
        let directory = match try_patiently(|| disk::try_lock(&reopened)) {
            Ok(true) => Some(reopened.as_fd().try_clone_to_owned().map_err(|e| Error::io("lock", private.path(), e))?),
            Ok(false) => return held_by_another(),
            Err(errno) if locks_no_directories(errno) => None,
            Err(errno) => return Err(Error::io("lock", private.path(), errno)),
        };
        let file = match private.open_lock(LOCK) {
            Err(error) if error.is_full() && directory.is_some() => None,
            file => Some(file?),
        };
        if let Some(file) = &file
            && !try_patiently(|| disk::try_lock(file)).map_err(|e| Error::io("lock", private.path_of(LOCK), e))?
        {
            return held_by_another();
        }
        let left = read(private)?;
        if let Some(text) = left.as_ref().filter(|text| text.running_hook().is_some()) {
            return Ok(Attempt::HookRuns(text.clone()));
        }
        let taken_over = left.map(|text| text.holder);
        let fence = fence::increment(private)?;
        // It named an earlier holder.
        interrupt::remove(private);
        let pulse = Arc::new(Pulse::begin(private, file, LockText::new(holder.clone(), fence))?);
        Ok(Attempt::Taken(Lock { directory, pulse, fence, is_left: false, taken_over }))
    }

    /// Fails if another run may have taken the lock.
    pub(crate) fn check(&self, private: &Dir) -> Result<(), Error> {
        let lost = || Err(Error::Release(ReleaseError::LockLost(private.path_of(LOCK).display().to_string())));
        if fence::read(private)?.is_some_and(|fence| fence != self.fence) {
            return lost();
        }
        if self.directory.is_some() {
            return Ok(());
        }
        match (private.stat(LOCK)?, self.pulse.stat()) {
            (Some(found), Some(own)) if (found.inode, found.device) == (own.inode, own.device) => Ok(()),
            _ => lost(),
        }
    }

    /// Notes that a switch begins. Fails if another run may have taken the lock.
    pub(crate) fn begin_switch(&self, private: &Dir) -> Result<(), Error> {
        self.check(private)?;
        self.pulse.change(|text| text.switching = true);
        Ok(())
    }

    /// Notes that a switch is over and that work follows that may be interrupted.
    pub(crate) fn end_switch(&self) {
        self.pulse.change(|text| text.switching = false);
    }

    /// Fails if another run interrupts this one. Call it after the note of what begins.
    pub(crate) fn check_interrupt(&self) -> Result<(), Error> {
        self.pulse.interrupt().map_or(Ok(()), |interrupt| Err(interrupt.into_error()))
    }

    /// Returns the signs of this holder, for the thread that shows that it is alive.
    pub(crate) fn pulse(&self) -> Arc<Pulse> {
        self.pulse.clone()
    }

    /// Notes that a hook begins.
    pub(crate) fn begin_hook(&self, hook: &str) {
        self.pulse.change(|text| text.note_hook(Some(hook)));
    }

    /// Notes the process of the hook.
    pub(crate) fn note_hook_process(&self, pid: u32) {
        self.pulse.change(|text| text.note_hook_process(pid));
    }

    /// Notes that no hook runs.
    pub(crate) fn end_hook(&self) {
        self.pulse.change(|text| text.note_hook(None));
    }

    /// Returns a hook that still runs after its runner was killed, and its process.
    pub(crate) fn running_hook(&self) -> Option<(String, ProcessIdentity)> {
        self.pulse.running_hook()
    }

    /// Lets a child that inherits the lock show that it is alive, until [`Lock::resume`].
    pub(crate) fn lend(&self) {
        self.pulse.lend();
    }

    /// Names this process as the holder again, after a child that inherited the lock has ended.
    pub(crate) fn resume(&self) {
        self.pulse.resume();
    }

    /// Returns descriptors for a child process, which holds the lock while it has any of them. The lock is released
    /// only when all of them are closed.
    pub(crate) fn descriptors_for_child(&self) -> io::Result<Descriptors> {
        Ok(Descriptors {
            directory: self.directory.as_ref().map(OwnedFd::try_clone).transpose()?,
            file: self.pulse.file()?.map(OwnedFd::from),
        })
    }

    /// Names another process that has the descriptors as the holder.
    pub(crate) fn name_holder(&self, process: ProcessIdentity) {
        self.pulse.change(|text| {
            text.holder.pid = process.pid;
            text.process = Some(process);
        });
    }

    /// Leaves the lock and its text to another process that has the descriptors.
    pub(crate) fn leave_to_other(mut self) {
        self.is_left = true;
    }

    /// Continues to hold a lock that another process took with this number. The text names this process from now on.
    pub(crate) fn inherit(private: &Dir, descriptors: Descriptors, fence: u64) -> Result<Lock, Error> {
        let Descriptors { directory, file } = descriptors;
        let file = file.map(LockFile::from);
        let text = file.as_ref().and_then(|file| LockText::parse(file.text().ok()?.as_bytes()));
        let mut text = text.unwrap_or_else(|| LockText::new(unknown(), fence));
        text.move_to_this_process();
        let pulse = Arc::new(Pulse::begin(private, file, text)?);
        Ok(Lock { directory, pulse, fence, is_left: false, taken_over: None })
    }

    /// Returns the fencing number.
    pub(crate) fn fence(&self) -> u64 {
        self.fence
    }

    /// Takes the lock for a test.
    #[cfg(test)]
    pub(crate) fn for_test(private: &Dir) -> Lock {
        match Lock::attempt(private, &unknown()).unwrap() {
            Attempt::Taken(lock) => lock,
            Attempt::Held(text) => panic!("{text:?}"),
            Attempt::HookRuns(text) => panic!("{text:?}"),
        }
    }

    /// Tells whether the run of this number holds the lock.
    pub(crate) fn is_held_by(private: &Dir, fence: u64) -> Result<bool, Error> {
        Ok(Lock::holder(private)?.is_some() && fence::read(private)? == Some(fence))
    }

    /// Returns the present holder, if there is one.
    pub(crate) fn holder(private: &Dir) -> Result<Option<LockHolder>, Error> {
        Ok(match Lock::state(private)? {
            LockState::Held(holder) | LockState::HookRuns { holder, .. } => Some(holder),
            LockState::Free | LockState::Left(_) => None,
        })
    }

    /// Returns the state of the lock.
    pub(crate) fn state(private: &Dir) -> Result<LockState, Error> {
        let is_locked = match disk::is_locked(private.reopen()?) {
            Ok(true) => true,
            Err(errno) if !locks_no_directories(errno) => return Err(Error::io("lock", private.path(), errno)),
            _ => match private.open_file(LOCK)? {
                Some(file) => match disk::is_locked(file) {
                    Err(errno) if locks_no_directories(errno) => false,
                    is_locked => is_locked.map_err(|e| Error::io("lock", private.path_of(LOCK), e))?,
                },
                None => false,
            },
        };
        let text = read(private)?;
        Ok(match text {
            _ if is_locked => LockState::Held(text.map_or_else(unknown, |text| text.holder)),
            None => LockState::Free,
            Some(text) => match text.running_hook() {
                Some(_) => {
                    LockState::HookRuns { hook: text.holder.hook.clone().unwrap_or_default(), holder: text.holder }
                }
                None => LockState::Left(text.holder),
            },
        })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.pulse.end(self.is_left);
    }
}

/// Tells whether the filesystem cannot lock directories. NFS cannot: it needs a descriptor that is open for writing.
fn locks_no_directories(errno: Errno) -> bool {
    matches!(errno, Errno::BADF | Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL)
}

/// Tries to lock several times. `status` holds a shared lock for a moment, and a deploy must not fail because of
/// that.
fn try_patiently(try_lock: impl Fn() -> Result<bool, Errno>) -> Result<bool, Errno> {
    const TRIES: usize = 10;
    const PAUSE: std::time::Duration = std::time::Duration::from_millis(10);
    for _ in 0..TRIES {
        if try_lock()? {
            return Ok(true);
        }
        std::thread::sleep(PAUSE);
    }
    Ok(false)
}

fn read(private: &Dir) -> Result<Option<LockText>, Error> {
    Ok(private.read(LOCK)?.and_then(|bytes| LockText::parse(&bytes)))
}

/// A holder whose text could not be written.
fn unknown() -> LockHolder {
    let unknown = || "unknown".to_owned();
    LockHolder {
        who: unknown(),
        from: unknown(),
        since: now(),
        pid: 0,
        verb: unknown(),
        commit: None,
        job: None,
        hook: None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn private() -> (tempfile::TempDir, Dir) {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open(place.path()).unwrap();
        (place, dir)
    }

    fn fence(place: &Path) -> String {
        fs::read_to_string(place.join("fence")).unwrap()
    }

    /// Starts a process that does nothing but hold the lock.
    fn child_with(lock: &Lock) -> Child {
        let Descriptors { directory, file } = lock.descriptors_for_child().unwrap();
        let mut child = Command::new("sleep");
        child.arg("1000").stdin(directory.unwrap()).stdout(file.unwrap()).stderr(Stdio::null());
        child.spawn().unwrap()
    }

    #[test]
    fn each_taking_has_a_number_of_its_own_also_when_the_file_was_removed() {
        let (place, dir) = private();
        for taking in 1..4_u64 {
            let lock = Lock::for_test(&dir);
            assert_eq!(lock.fence(), taking);
            assert_eq!(fence(place.path()), format!("{taking}\n"));
            lock.check(&dir).unwrap();
            fs::remove_file(place.path().join("lock")).unwrap();
        }
    }

    #[test]
    fn a_lock_that_another_one_has_taken_since_is_lost() {
        let (place, dir) = private();
        let lock = Lock::for_test(&dir);
        fs::write(place.path().join("fence"), "2\n").unwrap();
        assert!(matches!(lock.check(&dir), Err(Error::Release(ReleaseError::LockLost(_)))));
        fs::write(place.path().join("fence"), "1\n").unwrap();
        lock.check(&dir).unwrap();
    }

    #[test]
    fn a_number_that_cannot_be_read_is_written_anew() {
        let (place, dir) = private();
        fs::write(place.path().join("fence"), "nonsense").unwrap();
        assert_eq!(Lock::for_test(&dir).fence(), 1);
        assert_eq!(fence(place.path()), "1\n");
    }

    #[test]
    fn a_number_that_was_lost_or_is_older_goes_on_behind_the_newest_journal() {
        let (place, dir) = private();
        fs::create_dir(place.path().join("journals")).unwrap();
        for (journal, number) in [("7", None), ("7", Some("3\n")), ("9", Some("12\n"))] {
            fs::write(place.path().join("journals").join(journal), "").unwrap();
            if let Some(number) = number {
                fs::write(place.path().join("fence"), number).unwrap();
            }
            let expected = if journal == "7" { 8 } else { 13 };
            assert_eq!((Lock::for_test(&dir).fence(), fence(place.path())), (expected, format!("{expected}\n")));
        }
    }

    #[test]
    fn a_child_that_inherits_the_lock_holds_it_when_its_parent_has_left() {
        let (place, dir) = private();
        let lock = Lock::for_test(&dir);
        let text = fs::read_to_string(place.path().join("lock")).unwrap();
        let pulse = lock.pulse();
        let mut child = child_with(&lock);
        lock.leave_to_other();
        // The text is the child's now.
        pulse.beat();
        assert!(matches!(Lock::attempt(&dir, &unknown()), Ok(Attempt::Held(_))));
        assert!(Lock::holder(&dir).unwrap().is_some());
        assert_eq!((fs::read_to_string(place.path().join("lock")).unwrap(), fence(place.path())), (text, "1\n".into()));

        child.kill().unwrap();
        child.wait().unwrap();
        // The child left its text, as a process that died does.
        let lock = Lock::for_test(&dir);
        assert!(lock.taken_over.is_some());
        assert_eq!(lock.fence(), 2);
    }

    #[test]
    fn a_parent_that_drops_its_lock_does_not_let_go_of_that_of_its_child() {
        let (_place, dir) = private();
        let lock = Lock::for_test(&dir);
        let mut child = child_with(&lock);
        drop(lock);
        assert!(matches!(Lock::attempt(&dir, &unknown()), Ok(Attempt::Held(_))));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(Lock::for_test(&dir).taken_over.is_none());
    }

    #[test]
    fn a_lock_that_is_inherited_is_checked_and_cleared_as_one_that_was_taken() {
        let (place, dir) = private();
        let lock = Lock::for_test(&dir);
        let (descriptors, fence) = (lock.descriptors_for_child().unwrap(), lock.fence());
        lock.leave_to_other();
        let lock = Lock::inherit(&dir, descriptors, fence).unwrap();
        lock.check(&dir).unwrap();
        lock.pulse().beat();
        assert_eq!(Lock::holder(&dir).unwrap().unwrap().pid, std::process::id());
        drop(lock);
        assert_eq!(fs::read_to_string(place.path().join("lock")).unwrap(), "");
        drop(Lock::for_test(&dir));
    }

    #[test]
    fn a_hook_is_noted_while_it_runs_and_a_beat_changes_nothing_else() {
        let (_place, dir) = private();
        let lock = Lock::for_test(&dir);
        let hook = || Lock::holder(&dir).unwrap().unwrap().hook;
        lock.begin_hook("migrate");
        lock.note_hook_process(std::process::id());
        let before = read(&dir).unwrap().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(5));
        lock.pulse().beat();
        let after = read(&dir).unwrap().unwrap();
        assert!(after.beat > before.beat);
        assert_eq!(LockText { beat: before.beat, ..after }, before);
        assert_eq!(hook().as_deref(), Some("migrate"));
        lock.end_hook();
        assert_eq!(hook(), None);
    }
}
