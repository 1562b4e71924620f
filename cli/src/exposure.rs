//! Refuses files that can name programs, and that somebody else may have written.

use std::fs;
use std::io;
use std::path::Path;

use engine::access::{self, ExposedTo};
use engine::error::ErrorId;
use engine::shell::quoted;

use crate::environment::Environment;
use crate::failure::Failure;
use crate::hint::take_right_command;

/// Refuses a file that can name programs if users other than this one and root could change it. Naming the file with
/// the flag means trusting them.
pub(crate) fn check_exposure(file: &Path, flag: &str) -> Result<(), Failure> {
    let Some(others) = access::find_exposure(file).map_err(|error| unreadable(file, &error))? else {
        return Ok(());
    };
    let (shown, what) = (file.display(), others.path.display());
    let trust = format!("name it: `{flag} {}`", quoted(&file.to_string_lossy()));
    let (who, mend) = match others.to {
        ExposedTo::Owner(owner) => (format!("`{what}` belongs to `{owner}`"), "If you trust that user, ".to_owned()),
        ExposedTo::Writers(by) => {
            let command = take_right_command(&others.path.to_string_lossy(), &by);
            (
                format!("{by} may write to `{what}`"),
                format!("Take that right away, `{command}`; or, if you trust them, "),
            )
        }
    };
    Err(Failure::usage(format!("{who}, and `{shown}` can name programs that run as you"))
        .with_id(ErrorId::ConfigNotPrivate)
        .hint(format!("{mend}{trust}")))
}

/// Refuses a file that can name programs if it comes with the source, for example with somebody else's checkout: the
/// user's own files are elsewhere, or in `~/.ssh`. Naming the file with the flag means trusting it.
pub(crate) fn check_not_of_source(file: &Path, directory: &Path, environment: &Environment) -> Result<(), Failure> {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let file = real(file);
    let is_own = environment.ssh_home.as_ref().is_some_and(|home| file.starts_with(real(&home.join(".ssh"))));
    if is_own || !file.starts_with(real(directory)) {
        return Ok(());
    }
    Err(Failure::usage(format!("`{}` comes with the source, and can name programs that run as you", file.display()))
        .with_id(ErrorId::ConfigNotPrivate)
        .hint(format!("If you trust whoever wrote it, name it: `--ssh-config {}`", quoted(&file.to_string_lossy()))))
}

/// Returns the failure of a file that cannot be read.
pub(crate) fn unreadable(file: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("Could not read `{}`", file.display())).with_id(ErrorId::Config).because(error)
}
