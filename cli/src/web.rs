//! `cutover web`: prints the configuration of a web server for a deploy path.
//!
//! The texts are files in `templates/`, which the guide shows too. They are filled without a connection to the server.
//! A value that means something to a web server cannot be part of one: it is refused, and nothing is escaped.

mod template;
mod value;

use std::path::{Path, PathBuf};

use engine::path::RelativePath;
use serde::Serialize;

use crate::args::{SiteArgs, WebArgs, WebVerb};
use crate::color::Palette;
use crate::failure::{Failure, one_line};
use crate::report::Report;
use crate::secrets::Secrets;
use crate::session::Session;
use crate::settings::Settings;
use crate::uses::Uses;

use template::{Kind, WebServer};
use value::check_path_for;

pub(crate) use value::{Application, HostName, PhpServer, address, root};

pub(crate) fn run(session: &Session<'_>, args: &WebArgs) -> Result<(), Failure> {
    match &args.verb {
        WebVerb::Nginx(args) => print(session, WebServer::Nginx, args),
        WebVerb::Apache(args) => print(session, WebServer::Apache, args),
        WebVerb::Caddy(args) => print(session, WebServer::Caddy, args),
    }
}

fn print(session: &Session<'_>, server: WebServer, args: &SiteArgs) -> Result<(), Failure> {
    let settings = session.settings(&args.place.place()?, Uses::Server)?;
    session.print(&make(server, &Paths::of(&settings)?, args)?, &Secrets::default())
}

/// The configuration of a web server.
#[derive(Debug, Serialize)]
struct WebReport {
    server: WebServer,
    root: String,
    config: String,
}

impl Report for WebReport {
    const ANSWERS: bool = true;

    fn text(&self, _: Palette, _: bool) -> String {
        self.config.clone()
    }
}

/// The paths of a site on the server, absolute.
#[derive(Debug)]
struct Paths {
    /// The deploy path.
    deploy_path: PathBuf,
    /// The link to the live release.
    link: PathBuf,
}

impl Paths {
    fn of(settings: &Settings) -> Result<Paths, Failure> {
        let path = settings.target.destination.path();
        if path.is_absolute() {
            let link = settings.policy.current_path.clone().unwrap_or_else(|| path.join("current"));
            return Ok(Paths { deploy_path: path.to_owned(), link });
        }
        let reason = format!("The deploy path `{}` begins in the login directory", one_line(&path.to_string_lossy()));
        Err(Failure::usage(reason)
            .hint("A web server needs the whole path: name it in `deploy_path`, or with `--target host:/path`"))
    }

    /// Returns the paths as values of a template.
    fn values(&self, server: WebServer) -> Result<[(&'static str, Option<String>); 3], Failure> {
        let above = self.link.parent().unwrap_or(&self.link);
        Ok([
            ("above", Some(whole(server, above)?)),
            ("link", Some(whole(server, &self.link)?)),
            ("releases", Some(whole(server, &self.deploy_path.join("releases"))?)),
        ])
    }
}

/// Returns a path that a web server takes as it is.
fn whole(server: WebServer, path: &Path) -> Result<String, Failure> {
    check_path_for(server, &path.to_string_lossy()).map_err(Failure::usage)
}

/// Makes the configuration of a web server that serves what a link leads to.
fn make(server: WebServer, paths: &Paths, args: &SiteArgs) -> Result<WebReport, Failure> {
    let public = args.root.as_ref().map(RelativePath::as_path);
    let root = whole(server, &public.map_or_else(|| paths.link.clone(), |public| paths.link.join(public)))?;
    let name = args.name.as_ref().map(|name| name.0.clone());
    let kind = match (&args.php, &args.proxy) {
        (Some(PhpServer::Module), _) if server != WebServer::Apache => {
            return Err(Failure::usage("Only Apache runs PHP as a module of its own")
                .hint("Name the socket of PHP-FPM, such as `--php /run/php/php8.2-fpm.sock`"));
        }
        (Some(PhpServer::Module), _) => Kind::Module,
        (Some(_), _) => Kind::Php,
        (None, Some(_)) => Kind::Proxy,
        (None, None) => Kind::Static,
    };
    let places = paths.values(server)?;
    let values = [
        ("name", if server == WebServer::Nginx { Some(name.clone().unwrap_or("_".into())) } else { name.clone() }),
        ("address", Some(name.unwrap_or_else(|| ":80".to_owned()))),
        ("php", args.php.as_ref().and_then(|php| php.address_for(server))),
        ("proxy", args.proxy.as_ref().map(|proxy| proxy.0.clone())),
        ("directories", Some(template::directories(&places))),
        ("map", Some(template::map())),
        ("public", Some(public.map(|public| format!("/{}", public.display())).unwrap_or_default())),
        ("root", Some(root.clone())),
    ];
    let values: Vec<_> = values.into_iter().chain(places).collect();
    Ok(WebReport { server, config: template::fill(server.template(kind), &values), root })
}

#[cfg(test)]
mod tests;
