//! The values in the configuration of a web server: paths, names and addresses of few characters, so that none of them
//! means anything to nginx, Apache or Caddy, whose grammars differ.

use std::net::Ipv6Addr;
use std::str::FromStr;

use engine::path::RelativePath;

use super::template::WebServer;
use crate::url;

/// The characters of a path beside letters and digits.
const OF_PATHS: &str = "/._-+,=~@";

/// Returns a path, if it is absolute and has no character that this web server could take for more.
pub(super) fn check_path_for(server: WebServer, path: &str) -> Result<String, String> {
    // In Apache, a comma separates the flags of `RewriteRule`, where a path stands, and cannot be quoted there.
    let odd = if server == WebServer::Apache { "," } else { "" };
    check(path, odd)
}

/// Returns a path, if it is absolute and has no character that a web server could take for more in any place.
fn check_path(path: &str) -> Result<String, String> {
    check(path, "")
}

fn check(path: &str, odd: &str) -> Result<String, String> {
    if !path.starts_with('/') {
        return Err(format!("`{}` is not an absolute path", path.escape_debug()));
    }
    let is_odd = |found: char| !found.is_alphanumeric() && !OF_PATHS.contains(found) || odd.contains(found);
    match path.chars().find(|&found| is_odd(found)) {
        Some(odd) => Err(format!(
            "`{}` has the character `{}`, which may mean something else to a web server",
            path.escape_debug(),
            odd.escape_debug()
        )),
        None => Ok(path.to_owned()),
    }
}

/// Reads the directory of the release that visitors see.
pub(crate) fn root(text: &str) -> Result<RelativePath, String> {
    let path = RelativePath::parse(text.trim_end_matches('/').as_bytes());
    path.map_err(|_| "it must be a path in the release, such as `public`".to_owned())
}

/// Reads the address of a site.
pub(crate) fn address(text: &str) -> Result<String, String> {
    const INSTEAD: &str = "give it to a check of the same host, whose `headers` are sent to this address too";
    url::check(text, INSTEAD).map(|()| text.to_owned()).map_err(|reason| format!("it {reason}"))
}

/// The name of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostName(pub(super) String);

impl FromStr for HostName {
    type Err = String;

    fn from_str(text: &str) -> Result<HostName, String> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
        let is_edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = text.as_bytes();
        if !is_edge(bytes.first()) || !is_edge(bytes.last()) || !bytes.iter().all(|&byte| is_plain(byte)) {
            return Err("it must be the name of a host, such as `shop.example.com`".to_owned());
        }
        Ok(HostName(text.to_owned()))
    }
}

/// The place where PHP runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PhpServer {
    /// PHP-FPM, on a socket.
    Socket(String),
    /// PHP-FPM, on an address with a port.
    Address(String),
    /// Apache itself.
    Module,
}

impl FromStr for PhpServer {
    type Err = String;

    fn from_str(text: &str) -> Result<PhpServer, String> {
        match text {
            "module" => Ok(PhpServer::Module),
            _ if text.starts_with('/') => check_path(text).map(PhpServer::Socket),
            _ if is_address(text) => Ok(PhpServer::Address(text.to_owned())),
            _ => Err("it must be the path of a socket or an address such as `127.0.0.1:9000`".to_owned()),
        }
    }
}

impl PhpServer {
    /// Returns the address in the words of a web server. None: PHP runs in the web server.
    pub(super) fn address_for(&self, server: WebServer) -> Option<String> {
        let address = match (self, server) {
            (PhpServer::Module, _) => return None,
            (PhpServer::Socket(path), WebServer::Nginx) => format!("unix:{path}"),
            (PhpServer::Socket(path), WebServer::Apache) => format!("proxy:unix:{path}|fcgi://localhost"),
            (PhpServer::Socket(path), WebServer::Caddy) => format!("unix/{path}"),
            (PhpServer::Address(address), WebServer::Apache) => format!("proxy:fcgi://{address}"),
            (PhpServer::Address(address), _) => address.clone(),
        };
        Some(address)
    }
}

/// Tells whether a text is a host or an address, with a port.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => host.parse::<HostName>().is_ok(),
    };
    is_host && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// The address of an application that listens itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Application(pub(super) String);

impl FromStr for Application {
    type Err = String;

    fn from_str(text: &str) -> Result<Application, String> {
        let wrong = || "it must be an address without a path, such as `http://127.0.0.1:3000`".to_owned();
        url::check(text, "").map_err(|_| wrong())?;
        let address = text.trim_end_matches('/').strip_prefix("http://").ok_or_else(wrong)?;
        if !is_address(address) {
            return Err(wrong());
        }
        Ok(Application(format!("http://{address}")))
    }
}
