//! The verbs that adopt a site, and undo that.
//!
//! The deploy path may have files of another tool, where no agent is put before it is adopted. So the server is lent one.

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use crate::client::{Memory, hello, query, survey as client_survey};
use crate::error::Error;
use crate::manifest::encode::encode;
use crate::report::{AdoptReport, DeployFailure, SurveyReport, UndoReport};
use crate::request::{AdoptRequest, Context, SourceRequest};
use crate::threads;
use crate::wire::Install;
use crate::wire::message::{AdoptBegin, Reply, Request};

use super::mismatch;

/// Looks at a site that is to be adopted, and compares it with a source. Nothing changes.
pub fn survey(context: &Context, request: &AdoptRequest, source: &SourceRequest) -> Result<SurveyReport, Error> {
    context.with_warnings(|context| {
        threads::start_pool()?;
        let memory = Memory::open(&context.state_dir, context.observer.clone());
        let source = context.scan_for_diff(source, &memory)?;
        let connection = context.connect(context.start_resolution()?, Install::Vanish, false, &context.cancel)?;
        client_survey::ask(context, connection, request.into(), &source)
    })
}

/// Adopts a site: it becomes the first release of the deploy path. What the source lacks came from the server, and
/// `carry_over` may carry it on.
pub fn adopt(context: &Context, request: &AdoptRequest, source: &SourceRequest) -> Result<AdoptReport, DeployFailure> {
    context.with_warnings(|context| {
        threads::start_pool()?;
        let memory = Memory::open(&context.state_dir, context.observer.clone());
        let source = encode(&context.scan_for_diff(source, &memory)?, None).to_bytes();
        let request = Request::Adopt { begin: request.into(), length: source.len() as u64 };
        match ask(context, request, &source)? {
            Reply::Adopt(report) => Ok(*report),
            _ => Err(mismatch().into()),
        }
    })
}

/// Undoes the adoption of a site. With `dry_run`, says what that would do.
pub fn undo_adoption(context: &Context, site: &Path, dry_run: bool) -> Result<UndoReport, DeployFailure> {
    context.with_warnings(|context| {
        let site = site.as_os_str().as_bytes().to_vec();
        match ask(context, Request::UndoAdoption { site, dry_run }, &[])? {
            Reply::UndoAdoption(report) => Ok(report),
            _ => Err(mismatch().into()),
        }
    })
}

fn ask(context: &Context, request: Request, content: &[u8]) -> Result<Reply, DeployFailure> {
    let connection = context.connect(context.start_resolution()?, Install::Vanish, false, &context.cancel)?;
    query::switch(connection, hello(context, request), content, context)
}

impl From<&AdoptRequest> for AdoptBegin {
    fn from(request: &AdoptRequest) -> AdoptBegin {
        let AdoptRequest { site, share, keep, link } = request.clone();
        AdoptBegin { site: site.into_os_string().into_vec(), share, keep, link }
    }
}
