//! B after A by a client that never deployed, as in a fresh CI runner: without state, and all mtimes are new. Once more
//! from a git checkout that holds A's files as well.

use crate::contest::{Client, Deploy, Job, race};
use crate::failure::Result;
use crate::lab::laboratory::Lab;
use crate::record::scenario::Outcome;
use crate::scenario::Scenario;
use crate::tools::checkout::FromCheckout;
use crate::tools::joining;

pub(super) fn run(lab: &Lab) -> Result<Outcome> {
    let trees = lab.trees();
    let job = Job { client: Client::New, ..Job::next(Scenario::Cold, &trees.a, &trees.b) };
    let tools = joining(Scenario::Cold, &lab.settings().variants);
    let checkout = FromCheckout::make(lab)?;
    let mut contenders: Vec<Deploy<'_>> = tools.iter().map(|tool| Deploy::of(lab, &**tool, &job)).collect();
    contenders.push(Deploy::of(lab, &checkout, &job));
    race(lab, &contenders).map(Outcome::of)
}
