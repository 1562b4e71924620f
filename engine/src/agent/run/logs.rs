//! The last lines of the application's logs, for the report of a failure.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::disk::open_followed;
use crate::event::HookEvent;

use super::hooks::Hooks;
use super::scene::Scene;
use crate::agent::site::Site;

/// The lines of each log that are shown.
const LINES_MAX: usize = 20;

/// The bytes at the end of a log in which they are looked for.
const TAIL_BYTES: u64 = 16 << 10;

impl Hooks<'_> {
    /// Reports the last lines of the logs that the config names.
    pub(super) fn show_logs(&self, scene: &Scene, site: &Site) {
        let directory = scene.directory(&site.layout);
        for log in &self.hello.procedure.logs {
            match tail(&directory.join(log)) {
                Ok(lines) => {
                    for text in lines {
                        self.tell(HookEvent::Line { name: log.clone(), text: self.mask.mask(text) });
                    }
                }
                Err(error) => self.reporter.warn(format!("The log `{log}` could not be read: {error}")),
            }
        }
    }
}

fn tail(path: &Path) -> io::Result<Vec<String>> {
    let mut file = open_followed(path)?;
    let start = file.metadata()?.len().saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // The first line may have begun before: its beginning could be that of a secret.
    let cut = usize::from(start > 0);
    let lines: Vec<&str> = text.lines().skip(cut).collect();
    let shown = lines.len().saturating_sub(LINES_MAX);
    Ok(lines[shown..].iter().map(|&line| line.to_owned()).collect())
}
