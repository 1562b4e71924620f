//! Checks: probes that decide whether a release that went live stays live.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::hook::Command;

/// The machine that a check runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckFrom {
    /// The client.
    #[default]
    Client,
    /// The server.
    Server,
}

/// A request over HTTP, and the answer that it must get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpProbe {
    /// The address. On the server only `http://`: the agent has no TLS.
    pub url: String,
    /// The headers of the request.
    pub headers: BTreeMap<String, String>,
    /// The status that the answer must have.
    pub status: u16,
    /// The text that the body must contain.
    pub body: Option<String>,
    /// The header that the answer must have, and its value.
    pub header: Option<(String, String)>,
    /// The longest time for one try.
    pub timeout: Duration,
}

/// The question of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Probe {
    /// A request over HTTP.
    Http(HttpProbe),
    /// A command, which must end with 0.
    Command(Command),
}

/// A check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Its name, which no other check of the stage has.
    pub name: String,
    /// Its question.
    pub probe: Probe,
    /// The machine that it runs on.
    pub from: CheckFrom,
    /// The number of further tries after one that failed.
    pub retries: u32,
    /// The pause between two tries.
    pub interval: Duration,
}
