//! The findings of `--url`: which release a web server serves. This machine asks, as a visitor does.

use std::collections::BTreeMap;

use engine::check::{Check, Probe};
use engine::report::{FindingId, Severity, Subject, WebAnswer, WebCheckReport};

use super::advice::Advice;
use crate::color::Palette;
use crate::failure::one_line;
use crate::table::Table;
use crate::url;

/// The reason that nothing was asked, where no address was given.
pub(super) const NOT_ASKED: &str = "no `--url` was given";

/// The next step if files cannot tell the release.
const NAME_A_PAGE: &str = "Name a page that shows its release with `--version-file PATH`";

const fn known(id: &'static str) -> FindingId {
    FindingId { id, severity: Severity::Warning, subject: Subject::WebServer }
}

const OLD: FindingId = known("old-release-served");
const CACHED: FindingId = known("old-release-in-cache");
/// It is not known which release is served.
pub(super) const UNKNOWN: FindingId = known("served-release-unknown");

/// The ids of all of them.
#[cfg(test)]
pub(super) const ALL: [FindingId; 3] = [OLD, CACHED, UNKNOWN];

/// Returns the headers of the first check of the same host that has some: a site may ask for a password.
pub(super) fn headers_for(url: &str, checks: &[Check]) -> BTreeMap<String, String> {
    let headers = checks.iter().filter_map(|check| match &check.probe {
        Probe::Http(probe) if url::origin(&probe.url) == url::origin(url) => Some(&probe.headers),
        _ => None,
    });
    headers.into_iter().find(|headers| !headers.is_empty()).cloned().unwrap_or_default()
}

/// Returns what is wrong with the answers. None: the live release is served.
pub(super) fn finding(report: &WebCheckReport) -> Option<(FindingId, Advice)> {
    Some(match (&report.served, &report.before) {
        (Some(_), _) if report.is_live() => return None,
        (Some(served), _) if report.is_cached() => {
            let message =
                format!("A cache in front of the web server serves release {served}, and {} is live", report.live);
            let words = "Give such files a new name in each version, let the cache forget them, or shorten \
                         `Cache-Control`";
            (CACHED, Advice::new(message).words(words))
        }
        (Some(served), _) => {
            let message = format!("The web server serves release {served}, and {} is live", report.live);
            let configure = "Configure the web server as `cutover web nginx` (or `apache`, `caddy`) prints";
            // Its files are right, and the page that tells of code, the last one, is not.
            let is_code = report.is_version_asked
                && report.answers.split_last().is_some_and(|(page, files)| {
                    page.release.as_ref() != Some(&report.live)
                        && files.iter().filter_map(|file| file.release.as_ref()).all(|release| *release == report.live)
                });
            let words = if is_code {
                format!("Reload PHP-FPM, which runs the old code. {configure}")
            } else {
                configure.to_owned()
            };
            (OLD, Advice::new(message).words(words).here("cutover web nginx"))
        }
        (None, before) if report.answers.is_empty() => {
            let message = match before {
                Some(before) => format!("No file that a web server shows differs between {before} and {}", report.live),
                None => "The live release has no file that a web server shows".to_owned(),
            };
            (UNKNOWN, Advice::new(message).words(NAME_A_PAGE))
        }
        (None, _) if report.answers.iter().any(|answer| answer.release.is_some()) => {
            let page = report.answers.last().map(|answer| one_line(&answer.url)).unwrap_or_default();
            let message = format!(
                "The files are those of release {}, which is live, and {page} does not tell which code runs",
                report.live
            );
            let words = "PHP may still run the release before, which lacks the page: reload PHP-FPM, and ask again";
            (UNKNOWN, Advice::new(message).words(words))
        }
        (None, _) if report.answers.iter().any(|answer| !answer.also_in.is_empty()) => {
            let message = format!(
                "The web server answers with the content of release {}, which is live, and which other releases have too",
                report.live
            );
            (UNKNOWN, Advice::new(message).words(NAME_A_PAGE))
        }
        (None, _) => {
            let words = "Check the address, and name the directory that it shows with `--root DIR`";
            (UNKNOWN, Advice::new("No answer tells which release the web server serves").words(words))
        }
    })
}

