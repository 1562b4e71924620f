//! The two directories of a tool.

use std::fs;
use std::path::PathBuf;

use crate::aside::set_aside;
use crate::failure::{Context, Result};

/// Where a tool works.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Its directory on the server. It does not stand before the first deploy, and its size is the tool's disk.
    pub(crate) server: PathBuf,
    /// Its directory on the client, for state and caches. It does not stand either.
    pub(crate) client: PathBuf,
}

impl Place {
    /// Moves both directories out of the way.
    pub(crate) fn set_aside(&self) -> Result<()> {
        set_aside(&self.server)?;
        set_aside(&self.client)
    }

    /// Makes the directory on the client, unless it stands.
    pub(crate) fn ensure_client(&self) -> Result<()> {
        fs::create_dir_all(&self.client).context(|| format!("Could not create `{}`", self.client.display()))
    }
}

/// Makes a name for a directory.
pub(crate) fn slug(name: &str) -> String {
    let mut slug = String::new();
    for word in name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        if !slug.is_empty() {
            slug.push('-');
        }
        slug.push_str(&word.to_ascii_lowercase());
    }
    slug
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_makes_a_directorys_name() {
        assert_eq!(slug("next-rsync -rlpzc --link-dest=../x"), "next-rsync-rlpzc-link-dest-x");
    }
}
