//! Asks for a look at a site to adopt. The manifest of the source goes with the question.

use crate::client::conversation::Conversation;
use crate::error::Error;
use crate::manifest::Manifest;
use crate::manifest::encode::encode;
use crate::report::{DeployFailure, SurveyReport};
use crate::request::Context;
use crate::wire::connection::Connection;
use crate::wire::message::{AdoptBegin, FromAgent, Reply, Request, ToAgent};

use super::hello;

/// Asks, and returns the answer.
pub(crate) fn ask(
    context: &Context,
    connection: Connection,
    begin: AdoptBegin,
    source: &Manifest,
) -> Result<SurveyReport, Error> {
    let conversation = Conversation::new(connection, context.observer.clone(), context.cancel.clone())?;
    let report = receive(context, &conversation, begin, source).map_err(|failure| failure.error)?;
    conversation.finish();
    Ok(report)
}

fn receive(
    context: &Context,
    conversation: &Conversation,
    begin: AdoptBegin,
    source: &Manifest,
) -> Result<SurveyReport, DeployFailure> {
    let tree = encode(source, None).to_bytes();
    let request = Request::Survey { begin, length: tree.len() as u64 };
    conversation.send(&ToAgent::Hello(Box::new(hello(context, request))))?;
    conversation.send_parts(&tree)?;
    match conversation.wait()? {
        FromAgent::Done(Reply::Survey(report)) => Ok(*report),
        _ => Err(Error::Protocol("an answer to a question that was not asked".into()).into()),
    }
}
