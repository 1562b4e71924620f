//! The verbs that ask one question and receive one answer.
//!
//! A failed query is an error alone. A failed switch also says what is live: the line may break after the agent began
//! the switch.

use std::sync::Arc;

use crate::cancel::Cancel;
use crate::client::conversation::Conversation;
use crate::client::verdict;
use crate::error::Error;
use crate::event::Observer;
use crate::manifest::Manifest;
use crate::manifest::decode::decode;
use crate::report::DeployFailure;
use crate::request::Context;
use crate::wire::bounds::TREE_BYTES_MAX;
use crate::wire::connection::Connection;
use crate::wire::message::{FromAgent, Hello, Reply, Request, ToAgent};

/// The manifest of a release, with the name of the release.
pub(crate) type NamedManifest = (String, Arc<Manifest>);

/// Asks a question that switches nothing. Returns the answer, with the manifests that came before it. The agent need
/// not send those that are `known`.
pub(crate) fn ask(
    connection: Connection,
    hello: Hello,
    known: &[Arc<Manifest>],
    observer: Arc<dyn Observer>,
    cancel: Cancel,
) -> Result<(Reply, Vec<NamedManifest>), Error> {
    let conversation = Conversation::new(connection, observer, cancel)?;
    let answer = receive(&conversation, hello, known).map_err(|failure| failure.error)?;
    conversation.finish();
    Ok(answer)
}

/// Asks for a switch or a rollback. `content` follows the question in parts. A failure says what is live.
pub(crate) fn switch(
    connection: Connection,
    hello: Hello,
    content: &[u8],
    context: &Context,
) -> Result<Reply, DeployFailure> {
    let conversation = Conversation::new(connection, context.observer.clone(), context.cancel.clone())?;
    conversation.note_possible_switch();
    conversation.note_procedure(&hello.procedure);
    let receive = || {
        conversation.send(&ToAgent::Hello(Box::new(hello)))?;
        conversation.send_parts(content)?;
        loop {
            match conversation.wait()? {
                FromAgent::Done(reply) => return Ok(reply),
                FromAgent::WantsVerdict => verdict::give(context, &conversation)?,
                _ => return Err(unasked().into()),
            }
        }
    };
    let reply = receive().map_err(|failure| conversation.settle(failure))?;
    conversation.finish();
    Ok(reply)
}

fn unasked() -> Error {
    Error::Protocol("an answer to a question that was not asked".into())
}

fn receive(
    conversation: &Conversation,
    hello: Hello,
    known: &[Arc<Manifest>],
) -> Result<(Reply, Vec<NamedManifest>), DeployFailure> {
    let most = match &hello.request {
        Request::Manifests { wanted, .. } => wanted.len(),
        _ => 0,
    };
    conversation.send(&ToAgent::Hello(Box::new(hello)))?;
    let mut manifests: Vec<NamedManifest> = Vec::new();
    loop {
        match conversation.wait()? {
            FromAgent::Done(reply) => return Ok((reply, manifests)),
            FromAgent::Manifest { .. } if manifests.len() == most => {
                return Err(Error::Protocol("more manifests than were asked for".into()).into());
            }
            FromAgent::Manifest { name, length: 0 } => {
                let manifest = known.iter().find(|known| known.root() == name.root);
                let manifest = manifest.ok_or_else(|| Error::Protocol("no manifest, where none is known".into()))?;
                manifests.push((name.release.to_string(), manifest.clone()));
            }
            FromAgent::Manifest { name, length } => {
                let bytes = conversation.parts(length, TREE_BYTES_MAX)?;
                let (decoded, _) = decode(&bytes, manifests.last().map(|(_, before)| before.as_ref()))
                    .map_err(|reason| Error::Protocol(format!("a manifest that {reason}")))?;
                manifests.push((name.release.to_string(), Arc::new(decoded.manifest)));
            }
            _ => return Err(unasked().into()),
        }
    }
}
