//! Addresses of files below the address of a site.

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the address of a path, with everything escaped that has a meaning there.
pub(crate) fn joined(site: &str, path: &[u8]) -> String {
    let end = site.find(['?', '#']).unwrap_or(site.len());
    let site = site[..end].trim_end_matches('/');
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let escaped: String = path
        .iter()
        .map(|&byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    format!("{site}/{escaped}")
}

/// Returns an address with a query that no cache has seen.
pub(crate) fn past_caches(address: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{address}?cutover={:x}", now.as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_escaped_below_the_address_of_the_site() {
        let check = |site: &str, path: &str, expected: &str| assert_eq!(joined(site, path.as_bytes()), expected);
        check("https://shop", "a/b.css", "https://shop/a/b.css");
        check("https://shop/", "a b?.css", "https://shop/a%20b%3F.css");
        check("https://shop/blog/?x=1#y", "größe%.css", "https://shop/blog/gr%C3%B6%C3%9Fe%25.css");
    }
}
