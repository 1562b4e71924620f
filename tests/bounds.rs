//! The memory that one side can make the other use: every kind of message, made long in every way, is sent to the
//! real programs, whose memory is watched.

use std::fs::File;
use std::io::{self, Write};

use crate::support::peer::{Kind, PAYLOAD_MAX, Peer, ProgramEnd, agent_hears, frame, long_message, number};
use crate::support::site::Site;

/// Neither side takes more because of the other; nor is a test to come near to it.
const PEAK_MIB_MAX: u64 = 400;

/// Kinds of messages that there are, and one that there is not.
const FROM_AGENT: std::ops::RangeInclusive<u8> = 0..=19;
const TO_AGENT: std::ops::RangeInclusive<u8> = 0..=12;

/// How long what is said is, in bytes: in memory a list of nothing would take 24 times as much.
const LONG: usize = 24 << 20;

/// The same of what is short and comes again and again.
const AGAIN: usize = 2 << 20;

/// What makes a message of a kind long.
#[derive(Debug, Clone, Copy)]
enum Lie {
    /// It goes on and on.
    Endless,
    /// It begins with a list of so many elements as it has bytes, all of them nothing.
    ListFirst,
    /// So does its second field, behind a zero.
    ListSecond,
    /// It announces parts of so many bytes, which come.
    Parts,
    /// It is short, and comes again and again.
    Again,
}

const LIES: [Lie; 5] = [Lie::Endless, Lie::ListFirst, Lie::ListSecond, Lie::Parts, Lie::Again];

fn tell(out: &mut dyn Write, kind: u8, lie: Lie) -> io::Result<()> {
    let mut out = io::BufWriter::with_capacity(1 << 20, out);
    let out = &mut out;
    let list = number(LONG as u64 - 10);
    match lie {
        Lie::Endless => long_message(out, &[kind], LONG),
        Lie::ListFirst => long_message(out, &[&[kind], &list[..]].concat(), LONG),
        Lie::ListSecond => long_message(out, &[&[kind, 0], &list[..]].concat(), LONG),
        Lie::Parts => {
            // A name of a release and a root, for those kinds that have one before the length.
            for begin in [vec![kind], vec![kind, 0], [&[kind, 0, 1][..], &[0; 32]].concat()] {
                frame(out, Kind::Message, &[&begin, &number(u64::MAX)[..]].concat())?;
                frame(out, Kind::Message, &[&begin, &number(LONG as u64)[..]].concat())?;
            }
            (0..LONG / PAYLOAD_MAX).try_for_each(|_| frame(out, Kind::Part, &vec![0; PAYLOAD_MAX]))
        }
        Lie::Again => {
            let mut short = Vec::new();
            frame(&mut short, Kind::Message, &[&[kind][..], &[0; 40]].concat())?;
            (0..AGAIN / short.len()).try_for_each(|_| out.write_all(&short))
        }
    }?;
    out.flush()
}

#[track_caller]
fn assert_bounded(watched: &ProgramEnd, what: &str) {
    assert!(watched.peak_mib < PEAK_MIB_MAX, "{what}: {} MiB", watched.peak_mib);
    assert!(!watched.stderr.contains("panicked"), "{what}: {}", watched.stderr);
}

#[test]
fn whatever_an_agent_says_a_client_takes_little_memory() {
    let peer = Peer::new();
    for kind in FROM_AGENT {
        for lie in LIES {
            let watched = peer.client_hears(&["deploy"], |out| tell(out, kind, lie));
            assert_bounded(&watched, &format!("kind {kind}, {lie:?}"));
            assert_ne!(watched.code, Some(0), "kind {kind}, {lie:?}");
        }
    }
}

#[test]
fn whatever_a_client_says_first_or_behind_its_hello_an_agent_takes_little_memory() {
    let peer = Peer::new();
    let hello = hello(&peer);
    for kind in TO_AGENT {
        for lie in LIES {
            for is_greeted in [false, true] {
                if !is_greeted && !matches!(lie, Lie::Endless) {
                    continue;
                }
                let watched = agent_hears(|out| {
                    if is_greeted {
                        frame(&mut &mut *out, Kind::Message, &hello)?;
                    }
                    tell(out, kind, lie)
                });
                assert_bounded(&watched, &format!("kind {kind}, {lie:?}, {is_greeted}"));
            }
        }
    }
}

