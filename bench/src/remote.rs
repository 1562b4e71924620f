//! A server of the user's own, reached by the user's own SSH configuration.
//!
//! Everything happens in one directory there, which the bench makes and removes: `PATH/cutover-bench`. One that stands
//! already is left alone, since it may be another bench's.

use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};
use crate::process::{Invocation, quoted};

/// The directory below the given path.
const DIRECTORY: &str = "cutover-bench";

/// The server and the directory.
#[derive(Debug)]
pub(crate) struct Remote {
    host: String,
    directory: PathBuf,
}

impl Remote {
    /// Makes the directory on the server.
    pub(crate) fn open(target: &str) -> Result<Remote> {
        let (host, path) = parse(target)?;
        let directory = path.join(DIRECTORY);
        let shown = quoted(&directory.to_string_lossy());
        let made = run(&host, &format!("mkdir -p {} && mkdir {shown}", quoted(&path.to_string_lossy())));
        made.map_err(|failure| {
            Failure::new(format!(
                "{failure}\nWhere an earlier bench has left `{shown}`, remove it: `ssh {host} rm -rf {shown}`"
            ))
        })?;
        // Only from here on is it ours to remove.
        Ok(Remote { host, directory })
    }

    /// Returns the host as it was named.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Returns the directory on it.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Runs a script of `sh` on it and returns what it printed.
    pub(crate) fn run(&self, script: &str) -> Result<String> {
        run(&self.host, script)
    }

    /// Empties the directory.
    pub(crate) fn empty(&self) -> Result<()> {
        let directory = quoted(&self.directory.to_string_lossy());
        self.run(&format!("rm -rf {directory} && mkdir {directory}")).map(drop)
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // Where the line is gone, the next bench says that the directory stands.
        drop(self.run(&format!("rm -rf {}", quoted(&self.directory.to_string_lossy()))));
    }
}

fn run(host: &str, script: &str) -> Result<String> {
    let script = format!("exec sh -c {}", quoted(script));
    Invocation::new("ssh").args(["-o", "BatchMode=yes", "--", host, &script]).text()
}

fn parse(target: &str) -> Result<(String, PathBuf)> {
    let split = target.split_once(':').filter(|(host, path)| !host.is_empty() && path.starts_with('/'));
    let Some((host, path)) = split else {
        return Err(Failure::new(format!("`{target}` is not a target; write `user@host:/path`")));
    };
    if host.starts_with('-') || path.contains(char::is_whitespace) {
        return Err(Failure::new(format!("`{target}` begins like an option or holds a space")));
    }
    Ok((host.to_owned(), PathBuf::from(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_host_and_an_absolute_path() {
        let (host, path) = parse("anna@web1:/srv/x").unwrap();
        assert_eq!((host.as_str(), path.as_path()), ("anna@web1", Path::new("/srv/x")));
        for wrong in ["web1", "web1:relative", ":/srv", "-oProxyCommand=x:/srv", "web1:/a b"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
