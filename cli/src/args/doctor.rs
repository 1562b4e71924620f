//! The arguments of `doctor`.

use std::path::PathBuf;

use engine::path::RelativePath;

use super::place::PlaceArgs;

/// `doctor`
#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Read all objects on the server, and not only a sample
    #[arg(long)]
    pub(crate) full: bool,
    /// Examine what this user of the server may read and write [default: the users of the running web and application servers]
    #[arg(long = "as", value_name = "USER")]
    pub(crate) web_user: Option<String>,
    /// The directory to deploy [default: `source` of the config, then the config's directory; none without a config]
    #[arg(long, value_name = "DIR")]
    pub(crate) source: Option<PathBuf>,
    /// Find out which release is served at the address of the site; exit code 6 if it is not known to be the live one
    ///
    /// Asks from this machine for files that differ between the live release and the one before, and compares the answers
    /// with all releases that the server has.
    #[arg(long, value_name = "URL", value_parser = crate::web::address)]
    pub(crate) url: Option<String>,
    /// The directory of the release that visitors see [default: the release itself]
    #[arg(long, value_name = "DIR", requires = "url", value_parser = crate::web::root)]
    pub(crate) root: Option<RelativePath>,
    /// Ask also for this page, which shows the release or the commit of the code that runs
    #[arg(long, value_name = "PATH", requires = "url")]
    pub(crate) version_file: Option<String>,
}