#[test]
fn a_source_that_is_larger_than_is_taken_is_refused_with_the_limits() {
    let site = Site::in_memory();
    site.write("small", "one");
    site.deploy(&[]);
    // As many names of 250 bytes as come to more than 32 MiB.
    for number in 0..(32 << 20) / 250 + 1 {
        File::create(site.source(&format!("{number:0250}"))).unwrap();
    }
    site.refused(&["deploy"], 1, &["The source is too large", "1250000 entries", "32 MiB of names", "`.deployignore`"]);
}

/// Returns what a client opens with that deploys to a target of its own.
fn hello(peer: &Peer) -> Vec<u8> {
    let recorded = peer.recorded(&["--force"]);
    assert_eq!((recorded[0].0, recorded[0].1[0]), (Kind::Message as u8, 0), "a hello");
    recorded[0].1.clone()
}

/// A tree of which so many bytes are said to be packed in `packed`, behind its announcement.
fn tree(out: &mut dyn Write, unpacked: u64, packed: &[u8], hashes: usize) -> io::Result<()> {
    let front = [&[0; 32][..], &number(unpacked), &number(packed.len() as u64)].concat();
    let hashes = [number(hashes as u64), vec![0; hashes]].concat();
    let whole = [&front[..], packed, &hashes].concat();
    frame(&mut &mut *out, Kind::Message, &[&[1, 0][..], &number(whole.len() as u64)].concat())?;
    whole.chunks(PAYLOAD_MAX).try_for_each(|part| frame(&mut &mut *out, Kind::Part, part))
}

/// Packs what comes piece by piece: a program that a test starts is counted more exactly the less the test itself takes.
fn pack(pieces: impl Iterator<Item = Vec<u8>>) -> (u64, Vec<u8>) {
    let mut packed = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    let mut unpacked = 0;
    for piece in pieces {
        unpacked += piece.len() as u64;
        packed.write_all(&piece).unwrap();
    }
    (unpacked, packed.finish().unwrap())
}

fn zeros(mib: usize) -> (u64, Vec<u8>) {
    pack(std::iter::repeat_n(vec![0; 1 << 20], mib))
}

/// Ops of a root that holds so many of what `entry` describes by its number.
fn ops(entries: u32, entry: impl Fn(u32) -> Vec<u8>) -> (u64, Vec<u8>) {
    let begin = [number(0), number(0o755)].concat();
    pack([begin].into_iter().chain((0..entries).map(entry)).chain([vec![0]]))
}

fn named(kind: u64, name: &str, rest: &[u64]) -> Vec<u8> {
    let mut op = number(kind);
    op.extend(number(name.len() as u64));
    op.extend_from_slice(name.as_bytes());
    rest.iter().for_each(|&value| op.extend(number(value)));
    op
}

#[test]
fn a_tree_that_unpacks_to_more_than_is_taken_takes_little_memory() {
    let peer = Peer::new();
    let hello = hello(&peer);
    let less = (40 << 20, zeros(1 << 10).1);
    let trees = [
        ("zeros, as many as are said", zeros(1 << 10)),
        ("zeros, more than are said", less),
        ("empty files", ops(2_000_000, |at| named(3, &format!("{at:07}"), &[0, 0]))),
        ("directories", ops(1_500_000, |at| named(5, &format!("{at:07}"), &[0]))),
        ("long names", ops(300_000, |at| named(3, &format!("{at:0250}"), &[0, 0]))),
    ];
    for (what, (unpacked, packed)) in trees {
        let watched = agent_hears(|out| {
            frame(&mut &mut *out, Kind::Message, &hello)?;
            tree(out, unpacked, &packed, 0)
        });
        assert_bounded(&watched, what);
    }
}

/// What stands in an outline, each stream packed and said to be so long.
fn outline(streams: [(u64, Vec<u8>); 5]) -> Vec<u8> {
    let stream = |(unpacked, packed): (u64, Vec<u8>)| {
        [&number(unpacked)[..], &[1], &number(packed.len() as u64), &packed].concat()
    };
    streams.map(stream).concat()
}

