//! What is live, by the words of the agent.

use crate::report::{DeployState, LiveNow};
use crate::wire::message::{Live, Reply};

/// Returns what the agent says is live, as this side tells it.
pub(super) fn live_now(live: Live) -> LiveNow {
    match live {
        Live::Release(release) => LiveNow::Release(release),
        Live::Switched(release) => LiveNow::Switched(release),
        Live::Nothing => LiveNow::Nothing,
        Live::Unchanged => LiveNow::Unchanged,
        Live::Unknown => LiveNow::Unknown,
    }
}

/// Returns what is live after an answer.
pub(super) fn live_after(reply: &Reply) -> LiveNow {
    match reply {
        Reply::Deploy(done) => match (done.state, &done.release, &done.previous) {
            (DeployState::Live, Some(release), _) => LiveNow::Switched(release.clone()),
            (DeployState::Unchanged, Some(release), _) => LiveNow::Release(release.clone()),
            (DeployState::Ready, _, Some(previous)) => LiveNow::Release(previous.clone()),
            (DeployState::Ready, _, None) => LiveNow::Nothing,
            (_, None, _) => LiveNow::Unknown,
        },
        Reply::Switch(report) if report.switched => LiveNow::Switched(report.release.clone()),
        Reply::Switch(report) => LiveNow::Release(report.release.clone()),
        _ => LiveNow::Unknown,
    }
}
