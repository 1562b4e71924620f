//! The sizes up to which one side accepts data from the other: no peer makes either side take more than 512 MiB.
//!
//! Every kind of message has a greatest length, which is checked before its frames are joined. Every list in a
//! message has a greatest number of elements, which is checked before memory is allocated for the list: an element
//! may take 28 times as much memory as it takes on the wire. `message.rs` names the kinds; this file has the sizes
//! and the reason for each.
//!
//! The sizes follow from the largest tree ([`ENTRIES_MAX`], [`DIRECTORIES_MAX`], [`TEXT_BYTES_MAX`]); both sides
//! refuse a larger one. The most that a side holds at once:
//! ```text
//! agent, while a tree is read      the base 125 MB, its bytes 91, ops 51, the new tree 135            400 MB
//! agent, while content comes       the base 125 MB, the new tree 120, what is known of it 115         360 MB
//!                                  and what receives it: as much as is left, 100 MB at least (`agent/deploy/reception.rs`)
//! client, while a base is read     bytes 91 MB, ops 51, the base 115, answers that wait 64            320 MB
//!                                  beside what its own source takes
//! client, `diff`, `doctor --url`   two trees 230 MB, bytes 91, ops 51, answers that wait 64           436 MB
//! ```

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};

use crate::hash::Hash;
use crate::manifest::outline::SUMMARY_BYTES;
use crate::manifest::{DIRECTORIES_MAX, ENTRIES_MAX, OPS_BYTES_MAX};

/// A message without lists, in bytes: ids, numbers, a ticket. The longest release name has 64 bytes.
pub(crate) const PLAIN_BYTES_MAX: usize = 1 << 10;

/// A message with a path, in bytes. The longest path that Linux takes has 4096.
pub(crate) const PATH_BYTES_MAX: usize = 5 << 10;

/// A text for the user, in bytes: a warning with two escaped paths takes less.
pub(crate) const TEXT_MESSAGE_BYTES_MAX: usize = 64 << 10;

/// The hello, in bytes: a thousand shared paths and patterns of a hundred bytes each take less than half of it.
pub(crate) const HELLO_BYTES_MAX: usize = 256 << 10;

/// The last answer, in bytes: ten thousand releases take 3 MB. An element takes up to 28 times as much memory.
pub(crate) const ANSWER_BYTES_MAX: usize = 4 << 20;

/// One text of a report, in bytes. A longer one is cut off.
pub(crate) const REPORTED_TEXT_BYTES_MAX: usize = 16 << 10;

/// All texts of one list of a report, in bytes. The texts that do not fit are counted.
pub(crate) const REPORTED_BYTES_MAX: usize = 512 << 10;

/// Runs in a report. Each takes at most 20 kB, with a long error.
pub(crate) const RUNS_REPORTED_MAX: usize = 100;

/// All releases of a report, in bytes. Those that do not fit are left out, the oldest first.
pub(crate) const RELEASES_BYTES_MAX: usize = 3 << 20;

/// A release in a report, in bytes, without its notes, its reason and its migrations.
pub(crate) const RELEASE_BYTES_MAX: usize = 384;

/// The manifests in one request. Their names take at most 64 kB of the hello. Each side holds two of them at once.
pub(crate) const MANIFESTS_MAX: usize = 1000;

/// Releases in [`Holding`](crate::wire::message::Holding).
pub(crate) const HELD_RELEASES_MAX: usize = 16 << 10;

/// The server's holding, in bytes: 8 for each release whose name is a time, up to 66 for others.
pub(crate) const READY_BYTES_MAX: usize = 2 << 20;

/// Runs of entries: a run ends at each entry that is left out.
pub(crate) const RUNS_MAX: usize = ENTRIES_MAX / 2 + 1;

/// Entries in runs, in bytes. A run of `n` entries, with the one that is left out, takes at most `n` bytes, or ten if
/// it is short.
pub(crate) const RUNS_BYTES_MAX: usize = ENTRIES_MAX + 64;

/// Files whose beginning the server reports to have. All others are sent again from their start; each is at least 1
/// MiB.
pub(crate) const PARTIAL_MAX: usize = 64 << 10;

/// Entries whose content is lacking, in bytes: runs, and 15 for each partial file.
pub(crate) const LACKS_BYTES_MAX: usize = RUNS_BYTES_MAX + 15 * PARTIAL_MAX + 64;

/// The description of a client's directories, in bytes.
pub(crate) const CLIENT_DIRECTORIES_BYTES_MAX: usize = SUMMARY_BYTES * DIRECTORIES_MAX + 64;

/// Large files whose chunks are requested at once. All others are sent whole.
pub(crate) const CHUNKED_MAX: usize = 128 << 10;

/// The chunk lists of an answer, in bytes: those of a hundred thousand files of 1 MiB, or of eight hundred of 1 GiB.
pub(crate) const CHUNKS_BYTES_MAX: usize = 16 << 20;

/// Ranges of large files that are signed at once. All others are sent whole.
pub(crate) const GAPS_MAX: usize = 128 << 10;

/// Ranges of large files, in bytes: at most 14 each, and 37 for each file.
pub(crate) const GAPS_BYTES_MAX: usize = (14 + 37) * GAPS_MAX;

/// Signatures that are sent at once, in bytes: those of 8 GB of small changed files. All others are sent whole.
pub(crate) const SIGNATURES_BYTES_MAX: usize = 48 << 20;

