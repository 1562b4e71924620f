//! Finds out where a redirect leads.
//!
//! Redirects are followed here and not by the library, which takes an address such as `file:///etc/passwd` for a path on
//! the same host.

use ureq::http::Uri;
use ureq::http::header::LOCATION;
use ureq::http::uri::Scheme;

use crate::http::HttpRequest;

/// The statuses that redirect.
const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

/// The headers that only go to the host that they are meant for.
const OF_HOST: [&str; 2] = ["authorization", "cookie"];

/// Tells whether an answer redirects.
pub(super) fn is_redirect<Body>(answer: &ureq::http::Response<Body>) -> bool {
    STATUSES.contains(&answer.status().as_u16())
}

/// Returns the request that follows an answer that redirects, or the reason that there is none.
pub(super) fn next<Body>(request: &HttpRequest, answer: &ureq::http::Response<Body>) -> Result<HttpRequest, String> {
    if request.body.is_some() {
        return Err("a POST is not sent again to another address".to_owned());
    }
    let location = answer.headers().get(LOCATION).ok_or("the answer names no address")?;
    let location = String::from_utf8_lossy(location.as_bytes());
    let from = request.url.parse::<Uri>().map_err(|error| error.to_string())?;
    let to = target(&from, location.trim())?;
    let mut next = HttpRequest { url: to.to_string(), ..request.clone() };
    if !is_same_host(&from, &to) {
        next.headers.retain(|name, _| !OF_HOST.iter().any(|other| name.eq_ignore_ascii_case(other)));
    }
    Ok(next)
}

/// Tells whether both addresses are of one host, and the second one is not less safe.
fn is_same_host(from: &Uri, to: &Uri) -> bool {
    from.host() == to.host() && (from.scheme() == to.scheme() || to.scheme() == Some(&Scheme::HTTPS))
}

/// Returns the address to which a location leads, or the reason that it leads to none.
fn target(from: &Uri, location: &str) -> Result<Uri, String> {
    let wrong = |reason: &str| format!("`{}` {reason}", location.escape_debug());
    let reference = location.split('#').next().unwrap_or_default();
    let (scheme, authority) = (from.scheme_str().unwrap_or_default(), from.authority().map_or("", |at| at.as_str()));
    let whole = match scheme_of(reference) {
        Some(other) if ["http", "https"].iter().any(|known| other.eq_ignore_ascii_case(known)) => reference.to_owned(),
        Some(_) => return Err(wrong("is no `http://` or `https://` address")),
        None if reference.starts_with("//") => format!("{scheme}:{reference}"),
        None => format!("{scheme}://{authority}{}", path_from(from, reference)),
    };
    let to = whole.parse::<Uri>().map_err(|error| wrong(&format!("cannot be read: {error}")))?;
    if to.scheme().is_none() || to.host().is_none_or(str::is_empty) {
        return Err(wrong("has no host"));
    }
    Ok(to)
}

/// Returns the scheme with which an address begins.
fn scheme_of(reference: &str) -> Option<&str> {
    let (scheme, _) = reference.split_once(':')?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_scheme.then_some(scheme)
}

/// Returns the path and the query to which a reference without a host leads.
fn path_from(from: &Uri, reference: &str) -> String {
    if reference.is_empty() {
        return from.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    }
    let (path, query) = reference.split_at(reference.find('?').unwrap_or(reference.len()));
    let directory = from.path().rsplit_once('/').map_or("", |(directory, _)| directory);
    let path = match path {
        "" => from.path().to_owned(),
        _ if path.starts_with('/') => without_dots(path),
        _ => without_dots(&format!("{directory}/{path}")),
    };
    path + query
}

/// Returns an absolute path without `.` and `..`.
fn without_dots(path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/').skip(1) {
        match name {
            "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    if [".", ".."].iter().any(|dots| path.ends_with(&format!("/{dots}"))) {
        names.push("");
    }
    format!("/{}", names.join("/"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_location_is_read_as_other_programs_do() {
        let from = "http://shop:8080/a/b?c=d".parse::<Uri>().unwrap();
        let leads = |location: &str, expected: &str| {
            assert_eq!(target(&from, location).map(|to| to.to_string()).as_deref(), Ok(expected), "{location}");
        };
        leads("https://other/x?y#z", "https://other/x?y");
        leads("HTTP://other", "http://other/");
        leads("//other/x", "http://other/x");
        leads("/x/../y?z=http://a", "http://shop:8080/y?z=http://a");
        leads("x", "http://shop:8080/a/x");
        leads("../x", "http://shop:8080/x");
        leads("../../x/", "http://shop:8080/x/");
        leads(".", "http://shop:8080/a/");
        leads("?e=f", "http://shop:8080/a/b?e=f");
        leads("#z", "http://shop:8080/a/b?c=d");
        leads("./x:y", "http://shop:8080/a/x:y");
        for other in ["file:///etc/passwd", "ftp://other/x", "mailto:a@b", "javascript:alert(1)"] {
            let reason = format!("`{other}` is no `http://` or `https://` address");
            assert_eq!(target(&from, other), Err(reason));
        }
        for wrong in ["http://", "http:x", "https:///x", "//", "/a b"] {
            target(&from, wrong).unwrap_err();
        }
    }

    #[test]
    fn a_secret_does_not_go_to_another_host_or_without_tls() {
        let headers = ["Authorization", "cookie", "X-Other"].map(|name| (name.to_owned(), "x".to_owned()));
        let request = |url: &str| HttpRequest {
            url: url.to_owned(),
            headers: BTreeMap::from(headers.clone()),
            body: None,
            timeout: Duration::from_secs(1),
            redirects: 1,
        };
        let check = |from: &str, location: &str, count: usize| {
            let answer = ureq::http::Response::builder().status(302).header("Location", location).body(()).unwrap();
            assert!(is_redirect(&answer));
            assert_eq!(next(&request(from), &answer).unwrap().headers.len(), count, "{from} {location}");
        };
        check("http://shop/a", "b", 3);
        check("http://shop/a", "https://shop/b", 3);
        check("https://shop/a", "http://shop/b", 1);
        check("http://shop/a", "http://other/b", 1);
        let answer = ureq::http::Response::builder().status(302).body(()).unwrap();
        assert_eq!(next(&request("http://shop/"), &answer).unwrap_err(), "the answer names no address");
    }
}
