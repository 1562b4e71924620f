//! Checks the addresses of pages.

/// Returns the reason that `url` is no address that can be asked. `instead` says what to do instead of writing a user or a
/// password into it.
pub(crate) fn check(url: &str, instead: &str) -> Result<(), String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err("must begin with `https://` or `http://`".into());
    };
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err("must begin with `https://` or `http://`".into());
    }
    // Everything else must be escaped, and a line break would add a header.
    if let Some(odd) = url.chars().find(|character| !character.is_ascii_graphic()) {
        return Err(format!("has the character `{}`: escape it with percent signs", odd.escape_debug()));
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &rest[..end];
    if authority.contains('@') {
        return Err(format!("has a user or password: {instead}"));
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or("has an address without its `]`")?;
            address.parse::<std::net::Ipv6Addr>().map_err(|_| "has `[…]` around what is no IPv6 address")?;
            (address, port.strip_prefix(':').or((!port.is_empty()).then_some("-")))
        }
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return Err("has no host".into());
    }
    let is_of_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    if !host.bytes().all(is_of_host) {
        return Err(format!("has `{host}` for its host"));
    }
    match port {
        Some(port) if port.parse::<u16>().is_ok_and(|port| port > 0) => Ok(()),
        Some(_) => Err("has a port that is none from 1 to 65535".into()),
        None => Ok(()),
    }
}

/// Returns the scheme, the host and the port of an address that [`check`] accepts, as it can be compared with others.
pub(crate) fn origin(url: &str) -> String {
    let url = url.to_ascii_lowercase();
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let usual = if scheme == "https" { ":443" } else { ":80" };
    format!("{scheme}://{}", authority.strip_suffix(usual).unwrap_or(authority))
}

/// Returns whether an address is asked over TLS.
pub(crate) fn is_https(url: &str) -> bool {
    url.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_and_a_host() {
        let wrong = |url: &str, reason: &str| {
            let found = check(url, "no").unwrap_err();
            assert!(found.contains(reason), "{url}: {found}");
        };
        for url in [
            "https://shop.example.com",
            "http://127.0.0.1:8080/health?deep=1",
            "HTTP://shop/",
            "http://[::1]:80/x",
            "http://[2001:db8::1]",
            "https://shop?x=a@b:c",
        ] {
            assert_eq!(check(url, "no"), Ok(()), "{url}");
        }
        wrong("shop.example.com/health", "must begin with");
        wrong("ftp://shop/", "must begin with");
        wrong("https:/shop/", "must begin with");
        wrong("https:///health", "no host");
        wrong("https://:80/", "no host");
        wrong("https://me:pass@shop/", "password: no");
        wrong("https://shop/a b", "has the character ` `");
        wrong("https://shop/\r\nX: y", "has the character `\\r`");
        wrong("https://schön.example/", "has the character `ö`");
        wrong("https://shop:0/", "port");
        wrong("https://shop:/", "port");
        wrong("https://shop:80a/", "port");
        wrong("https://[::1/", "without its `]`");
        wrong("https://[shop]/", "no IPv6 address");
        wrong("https://[::1]80/", "port");
        wrong("https://sh*p/", "has `sh*p` for its host");
        assert_eq!(origin("HTTPS://Shop:443/a?b"), origin("https://shop#c"));
        assert_ne!(origin("https://shop:80/"), origin("https://shop/"));
        assert!(is_https("HTTPS://shop/") && !is_https("http://shop/"));
    }
}
