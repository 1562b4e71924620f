//! The answer to a deploy: the results of all its steps.

use crate::agent::compare::warning_of;
use crate::event::Phase;
use crate::manifest::Manifest;
use crate::manifest::diff::Counts;
use crate::report::{ChangesReport, DeployState, Differences};
use crate::wire::message::DeployDone;

use crate::agent::shared::HiddenFiles;

use super::decision::Decision;
use super::finish::CleanupOutcome;
use super::order::Order;
use super::outcome::DeployOutcome;
use super::spare::SpareChoice;
use super::task::Task;

/// Returns the answer to a deploy that made a release.
pub(super) fn done(task: Task<'_>, choice: SpareChoice, outcome: DeployOutcome, cleanup: CleanupOutcome) -> DeployDone {
    let DeployOutcome { staged, published, switched, counts, restored_objects, mut seconds } = outcome;
    let assembled = staged.assembled;
    let mut done = expected_done(task.order, task.decision, &task.tree.manifest);
    done.changes = changes(counts);
    done.release = Some(task.decision.id.clone());
    done.making.objects_new = published.objects_new;
    done.making.objects_linked = assembled.linked;
    done.making.copied = assembled.copied.into_iter().collect();
    done.making.carried = staged.carried;
    match staged.reused {
        Some(Ok(reused)) => done.making.reused = Some(reused),
        Some(Err(error)) => done.making.not_reused = Some(error.with_cause()),
        None => done.making.not_reused = choice.refused.map(|error| error.with_cause()),
    }
    done.removed = choice.removed;
    done.removed.extend(cleanup.removed);
    done.warnings.extend(switched.into_iter().flat_map(|switched| switched.warnings));
    done.warnings.extend((assembled.unfit > 0).then(|| unfit_warning(assembled.unfit)));
    done.warnings.extend((restored_objects > 0).then(|| restored_warning(restored_objects)));
    done.warnings.extend(cleanup.warnings);
    seconds.push((Phase::Cleanup, cleanup.seconds));
    done.seconds = seconds;
    done
}

/// Returns the part of the answer that is known before anything is made. For a dry run that is all of it.
pub(super) fn expected_done(order: &Order<'_>, decision: &Decision, manifest: &Manifest) -> DeployDone {
    let state = if order.begin.no_switch { DeployState::Ready } else { DeployState::Live };
    let mut done = DeployDone::of(state);
    done.previous.clone_from(&decision.live);
    done.changes = changes(decision.counts);
    done.warnings = decision.shared.hidden.iter().map(HiddenFiles::warning).collect();
    done.making.seeded = decision.shared.seeded(manifest);
    done
}

/// Adds the edits of the release that was live.
pub(super) fn note_edits(done: &mut DeployDone, edited: Option<Differences>) {
    if let Some(edited) = &edited {
        let next = "The new release has the content of the source. The edits stay in the old one until it is removed";
        done.warnings.insert(0, format!("{}. {next}", warning_of(edited)));
    }
    done.edited = edited;
}

fn changes(counts: Counts) -> ChangesReport {
    let Counts { new, changed, removed } = counts;
    ChangesReport { files_new: new, files_changed: changed, files_removed: removed }
}

fn unfit_warning(files: u64) -> String {
    let files = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
    format!(
        "The stored content of {files} was changed or removed on the server. This release has the right content, but earlier releases still have the change: to go back, deploy their source again instead of rolling back"
    )
}

fn restored_warning(objects: u64) -> String {
    let objects = if objects == 1 { "1 stored file".to_owned() } else { format!("{objects} stored files") };
    format!(
        "The mode, time or group of {objects} was changed on the server, and Cutover restored it, because releases share their files. If the application must change files, list them in `copy_paths`"
    )
}
