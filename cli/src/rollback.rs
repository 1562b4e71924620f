//! `cutover rollback`: switches back to an earlier release. Asks if that leaves migrations that ran.

use engine::error::{Hint, ReleaseHint};
use engine::report::SwitchReport;
use engine::rollback::{Rollback, RollbackTo};
use engine::{Context, LockRequest, SwitchRequest, SwitchTo};

use crate::args::RollbackArgs;
use crate::failure::Failure;
use crate::place::Place;
use crate::question;
use crate::run_verb::RunVerb;
use crate::session::Session;
use crate::settings::Settings;
use crate::tally::Verbosity;
use crate::uses::Uses;
use crate::words;

pub(crate) fn run(session: &Session<'_>, args: &RollbackArgs) -> Result<(), Failure> {
    let (settings, rollback) = prepare(session, args).map_err(Failure::before_any_switch)?;
    let (verb, request) = (Some(RunVerb::Rollback), SwitchRequest { force: args.force });
    session.run_logged(&settings, Verbosity::Brief, verb, |context| go_back(context, rollback, request))
}

fn prepare(session: &Session<'_>, args: &RollbackArgs) -> Result<(Settings, Rollback), Failure> {
    let flag = match (&args.to, args.forward) {
        (_, true) => Some(RollbackTo::Forward),
        (to, false) => to.as_deref().map(words::rollback_to).transpose()?,
    };
    let (to, stage) = words::rollback(&args.words(), session.stages, flag)?;
    let target = args.target.target.clone();
    let RollbackArgs { interrupt, pass_lock: passes_manual, .. } = *args;
    let lock = LockRequest { interrupt, passes_manual, ..args.lock.request() };
    let settings =
        session.settings(&Place { stage, target }, Uses::Everything)?.with_lock(lock).without_hooks_if(args.skip_hooks);
    Ok((settings, Rollback { to, reason: args.reason.clone(), accepts_migrations: session.everywhere.yes }))
}

fn go_back(context: &Context, rollback: Rollback, request: SwitchRequest) -> Result<SwitchReport, Failure> {
    let failure = match engine::switch(context, &SwitchTo::Back(rollback.clone()), request) {
        Ok(report) => return Ok(report),
        Err(failure) => failure,
    };
    let leaves_migrations = failure.error.hint() == Some(Hint::Release(ReleaseHint::AcceptMigrations));
    if leaves_migrations && question::can_ask() && question::ask(context, &format!("{}. Go on?", failure.error))? {
        let rollback = Rollback { accepts_migrations: true, ..rollback };
        return Ok(engine::switch(context, &SwitchTo::Back(rollback), request)?);
    }
    Err(failure.into())
}
