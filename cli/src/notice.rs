//! The notices for the webhook: the start of a run, and its outcome.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use engine::cancel::Cancel;
use engine::event::{Event, Observer};
use engine::live::LiveNow;
use engine::release::ReleaseId;
use engine::report::{DeployReport, DeployState, SwitchReport};
use engine::target::Destination;
use engine::webhook::{Messenger, Notice};
use serde_json::{Map, Value, json};

use crate::events::now;
use crate::failure::Failure;
use crate::run_verb::RunVerb;
use crate::secrets::Secrets;
use crate::settings::Settings;

/// The outcome of a run, in the words of a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The release of the run.
    pub(crate) release: Option<ReleaseId>,
    /// The release that was live before.
    pub(crate) previous: Option<ReleaseId>,
    /// The commit of the source.
    pub(crate) commit: Option<String>,
    /// Its branch.
    pub(crate) branch: Option<String>,
    /// Whether a release was switched to, left ready, or nothing had to change.
    pub(crate) state: &'static str,
    /// The live release now.
    pub(crate) live: LiveNow,
}

/// The switches back that are told. A run has two: of the release before it, which nobody confirmed, and of its own. A
/// server may claim any number.
const RETURNS_MAX: usize = 2;

/// Tells the webhook of a run.
pub(crate) struct Notices {
    messenger: Messenger,
    verb: RunVerb,
    began: Instant,
    /// The fields that all notices have.
    run: Map<String, Value>,
    secrets: Secrets,
    /// The switches back so far.
    returns: AtomicUsize,
}

impl Notices {
    /// Starts to tell, and tells of the start. None without a webhook, and if it is not told of the verb.
    pub(crate) fn start(verb: RunVerb, settings: &Settings, observer: &Arc<dyn Observer>) -> Option<Arc<Notices>> {
        let webhook = settings.webhook.clone().filter(|_| verb.is_told())?;
        let notices = Notices {
            messenger: Messenger::start(webhook, observer),
            verb,
            began: Instant::now(),
            run: run(verb, settings),
            secrets: settings.secrets(),
            returns: AtomicUsize::new(0),
        };
        notices.tell("start", json!({}));
        Some(Arc::new(notices))
    }

    /// Tells of the end, and waits until all notices are sent or given up.
    pub(crate) fn finish(&self, result: Result<Option<Outcome>, &Failure>, cancel: &Cancel) {
        match result {
            Ok(outcome) => {
                let event = if self.verb == RunVerb::Rollback { "rollback" } else { "success" };
                self.tell(event, outcome.as_ref().map_or_else(|| json!({}), of_outcome));
            }
            Err(failure) => self.tell("failure", of_failure(failure)),
        }
        self.messenger.finish(cancel);
    }

    fn tell(&self, event: &'static str, fields: Value) {
        let at = now().to_string();
        let mut body = self.run.clone();
        let seconds = (self.began.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        body.insert("seconds".into(), json!(seconds));
        if let Value::Object(fields) = fields {
            body.extend(fields);
        }
        let mut body = Value::Object(body);
        self.secrets.mask(&mut body);
        let rest = body.to_string();
        let body = format!("{{\"event\":\"{event}\",\"at\":{at},{}", &rest[1..]);
        self.messenger.send(Notice { event, at, body });
    }
}

/// Tells of a release that failed after its switch at the moment of the switch back.
impl Observer for Notices {
    fn observe(&self, event: Event) {
        if let Event::Returning { from, to } = event
            && self.returns.fetch_add(1, Ordering::Relaxed) < RETURNS_MAX
        {
            self.tell("rollback", json!({ "release": to, "previous": from }));
        }
    }
}

fn run(verb: RunVerb, settings: &Settings) -> Map<String, Value> {
    let (host, deploy_path) = match &settings.target.destination {
        Destination::Ssh(ssh) => (Some(ssh.host.clone()), ssh.path.display().to_string()),
        Destination::Local(path) => (None, path.display().to_string()),
    };
    let fields = json!({
        "verb": verb.name(),
        "stage": settings.procedure.stage,
        "host": host,
        "deploy_path": deploy_path,
        "who": settings.provenance.who,
        "from": settings.provenance.from,
        "job": settings.job,
        "release": null,
        "previous": null,
        "commit": null,
        "branch": null,
        "state": null,
        "live": null,
        "error": null,
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn of_outcome(outcome: &Outcome) -> Value {
    json!({
        "release": outcome.release,
        "previous": outcome.previous,
        "commit": outcome.commit,
        "branch": outcome.branch,
        "state": outcome.state,
        "live": of_live(&outcome.live),
    })
}

fn of_failure(failure: &Failure) -> Value {
    let object = failure.object();
    json!({ "error": object["error"], "live": object["live"] })
}

fn of_live(live: &LiveNow) -> Value {
    json!({ "state": live.state(), "release": live.release() })
}

impl Outcome {
    /// Returns the outcome of a deploy.
    pub(crate) fn of_deploy(report: &DeployReport) -> Outcome {
        let (state, live) = match report.state {
            DeployState::Live => ("live", report.release.as_ref()),
            DeployState::Unchanged => ("unchanged", report.release.as_ref()),
            DeployState::Ready => ("ready", report.previous.as_ref()),
        };
        Outcome {
            release: report.release.clone(),
            previous: report.previous.clone(),
            commit: report.tree.commit.clone(),
            branch: report.tree.branch.clone(),
            state,
            live: LiveNow::from(live),
        }
    }

    /// Returns the outcome of a switch or a rollback.
    pub(crate) fn of_switch(report: &SwitchReport) -> Outcome {
        Outcome {
            release: Some(report.release.clone()),
            previous: report.previous.clone(),
            commit: None,
            branch: None,
            state: if report.switched { "live" } else { "unchanged" },
            live: LiveNow::from(Some(&report.release)),
        }
    }
}
