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
    let mut manifests: Vec<NamedManifest> = Vec::new();
    let take = |manifest: &NamedManifest| manifests.push(manifest.clone());
    let reply = ask_each(connection, hello, known, take, observer, cancel)?;
    Ok((reply, manifests))
}

/// Works like [`ask`], and gives each manifest to `take` as it comes. Holds two at once, however many come.
pub(crate) fn ask_each(
    connection: Connection,
    hello: Hello,
    known: &[Arc<Manifest>],
    take: impl FnMut(&NamedManifest),
    observer: Arc<dyn Observer>,
    cancel: Cancel,
) -> Result<Reply, Error> {
    let conversation = Conversation::new(connection, observer, cancel)?;
    let reply = receive(&conversation, hello, known, take).map_err(|failure| failure.error)?;
    conversation.finish();
    Ok(reply)
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
    mut take: impl FnMut(&NamedManifest),
) -> Result<Reply, DeployFailure> {
    let most = match &hello.request {
        Request::Manifests { wanted, .. } => wanted.len(),
        _ => 0,
    };
    conversation.send(&ToAgent::Hello(Box::new(hello)))?;
    let (mut count, mut last) = (0, None);
    loop {
        let next = match conversation.wait()? {
            FromAgent::Done(reply) => return Ok(reply),
            FromAgent::Manifest { .. } if count == most => {
                return Err(Error::Protocol("more manifests than were asked for".into()).into());
            }
            FromAgent::Manifest { name, length: 0 } => {
                let manifest = known.iter().find(|known| known.root() == name.root);
                let manifest = manifest.ok_or_else(|| Error::Protocol("no manifest, where none is known".into()))?;
                (name.release.to_string(), manifest.clone())
            }
            FromAgent::Manifest { name, length } => {
                let bytes = conversation.parts(length, TREE_BYTES_MAX)?;
                let base = last.as_ref().map(|(_, before): &NamedManifest| before.as_ref());
                let (decoded, _) =
                    decode(&bytes, base).map_err(|reason| Error::Protocol(format!("a manifest that {reason}")))?;
                (name.release.to_string(), Arc::new(decoded.manifest))
            }
            _ => return Err(unasked().into()),
        };
        count += 1;
        take(last.insert(next));
    }
}
