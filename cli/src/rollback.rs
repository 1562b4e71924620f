//! `cutover rollback`: switches back to an earlier release.

use engine::{SwitchRequest, SwitchTo};

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
    let request = SwitchRequest { force: args.force };
    session.run_told(&settings, Verbosity::Brief, Some(ToldVerb::Rollback), |context| {
        engine::switch(context, &to, request)
    })
}

fn prepare(session: &Session<'_>, args: &RollbackArgs) -> Result<(Settings, SwitchTo), Failure> {
    let (release, stage) = words::rollback(&args.words(), args.to.as_ref())?;
    let target = args.target.target.clone();
    let settings = session.settings(&Place { stage, target })?;
    Ok((settings, SwitchTo::Back(release)))
}
