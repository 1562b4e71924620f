//! The lines of a dry run: what a deploy would change, send and need.

use engine::error::Error;
use engine::report::{ChangesReport, PreviewReport, SendReport, SizesReport, SpaceReport};

use crate::failure::Failure;
use crate::report::Block;
use crate::units::{Bytes, Count, Counted};

/// Adds the lines of a forecast.
pub(crate) fn add(block: &mut Block, changes: &ChangesReport, preview: &PreviewReport) {
    let PreviewReport { new, changed, gone, send, space, refusal } = preview;
    let parts = [
        counted(changes.files_new, "new", new),
        counted(changes.files_changed, "changed", changed),
        counted(changes.files_removed, "removed", gone),
    ];
    block
        .line("changes", parts.join(", "))
        .line_if("new", largest(new, changes.files_new))
        .line_if("changed", largest(changed, changes.files_changed))
        .line_if("gone", largest(gone, changes.files_removed))
        .line("to send", to_send(send))
        .line("space", space_text(space) + enough(space, refusal.is_some()));
}

/// Says what follows from a lack of space.
fn enough(space: &SpaceReport, is_refused: bool) -> &'static str {
    match (space.fits, is_refused) {
        (true, _) => "",
        (false, true) => ". That is not enough: a deploy would be refused",
        (false, false) => ". That is not enough",
    }
}

/// Returns the failure of a deploy that would be refused.
pub(crate) fn failure(preview: &PreviewReport) -> Option<Failure> {
    let refusal = preview.refusal.clone()?;
    Some(Failure::from(Error::Agent(refusal)).reported())
}

/// Returns a number of files with their sizes together: `12 new (3.4 MB)`.
pub(crate) fn counted(count: u64, what: &str, sizes: &SizesReport) -> String {
    match count {
        0 => format!("0 {what}"),
        _ => format!("{} {what} ({})", Count(count), Bytes(sizes.bytes)),
    }
}

/// Returns the largest of some files: `a.bin (12.3 MB), b.bin (2.0 MB) and 10 more`.
pub(crate) fn largest(sizes: &SizesReport, count: u64) -> Option<String> {
    let named: Vec<String> =
        sizes.largest.iter().map(|sized| format!("{} ({})", sized.path, Bytes(sized.bytes))).collect();
    let more = match count.saturating_sub(named.len() as u64) {
        0 => String::new(),
        more => format!(" and {} more", Count(more)),
    };
    (!named.is_empty()).then(|| format!("{}{more}", named.join(", ")))
}

fn to_send(send: &SendReport) -> String {
    let SendReport { files, bytes, differing_bytes } = *send;
    let differing = match differing_bytes {
        0 => String::new(),
        _ if differing_bytes == bytes => "; only the differences to old versions are sent".to_owned(),
        _ => format!("; of {} only the differences to old versions are sent", Bytes(differing_bytes)),
    };
    match files {
        0 => "no content".to_owned(),
        _ => format!("{}, {} before compression{differing}", Counted(files, "file"), Bytes(bytes)),
    }
}

/// Returns the text of a need and of the free space.
pub(crate) fn space_text(space: &SpaceReport) -> String {
    let needed = format!("{} and {}", Bytes(space.needed_bytes), Counted(space.needed_inodes, "inode"));
    let inodes = space.free_inodes.map_or(String::new(), |inodes| format!(" and {}", Counted(inodes, "inode")));
    let reserve = match space.reserve_bytes {
        0 => String::new(),
        bytes => format!(", of which `min_free` keeps {}", Bytes(bytes)),
    };
    format!("needs {needed}; {}{inodes} are free{reserve}", Bytes(space.free_bytes))
}

#[cfg(test)]
mod tests {
    use engine::error::{ErrorId, Shortage, SiteError, SpaceRemedy};
    use engine::report::SizedPath;

    use super::*;

    fn preview() -> PreviewReport {
        let sized = |path: &str, bytes| SizedPath { path: path.into(), bytes };
        PreviewReport {
            new: SizesReport { bytes: 2_500_000, largest: vec![sized("a/b.js", 2_000_000), sized("c", 500_000)] },
            changed: SizesReport { bytes: 12, largest: vec![sized("d", 12)] },
            gone: SizesReport::default(),
            send: SendReport { files: 14, bytes: 2_500_012, differing_bytes: 12 },
            space: SpaceReport {
                needed_bytes: 3_000_000,
                needed_inodes: 60,
                free_bytes: 12_300_000_000,
                free_inodes: Some(1_000_000),
                reserve_bytes: 500_000_000,
                reserve_inodes: 0,
                fits: true,
            },
            refusal: None,
        }
    }

    #[test]
    fn a_forecast_has_sizes_the_largest_files_and_the_space() {
        let changes = ChangesReport { files_new: 13, files_changed: 1, files_removed: 0 };
        let mut block = Block::default();
        add(&mut block, &changes, &preview());
        let expected = "  \
  changes  13 new (2.5 MB), 1 changed (12 B), 0 removed
  new      a/b.js (2.0 MB), c (500.0 kB) and 11 more
  changed  d (12 B)
  to send  14 files, 2.5 MB before compression; of 12 B only the differences to old versions are sent
  space    needs 3.0 MB and 60 inodes; 12.3 GB and 1,000,000 inodes are free, of which `min_free` keeps 500.0 MB
";
        assert_eq!(block.text(), expected);
    }

    #[test]
    fn a_lack_of_space_and_of_content_to_send_is_told() {
        let mut preview = preview();
        preview.send = SendReport::default();
        preview.space = SpaceReport { free_inodes: None, reserve_bytes: 0, fits: false, ..preview.space };
        let mut block = Block::default();
        add(&mut block, &ChangesReport::default(), &preview);
        let text = block.text();
        assert!(text.contains("  to send  no content\n"), "{text}");
        assert!(text.contains("12.3 GB are free. That is not enough\n"), "{text}");
        assert!(failure(&preview).is_none());
        let shortage = Shortage { needed: 3_000_000, free: 1, reserve: 0 };
        let error = SiteError::NoSpace { shortage, user: "deploy".into(), remedy: SpaceRemedy::default() };
        preview.refusal = Some(Error::from(error).to_refusal());
        let mut block = Block::default();
        add(&mut block, &ChangesReport::default(), &preview);
        let text = block.text();
        assert!(text.contains("12.3 GB are free. That is not enough: a deploy would be refused\n"), "{text}");
        let failure = failure(&preview).unwrap();
        assert_eq!((failure.id, failure.exit_code(None)), (ErrorId::NotEnoughSpace, 1));
    }
}
