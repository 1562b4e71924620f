//! The first message to an agent: the deploy path, the policy, the user, the request.

use std::os::unix::ffi::OsStrExt;

use crate::release::Provenance;
use crate::request::Context;
use crate::wire::message::{Hello, Request};

/// Returns the hello of a request. The commit is that of a source that is deployed.
pub(crate) fn hello(context: &Context, commit: Option<&str>, request: Request) -> Hello {
    Hello {
        path: context.target.destination.path().as_os_str().as_bytes().to_vec(),
        policy: context.policy.clone(),
        procedure: context.procedure.clone(),
        lock: context.lock,
        provenance: Provenance { commit: commit.map(str::to_owned), ..context.provenance.clone() },
        request,
    }
}
