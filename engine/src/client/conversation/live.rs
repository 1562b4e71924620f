//! The live release, according to an answer of the agent.

use crate::live::LiveNow;
use crate::report::DeployState;
use crate::wire::message::Reply;

/// Returns the live release after an answer.
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
