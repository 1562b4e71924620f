//! The page of kept runs, and of hostile ones.

use std::collections::BTreeSet;

use super::*;
use crate::difference;
use crate::record::{Mark, Track};

/// A real record, of an early build.
fn kept() -> RunRecord {
    RunRecord::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/page/example.json")).unwrap()
}

fn attribute_values<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    page.split(&format!(" {name}=\"")).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn a_kept_run_is_shown_whole() {
    let run = kept();
    let page = Page(std::slice::from_ref(&run)).to_string();
    for scenario in &run.scenarios {
        assert!(page.contains(&format!("id=\"r0-{}\"", scenario.name)), "{}", scenario.name);
        for track in &scenario.outcome.tracks {
            assert!(page.contains(&Escaped(&track.contender).to_string()), "{}", track.contender);
        }
    }
    assert!(page.contains("12.185 s<small>11.391 – 12.677 s</small>"));
    assert!(page.contains(&run.versions.cutover_sha256));
}

#[test]
fn ids_are_unique_and_every_reference_leads_somewhere() {
    let run = kept();
    let page = Page(&[run, kept()]).to_string();
    let ids = attribute_values(&page, "id");
    let distinct: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), distinct.len());
    let links = attribute_values(&page, "href").into_iter().map(|link| link.trim_start_matches('#'));
    let labels = attribute_values(&page, "aria-labelledby").into_iter().flat_map(str::split_whitespace);
    for reference in links.chain(labels) {
        assert!(distinct.contains(reference), "nothing is called {reference}");
    }
}

