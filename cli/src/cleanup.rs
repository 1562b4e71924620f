//! `cutover cleanup`: removes releases by retention, then objects that no release names.

use engine::CleanupRequest;
use engine::report::CleanupReport;

use crate::args::CleanupArgs;
use crate::color::Palette;
use crate::failure::Failure;
use crate::question::confirm;
use crate::report::{Block, Report};
use crate::run_verb::RunVerb;
use crate::session::Session;
use crate::tally::Verbosity;
use crate::units::{Bytes, Counted};
use crate::uses::Uses;

pub(crate) fn run(session: &Session<'_>, args: &CleanupArgs) -> Result<(), Failure> {
    let uses = if args.dry_run { Uses::Server } else { Uses::Everything };
    let settings = session.settings(&args.place.place()?, uses)?.with_grace(args.grace).with_lock(args.lock.request());
    let request = CleanupRequest { dry_run: args.dry_run, original: args.original };
    if args.original && !args.dry_run {
        confirm(
            "Remove the adopted directory, so that `cutover adopt --undo` cannot go back?",
            session.everywhere.yes,
        )?;
    }
    let verb = (!args.dry_run).then_some(RunVerb::Cleanup);
    session.run_logged(&settings, Verbosity::Brief, verb, |context| engine::cleanup(context, request))
}

impl Report for CleanupReport {
    const ANSWERS: bool = false;

    fn text(&self, palette: Palette, _: bool) -> String {
        let verb = if self.dry_run { "A cleanup would remove" } else { "Removed" };
        let removed = Counted(self.removed.len() as u64, "release");
        let objects = Counted(self.objects_removed, "object");
        let freed = format!("{} and {}", Bytes(self.freed_bytes), Counted(self.freed_inodes, "inode"));
        let headline = format!("{verb} {removed} and {objects}: {freed}");
        let mut block = Block::default();
        for id in &self.removed {
            block.line("removed", id);
        }
        block.line_if("original", self.original.map(|usage| format!("{}: the adopted directory", Bytes(usage.bytes))));
        for kept in &self.kept {
            let reason = if kept.reason == "grace" { "within its grace" } else { &kept.reason };
            block.line("kept", format!("{} ({reason})", kept.id));
        }
        let left = (self.left_names > 0).then(|| format!("{} of other users", Counted(self.left_names, "name")));
        block.line_if("left", left);
        format!("{}\n{}", palette.strong(headline), block.text())
    }
}

#[cfg(test)]
mod tests {
    use engine::report::KeptRelease;

    use super::*;

    #[test]
    fn what_went_and_what_stays_is_told() {
        let mut report = CleanupReport {
            removed: vec!["1".parse().unwrap()],
            kept: vec![KeptRelease { id: "2".parse().unwrap(), reason: "grace".into() }],
            objects_removed: 1200,
            freed_bytes: 12_345_678,
            freed_inodes: 1234,
            left_names: 2,
            ..CleanupReport::default()
        };
        assert_eq!(
            report.text(Palette::plain(), false),
            "Removed 1 release and 1,200 objects: 12.3 MB and 1,234 inodes\n  removed  1\n  kept     2 (within its grace)\n  left     2 names of other users\n"
        );
        report.dry_run = true;
        assert!(report.text(Palette::plain(), false).starts_with("A cleanup would remove 1 release and"));
        let nothing = CleanupReport::default().text(Palette::plain(), false);
        assert_eq!(nothing, "Removed 0 releases and 0 objects: 0 B and 0 inodes\n");
    }
}