#[test]
fn a_base_that_unpacks_to_more_than_is_taken_takes_a_client_little_memory() {
    let peer = Peer::new();
    let nothing = || pack(std::iter::empty());
    // A root that holds the client's own, again and again.
    let own = || pack([vec![0, 0xfa, 0x07, 4, 0]].into_iter().chain((0..3_000_000).map(|_| vec![4, 1])));
    let names = || pack((0..3_000_000).map(|at| format!("{at:07}\0").into_bytes()));
    let files = || pack([vec![0, 0xfa, 0x07]].into_iter().chain((0..3_000_000).map(|_| vec![0xa1, 0x12])));
    let outlines = [
        ("zeros", outline([zeros(1 << 10), nothing(), nothing(), nothing(), nothing()])),
        ("zeros everywhere", outline([7, 30, 10, 4, 30].map(zeros))),
        (
            "zeros, more than are said",
            outline([(7 << 20, zeros(1 << 10).1), nothing(), nothing(), nothing(), nothing()]),
        ),
        ("own directories", outline([own(), names(), nothing(), nothing(), nothing()])),
        ("files", outline([files(), names(), zeros(3), zeros(4), nothing()])),
    ];
    // `Ready`: another base, release 1 with a root, nothing live.
    let ready = [&[0, 0, 3, 0, 1][..], &[0; 32], &[2, 0]].concat();
    for (what, outline) in outlines {
        let watched = peer.client_hears(&["deploy"], |out| {
            frame(out, Kind::Message, &ready)?;
            frame(out, Kind::Message, &[&[2][..], &number(outline.len() as u64)].concat())?;
            outline.chunks(PAYLOAD_MAX).try_for_each(|part| frame(out, Kind::Part, part))
        });
        assert_bounded(&watched, what);
        assert_ne!(watched.code, Some(0), "{what}");
    }
    let manifests = [
        ("zeros", zeros(1 << 10)),
        ("empty files", ops(2_000_000, |at| named(3, &format!("{at:07}"), &[0, 0]))),
        ("deep names", ops(300_000, |at| named(3, &format!("{at:0250}"), &[0, 0]))),
    ];
    for (what, (unpacked, packed)) in manifests {
        let front = [&[0; 32][..], &number(unpacked), &number(packed.len() as u64)].concat();
        let whole = [&front[..], &packed, &[0]].concat();
        let name = [&[1, 0, 1][..], &[0; 32], &number(whole.len() as u64)].concat();
        let watched = peer.client_hears(&["diff", "1", "2"], |out| {
            (0..20).try_for_each(|_| {
                frame(out, Kind::Message, &name)?;
                whole.chunks(PAYLOAD_MAX).try_for_each(|part| frame(out, Kind::Part, part))
            })
        });
        assert_bounded(&watched, what);
        assert_ne!(watched.code, Some(0), "{what}");
    }
}

#[test]
fn blocks_of_all_forms_that_lie_about_their_content_take_little_memory() {
    let peer = Peer::new();
    let recorded = peer.recorded(&["--force"]);
    let before: Vec<&(u8, Vec<u8>)> = recorded.iter().take_while(|(kind, _)| *kind != Kind::Block as u8).collect();
    let (_, bomb) = zeros(256);
    let heads: [(&str, Vec<u8>); 5] = [
        ("no files", vec![0, 0]),
        ("many files", [&[0][..], &number(1 << 16), &[0; 1 << 16]].concat()),
        ("more files than there are bytes", [&[0][..], &number(u64::MAX / 2)].concat()),
        ("ranges", [&[1, 0, 0, 0][..], &number(1 << 16), &[0; 1 << 16]].concat()),
        ("deltas", [&[2][..], &number(1 << 16), &[0; 2 << 16]].concat()),
    ];
    for (what, head) in heads {
        for (said, packing) in [(16_u64 << 20, 1), (256 << 20, 1), (u64::MAX / 2, 1), (1 << 20, 0)] {
            let block = [&head[..], &number(said), &[packing], &bomb].concat();
            let watched = agent_hears(|out| {
                for (kind, payload) in &before {
                    let kind = if *kind == Kind::Part as u8 { Kind::Part } else { Kind::Message };
                    frame(&mut &mut *out, kind, payload)?;
                }
                (0..20).try_for_each(|_| frame(&mut &mut *out, Kind::Block, &block))?;
                (0..20).try_for_each(|_| frame(&mut &mut *out, Kind::Block, &vec![0; PAYLOAD_MAX]))
            });
            assert_bounded(&watched, &format!("{what}, {said} bytes, packing {packing}"));
        }
    }
}
