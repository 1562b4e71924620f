//! The progress of a scan: the files found so far, and their bytes.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::FileType;

use crate::event::{Event, Observer, Phase};
use crate::scan::stat::FileStat;

/// The least time between two reports.
const PROGRESS_EVERY: Duration = Duration::from_millis(50);

/// See the module's description.
pub(super) struct Progress<'a> {
    observer: &'a dyn Observer,
    files: AtomicU64,
    bytes: AtomicU64,
    reported: Mutex<Instant>,
}

impl<'a> Progress<'a> {
    /// Starts with nothing.
    pub(super) fn new(observer: &'a dyn Observer) -> Progress<'a> {
        Progress { observer, files: AtomicU64::new(0), bytes: AtomicU64::new(0), reported: Mutex::new(Instant::now()) }
    }

    /// Adds the files among these entries.
    pub(super) fn add<'s>(&self, stats: impl Iterator<Item = &'s FileStat>) {
        let (mut files, mut bytes) = (0, 0);
        for stat in stats.filter(|stat| stat.kind() == FileType::RegularFile) {
            files += 1;
            bytes += stat.size;
        }
        self.files.fetch_add(files, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Reports the progress, unless it was reported a moment ago.
    pub(super) fn report(&self) {
        self.report_after(PROGRESS_EVERY);
    }

    /// Reports the final progress.
    pub(super) fn finish(&self) {
        self.report_after(Duration::ZERO);
    }

    fn report_after(&self, pause: Duration) {
        let Ok(mut reported) = self.reported.try_lock() else { return };
        if reported.elapsed() >= pause {
            *reported = Instant::now();
            self.observer.observe(Event::Progress {
                phase: Phase::Scan,
                files: self.files.load(Ordering::Relaxed),
                files_total: 0,
                bytes: self.bytes.load(Ordering::Relaxed),
                bytes_total: 0,
            });
        }
    }
}
