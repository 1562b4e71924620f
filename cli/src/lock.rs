//! `cutover lock` and `cutover unlock`: a lock that a person takes, and who is at work.

use engine::report::{AcquireReport, LockReport, UnlockReport};

use crate::args::{AcquireArgs, LockArgs, LockVerb, PlaceArgs, UnlockArgs};
use crate::color::Palette;
use crate::failure::{Failure, one_line};
use crate::report::{Block, Report};
use crate::session::Session;
use crate::tally::Verbosity;
use crate::uses::Uses;

pub(crate) fn run(session: &Session<'_>, args: &LockArgs) -> Result<(), Failure> {
    match &args.verb {
        LockVerb::Acquire(args) => acquire(session, args),
        LockVerb::Status(args) => status(session, args),
        LockVerb::Release(args) => unlock(session, args),
    }
}

/// `cutover unlock`, also as `cutover lock release`.
pub(crate) fn unlock(session: &Session<'_>, args: &UnlockArgs) -> Result<(), Failure> {
    let settings = session.settings(&args.place.place()?, Uses::Server)?.with_lock(args.lock.request());
    session.run(&settings, Verbosity::Brief, engine::unlock)
}

fn acquire(session: &Session<'_>, args: &AcquireArgs) -> Result<(), Failure> {
    let settings = session.settings(&args.place.place()?, Uses::Server)?.with_lock(args.lock.request());
    session.run(&settings, Verbosity::Brief, |context| engine::acquire_lock(context, &args.message))
}

fn status(session: &Session<'_>, args: &PlaceArgs) -> Result<(), Failure> {
    let settings = session.settings(&args.place()?, Uses::Server)?;
    session.run(&settings, Verbosity::Brief, engine::lock_status)
}

impl Report for LockReport {
    const ANSWERS: bool = true;

    fn text(&self, palette: Palette, _: bool) -> String {
        let headline = match (&self.manual_lock, &self.lock) {
            (Some(_), _) => "is locked",
            (None, Some(_)) => "is in use",
            (None, None) => "is not locked",
        };
        let mut block = Block::default();
        block.line_if("by", self.manual_lock.as_ref()).line_if("at work", self.lock.as_ref());
        format!("{} {headline}\n{}", palette.strong(one_line(&self.deploy_path)), block.text())
    }
}

impl Report for AcquireReport {
    const ANSWERS: bool = false;

    fn text(&self, palette: Palette, _: bool) -> String {
        let message = one_line(&self.manual_lock.message);
        format!("{} is locked: {message}\n", palette.strong(one_line(&self.deploy_path)))
    }

    fn next(&self) -> Option<String> {
        Some("`cutover unlock` lets deploys in again".to_owned())
    }
}

impl Report for UnlockReport {
    const ANSWERS: bool = false;

    fn text(&self, palette: Palette, _: bool) -> String {
        let path = palette.strong(one_line(&self.deploy_path));
        match &self.removed {
            Some(removed) => format!("{path} is unlocked; it was locked by {}\n", one_line(&removed.to_string())),
            None => format!("{path} was not locked\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::manual_lock::ManualLock;
    use engine::report::LockHolder;

    use super::*;

    fn held() -> ManualLock {
        let (who, from, message) = ("anna".into(), "laptop".into(), "freeze".into());
        ManualLock { who, from, since: 1_774_447_200, message }
    }

    fn holder() -> LockHolder {
        LockHolder {
            who: "bert".into(),
            from: "ci".into(),
            since: 1_774_447_200,
            pid: 7,
            verb: "deploy".into(),
            commit: None,
            job: Some("https://ci.example.com/7".into()),
            hook: None,
        }
    }

    #[test]
    fn who_is_at_work_and_who_keeps_deploys_out_is_told() {
        let check = |manual_lock: Option<ManualLock>, lock: Option<LockHolder>, expected: &str| {
            let report = LockReport { deploy_path: "/srv/shop".into(), lock, manual_lock, warnings: Vec::new() };
            assert_eq!(report.text(Palette::plain(), false), expected);
        };
        check(None, None, "/srv/shop is not locked\n");
        check(
            None,
            Some(holder()),
            "/srv/shop is in use\n  at work  bert@ci since 2026-03-25 14:00:00Z: deploy \
             (process 7), https://ci.example.com/7\n",
        );
        check(Some(held()), None, "/srv/shop is locked\n  by  anna@laptop since 2026-03-25 14:00:00Z: freeze\n");
    }

    #[test]
    fn an_unlock_says_whose_lock_it_removed() {
        let check = |removed: Option<ManualLock>, expected: &str| {
            let report = UnlockReport { deploy_path: "/srv/shop".into(), removed, warnings: Vec::new() };
            assert_eq!(report.text(Palette::plain(), false), expected);
        };
        let whose = "/srv/shop is unlocked; it was locked by anna@laptop since 2026-03-25 14:00:00Z: freeze\n";
        check(Some(held()), whose);
        check(None, "/srv/shop was not locked\n");
    }
}
