//! The reason why the group of a database cannot get a right.

use serde::{Deserialize, Serialize};

/// The reason why the group of a database cannot write to a directory in `shared/`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum GroupNotUsed {
    /// Others would get the right too.
    #[error("its group `{group}` has {}", Member(member.as_deref()))]
    OtherMember {
        /// The group.
        group: String,
        /// Another member, if the members are known.
        member: Option<String>,
    },
    /// The user who adopts cannot give a directory to the group. A member could.
    #[error("`{user}` is not in its group `{group}`, and cannot give that group a directory")]
    NoMember {
        /// The group.
        group: String,
        /// The user.
        user: String,
    },
    /// The user who adopts cannot give a directory to the group, and must not become a member.
    #[error("its group `{group}` has no other member, and `{user}` cannot give that group a directory")]
    OwnerAlone {
        /// The group.
        group: String,
        /// The user.
        user: String,
    },
    /// The members of the directory's group would lose theirs.
    #[error("the directory would get its group `{group}`, and `{readers}` could not read it any more")]
    Readers {
        /// The group of the database.
        group: String,
        /// The group by which others read the directory.
        readers: String,
    },
}

/// Words a member.
struct Member<'a>(Option<&'a str>);

impl std::fmt::Display for Member<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(member) => write!(out, "another member, `{member}`"),
            None => out.write_str("members that are not known"),
        }
    }
}
