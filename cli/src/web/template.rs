//! The templates of web servers: texts with `{{name}}` where a value belongs.

use serde::Serialize;

/// A web server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WebServer {
    /// nginx.
    Nginx,
    /// Apache.
    Apache,
    /// Caddy.
    Caddy,
}

/// The kind of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Files alone.
    Static,
    /// PHP by PHP-FPM.
    Php,
    /// PHP in Apache itself.
    Module,
    /// An application that listens itself.
    Proxy,
}

impl WebServer {
    /// Returns the template of a site. Only Apache has [`Kind::Module`].
    pub(super) fn template(self, kind: Kind) -> &'static str {
        match (self, kind) {
            (WebServer::Nginx, Kind::Static) => include_str!("templates/nginx-static.conf"),
            (WebServer::Nginx, Kind::Php | Kind::Module) => include_str!("templates/nginx-php.conf"),
            (WebServer::Nginx, Kind::Proxy) => include_str!("templates/nginx-proxy.conf"),
            (WebServer::Apache, Kind::Static) => include_str!("templates/apache-static.conf"),
            (WebServer::Apache, Kind::Php) => include_str!("templates/apache-php.conf"),
            (WebServer::Apache, Kind::Module) => include_str!("templates/apache-module.conf"),
            (WebServer::Apache, Kind::Proxy) => include_str!("templates/apache-proxy.conf"),
            (WebServer::Caddy, Kind::Static) => include_str!("templates/caddy-static.conf"),
            (WebServer::Caddy, Kind::Php | Kind::Module) => include_str!("templates/caddy-php.conf"),
            (WebServer::Caddy, Kind::Proxy) => include_str!("templates/caddy-proxy.conf"),
        }
    }
}

/// Returns the sections of Apache for directories, from these values. Apache takes them by the path as it is written, and not by
/// where symlinks lead: the directory above the link lets it be followed and shows nothing, and `shared/` needs none.
pub(super) fn directories(values: &[(&str, Option<String>)]) -> String {
    fill(include_str!("templates/apache-directories.conf"), values).trim_end().to_owned()
}

/// Returns the line that starts the program with which Apache looks up where the link leads.
pub(super) fn map() -> String {
    include_str!("templates/apache-map.conf").trim_end().to_owned()
}

/// Puts values into a template. A line whose value is missing is left out.
pub(super) fn fill(template: &str, values: &[(&str, Option<String>)]) -> String {
    template.lines().filter_map(|line| fill_line(line, values)).collect()
}

fn fill_line(line: &str, values: &[(&str, Option<String>)]) -> Option<String> {
    let mut filled = String::new();
    let mut rest = line;
    while let Some((before, behind)) = rest.split_once("{{") {
        let (name, after) = behind.split_once("}}")?;
        let (_, value) = values.iter().find(|(known, _)| *known == name)?;
        filled += before;
        filled += value.as_ref()?;
        rest = after;
    }
    Some(format!("{filled}{rest}\n"))
}
