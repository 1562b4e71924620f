//! Which files are chosen, and what an answer tells.

use std::io::Read;

use super::answer::*;
use crate::http::{BodyEnd, HttpAnswer};
use crate::release::ReleaseId;
use crate::report::{ReleaseReport, ReleaseState};

fn release(id: &str, commit: &str) -> ReleaseReport {
    ReleaseReport {
        id: id.parse::<ReleaseId>().unwrap(),
        state: ReleaseState::Earlier,
        live_since: Some(1),
        created: 1,
        commit: Some(commit.to_owned()),
        branch: None,
        dirty: None,
        files: 1,
        bytes: 1,
        own_bytes: 0,
        who: "a@b".to_owned(),
        manifest: String::new(),
        bad: None,
        pinned: None,
        migrations: Vec::new(),
    }
}

#[test]
fn a_page_names_one_release_by_its_name_or_its_commit() {
    let releases = [release("20261130", "aaaaaaaa11"), release("20261130.1", "bbbbbbbb22"), release("7", "bbbbbbbb22")];
    let check = |page: &str, expected: Result<&str, &str>| {
        let found = named_release(page.as_bytes(), &releases);
        match expected {
            Ok(id) => assert_eq!(found.unwrap().as_str(), id, "{page}"),
            Err(reason) => assert!(found.clone().unwrap_err().contains(reason), "{page}: {found:?}"),
        }
    };
    check("20261130\n", Ok("20261130"));
    check("{\"release\":\"20261130.1\",\"x\":20261130123}", Ok("20261130.1"));
    check("commit aaaaaaaa11", Ok("20261130"));
    check("aaaaaaa", Ok("20261130"));
    check("aaaaaa", Err("no release"));
    check("bbbbbbbb", Err("several"));
    check("20261130 20261130.1", Err("several"));
    check("", Err("no release"));
}

#[test]
fn a_body_that_is_not_whole_or_cannot_be_unpacked_tells_nothing() {
    let answer = |body: &[u8], encoding: &str, end: BodyEnd| HttpAnswer {
        status: 200,
        status_text: "200 OK".to_owned(),
        address: None,
        headers: vec![("content-encoding".to_owned(), encoding.to_owned())],
        body: body.to_vec(),
        end,
    };
    assert_eq!(content(&answer(b"a", "identity", BodyEnd::Complete)).unwrap(), b"a");
    assert!(content(&answer(b"a", "gzip", BodyEnd::Complete)).unwrap_err().contains("cannot be unpacked"));
    assert!(content(&answer(b"a", "br", BodyEnd::Complete)).unwrap_err().contains("packed with br"));
    assert!(content(&answer(b"a", "", BodyEnd::Enough)).unwrap_err().contains("longer"));
    let mut packed = Vec::new();
    let mut bomb = flate2::read::GzEncoder::new(std::io::repeat(0).take(64 << 20), flate2::Compression::fast());
    std::io::Read::read_to_end(&mut bomb, &mut packed).unwrap();
    let unpacked = content(&answer(&packed, "gzip", BodyEnd::Complete)).unwrap();
    assert!(unpacked.len() <= (4 << 20) + 1, "{}", unpacked.len());
}
