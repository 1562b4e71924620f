//! The verbs that ask one thing and hear one answer.

use std::sync::Arc;

use crate::cancel::Cancel;
use crate::client::talk::Talk;
use crate::error::Error;
use crate::event::Observer;
use crate::manifest::Manifest;
use crate::manifest::decode::decode;
use crate::report::DeployFailure;
use crate::wire::connection::Connection;
use crate::wire::message::{FromAgent, Hello, Reply, Request, ToAgent};

/// Asks, and returns the answer with the manifests that came before it.
pub(crate) fn ask(
    connection: Connection,
    hello: Hello,
    observer: Arc<dyn Observer>,
    cancel: Cancel,
) -> Result<(Reply, Vec<(String, Manifest)>), DeployFailure> {
    let talk = Talk::new(connection, observer, cancel);
    if matches!(hello.request, Request::Switch(_) | Request::Rollback(_)) {
        talk.may_switch();
    }
    let heard = hear(&talk, hello).map_err(|failure| talk.settle(failure))?;
    talk.finish();
    Ok(heard)
}

fn hear(talk: &Talk, hello: Hello) -> Result<(Reply, Vec<(String, Manifest)>), DeployFailure> {
    talk.send(&ToAgent::Hello(Box::new(hello)))?;
    let mut manifests = Vec::new();
    loop {
        match talk.wait()? {
            FromAgent::Done(reply) => return Ok((reply, manifests)),
            FromAgent::Manifest { name, length } => {
                let bytes = talk.parts(length)?;
                let (decoded, _) =
                    decode(&bytes, None).map_err(|reason| Error::Protocol(format!("a manifest that {reason}")))?;
                manifests.push((name.release.to_string(), decoded.manifest));
            }
            _ => return Err(Error::Protocol("an answer to a question that was not asked".into()).into()),
        }
    }
}
