//! Examines the modules of the kernel that restrict programs beyond owners and modes: SELinux and AppArmor. Their rules
//! are not read, so a finding only says that they are there.

use std::fs;
use std::path::Path;

use crate::path::{Shown, shown_path};
use crate::report::Finding;

use super::look::Look;
use super::place::{Ours, Place};

/// The most bytes of a context.
const CONTEXT_BYTES: usize = 4096;

/// The beginning of the types that a web server may read.
const WEB_TYPE: &str = ":httpd_";

/// The beginnings of the names of web servers.
const SERVERS: [&str; 5] = ["nginx", "apache2", "httpd", "caddy", "php-fpm"];

pub(super) fn look(place: &Place<'_>, ours: Option<&Ours>) -> Look {
    let mut look = Look::default();
    let live = ours.and_then(|ours| {
        let live = ours.layout.current.live().ok()??;
        Some(ours.layout.releases.path_of(live.as_str().as_bytes()))
    });
    let path = live.unwrap_or_else(|| place.path.to_owned());
    if is_enforced(&fs::read_to_string("/sys/fs/selinux/enforce").unwrap_or_default()) {
        let context = context_of(&path);
        look.facts.push("SELinux is enforced".into());
        if !context.as_ref().is_some_and(|context| context.contains(WEB_TYPE)) {
            look.find(Finding::Selinux { context, path: shown_path(&path) });
        }
    }
    if let Some((name, profile)) = find_confined() {
        look.find(Finding::Apparmor { name, profile, path: shown_path(place.path) });
    }
    look
}

fn is_enforced(text: &str) -> bool {
    text.trim() == "1"
}

fn context_of(path: &Path) -> Option<String> {
    let mut bytes = [0; CONTEXT_BYTES];
    let length = rustix::fs::getxattr(path, "security.selinux", &mut bytes[..]).ok()?;
    let context = bytes.get(..length)?;
    Some(Shown(context.strip_suffix(b"\0").unwrap_or(context)).to_string())
}

/// Finds a web server that AppArmor confines.
fn find_confined() -> Option<(String, String)> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.map(|process| process.path()).find_map(|process| {
        let name = fs::read_to_string(process.join("comm")).ok()?;
        SERVERS.iter().find(|server| name.starts_with(*server))?;
        let attribute = ["attr/apparmor/current", "attr/current"];
        let profile = attribute.iter().find_map(|file| fs::read_to_string(process.join(file)).ok())?;
        Some((Shown(name.trim().as_bytes()).to_string(), enforced_profile(&profile)?))
    })
}

/// Parses `profile (enforce)`.
fn enforced_profile(text: &str) -> Option<String> {
    let profile = text.trim_end_matches(['\n', '\0']).strip_suffix(" (enforce)")?;
    Some(Shown(profile.as_bytes()).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_enforced_counts() {
        assert_eq!(
            [is_enforced("1"), is_enforced("1\n"), is_enforced("0"), is_enforced("")],
            [true, true, false, false]
        );
        assert_eq!(enforced_profile("/usr/sbin/nginx (enforce)\n").as_deref(), Some("/usr/sbin/nginx"));
        for other in ["unconfined\n", "/usr/sbin/nginx (complain)\n", "system_u:system_r:httpd_t:s0\0"] {
            assert_eq!(enforced_profile(other), None, "{other}");
        }
    }
}
