//! Finds out which release a web server serves.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::client::query::{self, NamedManifest};
use crate::client::served::{Asked, Candidate, Choice, FILE_BYTES_MAX, joined, past_caches};
use crate::client::{Memory, hello};
use crate::error::{Error, SiteError};
use crate::http::{HttpClient, HttpRequest};
use crate::manifest::Manifest;
use crate::release::ReleaseId;
use crate::report::{ReleaseReport, ReleaseState, ReleasesReport, WebAnswer, WebCheckReport};
use crate::request::{Context, WebCheckRequest};
use crate::threads;
use crate::wire::Install;
use crate::wire::bounds::MANIFESTS_MAX;
use crate::wire::message::{Reply, Request};

use super::releases;

/// The longest time for one answer.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The header that asks for content as it is.
const ACCEPT_ENCODING: &str = "Accept-Encoding";

/// The number of redirects that are followed: to HTTPS, and to another name.
const REDIRECTS_MAX: u32 = 5;

/// Asks a web server for files and a page, and compares the answers with the releases that stand.
pub fn web_check(context: &Context, request: &WebCheckRequest) -> Result<WebCheckReport, Error> {
    context.with_warnings(|context| check(context, request))
}

fn check(context: &Context, request: &WebCheckRequest) -> Result<WebCheckReport, Error> {
    threads::start_pool()?;
    let ReleasesReport { releases, warnings, .. } = releases(context, false)?;
    let live = releases.iter().find(|release| release.state == ReleaseState::Live);
    let nothing = || {
        let path = context.target.destination.path().display().to_string();
        if releases.is_empty() { SiteError::NotSetUp(path) } else { SiteError::NothingLive(path) }
    };
    let live = live.ok_or_else(nothing)?.id.clone();
    let before = before(&releases).map(|release| release.id.clone());
    let others = others(&releases);
    let files = choose(context, request, &live, before.is_some(), &others)?;
    let asking = Asking { context, http: HttpClient::with_tls(), headers: &request.headers, live: live.clone() };
    let mut answers = Vec::new();
    for file in &files {
        answers.push(asking.ask(&joined(&request.url, &file.path), &Asked::File(file, &others))?);
    }
    if let Some(path) = &request.version_file {
        let url = joined(&request.url, path.trim_start_matches('/').as_bytes());
        answers.push(asking.ask(&url, &Asked::Version(&releases))?);
    }
    let told = || answers.iter().filter_map(|answer| answer.release.clone());
    // The page was named because files do not tell which code runs.
    let is_page_silent = request.version_file.is_some() && answers.last().is_some_and(|page| page.release.is_none());
    let served = told().find(|release| *release != live).or_else(|| told().next().filter(|_| !is_page_silent));
    let is_version_asked = request.version_file.is_some();
    Ok(WebCheckReport { url: request.url.clone(), live, before, served, answers, is_version_asked, warnings })
}

/// Returns the release that was live most recently, beside the live one.
fn before(releases: &[ReleaseReport]) -> Option<&ReleaseReport> {
    let is_there = |release: &&ReleaseReport| matches!(release.state, ReleaseState::Earlier | ReleaseState::Bad);
    releases
        .iter()
        .filter(is_there)
        .filter(|release| release.live_since.is_some())
        .max_by_key(|release| release.live_since)
}

/// Returns all releases that stand beside the live one: the one before, then the others, the most recently live first.
fn others(releases: &[ReleaseReport]) -> Vec<ReleaseId> {
    let before = before(releases).map(|release| &release.id);
    let stands = |state: ReleaseState| matches!(state, ReleaseState::Earlier | ReleaseState::Bad | ReleaseState::Ready);
    let mut others: Vec<_> = releases.iter().filter(|release| stands(release.state)).collect();
    others.sort_by_key(|release| (Some(&release.id) != before, Reverse(release.live_since), Reverse(&release.created)));
    others.into_iter().map(|release| release.id.clone()).collect()
}

/// Chooses the files to ask for. The other releases are read one at a time: all of them may be too large together.
fn choose(
    context: &Context,
    request: &WebCheckRequest,
    live: &ReleaseId,
    has_before: bool,
    others: &[ReleaseId],
) -> Result<Vec<Candidate>, Error> {
    let memory = Memory::open(&context.state_dir, context.observer.clone());
    let (first, further) = others.split_at(usize::from(has_before));
    let wanted = std::iter::once(live).chain(first).cloned().map(Some).collect();
    let manifests = context.manifests(wanted, &memory)?;
    let manifest = |at: usize| manifests.get(at).map(|(_, manifest)| manifest.as_ref());
    let live_manifest = manifest(0).ok_or_else(super::mismatch)?;
    let mut choice = Choice::new(live_manifest, manifest(1), request.root.as_ref());
    drop(manifests);
    context.each_manifest(further, |number, manifest| choice.compare(first.len() + number, manifest))?;
    Ok(choice.files())
}

impl Context {
    /// Gives the manifest of each release, with its number, to `take`.
    fn each_manifest(&self, releases: &[ReleaseId], mut take: impl FnMut(usize, &Manifest)) -> Result<(), Error> {
        let mut number = 0;
        for some in releases.chunks(MANIFESTS_MAX) {
            let request = Request::Manifests { wanted: some.iter().cloned().map(Some).collect(), known: Vec::new() };
            let connection = self.connect(self.start_resolution()?, Install::Vanish, false, &self.cancel)?;
            let take = |(_, manifest): &NamedManifest| {
                take(number, manifest);
                number += 1;
            };
            let (observer, cancel) = (self.observer.clone(), self.cancel.clone());
            match query::ask_each(connection, hello(self, request), &[], take, observer, cancel)? {
                Reply::Manifests => {}
                _ => return Err(super::mismatch()),
            }
        }
        Ok(())
    }
}

/// The questions to one web server.
struct Asking<'a> {
    context: &'a Context,
    http: HttpClient,
    headers: &'a BTreeMap<String, String>,
    live: ReleaseId,
}

impl Asking<'_> {
    /// Asks for an address. If the answer is not of the live release, asks again past caches.
    fn ask(&self, url: &str, asked: &Asked<'_>) -> Result<WebAnswer, Error> {
        let mut answer = self.ask_once(url, asked)?;
        if answer.release.as_ref().is_some_and(|release| *release != self.live) {
            answer.release_past_caches = self.ask_once(&past_caches(url), asked)?.release;
        }
        Ok(answer)
    }

    fn ask_once(&self, url: &str, asked: &Asked<'_>) -> Result<WebAnswer, Error> {
        let mut headers = self.headers.clone();
        headers.retain(|name, _| !name.eq_ignore_ascii_case(ACCEPT_ENCODING));
        headers.insert(ACCEPT_ENCODING.to_owned(), "identity".to_owned());
        let request =
            HttpRequest { url: url.to_owned(), headers, body: None, timeout: TIMEOUT, redirects: REDIRECTS_MAX };
        let has_enough = |_: u16, body: &[u8]| body.len() as u64 > FILE_BYTES_MAX;
        let received = match self.http.ask(&request, has_enough, &self.context.cancel)? {
            Ok(received) => received,
            Err(fault) => {
                return Ok(WebAnswer { url: url.to_owned(), reason: Some(fault.to_string()), ..WebAnswer::default() });
            }
        };
        let mut answer = WebAnswer::of(url.to_owned(), &received);
        asked.judge(&received, &self.live, &mut answer);
        Ok(answer)
    }
}
