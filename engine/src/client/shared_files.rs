//! Files in `shared/`: asks for one, or sends one.

use std::sync::Arc;

use crate::cancel::Cancel;
use crate::client::conversation::Conversation;
use crate::error::Error;
use crate::event::Observer;
use crate::report::{DeployFailure, SharedWriteReport};
use crate::wire::bounds::SHARED_FILE_BYTES_MAX;
use crate::wire::connection::Connection;
use crate::wire::message::{FromAgent, Hello, Reply, ToAgent};

/// Asks for a file. Returns its content, if it exists.
pub(crate) fn read(
    connection: Connection,
    hello: Hello,
    observer: Arc<dyn Observer>,
    cancel: Cancel,
) -> Result<Option<Vec<u8>>, Error> {
    let conversation = Conversation::new(connection, observer, cancel)?;
    let content = receive(&conversation, hello).map_err(|failure| failure.error)?;
    conversation.finish();
    Ok(content)
}

fn receive(conversation: &Conversation, hello: Hello) -> Result<Option<Vec<u8>>, DeployFailure> {
    conversation.send(&ToAgent::Hello(Box::new(hello)))?;
    let content = match conversation.wait()? {
        FromAgent::Done(Reply::SharedRead) => return Ok(None),
        FromAgent::SharedContent { length } => conversation.parts(length, SHARED_FILE_BYTES_MAX)?,
        _ => return Err(unexpected()),
    };
    match conversation.next()? {
        FromAgent::Done(Reply::SharedRead) => Ok(Some(content)),
        _ => Err(unexpected()),
    }
}

/// Sends a file.
pub(crate) fn write(
    connection: Connection,
    hello: Hello,
    content: &[u8],
    observer: Arc<dyn Observer>,
    cancel: Cancel,
) -> Result<SharedWriteReport, Error> {
    let conversation = Conversation::new(connection, observer, cancel)?;
    let report = send(&conversation, hello, content).map_err(|failure| failure.error)?;
    conversation.finish();
    Ok(report)
}

fn send(conversation: &Conversation, hello: Hello, content: &[u8]) -> Result<SharedWriteReport, DeployFailure> {
    conversation.send(&ToAgent::Hello(Box::new(hello)))?;
    match conversation.wait()? {
        FromAgent::WantSharedContent => {}
        _ => return Err(unexpected()),
    }
    conversation.send_parts(content)?;
    match conversation.wait()? {
        FromAgent::Done(Reply::SharedWrite(report)) => Ok(report),
        _ => Err(unexpected()),
    }
}

fn unexpected() -> DeployFailure {
    Error::Protocol("an answer to a question that was not asked".into()).into()
}
