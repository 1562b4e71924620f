//! `cutover rollback`: switches back to an earlier release.

use engine::{LockRequest, SwitchTo};

use crate::args::RollbackArgs;
use crate::failure::Failure;
use crate::notice::ToldVerb;
use crate::place::Place;
use crate::session::Session;
use crate::settings::Settings;
use crate::tally::Verbosity;
use crate::words;

pub(crate) fn run(session: &Session<'_>, args: &RollbackArgs) -> Result<(), Failure> {
    let (settings, to) = prepare(session, args).map_err(Failure::before_any_switch)?;
    session.run_told(&settings, Verbosity::Brief, Some(ToldVerb::Rollback), |context| engine::switch(context, &to))
}

fn prepare(session: &Session<'_>, args: &RollbackArgs) -> Result<(Settings, SwitchTo), Failure> {
    let (release, stage) = words::rollback(&args.words(), args.to.as_ref())?;
    let target = args.target.target.clone();
    let RollbackArgs { interrupt, pass_lock: passes_manual, .. } = *args;
    let lock = LockRequest { interrupt, passes_manual, ..args.lock.request() };
    let settings = session.settings(&Place { stage, target })?.with_lock(lock);
    Ok((settings, SwitchTo::Back(release)))
}
