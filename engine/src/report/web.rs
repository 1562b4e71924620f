//! The result of a check of a web server.

use serde::{Deserialize, Serialize};

use crate::release::ReleaseId;

/// The release that a web server serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebCheckReport {
    /// The address of the site.
    pub url: String,
    /// The live release.
    pub live: ReleaseId,
    /// The release that was live before. None: there is none.
    pub before: Option<ReleaseId>,
    /// The release that is served. None: no answer tells it, or a page that was named does not. If answers differ, one that
    /// is not live.
    pub served: Option<ReleaseId>,
    /// The answers. The last is that of the page that was named.
    pub answers: Vec<WebAnswer>,
    /// Whether a page was named.
    #[serde(skip)]
    pub is_version_asked: bool,
    /// Warnings, each once.
    pub warnings: Vec<String>,
}

/// An answer of a web server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebAnswer {
    /// The address.
    pub url: String,
    /// The status. None: there was no answer.
    pub status: Option<u16>,
    /// The release that the answer is of.
    pub release: Option<ReleaseId>,
    /// The release of the answer to the same address with a query that no cache knows. Asked for only if the first answer
    /// is not of the live release.
    pub release_past_caches: Option<ReleaseId>,
    /// The header `Age`: how long a cache has had the answer, in seconds.
    pub age: Option<String>,
    /// The header `Cache-Control`.
    pub cache_control: Option<String>,
    /// The other releases with the same content, if it is that of the live release. With any, the answer is of none.
    pub also_in: Vec<ReleaseId>,
    /// The reason that the answer is of no release.
    pub reason: Option<String>,
}

impl WebCheckReport {
    /// Returns whether the live release is served.
    pub fn is_live(&self) -> bool {
        self.served.as_ref() == Some(&self.live)
    }

    /// Returns whether a cache before the web server has the old answers, and the web server itself serves the live
    /// release.
    pub fn is_cached(&self) -> bool {
        let mut old = self.answers.iter().filter(|answer| answer.release.as_ref().is_some_and(|id| *id != self.live));
        !self.is_live()
            && old.all(|answer| answer.release_past_caches.as_ref() == Some(&self.live))
            && self.answers.iter().any(|answer| answer.release_past_caches.is_some())
    }
}