/// Hashes that a tree promises. The client sends about 1 MiB of content without a request, and counts each file for
/// at least 16 bytes.
pub(crate) const PROMISED_MAX: usize = 128 << 10;

/// Those hashes, in bytes.
pub(crate) const HASHES_BYTES_MAX: usize = PROMISED_MAX * size_of::<Hash>() + 16;

/// A file in `shared/` that is read or written by itself, in bytes. Configuration is shorter; each side holds it twice.
pub(crate) const SHARED_FILE_BYTES_MAX: u64 = 16 << 20;

/// Paths of a list of `shared/`. Each takes some hundred bytes.
pub(crate) const SHARED_LISTED_MAX: usize = 4 << 10;

/// Lanes of one deploy over time. A client has no use for more.
pub(crate) const LANES_MAX: usize = 64;

/// Lanes that are open at a time. A client opens four; each holds a frame.
pub(crate) const LANES_AT_ONCE_MAX: usize = 4;

/// A manifest on the wire, in bytes: its ops, which may not compress, a hash for each entry, and its head.
pub(crate) const TREE_BYTES_MAX: u64 = OPS_BYTES_MAX + (ENTRIES_MAX * size_of::<Hash>()) as u64 + (1 << 10);

/// Queued answers, in bytes. The answers that arrive while the client writes must fit, or both sides would wait for
/// each other: signatures and lacking entries.
pub(crate) const WAITING_BYTES_MAX: usize = SIGNATURES_BYTES_MAX + (16 << 20);

/// The overhead of a queued answer beside its length, in bytes.
pub(crate) const WAITING_BYTES_EACH: usize = 512;

/// Texts for the user in one conversation, in bytes. All further texts are dropped.
pub(crate) const TEXTS_BYTES_MAX: usize = 1 << 20;
/// Texts for the user in one conversation. See [`TEXTS_BYTES_MAX`].
pub(crate) const TEXTS_MAX: usize = 10_000;

/// Rounds in which the agent requests content in one deploy. It uses four.
pub(crate) const ROUNDS_MAX: u32 = 8;

/// The bounds of the messages of one side. The first byte of a message is the number of its kind.
pub(crate) trait MessageBounds {
    /// The greatest length of each kind, in bytes, by its number.
    const BYTES_MAX: &'static [usize];
}

/// Deserializes a list of at most `MAX` elements, into memory that is allocated once.
pub(crate) fn at_most<'de, const MAX: usize, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct AtMost<const MAX: usize, T>(PhantomData<T>);

    impl<'de, const MAX: usize, T: Deserialize<'de>> Visitor<'de> for AtMost<MAX, T> {
        type Value = Vec<T>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(formatter, "at most {MAX} elements")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
            let count = elements.size_hint().unwrap_or_default();
            let mut list = Vec::with_capacity(count.min(MAX));
            while let Some(element) = elements.next_element()? {
                if list.len() == MAX {
                    return Err(A::Error::invalid_length(count, &self));
                }
                list.push(element);
            }
            Ok(list)
        }
    }

    deserializer.deserialize_seq(AtMost::<MAX, T>(PhantomData))
}

/// Cuts a text off at `bytes_max`.
pub(crate) fn cut_off(mut text: String, bytes_max: usize) -> String {
    const MORE: &str = " …";
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max - MORE.len()));
        text.push_str(MORE);
    }
    text
}

/// Drops the texts of a list that do not fit a report, and reports how many.
pub(crate) fn fitting(texts: &mut Vec<String>) {
    let mut bytes = 0;
    let mut fits = |text: &&String| {
        bytes += text.len() + size_of::<String>();
        bytes <= REPORTED_BYTES_MAX
    };
    texts.iter_mut().for_each(|text| *text = cut_off(std::mem::take(text), REPORTED_TEXT_BYTES_MAX));
    let count = texts.iter().take_while(|text| fits(text)).count();
    let left_out = texts.len() - count;
    if left_out > 0 {
        texts.truncate(count);
        texts.push(format!("… and {left_out} more"));
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    struct Three(#[serde(deserialize_with = "at_most::<3, _, _>")] Vec<Vec<u8>>);

    #[test]
    fn a_list_has_no_more_elements_than_it_may() {
        for count in 0..6 {
            let bytes = postcard::to_stdvec(&vec![Vec::<u8>::new(); count]).unwrap();
            assert_eq!(postcard::from_bytes::<Three>(&bytes).is_ok(), count <= 3, "{count}");
        }
        // A length that the bytes do not bear out.
        assert!(postcard::from_bytes::<Three>(&[0xff, 0xff, 0xff, 0xff, 0x0f]).is_err());
    }

    #[test]
    fn texts_that_do_not_fit_are_cut_off_or_counted() {
        assert_eq!(cut_off("short".into(), 8), "short");
        assert_eq!(cut_off("ä".repeat(9), 8), "ää …");
        let mut texts = vec!["x".repeat(REPORTED_TEXT_BYTES_MAX + 1); 100];
        fitting(&mut texts);
        assert_eq!(texts.len(), 32);
        assert_eq!(texts.last().unwrap(), "… and 69 more");
        assert!(texts[0].len() <= REPORTED_TEXT_BYTES_MAX);
        let mut few = vec!["x".to_owned(); 1000];
        fitting(&mut few);
        assert_eq!(few.len(), 1000);
    }
}
