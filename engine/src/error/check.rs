//! Checks that fail: the answer or the command is not as the config expects.

use super::hint::{CheckHint, Hint};
use super::http::HttpFault;

/// A check that failed on each of its tries.
#[derive(Debug, thiserror::Error)]
#[error("The check `{name}` failed{}", tries_text(*.tries))]
pub struct CheckError {
    /// The name of the check.
    pub name: String,
    /// The number of its tries.
    pub tries: u32,
    /// The address that it asks for, if it does.
    pub url: Option<String>,
    /// The fault of the last try.
    #[source]
    pub fault: Box<CheckFault>,
}

/// The fault of one try: the expected and the actual outcome.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckFault {
    /// There was no usable answer.
    #[error(transparent)]
    Http(HttpFault),
    /// The answer has another status.
    #[error("Expected status {expected}, and got {found}{}{}", from_text(.address.as_ref()), begins_text(.body))]
    Status {
        /// The status that the config names.
        expected: u16,
        /// The status of the answer, with its usual name.
        found: String,
        /// The address that answered, if a redirect led to it.
        address: Option<String>,
        /// The first characters of the body.
        body: String,
    },
    /// The answer lacks a header, or has it with another value.
    #[error("Expected the header `{name}: {expected}`, and got {}", found_text(.found.as_ref()))]
    Header {
        /// The name of the header.
        name: String,
        /// The value that the config names.
        expected: String,
        /// The values of the answer.
        found: Option<String>,
    },
    /// The body lacks a text.
    #[error("Expected `{expected}` in the body{}{}", if *.is_cut { ", of which the first MiB was read" } else { "" }, begins_text(.body))]
    Body {
        /// The text that the config names.
        expected: String,
        /// Whether the body is longer than what was read.
        is_cut: bool,
        /// The first characters of the body.
        body: String,
    },
    /// The command failed.
    #[error("{0}")]
    Command(String),
}

impl CheckError {
    /// Returns the next step.
    pub(super) fn hint(&self) -> Option<Hint> {
        let of_fault = match &*self.fault {
            CheckFault::Http(fault) => fault.hint(),
            _ => None,
        };
        let see = |url: &String| Hint::Check(CheckHint::SeeAnswer { url: url.clone() });
        of_fault.or_else(|| self.url.as_ref().map(see))
    }
}

fn tries_text(tries: u32) -> String {
    if tries > 1 { format!(" {tries} times") } else { String::new() }
}

fn from_text(address: Option<&String>) -> String {
    address.map(|address| format!(" from `{address}`")).unwrap_or_default()
}

fn found_text(found: Option<&String>) -> String {
    found.map_or("none".into(), |found| format!("`{found}`"))
}

fn begins_text(body: &str) -> String {
    if body.is_empty() { "; the body is empty".into() } else { format!("; the body begins with `{body}`") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_check_names_what_was_expected_and_what_came() {
        let check = |fault: CheckFault, expected: &str| assert_eq!(fault.to_string(), expected);
        check(
            CheckFault::Status { expected: 200, found: "502 Bad Gateway".into(), address: None, body: "<html>".into() },
            "Expected status 200, and got 502 Bad Gateway; the body begins with `<html>`",
        );
        check(
            CheckFault::Status {
                expected: 200,
                found: "404 Not Found".into(),
                address: Some("http://a/login".into()),
                body: String::new(),
            },
            "Expected status 200, and got 404 Not Found from `http://a/login`; the body is empty",
        );
        check(
            CheckFault::Header { name: "x-release".into(), expected: "2".into(), found: None },
            "Expected the header `x-release: 2`, and got none",
        );
        check(
            CheckFault::Body { expected: "ok".into(), is_cut: true, body: "no".into() },
            "Expected `ok` in the body, of which the first MiB was read; the body begins with `no`",
        );
    }

    #[test]
    fn the_number_of_tries_is_told_if_there_were_several() {
        let error = |tries| CheckError {
            name: "health".into(),
            tries,
            url: None,
            fault: Box::new(CheckFault::Command("It ended with 1".into())),
        };
        assert_eq!(error(1).to_string(), "The check `health` failed");
        assert_eq!(error(6).to_string(), "The check `health` failed 6 times");
        assert_eq!(error(1).hint(), None);
    }
}
