//! Tells the kind of a path that the server has and the source lacks, by its name.
//!
//! The names are those of common applications and frameworks. A name is only a sign: the person who adopts sees each path
//! with its kind, and decides.

use crate::agent::sqlite::is_database_name;
use crate::report::FoundKind;

/// Directories that hold what people uploaded, or what an application keeps for them.
const UPLOADS: [&str; 11] = [
    "attachments",
    "avatars",
    "blogs.dir",
    "documents",
    "files",
    "media",
    "storage",
    "upload",
    "uploads",
    "user_uploads",
    "userfiles",
];
/// The ends of paths that do.
const UPLOADS_BELOW: [&str; 4] = ["public/system", "storage/app", "var/share", "var/storage"];
/// Directories of backups.
const BACKUPS: [&str; 6] = ["ai1wm-backups", "backup", "backups", "backups-dup-lite", "updraft", "wpvividbackups"];
const LOGS: [&str; 2] = ["log", "logs"];
const CACHES: [&str; 11] =
    [".cache", "cache", "caches", "pids", "run", "session", "sessions", "sockets", "temp", "tmp", "views_cache"];
const CACHES_BELOW: [&str; 3] = ["storage/framework", "wp-content/upgrade", "wp-content/upgrade-temp-backup"];
/// Directories that a build makes.
const BUILT: [&str; 11] = [
    ".venv",
    "__pycache__",
    "bower_components",
    "build",
    "dist",
    "node_modules",
    "packs",
    "staticfiles",
    "target",
    "vendor",
    "venv",
];
/// Directories of one release, though the last part of their names is that of a cache: they hold paths and code of that
/// release, or a build makes them.
const BUILT_BELOW: [&str; 8] = [
    "bootstrap/cache",
    "pub/static",
    "public/assets",
    "public/bundles",
    "public/packs",
    "var/cache",
    "var/page_cache",
    "vendor/bundle",
];
/// Directories of which a source often has nothing, and an application keeps everything that it writes in. What is in one is
/// judged by its name.
const HOLDERS: [&str; 1] = ["var"];

/// Files with configuration and secrets.
const CONFIG: [&str; 27] = [
    ".env",
    ".htaccess",
    ".htpasswd",
    ".user.ini",
    "application.yml",
    "auth.json",
    "config.inc.php",
    "config.php",
    "configuration.php",
    "database.yml",
    "env.php",
    "local.php",
    "local.xml",
    "local_settings.py",
    "localsettings.php",
    "master.key",
    "parameters.php",
    "parameters.yaml",
    "parameters.yml",
    "php.ini",
    "production.key",
    "secrets.yml",
    "settings.inc.php",
    "settings.local.php",
    "settings.php",
    "storage.yml",
    "wp-config.php",
];
const CONFIG_ENDS: [&str; 5] = [".key", ".local.php", ".local.yaml", ".local.yml", ".pem"];
/// The ends of `.env.…` that are no configuration.
const EXAMPLES: [&str; 4] = [".dist", ".example", ".sample", ".template"];

/// The names of files that only keep a directory in a repository, or close it to a web server.
const PLACEHOLDERS: [&str; 7] =
    [".gitignore", ".gitkeep", ".htaccess", ".keep", "index.htm", "index.html", "index.php"];

/// Returns the kind of a directory.
pub(super) fn of_directory(path: &[u8]) -> Option<FoundKind> {
    let path = String::from_utf8_lossy(path).to_ascii_lowercase();
    let name = path.rsplit('/').next().unwrap_or_default();
    let ends_with = |ends: &[&str]| ends.iter().any(|end| path == *end || path.ends_with(&format!("/{end}")));
    match name {
        _ if ends_with(&BUILT_BELOW) => Some(FoundKind::Built),
        _ if ends_with(&CACHES_BELOW) => Some(FoundKind::Cache),
        _ if ends_with(&UPLOADS_BELOW) => Some(FoundKind::Uploads),
        name if BUILT.contains(&name) => Some(FoundKind::Built),
        name if UPLOADS.contains(&name) => Some(FoundKind::Uploads),
        name if BACKUPS.contains(&name) => Some(FoundKind::Backups),
        name if LOGS.contains(&name) => Some(FoundKind::Logs),
        name if CACHES.contains(&name) => Some(FoundKind::Cache),
        _ => None,
    }
}

/// Returns the kind of a file.
pub(super) fn of_file(path: &[u8]) -> Option<FoundKind> {
    let path = String::from_utf8_lossy(path).to_ascii_lowercase();
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_env = name.starts_with(".env.") && !EXAMPLES.iter().any(|end| name.ends_with(end));
    let ends_with = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    match name {
        name if is_env || CONFIG.contains(&name) || ends_with(&CONFIG_ENDS) => Some(FoundKind::Config),
        name if is_database_name(name.as_bytes()) => Some(FoundKind::Database),
        "error_log" => Some(FoundKind::Logs),
        name if name.ends_with(".log") => Some(FoundKind::Logs),
        name if name.ends_with(".pid") => Some(FoundKind::Cache),
        _ => None,
    }
}

/// Returns whether a file of configuration belongs to its machine, so that a source has that of another one, if it has any.
pub(super) fn is_of_machine(path: &[u8]) -> bool {
    /// Configuration that an application brings along.
    const OF_APPLICATION: [&str; 3] = [".htaccess", ".user.ini", "php.ini"];
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    of_file(path) == Some(FoundKind::Config)
        && !OF_APPLICATION.iter().any(|own| name.eq_ignore_ascii_case(own.as_bytes()))
}

/// Returns whether a directory is one whose content is judged though the source lacks it.
pub(super) fn is_holder(path: &[u8]) -> bool {
    HOLDERS.iter().any(|holder| path.eq_ignore_ascii_case(holder.as_bytes()))
}

/// Returns whether a file of a source only keeps its directory.
pub(super) fn is_placeholder(name: &[u8]) -> bool {
    PLACEHOLDERS.iter().any(|placeholder| name.eq_ignore_ascii_case(placeholder.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_by_their_names() {
        let check = |path: &str, directory: Option<FoundKind>, file: Option<FoundKind>| {
            assert_eq!((of_directory(path.as_bytes()), of_file(path.as_bytes())), (directory, file), "{path}");
        };
        check("wp-content/uploads", Some(FoundKind::Uploads), None);
        check("storage/app", Some(FoundKind::Uploads), None);
        check("storage/framework", Some(FoundKind::Cache), None);
        check("storage", Some(FoundKind::Uploads), None);
        check("wp-content/upgrade", Some(FoundKind::Cache), None);
        check("wp-content/ai1wm-backups", Some(FoundKind::Backups), None);
        check("bootstrap/cache", Some(FoundKind::Built), None);
        check("var/cache", Some(FoundKind::Built), None);
        check("wp-content/cache", Some(FoundKind::Cache), None);
        check("vendor/bundle", Some(FoundKind::Built), None);
        check("app", None, None);
        check("public/Files", Some(FoundKind::Uploads), None);
        check("var/log", Some(FoundKind::Logs), None);
        check("node_modules", Some(FoundKind::Built), None);
        check(".env", None, Some(FoundKind::Config));
        check(".env.production", None, Some(FoundKind::Config));
        check(".env.example", None, None);
        check("config/database.yml", None, Some(FoundKind::Config));
        check("data/shop.sqlite3", None, Some(FoundKind::Database));
        check("db/production.sqlite3-journal", None, None);
        check("admin/config.php", None, Some(FoundKind::Config));
        check("error_log", None, Some(FoundKind::Logs));
        check("src/index.php", None, None);
    }
}
