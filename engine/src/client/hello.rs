//! The first message to an agent: the deploy path, the policy, the user, the request.

use std::os::unix::ffi::OsStrExt;

use crate::release::Provenance;
use crate::request::Context;
use crate::wire::message::{Hello, Request};

/// Returns the hello of a request that deploys no source.
pub(crate) fn hello(context: &Context, request: Request) -> Hello {
    hello_with(context, context.provenance.clone(), request)
}

/// Returns the hello of a request.
pub(crate) fn hello_with(context: &Context, provenance: Provenance, request: Request) -> Hello {
    Hello {
        path: context.target.destination.path().as_os_str().as_bytes().to_vec(),
        policy: context.policy.clone(),
        procedure: context.procedure.clone(),
        lock: context.lock,
        provenance,
        request,
    }
}
