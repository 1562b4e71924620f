//! The comparisons of a record: its figures beside each other, their ratio, and the aim of that.
//!
//! Pure: a record goes in, rows come out. One place has them for new runs and for kept ones.

mod deploys;
mod growth;
pub(crate) mod row;
mod rows;
mod server;

use crate::comparison::row::Row;
use crate::comparison::rows::{Conditions, Rows};
use crate::record::run::RunRecord;
use crate::record::scenario::ScenarioRecord;
use crate::scenario::Scenario;

/// Returns the comparisons of a scenario.
pub(crate) fn of(run: &RunRecord, record: &ScenarioRecord) -> Vec<Row> {
    let conditions = Conditions { logins: &run.logins, shape: run.line };
    let rows = || Rows::of(conditions, &record.tracks);
    match record.scenario {
        Scenario::First => deploys::first(rows()),
        Scenario::Next => deploys::next(rows()),
        Scenario::NextSameMtimes => deploys::next_same_mtimes(rows()),
        Scenario::Unchanged => deploys::unchanged(rows()),
        Scenario::OneFile => deploys::one_file(rows()),
        Scenario::TwoThousand => deploys::edit(rows(), 30_000.0),
        Scenario::Rename => deploys::edit(rows(), 2000.0),
        Scenario::Insert => deploys::insert(rows(), rows()),
        Scenario::Modules => deploys::modules(rows()),
        Scenario::Cold => deploys::cold(rows(), rows()),
        Scenario::Incompressible => [("400 MB: ", 400), ("100 MB: ", 100)]
            .iter()
            .flat_map(|job| deploys::incompressible(rows(), *job))
            .collect(),
        Scenario::Rollback => deploys::rollback(rows()),
        Scenario::Assembly => server::assembly(conditions, &record.tracks),
        Scenario::Worst => server::worst(&record.tracks, &record.facts, &run.trees.a),
        Scenario::Disk => server::disk(&record.tracks),
        Scenario::Growth => growth::growth(conditions, &record.tracks),
        Scenario::Share => growth::share(conditions, &record.tracks),
    }
}
