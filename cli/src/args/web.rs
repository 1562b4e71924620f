//! The arguments of `web`.

use clap::Subcommand;
use engine::path::RelativePath;

use super::place::PlaceArgs;
use crate::web::{Application, HostName, PhpServer};

/// `web`
#[derive(Debug, clap::Args)]
pub(crate) struct WebArgs {
    #[command(subcommand)]
    pub(crate) verb: WebVerb,
}

/// The verbs of `web`.
#[derive(Debug, Subcommand)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub(crate) enum WebVerb {
    /// Print a server block for nginx
    ///
    /// Without `--php` and `--proxy`, the block serves files alone.
    #[command(after_long_help = "\
Examples:
  cutover web nginx production --root public --php /run/php/php8.2-fpm.sock --name shop.example.com
  cutover web nginx production --root public --proxy http://127.0.0.1:3000")]
    Nginx(SiteArgs),
    /// Print a virtual host for Apache
    ///
    /// Without `--php` and `--proxy`, the virtual host serves files alone. `--php module` is for PHP that runs in Apache
    /// itself (mod_php).
    #[command(after_long_help = "\
Examples:
  cutover web apache production --root public --php /run/php/php8.2-fpm.sock --name shop.example.com
  cutover web apache production --root public --php module")]
    Apache(SiteArgs),
    /// Print a site for a Caddyfile
    ///
    /// Without `--php` and `--proxy`, the site serves files alone.
    #[command(after_long_help = "\
Example:
  cutover web caddy production --root public --php /run/php/php8.2-fpm.sock --name shop.example.com")]
    Caddy(SiteArgs),
}

/// A site of a web server.
#[derive(Debug, clap::Args)]
pub(crate) struct SiteArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// The directory of the release that visitors see [default: the release itself]
    #[arg(long, value_name = "DIR", value_parser = crate::web::root)]
    pub(crate) root: Option<RelativePath>,
    /// Run PHP by PHP-FPM on this socket or address, such as 127.0.0.1:9000; in Apache also by its `module`
    #[arg(long, value_name = "SOCKET", conflicts_with = "proxy")]
    pub(crate) php: Option<PhpServer>,
    /// Send what is no file in `--root` to the application at this address
    #[arg(long, value_name = "URL", requires = "root")]
    pub(crate) proxy: Option<Application>,
    /// The name of the site [default: any]
    #[arg(long, value_name = "HOST")]
    pub(crate) name: Option<HostName>,
}
