//! Parses `DEST`, the place to deploy to.
//!
//! | form | meaning |
//! |---|---|
//! | `/path`, `./path`, `../path`, `~/path` | a path on this machine |
//! | `[user@]host:path`, `[user@][address]:path` | a path on a server, absolute or from the login directory |
//! | `ssh://[user@]host[:port]/path` | the same with a port; the path is absolute |
//!
//! A colon before any slash marks a server. A host or a user is refused if `ssh` could read it as an option, or the
//! shell of a `ProxyCommand` as more than one word.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use engine::path::Shown;
use engine::target::{Destination, SshDestination};

use crate::environment::Environment;
use crate::failure::Failure;

const FORMS: &str = "Write `/path`, `user@host:/path` or `ssh://user@host:2222/path`";

/// Parses a destination.
pub(crate) fn parse(text: &OsStr, environment: &Environment) -> Result<Destination, Failure> {
    let shown = Shown(text.as_encoded_bytes()).to_string();
    let wrong = |what: String| Failure::usage(format!("The target `{shown}` {what}")).hint(FORMS);
    if matches!(text.as_encoded_bytes().first(), Some(b'/' | b'.' | b'~')) {
        return local(Path::new(text), environment).map(Destination::Local).map_err(wrong);
    }
    let Some(text) = text.to_str() else {
        return Err(wrong("is not UTF-8".into()));
    };
    let ssh = match text.split_once("://") {
        Some(("ssh", rest)) if holds_password(rest) => return Err(password()),
        Some(("ssh", rest)) => url(rest),
        Some((scheme, _)) => Err(format!("has the scheme `{scheme}`, and only `ssh` is known")),
        None if words_hold_password(text) => return Err(password()),
        None => words(text),
    };
    ssh.map(Destination::Ssh).map_err(wrong)
}

/// Makes a local path absolute, with `~` as the home directory.
pub(crate) fn local(path: &Path, environment: &Environment) -> Result<PathBuf, String> {
    let first = path.iter().next().unwrap_or_default();
    if !first.as_encoded_bytes().starts_with(b"~") {
        return Ok(environment.absolute(path));
    }
    if first != "~" {
        return Err("begins with the home directory of another user; write the whole path".into());
    }
    let home = environment.home.as_ref().ok_or("begins with `~`, and there is no home directory")?;
    Ok(environment.absolute(&home.join(path.iter().skip(1).collect::<PathBuf>())))
}

/// Parses the path on a server: absolute, or from the login directory.
pub(crate) fn remote_path(path: &str) -> Result<PathBuf, String> {
    let inside = path.strip_prefix("~/").unwrap_or(path);
    if inside.is_empty() || inside == "~" || inside == "/" {
        return Err("names no path on the server".into());
    }
    if inside.starts_with('~') {
        return Err("begins with the home directory of another user; write the whole path".into());
    }
    if inside.contains(|character: char| character.is_control()) {
        return Err("has a control character in its path".into());
    }
    Ok(PathBuf::from(inside))
}

/// Refuses a host or a user that is empty, could be an option, or is not one plain word.
pub(crate) fn check_word(what: &'static str, word: &str) -> Result<(), String> {
    let plain = |character: char| {
        !character.is_whitespace() && !character.is_control() && !"'\"`$<>|;&(){}/*?!#".contains(character)
    };
    if word.is_empty() {
        return Err(format!("names no {what}"));
    }
    if word.starts_with('-') {
        return Err(format!("has a {what} that begins with `-`"));
    }
    match word.chars().find(|&character| !plain(character)) {
        Some(character) => Err(format!("has `{}` in its {what}", character.escape_debug())),
        None => Ok(()),
    }
}

/// Refuses a text that is neither a host name nor an address.
pub(crate) fn check_host(host: &str) -> Result<(), String> {
    if let Some((_, name)) = host.split_once("://") {
        return Err(format!("is an address: write the name alone, `host = \"{}\"`", name.trim_end_matches('/')));
    }
    check_word("host", host)?;
    if let Some((user, name)) = host.rsplit_once('@') {
        return Err(format!("has a user in its host: write `user = \"{user}\"` and `host = \"{name}\"`"));
    }
    if let Some((name, port)) = host.split_once(':')
        && !port.is_empty()
        && port.bytes().all(|digit| digit.is_ascii_digit())
    {
        return Err(format!("has a port in its host: write `host = \"{name}\"` and `port = {port}`"));
    }
    match host.find(['@', '\\', '[', ']', ',']) {
        Some(at) => Err(format!("has `{}` in its host", &host[at..=at])),
        None => Ok(()),
    }
}

