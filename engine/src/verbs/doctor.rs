//! `doctor`: examines the source on this machine, and then the target.
//!
//! A source that cannot be deployed is a finding, and stops nothing. An error of the connection is an error: the caller
//! tells it as a finding too.

use std::os::unix::ffi::OsStrExt;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::client::query;
use crate::client::{LastScan, Memory, Source, SourceOrigin, hello};
use crate::error::{Error, Refusal, SiteError};
use crate::event::{Event, Phase};
use crate::manifest::{Manifest, Node};
use crate::path::Shown;
use crate::report::{DoctorReport, Examined, Finding, Subject};
use crate::request::{Context, DoctorRequest, SourceRequest};
use crate::shared_path::{Conflict, SharedPath};
use crate::target::{Destination, Policy};
use crate::threads;
use crate::wire::Install;
use crate::wire::message::{AgentPath, DoctorOrder, Need, Reply, Request};

use super::mismatch;

/// Finds what would make a deploy fail or go wrong. Changes nothing.
pub fn doctor(context: &Context, request: &DoctorRequest) -> Result<DoctorReport, Error> {
    context.with_warnings(|context| {
        threads::start_pool()?;
        let (mut findings, mut facts, mut need) = (Vec::new(), Vec::new(), None);
        if let Some(source) = &request.source {
            match context.examine_source(source) {
                Ok(of_source) => {
                    findings.extend(of_source.refusals.into_iter().map(|refusal| Finding::SourceRefused { refusal }));
                    findings.extend(of_source.warnings.into_iter().map(|text| Finding::SourceWarning { text }));
                    facts = of_source.facts;
                    need = Some(of_source.need);
                }
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(error) => findings.push(Finding::SourceRefused { refusal: error.to_refusal() }),
            }
        }
        let skipped = request.source.is_none().then(|| "no source is named".to_owned());
        let of_source = Examined { subject: Subject::Source, facts, skipped };
        context.examine_target(request, need, (findings, of_source))
    })
}

/// The result of examining the source.
struct OfSource {
    /// The paths for which a deploy is refused.
    refusals: Vec<Refusal>,
    /// The warnings of a deploy.
    warnings: Vec<String>,
    facts: Vec<String>,
    /// The space that its content needs.
    need: Need,
}

/// Returns the paths that the source has and the configuration declares shared, where a deploy is refused for that.
fn conflicts(policy: &Policy, manifest: &Manifest) -> Vec<Refusal> {
    let node = |declared: &SharedPath| manifest.find(declared.path.names()).map(|named| named.node);
    let is_file = |node: Option<Node>| matches!(node, Some(Node::File(_) | Node::Symlink(_)));
    let files = policy.shared_files.iter().filter(|file| file.conflict == Conflict::Error && node(file).is_some());
    let replaces = |directory: &SharedPath| !matches!(directory.conflict, Conflict::Link | Conflict::Keep);
    let directories = policy.shared_dirs.iter().filter(|directory| replaces(directory) && is_file(node(directory)));
    let refusal = |path: &SharedPath| Error::from(SiteError::SharedDeclared(path.path.to_string())).to_refusal();
    files.chain(directories).map(refusal).collect()
}

impl Context {
    /// Scans the source.
    fn examine_source(&self, request: &SourceRequest) -> Result<OfSource, Error> {
        let memory = Memory::open(&self.state_dir, self.observer.clone());
        let observer = self.observer.as_ref();
        let origin = SourceOrigin::find(request, &self.target.destination, &self.cancel)?;
        let directory = origin.check_out(&self.state_dir, observer, &self.cancel)?.settle()?;
        let source = Source::scan(directory, LastScan::Trusted, &memory, observer, &self.cancel)?;
        let warnings = source.review(LastScan::Trusted);
        source.keep();
        let mut facts = vec![format!("{} files", source.manifest().files())];
        let changes = if source.is_dirty() == Some(true) { ", with changes" } else { "" };
        facts.extend(source.commit().map(|commit| format!("commit {commit}{changes}")));
        let refusals = conflicts(&self.policy, source.manifest());
        Ok(OfSource { refusals, warnings, facts, need: Need::of(source.manifest()) })
    }

    fn examine_target(
        &self,
        request: &DoctorRequest,
        need: Option<Need>,
        (findings, of_source): (Vec<Finding>, Examined),
    ) -> Result<DoctorReport, Error> {
        self.observer.observe(Event::Began(Phase::Connect));
        let connection = self.connect(self.start_resolution()?, Install::Visit, false, &self.cancel)?;
        self.observer.observe(Event::Ended(Phase::Connect));
        let noise = connection.noise.trim_ascii().to_vec();
        let order = DoctorOrder {
            full: request.full,
            web_user: request.web_user.clone(),
            agent_path: self.agent_path(),
            second: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs()),
            need,
        };
        let hello = hello(self, Request::Doctor(order));
        let (reply, _) = query::ask(connection, hello, &[], self.observer.clone(), self.cancel.clone())?;
        let Reply::Doctor(report) = reply else { return Err(mismatch()) };
        let mut report = *report;
        let examined = |subject| Examined { subject, facts: Vec::new(), skipped: None };
        report.examined.splice(0..0, [examined(Subject::Connection), examined(Subject::Login), of_source]);
        report.findings.splice(0..0, findings);
        report.findings.extend(self.noise_of_login(&noise));
        Ok(report)
    }

    /// Returns the directory of the agent, if it has one.
    pub(crate) fn agent_path(&self) -> Option<AgentPath> {
        match (&self.target.destination, &self.target.reach.agent_path) {
            (Destination::Local(_), _) => None,
            (Destination::Ssh(_), None) => Some(AgentPath::InDeployPath),
            (Destination::Ssh(_), Some(path)) => Some(AgentPath::Elsewhere(path.as_os_str().as_bytes().to_vec())),
        }
    }

    /// Returns the finding for a login that prints something.
    fn noise_of_login(&self, noise: &[u8]) -> Option<Finding> {
        let first = noise.split(|&byte| byte == b'\n').find(|line| !line.trim_ascii().is_empty())?;
        let host = match &self.target.destination {
            Destination::Ssh(ssh) => ssh.host.clone(),
            Destination::Local(_) => return None,
        };
        Some(Finding::LoginNoise { host, text: Shown(first.trim_ascii()).to_string() })
    }
}
