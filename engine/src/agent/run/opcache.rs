//! Makes PHP-FPM empty its OPcache.
//!
//! The memory belongs to the processes of PHP-FPM, so one of them must call `opcache_reset()`, and PHP-FPM runs files
//! alone. The script is a file in `cache/`, which no web server shows and which the user of PHP-FPM can read:
//!
//! 1. A directory `cache/` that others may write to is refused: they could put their own script in the place of ours.
//! 2. The script is written, and removed as soon as PHP-FPM has answered. One that a killed run left is replaced: runs
//!    hold the lock, so the name is ours.
//! 3. The script answers with a word that was sent with the request. So another script that the pool prepends, or a page
//!    of something else, is not taken for it.
//!
//! Another local user can run the script meanwhile, if PHP-FPM lets that user connect: it does nothing but the reset.
//!
//! PHP empties the memory at the beginning of a request, as soon as no request uses it that began before the reset.
//! Meanwhile requests do without it, but still remember where symlinks lead. So the script looks again until the memory is
//! empty: the next request then sees the new release. A request that takes minutes is not waited for.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use memchr::memmem;

use crate::access;
use crate::agent::site::layout::Layout;
use crate::agent::token::random_name;
use crate::error::{Error, FpmFault};
use crate::fastcgi::{FpmAddress, FpmAnswer, FpmRequest, beginning};

use super::scene::cache;

/// The name of the script in `cache/`.
const SCRIPT: &[u8] = b"cutover-opcache-reset.php";

/// Everybody may read it: the pool may run as any user.
const SCRIPT_MODE: u32 = 0o444;

/// The script.
const CONTENT: &[u8] = include_bytes!("opcache.php");

/// The time for a reset without a time limit of its own. It takes milliseconds, once a process of the pool is free.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The longest wait for requests that began before. Most pages take less.
const WAIT: Duration = Duration::from_secs(5);

/// The time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The outcome of a reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reset {
    /// OPcache is empty.
    Done,
    /// OPcache will be empty when the requests have ended that began before.
    Waiting,
    /// OPcache is switched off: there is nothing to empty.
    Off,
}

/// Resets OPcache. The outer result is a stop or a failure of our own, the inner one the pool's.
pub(super) fn reset(
    layout: &Layout,
    address: &FpmAddress,
    timeout: Option<Duration>,
    must_stop: &dyn Fn() -> bool,
) -> Result<Result<Reset, FpmFault>, Error> {
    let cache = cache(layout)?;
    access::check_inner(cache.path(), &cache.own_stat()?)?;
    cache.remove_file(SCRIPT)?;
    let mut draft = cache.draft(SCRIPT)?;
    std::io::Write::write_all(&mut draft, CONTENT).map_err(|error| Error::io("write", cache.path_of(SCRIPT), error))?;
    cache.set_mode_of(SCRIPT, SCRIPT_MODE)?;
    let asking = Asking {
        address: address.clone(),
        script: cache.path_of(SCRIPT),
        token: random_name()?,
        deadline: Instant::now() + timeout.unwrap_or(TIMEOUT),
        must_stop,
    };
    let wait_end = asking.deadline.min(Instant::now() + WAIT);
    let mut outcome = asking.ask("")?;
    while matches!(outcome, Ok(Reset::Waiting)) && Instant::now() + LOOK_EVERY < wait_end {
        std::thread::sleep(LOOK_EVERY);
        outcome = asking.ask("&look")?;
    }
    Ok(outcome)
}

/// The requests of one reset.
struct Asking<'a> {
    address: FpmAddress,
    script: PathBuf,
    /// The word that the script answers with.
    token: String,
    deadline: Instant,
    must_stop: &'a dyn Fn() -> bool,
}

impl Asking<'_> {
    /// Lets the script run once.
    fn ask(&self, more: &str) -> Result<Result<Reset, FpmFault>, Error> {
        let request = FpmRequest {
            address: self.address.clone(),
            script: self.script.clone(),
            query: format!("{}{more}", self.token),
            timeout: self.deadline.saturating_duration_since(Instant::now()),
        };
        let answer = request.ask(self.must_stop)?;
        Ok(answer.and_then(|answer| judge(&answer, &self.token, &self.script.display().to_string())))
    }
}

/// Reads the answer of the script.
fn judge(answer: &FpmAnswer, token: &str, script: &str) -> Result<Reset, FpmFault> {
    let said = memmem::find(&answer.body, token.as_bytes()).map(|at| &answer.body[at + token.len()..]);
    let word = said.and_then(|said| said.split(|byte| !byte.is_ascii_lowercase()).nth(1)).unwrap_or_default();
    let script = script.to_owned();
    let text = beginning(if answer.messages.is_empty() { &answer.body } else { &answer.messages });
    match word {
        b"done" => Ok(Reset::Done),
        b"waiting" => Ok(Reset::Waiting),
        b"off" => Ok(Reset::Off),
        b"missing" => Err(FpmFault::NoOpcache),
        b"disabled" => Err(FpmFault::Disabled),
        b"restricted" => Err(FpmFault::Restricted),
        _ if answer.status == 404 => Err(FpmFault::NoScript { script, text }),
        _ if answer.status == 403 => Err(FpmFault::Forbidden { script, text }),
        _ => Err(FpmFault::Other { status: answer.status, text }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_script_with_its_word_counts() {
        let check = |status: u16, body: &str, expected: &str| {
            let answer = FpmAnswer { status, body: body.into(), messages: Vec::new() };
            let found = match judge(&answer, "abc123", "/srv/cache/x.php") {
                Ok(reset) => format!("{reset:?}"),
                Err(fault) => fault.to_string(),
            };
            assert_eq!(found, expected, "{body}");
        };
        check(200, "abc123 done\n", "Done");
        check(200, "<p>prepended</p>\nabc123 done\n<p>appended</p>", "Done");
        check(200, "abc123 off\n", "Off");
        check(200, "abc124 done\n", "it answered with status 200: abc124 done");
        check(200, "done", "it answered with status 200: done");
        check(200, "abc123 undone", "it answered with status 200: abc123 undone");
        check(200, "abc123 disabled\n", "its PHP has `opcache_reset` disabled");
        check(404, "File not found.\n", "it cannot open the script `/srv/cache/x.php`: File not found.");
        check(500, "", "it answered with status 500");
    }
}