/// `[user@]host:path`
fn words(text: &str) -> Result<SshDestination, String> {
    let (user, rest) = split_user(text, text.find([':', '/']).unwrap_or(text.len()));
    let (host, path) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once("]:").ok_or("has no `]:` after its address")?,
        None => rest
            .split_once(':')
            .filter(|(host, _)| !host.contains('/'))
            .ok_or("is neither a path nor a server: a path begins with `/` or `./`, and a server ends with `:`")?,
    };
    finish(user, host, None, remote_path(path)?)
}

/// `[user@]host[:port]/path`, the part behind `ssh://`
fn url(text: &str) -> Result<SshDestination, String> {
    let slash = text.find('/').ok_or("names no path on the server")?;
    let (user, rest) = split_user(text, slash);
    let (authority, path) = rest.split_at(rest.find('/').expect("the slash stands after the user"));
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("has no `]` after its address")?;
            let port = match port.strip_prefix(':') {
                None if !port.is_empty() => return Err("has no `:` after its address".into()),
                port => port,
            };
            (host, port)
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = port.map(parse_port).transpose()?;
    finish(user, host, port, remote_path(path)?)
}

/// Refuses a password. The message does not show the target, because logs keep the output.
fn password() -> Failure {
    Failure::usage("The target holds a password, which others could read")
        .hint("Leave it out, and log in with a key: `--identity FILE`, or an ssh-agent")
}

/// Returns whether the text is `user:password@host:path`. A path from the login directory that looks so can be
/// written with `~/` before it.
fn words_hold_password(text: &str) -> bool {
    let (_, rest) = text.split('/').next().and_then(|first| first.split_once(':')).unwrap_or_default();
    rest.rsplit_once('@').is_some_and(|(_, server)| server.contains(':'))
}

fn holds_password(url: &str) -> bool {
    let (user, _) = split_user(url, url.find('/').unwrap_or(url.len()));
    user.is_some_and(|user| user.contains(':'))
}

/// Splits at the last `@` before `end`: user names may contain one.
fn split_user(text: &str, end: usize) -> (Option<&str>, &str) {
    match text[..end].rfind('@') {
        Some(at) => (Some(&text[..at]), &text[at + 1..]),
        None => (None, text),
    }
}

fn parse_port(text: &str) -> Result<u16, String> {
    let port = text.parse().ok().filter(|&port| port > 0);
    port.ok_or_else(|| format!("has the port `{text}`, and a port is a number from 1 to 65535"))
}

fn finish(user: Option<&str>, host: &str, port: Option<u16>, path: PathBuf) -> Result<SshDestination, String> {
    check_host(host)?;
    if let Some(user) = user {
        check_word("user", user)?;
    }
    Ok(SshDestination { user: user.map(str::to_owned), host: host.to_owned(), port, path })
}