/// Returns the answers as a table.
pub(super) fn table(report: &WebCheckReport, palette: Palette) -> String {
    if report.answers.is_empty() {
        return String::new();
    }
    let release = |answer: &WebAnswer| match (&answer.release, &answer.reason) {
        (Some(release), _) if *release == report.live => format!("{release} (live)"),
        (Some(release), _) => release.to_string(),
        (None, reason) => one_line(reason.as_deref().unwrap_or("unknown")),
    };
    let row = |answer: &WebAnswer| [one_line(&answer.url), release(answer), cache(answer)];
    Table::new(["ADDRESS", "ANSWERS AS", "CACHE"]).rows(report.answers.iter().map(row)).text(palette)
}

/// Describes what a cache says of an answer.
fn cache(answer: &WebAnswer) -> String {
    let age = answer.age.as_ref().map(|age| format!("Age {}", one_line(age)));
    let control = answer.cache_control.as_ref().map(|control| one_line(control));
    let past = answer.release_past_caches.as_ref().map(|release| format!("{release} past caches"));
    [age, control, past].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use engine::release::ReleaseId;

    use super::*;

    fn id(name: &str) -> ReleaseId {
        name.parse().unwrap()
    }

    fn report(served: Option<&str>, past_caches: Option<&str>) -> WebCheckReport {
        let answer = WebAnswer {
            url: "http://shop/a.css".into(),
            status: Some(200),
            release: served.map(id),
            release_past_caches: past_caches.map(id),
            age: Some("5".into()),
            cache_control: Some("max-age=60".into()),
            also_in: Vec::new(),
            reason: served.is_none().then(|| "status 404 Not Found".to_owned()),
        };
        WebCheckReport {
            is_version_asked: false,
            url: "http://shop".into(),
            live: id("2"),
            before: Some(id("1")),
            served: served.map(id),
            answers: vec![answer],
            warnings: Vec::new(),
        }
    }

    #[test]
    fn the_release_that_is_served_decides() {
        let check = |report: &WebCheckReport, row: &str, expected: Option<(&str, &str)>| {
            let text = table(report, Palette::plain());
            assert_eq!(text.lines().nth(1).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "), row);
            let found = finding(report);
            assert_eq!(found.as_ref().map(|(known, advice)| (known.id, advice.message.as_str())), expected);
        };
        let cached = "Age 5; max-age=60";
        check(&report(Some("2"), None), &format!("http://shop/a.css 2 (live) {cached}"), None);
        let old = format!("http://shop/a.css 1 {cached}; 1 past caches");
        let expected = (OLD.id, "The web server serves release 1, and 2 is live");
        check(&report(Some("1"), Some("1")), &old, Some(expected));
        let old = format!("http://shop/a.css 1 {cached}; 2 past caches");
        let expected = (CACHED.id, "A cache in front of the web server serves release 1, and 2 is live");
        check(&report(Some("1"), Some("2")), &old, Some(expected));
        let none = format!("http://shop/a.css status 404 Not Found {cached}");
        let expected = (UNKNOWN.id, "No answer tells which release the web server serves");
        check(&report(None, None), &none, Some(expected));
        let mut same = report(None, None);
        same.answers[0].also_in = vec![id("0")];
        let expected = (
            UNKNOWN.id,
            "The web server answers with the content of release 2, which is live, and which other releases have too",
        );
        check(&same, &none, Some(expected));
        let empty = WebCheckReport { answers: Vec::new(), ..report(None, None) };
        let expected = (UNKNOWN.id, "No file that a web server shows differs between 1 and 2");
        check(&empty, "", Some(expected));
        let first = WebCheckReport { before: None, ..empty };
        let expected = (UNKNOWN.id, "The live release has no file that a web server shows");
        check(&first, "", Some(expected));
    }
}