#[test]
fn the_page_loads_nothing_and_runs_nothing() {
    let page = Page(&[kept()]).to_string();
    for forbidden in ["<script", " src=", "url(", "@import", "<link", "<iframe", "http://", "https://"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn hostile_names_stay_text() {
    const HOSTILE: &str = r#"</title></style>"'><script>alert(1)</script><img onerror=x>&"#;
    let mut run = kept();
    let hostile = || HOSTILE.to_owned();
    run.name = hostile();
    run.started = hostile();
    run.trees.a.name = hostile();
    run.versions.ssh = hostile();
    run.machine.cpu = hostile();
    for (number, scenario) in run.scenarios.iter_mut().enumerate() {
        scenario.name = hostile();
        scenario.title = hostile();
        match number {
            0 => scenario.failure = Some(hostile()),
            1 => scenario.outcome.skipped = Some(hostile()),
            _ => {}
        }
        scenario.outcome.facts.insert(difference::FACT.to_owned(), 1000 + number as u64);
        scenario.outcome.tracks.push(Track { skipped: Some(hostile()), ..Track::EMPTY });
        scenario.outcome.tracks.push(Track { failure: Some(hostile()), ..Track::EMPTY });
        for row in &mut scenario.outcome.rows {
            row.what = hostile();
            row.rival = hostile();
        }
        for track in &mut scenario.outcome.tracks {
            track.contender = hostile();
            track.version = Some(hostile());
            track.observed.iter_mut().chain(&mut track.timed).for_each(|sample| sample.command = hostile());
        }
    }
    let page = Page(&[run]).to_string();
    assert!(page.contains("&lt;script&gt;alert(1)"));
    for forbidden in ["<script", "<img", "onerror=x>"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert_eq!(page.matches("</title>").count(), page.matches("<title").count());
    assert_eq!(page.matches("</style>").count(), 1);
}

#[test]
fn runs_at_several_round_trip_times_are_plotted_over_them() {
    let at = |rtt_ms: f64| {
        let mut run = kept();
        run.line.shape = Some(crate::shape::Shape { rtt_ms, rate_mbit: Some(100.0) });
        run
    };
    let page = |runs: &[RunRecord]| Page(runs).to_string();
    assert!(page(&[at(10.0), at(40.0)]).contains("<h2>Time against the round-trip time</h2>"));
    assert!(page(&[at(40.0), at(10.0)]).contains("<th scope=\"col\">10 ms</th><th scope=\"col\">40 ms</th>"));
    assert!(!page(&[at(40.0), at(40.0)]).contains("<h2>Time against"));
    assert!(!page(&[kept(), kept()]).contains("<h2>Time against"));
}

#[test]
fn bytes_are_plotted_over_what_changed() {
    let mut run = kept();
    assert!(!Page(std::slice::from_ref(&run)).to_string().contains("<h2>Bytes against"));
    for (number, bytes) in [(0, 1_300_000_000), (1, 80_000_000), (2, 0)] {
        run.scenarios[number].outcome.facts.insert(difference::FACT.to_owned(), bytes);
    }
    let mut beside = run.scenarios[1].outcome.tracks[0].clone();
    beside.contender = format!("nothing changed: {}", beside.contender);
    run.scenarios[1].outcome.tracks.push(beside);
    let page = Page(&[run]).to_string();
    // Nothing has no place on a logarithmic axis.
    assert!(
        page.contains("<th scope=\"col\">next, 80.00 MB</th><th scope=\"col\">first, 1.300 GB</th></tr>"),
        "{page}"
    );
    assert!(page.contains("next, 80.00 MB changed, 19.50 MB on the wire"));
    // What is run beside, of which another size is true, has none either.
    assert!(!page.contains("nothing changed: cutover deploy: next, 80.00 MB"), "{page}");
}

#[test]
fn who_has_no_figures_is_named_with_the_reason() {
    let mut run = kept();
    let reason = Some("ostree is not installed".to_owned());
    let tracks = &mut run.scenarios[1].outcome.tracks;
    tracks.push(Track { contender: "ostree".to_owned(), skipped: reason, ..Track::EMPTY });
    tracks.push(Track { contender: "borg".to_owned(), failure: Some("no <space>".to_owned()), ..Track::EMPTY });
    let page = Page(&[run]).to_string();
    assert!(page.contains("<th scope=\"row\">ostree</th><td class=\"text\" colspan="), "{page}");
    assert!(page.contains(">skipped: ostree is not installed</td>"), "{page}");
    assert!(page.contains("<p>borg failed:</p>\n<pre>no &lt;space&gt;</pre>"), "{page}");
}

#[test]
fn jobs_of_a_scenario_have_charts_of_their_own() {
    let mut run = kept();
    let tracks = &mut run.scenarios[1].outcome.tracks;
    for (number, track) in tracks.clone().into_iter().enumerate() {
        let job = ["400 MB", "100 MB"][number % 2];
        tracks[number].contender = format!("{job}: {}", track.contender);
        tracks[number].tool = if number == 0 { "cutover".to_owned() } else { "rsync".to_owned() };
    }
    let page = Page(&[run]).to_string();
    assert!(page.contains("<figcaption>400 MB: seconds</figcaption>"), "{page}");
    assert!(page.contains("<figcaption>100 MB: bytes on the wire</figcaption>"), "{page}");
    // What another job took is not compared with ours.
    assert!(page.contains("<b class=\"ours\">3.361 s</b></td>"), "{page}");
}

#[test]
fn the_best_of_the_others_is_whichever_it_is() {
    let mut run = kept();
    let slow = &run.scenarios[1].outcome.tracks[1];
    let mut fast = Track { contender: "tar".to_owned(), ..slow.clone() };
    fast.timed.iter_mut().for_each(|sample| sample.seconds = 0.25);
    run.scenarios[1].outcome.tracks.push(fast);
    let page = Page(&[run]).to_string();
    assert!(page.contains("<small>0.250 s, tar</small></td>"), "{page}");
}

/// A run in which the first scenario's work was done at several sizes.
fn grown(name: &str, marks: &[(&str, u64)]) -> RunRecord {
    let mut run = kept();
    let scenario = &mut run.scenarios[0];
    let [ours, theirs] = [0, 1].map(|at| scenario.outcome.tracks[at].clone());
    scenario.name = name.to_owned();
    scenario.outcome.tracks.clear();
    for &(step, at) in marks {
        for (track, tool) in [(&ours, "cutover"), (&theirs, "rsync")] {
            let contender = format!("{at} files, {step}: {}", track.contender);
            let mark = Some(Mark { step: step.to_owned(), at });
            let mut track = Track { tool: tool.to_owned(), contender, mark, ..track.clone() };
            track.timed.iter_mut().for_each(|sample| sample.seconds = at as f64 / 100.0);
            scenario.outcome.tracks.push(track);
        }
    }
    run
}

#[test]
fn what_grows_is_plotted_over_the_number_of_files() {
    let page = |run: RunRecord| Page(&[run]).to_string();
    let marks = [("first", 1000), ("one-file", 1000), ("first", 100_000), ("one-file", 100_000), ("status", 1000)];
    let mut run = grown("growth", &marks);
    let mut verbs: Vec<Track> = run.scenarios[0].outcome.tracks[..2].to_vec();
    verbs.iter_mut().zip([1000, 100_000]).for_each(|(track, at)| {
        track.tool = "cutover".to_owned();
        track.contender = format!("{at} files, diff: cutover diff");
        track.mark = Some(Mark { step: "diff".to_owned(), at });
    });
    run.scenarios[0].outcome.tracks.extend(verbs);
    let grown = page(run);
    assert!(!page(kept()).contains("id=\"growth\""));
    for title in ["first: seconds", "first: bytes on the wire", "first: peak memory", "one-file: seconds"] {
        assert!(grown.contains(&format!("<figcaption>{title}</figcaption>")), "{title}");
    }
    // One point is no line.
    assert!(!grown.contains("<figcaption>status: seconds"));
    assert!(grown.contains("<title>cutover deploy: 100,000 files, 1000.000 s</title>"), "{grown}");
    assert!(grown.contains("<li class=\"ours\"><b>C2</b> cutover deploy, server</li>"), "{grown}");
    assert!(grown.contains("<th scope=\"col\">1,000 files</th><th scope=\"col\">100,000 files</th>"), "{grown}");
    assert!(grown.contains("<figcaption>what only Cutover has: seconds</figcaption>"), "{grown}");
    assert!(!grown.contains("<figcaption>diff: "), "{grown}");
    // Bars of so many jobs would hide what is to be seen, and no size stands for all.
    assert!(!grown.contains("<figcaption>1000 files, first: seconds</figcaption>"));
    let glance = grown.split("<h2>At a glance</h2>").nth(1).and_then(|rest| rest.split("</section>").next()).unwrap();
    assert!(
        glance.contains("<th scope=\"row\">the next version") && !glance.contains("<th scope=\"row\">the first deploy")
    );
}

#[test]
fn what_changed_is_a_share_from_zero() {
    let page = Page(&[grown("share", &[("changed", 0), ("changed", 10), ("changed", 100)])]).to_string();
    assert!(page.contains("<figcaption>seconds</figcaption>"), "{page}");
    assert!(page.contains("across: per cent of the files that changed, from zero"), "{page}");
    // Nothing has a place on this axis, at its beginning.
    assert!(page.contains("<circle cx=\"15%\""), "{page}");
    assert!(page.contains("<title>cutover deploy: 10 %, 0.100 s</title>"), "{page}");
}