/// Returns the deploy path beside a site, or beside the link to the live release: `.NAME.cutover`.
pub(crate) fn beside(site: &Path) -> Option<PathBuf> {
    let mut name = std::ffi::OsString::from(".");
    name.push(site.file_name()?);
    name.push(".cutover");
    Some(site.with_file_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the form that the engine shows, or the message without its first words.
    fn check(text: &str, expected: Result<&str, &str>) {
        let environment =
            Environment { directory: "/work".into(), home: Some("/home/me".into()), ..Environment::default() };
        let found = match parse(OsStr::new(text), &environment) {
            Ok(Destination::Local(path)) => Ok(format!("local {}", path.display())),
            Ok(Destination::Ssh(ssh)) => {
                let user = ssh.user.as_deref().unwrap_or("-");
                let port = ssh.port.map_or("-".to_owned(), |port| port.to_string());
                Ok(format!("{user} {} {port} {}", ssh.host, ssh.path.display()))
            }
            Err(failure) => Err(failure.message.replace(&format!("The target `{}` ", text.escape_debug()), "")),
        };
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{text:?}");
    }

    #[test]
    fn a_path_is_on_this_machine() {
        check("/srv/shop", Ok("local /srv/shop"));
        check("./shop/", Ok("local /work/shop"));
        check("../shop", Ok("local /work/../shop"));
        check(".", Ok("local /work"));
        check("~/shop", Ok("local /home/me/shop"));
        check("/srv/a:b", Ok("local /srv/a:b"));
        check("~you/shop", Err("begins with the home directory of another user; write the whole path"));
    }

    #[test]
    fn a_colon_before_any_slash_makes_a_server() {
        check("web1:/srv/shop", Ok("- web1 - /srv/shop"));
        check("deploy@web1.example.com:/srv", Ok("deploy web1.example.com - /srv"));
        check("web1:shop", Ok("- web1 - shop"));
        check("web1:~/shop", Ok("- web1 - shop"));
        check("[::1]:/srv", Ok("- ::1 - /srv"));
        check("me@[fe80::1%eth0]:/srv", Ok("me fe80::1%eth0 - /srv"));
        check("me@corp@web1:/srv", Ok("me@corp web1 - /srv"));
        check("web1:/srv/a@b:c", Ok("- web1 - /srv/a@b:c"));
        check("web1:a@b", Ok("- web1 - a@b"));
        check("web1:~/a@b:c", Ok("- web1 - a@b:c"));
        check("[::1]:a@b", Ok("- ::1 - a@b"));
        check("me@web1:/srv/a b", Ok("me web1 - /srv/a b"));
    }

    #[test]
    fn a_url_may_name_a_port() {
        check("ssh://web1/srv/shop", Ok("- web1 - /srv/shop"));
        check("ssh://me@web1:2222/srv", Ok("me web1 2222 /srv"));
        check("ssh://[::1]:22/srv", Ok("- ::1 22 /srv"));
        check("ssh://me@[::1]/srv/a@b", Ok("me ::1 - /srv/a@b"));
    }

    #[test]
    fn what_names_no_place_is_refused() {
        const NEITHER: &str =
            "is neither a path nor a server: a path begins with `/` or `./`, and a server ends with `:`";
        check("", Err(NEITHER));
        check("shop", Err(NEITHER));
        check("srv/shop:a", Err(NEITHER));
        check("web1:", Err("names no path on the server"));
        check("web1:~", Err("names no path on the server"));
        check("web1:/", Err("names no path on the server"));
        check("web1:~you/shop", Err("begins with the home directory of another user; write the whole path"));
        check(":/srv", Err("names no host"));
        check("@web1:/srv", Err("names no user"));
        check("[::1:/srv", Err("has no `]:` after its address"));
        check("ssh://web1", Err("names no path on the server"));
        check("ssh://web1/", Err("names no path on the server"));
        check("ssh:///srv", Err("names no host"));
        check("ssh://[::1/srv", Err("has no `]` after its address"));
        check("ssh://[::1]22/srv", Err("has no `:` after its address"));
        check("ssh://web1:0/srv", Err("has the port `0`, and a port is a number from 1 to 65535"));
        check("ssh://web1:x/srv", Err("has the port `x`, and a port is a number from 1 to 65535"));
        check("ftp://web1/srv", Err("has the scheme `ftp`, and only `ssh` is known"));
        const PASSWORD: &str = "The target holds a password, which others could read";
        check("ssh://me:secret@web1/srv", Err(PASSWORD));
        check("me:secret@web1:/srv", Err(PASSWORD));
        check("me:sec@ret@web1:site", Err(PASSWORD));
        check("me:secret@[::1]:/srv", Err(PASSWORD));
    }

    #[test]
    fn no_host_and_no_user_can_be_an_option_or_a_command() {
        check("-oProxyCommand=x:/srv", Err("has a host that begins with `-`"));
        check("ssh://-oProxyCommand=x/srv", Err("has a host that begins with `-`"));
        check("-lroot@web1:/srv", Err("has a user that begins with `-`"));
        check("we b:/srv", Err("has ` ` in its host"));
        check("$(id):/srv", Err("has `$` in its host"));
        check("me;id@web1:/srv", Err("has `;` in its user"));
        check("web1\n:/srv", Err("has `\\n` in its host"));
    }
}
