//! `cutover rollback`: switches back to an earlier release.

use engine::SwitchTo;

use crate::args::RollbackArgs;
use crate::failure::Failure;
use crate::session::Session;
use crate::tally::Talk;

pub(crate) fn run(session: &Session<'_>, args: &RollbackArgs) -> Result<(), Failure> {
    let place = args.place.place();
    let settings = place.and_then(|place| session.settings(&place)).map_err(Failure::before_any_switch)?;
    let to = SwitchTo::Back(args.to.clone());
    session.run(&settings, Talk::Brief, |context| engine::switch(context, &to))
}
