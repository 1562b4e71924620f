//! The next step after a failed hook or check.

use serde::{Deserialize, Serialize};

/// The next step after a failed hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HookHint {
    /// Read the output of the hook, and mend its command.
    SeeOutput,
    /// Mend the hook, and run it alone: the release is live.
    RunHook {
        /// The hook.
        name: String,
    },
    /// Mend the place where the hook runs, or its shell.
    MendKeys,
    /// The same, and run it alone: the release is live.
    RunWithKeys {
        /// The hook.
        name: String,
    },
    /// Let PHP-FPM reset OPcache.
    MendFpm {
        /// The change.
        remedy: FpmRemedy,
        /// The hook to run alone then. None: run the command again.
        alone: Option<String>,
    },
    /// Find who ended the process, and run the hooks that did not run: the release is live.
    RunRest,
    /// Take the removal out of the hook, and deploy again.
    KeepRelease,
    /// Allow more time, or look for the reason why the client could not confirm.
    AllowMoreTime,
    /// Read the journal, and find who ended the process.
    SeeJournal,
}

/// The change that lets PHP-FPM reset OPcache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FpmRemedy {
    /// Name the address on which the pool listens.
    CheckAddress,
    /// Let the user of the agent connect.
    AllowUser,
    /// Give the pool more processes, or the hook more time.
    AddProcesses,
    /// Let the pool read the script.
    LetRead,
    /// Let the pool run scripts of this name.
    AllowExtension,
    /// Install OPcache, or leave the hook out.
    Install,
    /// Do not disable the function.
    Enable,
    /// Let the script call the function.
    WidenApi,
    /// Read the log of the pool.
    SeeLog,
}

/// The next step after a failed check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckHint {
    /// Let the client ask, or ask without TLS.
    AskFromClient,
    /// Make the authority of the certificate known.
    TrustAuthority,
    /// See the answer with another program.
    SeeAnswer {
        /// The address.
        url: String,
    },
}
