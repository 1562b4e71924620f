//! What is printed, and what is refused.

use clap::Parser;

use super::*;
use crate::args::{Args, Verb};

/// Returns what `cutover web` prints for a link, or why it refuses.
fn made(link: &str, words: &str) -> Result<String, String> {
    let line = format!("cutover web {words}");
    let args = Args::try_parse_from(line.split(' ')).map_err(|error| error.to_string())?;
    let Verb::Web(WebArgs { verb }) = &args.verb else { panic!("{line}") };
    let (server, args) = match verb {
        WebVerb::Nginx(args) => (WebServer::Nginx, args),
        WebVerb::Apache(args) => (WebServer::Apache, args),
        WebVerb::Caddy(args) => (WebServer::Caddy, args),
    };
    let link = PathBuf::from(link);
    let paths = Paths { deploy_path: link.parent().unwrap().to_owned(), link };
    make(server, &paths, args).map(|report| report.config).map_err(|failure| failure.message)
}

#[track_caller]
fn has(words: &str, lines: &[&str]) {
    let config = made("/srv/shop/current", words).unwrap();
    for line in lines {
        assert!(config.lines().any(|found| found.trim() == *line), "{line} is not in {config}");
    }
    assert!(!config.contains("{{") && !config.contains("}}"), "{config}");
}

#[test]
fn each_web_server_gets_its_words_for_an_address() {
    has(
        "nginx --php /run/php.sock",
        &["fastcgi_pass unix:/run/php.sock;", "root /srv/shop/current;", "server_name _;"],
    );
    has(
        "nginx --php 127.0.0.1:9000 --root public",
        &["fastcgi_pass 127.0.0.1:9000;", "root /srv/shop/current/public;"],
    );
    has("apache --php /run/php.sock", &["SetHandler \"proxy:unix:/run/php.sock|fcgi://localhost\""]);
    has("apache --php [::1]:9000", &["SetHandler \"proxy:fcgi://[::1]:9000\"", "<Directory /srv/shop/current>"]);
    has("apache --php module", &["php_admin_value realpath_cache_size 0"]);
    has("caddy --php /run/php.sock", &["php_fastcgi unix//run/php.sock {", ":80 {"]);
    has("caddy --php php:9000 --name shop.example.com", &["php_fastcgi php:9000 {", "shop.example.com {"]);
    has("nginx --root public --proxy http://127.0.0.1:3000/", &["proxy_pass http://127.0.0.1:3000;"]);
    has("apache --root public --proxy http://[::1]:3000", &["RewriteRule ^/(.*)$ http://[::1]:3000/$1 [P]"]);
    has("caddy --root web/public/ --proxy http://app:3000", &["root * /srv/shop/current/web/public"]);
}

#[test]
fn a_site_without_a_name_has_no_line_for_it_in_apache() {
    has("apache --name a.example.com", &["ServerName a.example.com"]);
    assert!(!made("/srv/shop/current", "apache").unwrap().contains("ServerName"));
}

#[test]
fn no_value_can_break_out_of_the_text() {
    let refused = |link: &str, words: &str, reason: &str| {
        let found = made(link, words).unwrap_err();
        assert!(found.contains(reason), "{link} {words}: {found}");
    };
    for odd in [' ', ';', '{', '}', '"', '\'', '\\', '$', '#', '%', '\n', '<', '>', '|', '*', '?', '(', ':', '`'] {
        let reason = format!("has the character `{}`", odd.escape_debug());
        for server in ["nginx", "apache", "caddy"] {
            refused(&format!("/srv/a{odd}b/current"), server, &reason);
        }
        if !odd.is_whitespace() {
            refused("/srv/current", &format!("nginx --root a{odd}b"), &reason);
            refused("/srv/current", &format!("nginx --php /run/a{odd}b"), &reason);
            refused("/srv/current", &format!("nginx --name a{odd}b"), "the name of a host");
            refused("/srv/current", &format!("nginx --php a{odd}b:9000"), "the path of a socket");
            refused("/srv/current", &format!("nginx --root p --proxy http://a{odd}b:3000"), "without a path");
        }
    }
    for name in ["", "-a", "a-", ".a", "~a", "*.example.com", "schön.example", "a/b"] {
        refused("/srv/current", &format!("nginx --name={name}"), "the name of a host");
    }
    for root in ["..", "/etc", "a/../b", "./a"] {
        refused("/srv/current", &format!("nginx --root {root}"), "a path in the release");
    }
    for php in ["127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", "run/php.sock", "::1:9000", "[::1:9000"] {
        refused("/srv/current", &format!("nginx --php {php}"), "the path of a socket");
    }
    for proxy in ["https://127.0.0.1:3000", "http://127.0.0.1", "http://127.0.0.1:3000/app", "127.0.0.1:3000"] {
        refused("/srv/current", &format!("nginx --root p --proxy {proxy}"), "without a path");
    }
    for server in ["nginx", "caddy"] {
        assert!(made("/srv/größe/a-b_c.d+e@f,g=h~i/current", server).is_ok());
    }
    assert!(made("/srv/größe/a-b_c.d+e@fg=h~i/current", "apache").is_ok());
    refused("/srv/a,E=b/current", "apache", "has the character `,`");
    refused("/srv/shop/current", "apache --root a,b", "has the character `,`");
    assert!(made("/srv/shop/current", "apache --php /run/a,b.sock").is_ok());
}

#[test]
fn flags_that_contradict_each_other_are_refused() {
    let refused = |words: &str, reason: &str| {
        let found = made("/srv/current", words).unwrap_err();
        assert!(found.contains(reason), "{words}: {found}");
    };
    refused("nginx --php module", "Only Apache runs PHP as a module");
    refused("caddy --php module", "Only Apache runs PHP as a module");
    refused("nginx --root p --php /a --proxy http://a:1", "cannot be used with");
    // Without a directory for files, the source of the application would be served.
    refused("nginx --proxy http://a:1", "--root <DIR>");
}
