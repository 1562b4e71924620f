//! The submodules that the file `.gitmodules` of a working directory names.

use std::path::Path;

use crate::cancel::Cancel;
use crate::path::check_name;

use super::command::question;
use super::running::{NoAnswer, run};

/// A submodule in `.gitmodules`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Submodule {
    /// The name: mostly its first path. It has no part `..`.
    pub(crate) name: String,
    /// The path, relative and without `..`.
    pub(crate) path: String,
    /// Whether git leaves it alone (`update = none`).
    pub(crate) is_left_alone: bool,
}

/// Reads `.gitmodules`. Leaves out submodules whose name or path leads elsewhere, as git does.
pub(crate) fn submodules(checkout: &Path, cancel: &Cancel) -> Result<Vec<Submodule>, NoAnswer> {
    if !checkout.join(".gitmodules").symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Ok(Vec::new());
    }
    let mut command = question(checkout);
    command.args(["config", "--file", ".gitmodules", "--no-includes", "-z", "--list"]);
    Ok(parse(&run(command, cancel)?.success()?))
}

fn parse(text: &[u8]) -> Vec<Submodule> {
    let mut found: Vec<Submodule> = Vec::new();
    for entry in text.split(|&byte| byte == 0) {
        // Paths that are not UTF-8 are not supported here: `.gitmodules` of them are next to unknown.
        let Some((key, value)) = std::str::from_utf8(entry).ok().and_then(|entry| entry.split_once('\n')) else {
            continue;
        };
        let Some((name, key)) = key.strip_prefix("submodule.").and_then(|rest| rest.rsplit_once('.')) else { continue };
        if found.last().is_none_or(|last| last.name != name) && !found.iter().any(|known| known.name == name) {
            found.push(Submodule { name: name.to_owned(), ..Submodule::default() });
        }
        let Some(submodule) = found.iter_mut().find(|known| known.name == name) else { continue };
        match key {
            "path" => submodule.path = value.trim_end_matches('/').to_owned(),
            "update" => submodule.is_left_alone = value == "none",
            _ => {}
        }
    }
    found.retain(|submodule| is_below(&submodule.name) && is_below(&submodule.path));
    found
}

/// Tells whether a path leads to something below its beginning.
fn is_below(path: &str) -> bool {
    path.as_bytes().split(|&byte| byte == b'/').all(|name| check_name(name).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submodule_whose_name_or_path_leads_elsewhere_is_left_out() {
        let check = |text: &str, expected: &[(&str, &str, bool)]| {
            let found = parse(text.replace('|', "\0").as_bytes());
            let found: Vec<(&str, &str, bool)> =
                found.iter().map(|found| (&*found.name, &*found.path, found.is_left_alone)).collect();
            assert_eq!(found, expected, "{text:?}");
        };
        check("submodule.a/b.path\na/b|submodule.a/b.url\n../x|", &[("a/b", "a/b", false)]);
        check("submodule.a.path\nb/|submodule.a.update\nnone|", &[("a", "b", true)]);
        check(
            "submodule.a.path\na|submodule.b.path\nb|submodule.a.update\nnone|",
            &[("a", "a", true), ("b", "b", false)],
        );
        check("submodule.../../x.path\na|submodule.x.path\n../a|submodule.y.path\n/etc|submodule.z.url\nz|", &[]);
        check("core.bare\ntrue|submodule.a.path|", &[]);
    }
}
