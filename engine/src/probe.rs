//! Runs a check: tries until one passes, or none is left.
//!
//! A try over HTTP is a GET. Redirects are followed, unless the check expects one, and the last answer counts. The body
//! is read only if a text is looked for, and only as far as it is found.

use std::time::{Duration, Instant};

use memchr::memmem;

use crate::cancel::Cancel;
use crate::check::{Check, HttpProbe, Probe};
use crate::command::Mask;
use crate::error::{CheckError, CheckFault, Error};
use crate::hook::Command;
use crate::http::{BodyEnd, HttpAnswer, HttpClient, HttpRequest};

/// The number of redirects that are followed: enough for HTTPS, a name without `www`, a language and a login.
const REDIRECTS_MAX: u32 = 5;

/// The length of a body that is searched for a text.
const BODY_BYTES_MAX: usize = 1 << 20;

/// The length of a body that is read in order to show its beginning.
const SHOWN_BYTES_MAX: usize = 4 << 10;

/// The number of characters of a body that are shown.
const SHOWN_CHARACTERS: usize = 200;

/// The time between two looks at a request to stop.
const SLICE: Duration = Duration::from_millis(50);

/// A try that failed.
#[derive(Debug)]
pub struct FailedTry<'a> {
    /// The check.
    pub check: &'a Check,
    /// The number of the try, from 1.
    pub number: u32,
    /// The fault.
    pub fault: &'a CheckFault,
    /// Whether another try follows.
    pub is_last: bool,
}

/// Runs a command as a check. The outer result is an interrupt, the inner one says why the check failed.
pub type RunCommand<'a> = dyn Fn(&Command) -> Result<Result<(), String>, Error> + 'a;

/// The means to run checks.
pub struct Prober<'a> {
    /// The client for HTTP.
    pub http: &'a HttpClient,
    /// The request to stop.
    pub cancel: &'a Cancel,
    /// Runs a command. The outer result is an interrupt, the inner one says why the command failed.
    pub run_command: &'a RunCommand<'a>,
    /// Hides secrets in what an answer is shown of.
    pub mask: &'a Mask,
    /// Hears of each failed try.
    pub on_failed_try: &'a dyn Fn(&FailedTry<'_>),
}

impl Prober<'_> {
    /// Runs a check. Fails with [`Error::Check`] if each of its tries failed.
    pub fn run(&self, check: &Check) -> Result<(), Error> {
        let tries = check.retries.saturating_add(1);
        let mut number = 1;
        loop {
            let Err(fault) = self.try_once(&check.probe)? else { return Ok(()) };
            let is_last = number == tries;
            (self.on_failed_try)(&FailedTry { check, number, fault: &fault, is_last });
            if is_last {
                let url = match &check.probe {
                    Probe::Http(probe) => Some(probe.url.clone()),
                    Probe::Command(_) => None,
                };
                return Err(CheckError { name: check.name.clone(), tries, url, fault: Box::new(fault) }.into());
            }
            self.pause(check.interval)?;
            number += 1;
        }
    }

    /// Runs one try. The outer result is an interrupt, the inner one the check's.
    fn try_once(&self, probe: &Probe) -> Result<Result<(), CheckFault>, Error> {
        match probe {
            Probe::Http(probe) => self.ask(probe),
            Probe::Command(command) => Ok((self.run_command)(command)?.map_err(CheckFault::Command)),
        }
    }

    fn ask(&self, probe: &HttpProbe) -> Result<Result<(), CheckFault>, Error> {
        let request = HttpRequest {
            url: probe.url.clone(),
            headers: probe.headers.clone(),
            body: None,
            timeout: probe.timeout,
            redirects: if (300..400).contains(&probe.status) { 0 } else { REDIRECTS_MAX },
        };
        let (status, text) = (probe.status, probe.body.clone());
        let has_enough = move |found: u16, body: &[u8]| match &text {
            _ if found != status => body.len() >= SHOWN_BYTES_MAX,
            None => true,
            Some(text) => body.len() >= BODY_BYTES_MAX || holds(body, text),
        };
        let answer = self.http.ask(&request, has_enough, self.cancel)?;
        Ok(answer.map_err(CheckFault::Http).and_then(|answer| judge(probe, answer, self.mask)))
    }

    fn pause(&self, interval: Duration) -> Result<(), Error> {
        let end = Instant::now() + interval;
        loop {
            self.cancel.check()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(SLICE));
        }
    }
}

/// Compares an answer with the expected one.
fn judge(probe: &HttpProbe, answer: HttpAnswer, mask: &Mask) -> Result<(), CheckFault> {
    let begins = || beginning(&answer.body, mask);
    if answer.status != probe.status {
        let body = begins();
        return Err(CheckFault::Status {
            expected: probe.status,
            found: answer.status_text,
            address: answer.address,
            body,
        });
    }
    if let Some((name, expected)) = &probe.header {
        let values =
            answer.headers.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let values: Vec<&String> = values.collect();
        if !values.contains(&expected) {
            let found: Vec<String> = values.iter().map(|value| beginning(value.as_bytes(), mask)).collect();
            let found = (!found.is_empty()).then(|| found.join("`, `"));
            return Err(CheckFault::Header { name: name.clone(), expected: expected.clone(), found });
        }
    }
    match &probe.body {
        Some(text) if !holds(&answer.body, text) => {
            let body = begins();
            match answer.end {
                BodyEnd::Cut(fault) => Err(CheckFault::Http(fault)),
                end => Err(CheckFault::Body { expected: text.clone(), is_cut: matches!(end, BodyEnd::Enough), body }),
            }
        }
        _ => Ok(()),
    }
}

fn holds(body: &[u8], text: &str) -> bool {
    memmem::find(body, text.as_bytes()).is_some()
}

/// Returns the first printable characters of a body, on one line. Secrets are masked first: the cut, or a blank that is
/// left out, would leave a part of one.
fn beginning(body: &[u8], mask: &Mask) -> String {
    let text = mask.mask(String::from_utf8_lossy(&body[..body.len().min(SHOWN_BYTES_MAX)]).into_owned());
    let is_shown = |character: &char| !character.is_control() && *character != char::REPLACEMENT_CHARACTER;
    let words: Vec<String> = text.split_whitespace().map(|word| word.chars().filter(is_shown).collect()).collect();
    let line = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    line.chars().take(SHOWN_CHARACTERS).collect()
}

#[cfg(test)]
mod tests;
