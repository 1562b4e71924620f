//! The next step when a site cannot be adopted.

use serde::{Deserialize, Serialize};

/// The next step with a site to adopt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AdoptHint {
    /// Give the user a right, or take another user.
    Rights(RightsHint),
    /// Name the directory of the site.
    NameSite,
    /// The site is adopted: deploy.
    Deploy {
        /// The site, which is the link.
        site: String,
        /// The deploy path.
        deploy_path: String,
    },
    /// Choose a deploy path beside the site, on the same filesystem.
    ChooseBeside,
    /// Deploy to another path, and point the web server at it.
    PointTheWebServer,
    /// Mount it in `shared/` instead.
    MountInShared {
        /// The mount point.
        path: String,
    },
    /// Link the files instead of copying them, or free space.
    Link,
    /// Name other paths to share.
    NameShared,
    /// Declare the shared paths.
    DeclareShared,
    /// Keep the server's configuration, or take the source's.
    DecideOnConfig {
        /// The path.
        path: String,
    },
    /// Share a directory above.
    ShareAbove,
    /// Make the symlink absolute, or share its target.
    MakeAbsolute {
        /// The symlink.
        path: String,
    },
    /// Remove a path from `shared/`, or do not share it.
    RemoveFromShared {
        /// The path.
        path: String,
        /// Its place in `shared/`.
        whole: String,
    },
    /// Go on with the deploy path of the earlier run.
    GoOnAt {
        /// The deploy path.
        deploy_path: String,
    },
    /// Share what keeps changing.
    ShareWhatChanges,
    /// Adopt while the application writes less.
    LetRest,
    /// Undo the transaction that a program left, or give it up.
    DecideOnJournal {
        /// The database.
        path: String,
        /// Its `-journal`, at the old place.
        journal: String,
    },
    /// Wait until the other tool is done.
    WaitForTool {
        /// Its lock.
        lock: String,
    },
    /// Point `current` at a release.
    PointAtRelease,
    /// Deploy, or go back to the first release.
    DeployFurther,
    /// Name the deploy path of the adopted site.
    NameDeployPath,
    /// Finish or undo the adoption that was begun.
    FinishFirst {
        /// Its site.
        site: String,
    },
    /// Undo the earlier adoption, or remove its directory.
    RemoveOriginal {
        /// Its place.
        path: String,
    },
    /// Move what stands at a path away, and run it again.
    MoveAway {
        /// The path.
        path: String,
    },
    /// Compare the two by hand.
    LookByHand {
        /// The path.
        path: String,
    },
}

/// The next step where the user lacks a right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RightsHint {
    /// Give the site the group of the web server.
    GiveGroup {
        /// The site.
        site: String,
        /// The group, if it is known.
        group: Option<String>,
    },
    /// Put the user into the group of the site.
    JoinGroup {
        /// The group.
        group: String,
        /// The user.
        user: String,
    },
    /// Let the user exchange its own names in the directory that holds the site.
    ShareParent {
        /// The directory.
        parent: String,
        /// The user.
        user: String,
        /// Its group.
        group: String,
    },
    /// Adopt as root.
    LogInAsRoot,
    /// Let the user move names out of a directory.
    AllowWriting {
        /// The directory.
        path: String,
        /// The user.
        user: String,
    },
    /// Let the user read the site, or share what it cannot read.
    AllowReading {
        /// The site.
        site: String,
        /// The user.
        user: String,
    },
    /// Let the user write to a database.
    AllowLocking {
        /// The database, or a file beside it.
        path: String,
        /// The user.
        user: String,
    },
    /// Share the directory of a database as a whole.
    ShareWholeDirectory {
        /// Whether root could adopt it as it is.
        root_may: bool,
    },
}
