//! Shared paths, files that are carried over, private copies and writable directories.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use crate::support::site::{Site, names, number};
use crate::support::tree::{self, Tree};

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path.as_ref()).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Laravel's skeleton of `storage/`, and a file in it that the web server needs.
fn laravel() -> Site {
    let mut site = Site::new();
    site.configure("shared_dirs = ['storage']\n");
    for directory in ["app/public", "framework/cache/data", "framework/sessions", "framework/views", "logs"] {
        site.write(&format!("storage/{directory}/.gitignore"), "*\n!.gitignore\n");
    }
    site.write("storage/app/public/.htaccess", "deny");
    site.write("storage/run", "#!/bin/sh\n");
    tree::set_mode(site.source("storage/run"), 0o755);
    symlink("app/public", site.source("storage/public")).unwrap();
    site.write("index.php", "index");
    site
}

#[test]
fn a_new_shared_directory_has_the_release_s_skeleton_and_what_is_written_there_stays() {
    let site = laravel();
    let report = site.deploy(&[]);
    assert_eq!(report["seeded"][0]["path"], "storage");
    assert_eq!(number(&report["seeded"][0]["files"]), 8);
    assert_eq!(report["warnings"].as_array().unwrap().len(), 0, "{}", report["warnings"]);
    assert_eq!(fs::read_link(site.current("storage")).unwrap(), Path::new("../../shared/storage"));
    assert_eq!(read(site.current("storage/app/public/.htaccess")), "deny");
    assert!(site.target("shared/storage/framework/cache/data").is_dir());
    assert_eq!(fs::read_link(site.target("shared/storage/public")).unwrap(), Path::new("app/public"));
    // It is writable, and shares no inode with the store.
    assert_eq!((mode(site.target("shared/storage/run")), mode(site.target("shared/storage"))), (0o755, 0o755));
    assert_eq!(mode(site.target("shared/storage/app/public/.htaccess")), 0o644);
    assert_eq!(fs::metadata(site.target("shared/storage/app/public/.htaccess")).unwrap().nlink(), 1);
    fs::write(site.current("storage/logs/laravel.log"), "log").unwrap();
    site.write("index.php", "index 2");
    let report = site.deploy(&[]);
    assert_eq!(report["seeded"].as_array().unwrap().len(), 0);
    assert_eq!(read(site.current("storage/logs/laravel.log")), "log");
    assert_eq!(site.deploy(&[])["state"], "unchanged");
}

#[test]
fn a_dry_run_says_what_would_be_copied_into_shared_and_makes_nothing() {
    let site = laravel();
    let report = site.deploy(&["--dry-run"]);
    assert_eq!((report["seeded"][0]["path"].as_str(), number(&report["seeded"][0]["files"])), (Some("storage"), 8));
    assert!(!site.target("").exists());
    site.succeed(&["setup"]);
    let before = Tree::read(&site.target(""));
    assert_eq!(number(&site.deploy(&["--dry-run"])["seeded"][0]["files"]), 8);
    Tree::read(&site.target("")).assert_equals(&before);
}

#[test]
fn a_new_file_of_the_release_comes_into_a_shared_directory_and_a_removed_one_does_not_come_back() {
    let site = laravel();
    site.deploy(&[]);
    fs::remove_file(site.current("storage/app/public/.htaccess")).unwrap();
    fs::write(site.current("storage/run"), "of the server").unwrap();
    site.write("storage/templates/new/page.html", "page");
    let report = site.deploy(&[]);
    assert_eq!(number(&report["seeded"][0]["files"]), 1);
    assert_eq!(read(site.current("storage/templates/new/page.html")), "page");
    assert!(!site.current("storage/app/public/.htaccess").exists());
    assert_eq!(read(site.current("storage/run")), "of the server");
    assert_eq!(report["warnings"].as_array().unwrap().len(), 0, "{}", report["warnings"]);
    // Under `seed` it does.
    let mut site = site;
    site.configure("shared_dirs = [{ path = 'storage', conflict = 'seed' }]\n");
    assert_eq!(number(&site.deploy(&[])["seeded"][0]["files"]), 1);
    assert_eq!(read(site.current("storage/app/public/.htaccess")), "deny");
    assert_eq!(read(site.current("storage/run")), "of the server");
    assert_eq!(site.deploy(&[])["state"], "unchanged");
}

#[test]
fn a_hidden_file_is_named_in_the_deploy_that_first_hides_it() {
    let mut site = Site::new();
    site.configure("shared_dirs = [{ path = 'uploads', conflict = 'link' }]\n");
    site.succeed(&["setup"]);
    site.write_shared("uploads/photo", "photo");
    for (path, content) in [("uploads/.gitkeep", ""), ("uploads/index.html", ""), ("uploads/logo", "logo")] {
        site.write(path, content);
    }
    let warnings = |site: &Site| {
        let report = site.deploy(&[]);
        assert_eq!(report["state"], "live");
        report["warnings"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    const FIRST: &str = "The shared path `uploads` hides 1 file of the release: `uploads/logo`. The server uses what is in \
                         `shared/`";
    assert_eq!(warnings(&site), [FIRST]);
    assert_eq!(names(&site.current("uploads")), ["photo"]);
    site.write("version", "2");
    assert_eq!(warnings(&site), [""; 0]);
    site.write("uploads/logo", "another");
    assert_eq!(warnings(&site), [FIRST]);
    site.write("uploads/banner", "banner");
    assert_eq!(warnings(&site), [FIRST.replace("logo", "banner")]);
}

#[test]
fn each_rule_decides_what_is_served_where_both_have_the_path() {
    let deploy = |config: &str| {
        let mut site = Site::new();
        site.configure(config);
        site.succeed(&["setup"]);
        site.write_shared("uploads/photo", "photo");
        site.write_shared("config/local.php", "server");
        site.write("uploads/logo", "logo");
        site.write("config/local.php", "release");
        site.deploy(&["--dry-run"]);
        site.deploy(&[]);
        (names(&site.current("uploads")), read(site.current("config/local.php")))
    };
    let config = |directory: &str, file: &str| {
        format!(
            "shared_dirs = [{{ path = 'uploads', conflict = '{directory}' }}]\n\
             shared_files = [{{ path = 'config/local.php', conflict = '{file}' }}]\n"
        )
    };
    assert_eq!(deploy(&config("link", "link")), (vec!["photo".into()], "server".into()));
    assert_eq!(deploy(&config("seed", "seed")), (vec!["logo".into(), "photo".into()], "server".into()));
    assert_eq!(deploy(&config("merge", "keep")), (vec!["logo".into(), "photo".into()], "release".into()));
    assert_eq!(deploy(&config("keep", "keep")), (vec!["logo".into()], "release".into()));
}

#[test]
fn a_path_in_both_is_refused_before_the_upload_where_the_rule_says_so() {
    let mut site = Site::new();
    site.configure("shared_dirs = [{ path = 'uploads', conflict = 'error' }]\n");
    site.write("uploads/.gitkeep", "");
    site.deploy(&[]);
    site.write("uploads/logo", "logo");
    site.refused(&["deploy"], 1, &["`uploads` is both in the release and in `shared/`", "Remove `uploads`"]);
    site.configure("shared_files = ['config.php']\n");
    site.write("config.php", "release");
    site.refused(&["deploy"], 1, &["`config.php` is a file in the source", "a line `/config.php` in `.deployignore`"]);
}

#[test]
fn a_missing_shared_path_is_required_optional_or_made() {
    let mut site = Site::new();
    site.write("version", "1");
    site.configure("shared_files = ['.env']\n");
    site.refused(&["deploy"], 1, &["shared/.env` does not exist", "Put it at"]);
    site.configure("shared_dirs = [{ path = 'logs', missing = 'required' }]\n");
    site.refused(&["deploy"], 1, &["shared/logs` does not exist", "Put it at"]);
    site.configure(
        "shared_files = [{ path = '.env', missing = 'optional' }]\nshared_dirs = [{ path = 'logs', missing = 'optional' }]\n",
    );
    site.deploy(&[]);
    assert_eq!(names(&site.target("shared")), [""; 0]);
    assert!(!site.current(".env").is_symlink());
    site.configure("shared_files = [{ path = 'config/.env', missing = 'create' }]\nshared_dirs = ['logs']\n");
    site.deploy(&[]);
    assert_eq!(mode(site.target("shared/config/.env")), 0o600);
    assert_eq!(read(site.current("config/.env")), "");
    assert!(site.current("logs").is_dir());
}

#[test]
fn a_symlink_of_the_release_cannot_lead_a_link_or_a_removal_outside() {
    let mut site = Site::new();
    site.configure("shared_dirs = ['storage/app']\n");
    site.write("version", "1");
    let outside = site.path("outside");
    fs::create_dir_all(outside.join("app")).unwrap();
    fs::write(outside.join("app/file"), "content").unwrap();
    let before = Tree::read(&outside);
    symlink(&outside, site.source("storage")).unwrap();
    site.refused(&["deploy"], 1, &["`storage` is both"]);
    Tree::read(&outside).assert_equals(&before);
    // The same with a relative one, and with the path itself.
    fs::remove_file(site.source("storage")).unwrap();
    symlink("../../outside", site.source("storage")).unwrap();
    site.refused(&["deploy"], 1, &["`storage` is both"]);
    fs::remove_file(site.source("storage")).unwrap();
    site.configure("shared_dirs = [{ path = 'storage', conflict = 'link' }]\n");
    symlink(&outside, site.source("storage")).unwrap();
    site.deploy(&[]);
    assert_eq!(fs::read_link(site.current("storage")).unwrap(), Path::new("../../shared/storage"));
    Tree::read(&outside).assert_equals(&before);
}

#[test]
fn what_a_crash_left_in_shared_is_made_whole_and_never_linked() {
    let site = laravel();
    site.succeed(&["setup"]);
    fs::remove_dir(site.target("shared/storage")).unwrap();
    site.write_shared(".cutover-new/half", "half");
    site.deploy(&[]);
    assert_eq!(names(&site.target("shared")), ["storage"]);
    assert_eq!(read(site.current("storage/app/public/.htaccess")), "deny");
    assert!(!site.current(".cutover-new").exists());
}

#[test]
fn a_plugin_that_was_installed_on_the_server_is_carried_over() {
    let mut site = Site::new();
    site.configure("carry_over = ['/plugins/*']\nshared_dirs = ['uploads']\n");
    site.write("plugins/own/own.php", "own");
    site.write("plugins/old/old.php", "old");
    site.deploy(&[]);
    let plugin = site.current("plugins/new");
    fs::create_dir(&plugin).unwrap();
    fs::write(plugin.join("new.php"), "new").unwrap();
    tree::set_mode(plugin.join("new.php"), 0o640);
    fs::write(plugin.join("debug.log"), "log").unwrap();
    symlink("new.php", plugin.join("link.php")).unwrap();
    symlink("/etc/passwd", plugin.join("outside")).unwrap();
    symlink("../../../../shared/uploads", plugin.join("uploads")).unwrap();
    fs::write(site.current("elsewhere"), "not matched").unwrap();
    fs::write(site.current("plugins/own/more.php"), "more").unwrap();
    fs::remove_dir_all(site.source("plugins/old")).unwrap();
    site.write("version", "2");
    let report = site.deploy(&[]);
    assert_eq!(number(&report["copied"]["carry_over"]), 4);
    assert_eq!(
        report["carried"],
        serde_json::json!([
            "plugins/new/debug.log",
            "plugins/new/link.php",
            "plugins/new/new.php",
            "plugins/own/more.php"
        ])
    );
    assert_eq!(names(&site.current("plugins/new")), ["debug.log", "link.php", "new.php"]);
    assert_eq!(mode(site.current("plugins/new/new.php")), 0o640);
    assert_eq!(names(&site.current("plugins")), ["new", "own"]);
    assert!(!site.current("elsewhere").exists());
    let first = site.release_names()[0].clone();
    let inode = |id: &str| tree::stat(&site.release(id).join("plugins/new/new.php")).inode;
    assert_ne!(inode(&first), inode(&site.live().unwrap()));
    // They are noted beside the record, and are carried on, also where a release is made of another one.
    let own = read(site.target(&format!(".cutover/releases/{}/own", site.live().unwrap())));
    assert!(own.contains(r#""plugins/new/new.php":{"stat":{"is_directory":false,"mode":416,"#), "{own}");
    for version in 3..8 {
        site.write("version", version.to_string());
        site.deploy(&["--grace", "0s"]);
        assert_eq!(names(&site.current("plugins/new")), ["debug.log", "link.php", "new.php"]);
    }
    // A path that the source brings is the source's.
    site.write("plugins/new/new.php", "of the source");
    site.deploy(&["--grace", "0s"]);
    assert_eq!(read(site.current("plugins/new/new.php")), "of the source");
    fs::remove_dir_all(site.source("plugins/new")).unwrap();
    site.deploy(&["--grace", "0s"]);
    assert_eq!(names(&site.current("plugins/new")), ["debug.log", "link.php"]);
    // Without the key nothing is carried.
    site.configure("shared_dirs = ['uploads']\n");
    site.write("version", "9");
    site.deploy(&["--grace", "0s"]);
    assert_eq!(names(&site.current("plugins")), ["own"]);
}

#[test]
fn a_private_copy_is_writable_and_a_write_there_changes_nothing_else() {
    let mut site = Site::new();
    site.configure("copy_paths = ['/var/*.sqlite']\n");
    site.write("var/app.sqlite", "rows");
    site.deploy(&[]);
    assert_eq!(mode(site.current("var/app.sqlite")), 0o644);
    fs::write(site.current("var/app.sqlite"), "more rows").unwrap();
    site.write("version", "2");
    site.deploy(&[]);
    let [first, second] = &site.release_names()[..] else { panic!() };
    assert_eq!(read(site.release(first).join("var/app.sqlite")), "more rows");
    assert_eq!(read(site.release(second).join("var/app.sqlite")), "rows");
    assert!(site.objects().iter().all(|object| mode(object) & 0o222 == 0));
}

#[test]
fn writable_directories_get_mode_and_group_and_their_files_stay_as_they_are() {
    let mut site = Site::new();
    site.configure(
        "writable_dirs = ['bootstrap/cache', 'var/cache', 'storage']\nshared_dirs = ['storage']\nspare = true\n",
    );
    site.write("bootstrap/cache/deep/.gitignore", "*");
    site.write("bootstrap/app.php", "app");
    site.write("storage/logs/.gitignore", "*");
    site.deploy(&[]);
    let check = |expected: u32| {
        for path in ["bootstrap/cache", "bootstrap/cache/deep", "var/cache", "storage/", "storage/logs"] {
            assert_eq!(mode(site.current(path)), expected, "{path}");
        }
    };
    check(0o775);
    assert_eq!(mode(site.current("bootstrap")), 0o755);
    assert_eq!(mode(site.current("bootstrap/cache/deep/.gitignore")), 0o444);
    // Also where a release is made of another one.
    for version in 0..5 {
        site.write("version", version.to_string());
        site.deploy(&["--grace", "0s"]);
        check(0o775);
    }
    assert_eq!(site.deploy(&[])["state"], "unchanged");
    site.configure("writable_dirs = ['bootstrap/app.php']\n");
    site.refused(&["deploy"], 1, &["`bootstrap/app.php` is in `writable_dirs` and is a file", "Name the directory"]);
    site.configure("writable_dirs = ['bootstrap/cache']\nwritable_group = 'no-such-group'\n");
    site.refused(&["deploy"], 1, &["no group `no-such-group`", "sudo groupadd no-such-group"]);
    site.configure("writable_dirs = ['bootstrap/cache']\nwritable_mode = '2770'\nwritable_group = 'daemon'\n");
    if rustix::process::geteuid().is_root() {
        site.deploy(&[]);
        assert_eq!(mode(site.current("bootstrap/cache")), 0o2770);
        assert_eq!(fs::metadata(site.current("bootstrap/cache")).unwrap().gid(), 1);
        assert_eq!(mode(site.current("bootstrap/cache/deep/.gitignore")), 0o444);
    }
}

/// A site that is live, with a shared `.env`.
fn with_env() -> Site {
    let mut site = Site::new();
    site.configure("shared_files = ['.env']\nshared_dirs = ['uploads']\n");
    site.succeed(&["setup"]);
    site.write_shared(".env", "KEY=old\nSECRET=hunter2\n");
    tree::set_mode(site.target("shared/.env"), 0o640);
    site.write("version", "1");
    site.deploy(&[]);
    site
}

#[test]
fn shared_paths_are_listed_with_kind_size_mode_and_link() {
    let site = with_env();
    site.write_shared("later", "later");
    let report = site.succeed(&["shared", "list"]);
    let path = |path: &str, kind: &str, bytes: Option<u64>, mode: &str, linked: bool| serde_json::json!({ "path": path, "kind": kind, "bytes": bytes, "mode": mode, "linked": linked });
    assert_eq!(
        report["paths"],
        serde_json::json!([
            path(".env", "file", Some(23), "0640", true),
            path("later", "file", Some(5), "0644", false),
            path("uploads", "directory", None, "0755", true),
        ])
    );
}

#[test]
fn a_shared_file_is_pushed_and_pulled_and_no_value_is_printed() {
    let site = with_env();
    fs::write(site.path("env"), "KEY=new\nSECRET=hunter2\nMORE=hunter3\n").unwrap();
    let env = site.path("env");
    let env = env.to_str().unwrap();
    // Without a terminal nobody can be asked.
    let ran = site.cutover(&["shared", "push", env, ".env"]);
    ran.failed(
        1,
        &["shared/.env: 2 lines added, 1 removed", "There is no terminal to ask on: Replace `shared/.env`", "`--yes`"],
    );
    assert!(!ran.stderr.contains("hunter"), "{}", ran.stderr);
    assert_eq!(read(site.current(".env")), "KEY=old\nSECRET=hunter2\n");
    let ran = site.cutover(&["shared", "push", env, ".env", "--yes"]);
    assert!(!ran.stderr.contains("hunter"), "{}", ran.stderr);
    let report = ran.succeeded();
    assert_eq!((report["written"].as_bool(), report["created"].as_bool()), (Some(true), Some(false)));
    assert_eq!(read(site.current(".env")), read(site.path("env")));
    // An existing file keeps its mode; a new one is for its owner alone.
    assert_eq!(mode(site.target("shared/.env")), 0o640);
    assert_eq!(site.succeed(&["shared", "push", env, ".env"])["written"], false);
    assert_eq!(site.succeed(&["shared", "push", env, "config/deep/.env", "--yes"])["created"], true);
    assert_eq!(mode(site.target("shared/config/deep/.env")), 0o600);
    assert_eq!(names(&site.target("shared")), [".env", "config", "uploads"]);
    // Nothing of it is in a log.
    assert!(!read(site.target(".cutover/log")).contains("hunter"));
    let report = site.succeed(&["shared", "pull", ".env", "pulled"]);
    assert_eq!(number(&report["bytes"]), 36);
    assert_eq!((read(site.path("pulled")), mode(site.path("pulled"))), (read(site.path("env")), 0o600));
    let output = site.command(&["shared", "pull", ".env", "-"]).output().unwrap();
    assert_eq!(output.stdout, fs::read(site.path("env")).unwrap());
    fs::write(site.path("pulled"), "mine").unwrap();
    site.cutover(&["shared", "pull", ".env", "pulled"]).failed(1, &["Replace `pulled`?", "--yes"]);
    site.succeed(&["shared", "pull", ".env", "pulled", "--yes"]);
}

#[test]
fn an_edited_shared_file_is_written_unless_it_was_changed_meanwhile() {
    let site = with_env();
    let edit = |script: &str| {
        let mut command = site.command(&["shared", "edit", ".env", "--yes"]);
        command.env("EDITOR", script).env("TMPDIR", site.path("home"));
        crate::support::site::RunResult::of(&command.output().unwrap())
    };
    edit("sed -i s/old/edited/").succeeded();
    assert_eq!(read(site.current(".env")), "KEY=edited\nSECRET=hunter2\n");
    assert_eq!(edit("true").succeeded()["written"], false);
    let mut without = site.command(&["shared", "edit", ".env"]);
    without.env_remove("EDITOR").env_remove("VISUAL");
    let ran = crate::support::site::RunResult::of(&without.output().unwrap());
    ran.failed(2, &["There is no terminal for an editor", "shared pull"]);
    edit("exit 3; true").failed(1, &["The editor `exit 3; true` failed", "nothing was written"]);
    // The temporary file is gone.
    assert_eq!(names(&site.path("home")), [""; 0]);
    let other = format!("echo KEY=other > {}; echo KEY=mine >", site.target("shared/.env").display());
    let ran = edit(&other);
    ran.failed(1, &["shared/.env` was changed on the server meanwhile, and is left as it is", "Your text is in `"]);
    assert_eq!(read(site.current(".env")), "KEY=other\n");
    let kept = names(&site.path("home"));
    assert_eq!(
        (read(site.path("home").join(&kept[0])), mode(site.path("home").join(&kept[0]))),
        ("KEY=mine\n".into(), 0o600)
    );
}

#[test]
fn a_shared_file_is_refused_where_it_is_none_or_lies_elsewhere() {
    let site = with_env();
    fs::create_dir(site.path("elsewhere")).unwrap();
    fs::write(site.path("elsewhere/file"), "secret").unwrap();
    fs::write(site.path("new"), "new").unwrap();
    symlink(site.path("elsewhere"), site.target("shared/link")).unwrap();
    symlink(site.path("elsewhere/file"), site.target("shared/file")).unwrap();
    let new = site.path("new");
    let push = |path: &str| site.cutover(&["shared", "push", new.to_str().unwrap(), path, "--yes"]);
    for path in ["link/file", "link/new", "file"] {
        push(path).failed(1, &["is a symlink or lies behind one"]);
    }
    assert_eq!(
        (names(&site.path("elsewhere")), read(site.path("elsewhere/file"))),
        (vec!["file".into()], "secret".into())
    );
    push("uploads").failed(1, &["shared/uploads` is not a file", "Name a file of configuration"]);
    push("../x").failed(2, &["`../x` cannot be a path in `shared/`: it holds `.` or `..`"]);
    push("/etc/passwd").failed(2, &["it is absolute"]);
    site.cutover(&["shared", "pull", "none", "-"]).failed(1, &["There is no `shared/none`", "cutover shared list"]);
    fs::File::create(site.target("shared/large")).unwrap().set_len(17 << 20).unwrap();
    site.cutover(&["shared", "pull", "large", "-"]).failed(1, &["shared/large` is larger than 16.8 MB"]);
    fs::File::create(site.path("new")).unwrap().set_len(17 << 20).unwrap();
    push("more").failed(1, &["`more` is larger than 16.8 MB"]);
    site.cutover(&["shared", "pull", ".env"]).failed(2, &["too few or too many words", "cutover help shared"]);
}

#[test]
fn a_file_is_pushed_before_the_first_deploy_but_not_before_the_setup() {
    let mut site = Site::new();
    site.configure("shared_files = ['.env']");
    site.write("index.html", "one");
    fs::write(site.path("env"), "KEY=value\n").unwrap();
    let push = ["shared", "push", "env", ".env", "--yes"];
    site.cutover(&push).failed(1, &["has no `shared/` yet", "Hint: Run `cutover setup"]);
    site.succeed(&["setup"]);
    assert_eq!(site.succeed(&push)["created"], true);
    site.deploy(&[]);
    assert_eq!(read(site.current(".env")), "KEY=value\n");
}
