//! A hook that resets OPcache, with the real PHP-FPM.
//!
//! The web server gives PHP the path through the symlink, as stock settings do. So PHP serves the old release until its
//! memory is empty.

use std::collections::BTreeSet;
use std::fs::{self};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread;

use serde_json::json;

use crate::support::php::Php;
use crate::support::site::{Site, names};
use crate::support::sshd::{Sshd, is_root};
use crate::support::tree;
use crate::support::visitor::ask;
use crate::support::wait;
use crate::support::web_server::{WebServer, WebServerKind};

const TIMELESS: &str = "php_admin_value[opcache.validate_timestamps] = 0";

/// Writes a version.
fn write(site: &Site, version: u32) {
    let page = format!("usleep(3000); echo {version}, ' ', include __DIR__ . '/../lib/version.php', ' ', getmypid();");
    site.write("public/index.php", format!("<?php {page}"));
    site.write("lib/version.php", format!("<?php return {version};"));
}

/// Writes a config with a hook that resets OPcache, with these further keys.
fn configure(site: &mut Site, address: &str, keys: &str) {
    site.configure(&format!(
        "[[hooks]]\nname = 'opcache'\nphase = 'after_switch'\nopcache_reset = '{address}'\n{keys}\n"
    ));
}

/// Starts nginx, which gives PHP the path through the symlink.
fn stale_nginx(site: &Site, php: &Php) -> WebServer {
    let config = php.printed(WebServerKind::Nginx, site).replace("$realpath_root", "$document_root");
    WebServer::start(WebServerKind::Nginx, site, &config)
}

/// Asks until both processes of the pool have answered: each remembers by itself where the symlink leads.
#[track_caller]
fn serves(server: &WebServer, version: u32) {
    let expected = format!("200 {version} {version} ");
    let mut processes = BTreeSet::new();
    wait::until("both processes have answered", || {
        let answers: Vec<String> = thread::scope(|scope| {
            let readers: Vec<_> = (0..4).map(|_| scope.spawn(|| ask(server.port, "/").unwrap())).collect();
            readers.into_iter().map(|reader| reader.join().unwrap()).collect()
        });
        for answer in answers {
            let process = answer.strip_prefix(&expected);
            processes.insert(process.unwrap_or_else(|| panic!("{answer} is not of version {version}")).to_owned());
        }
        (processes.len() == 2).then_some(())
    });
}

#[test]
fn a_hook_empties_opcache_and_php_serves_the_new_release_at_once() {
    if !is_root() {
        return;
    }
    for pool in ["", TIMELESS] {
        let mut site = Site::new();
        write(&site, 1);
        site.deploy(&[]);
        let php = Php::start_as(&site, "www-data", pool);
        let server = stale_nginx(&site, &php);
        configure(&mut site, php.socket(), "");
        serves(&server, 1);
        write(&site, 2);
        site.deploy(&["--skip-hooks"]);
        serves(&server, 1);
        // A run that was killed has left its script, and others keep files there too.
        fs::create_dir_all(site.target("cache")).unwrap();
        for name in ["cutover-opcache-reset.php", "kept"] {
            fs::write(site.target("cache").join(name), "<?php echo 'left behind';").unwrap();
        }
        let ran = site.cutover(&["hooks", "run", "opcache"]);
        ran.failed(0, &[&format!("[opcache] OPcache of {} is empty", php.socket())]);
        serves(&server, 2);
        write(&site, 3);
        site.deploy(&[]);
        serves(&server, 3);
        site.succeed(&["rollback"]);
        serves(&server, 2);
        for version in 4..10 {
            write(&site, version);
            site.deploy(&[]);
            serves(&server, version);
        }
        assert_eq!(names(&site.target("cache")), ["kept"]);
    }
}

#[test]
fn a_reset_waits_for_requests_that_began_before_but_not_for_long() {
    if !is_root() {
        return;
    }
    let mut site = Site::new();
    write(&site, 1);
    for seconds in [1, 8] {
        let page =
            format!("<?php include __DIR__ . '/../lib/version.php'; touch('{{}}'); sleep({seconds}); echo 'slept';");
        let begun = site.path(&format!("begun/{seconds}")).display().to_string();
        site.write(&format!("public/{seconds}.php"), page.replace("{}", &begun));
    }
    fs::create_dir(site.path("begun")).unwrap();
    tree::set_mode(site.path("begun"), 0o777);
    site.deploy(&[]);
    let php = Php::start_as(&site, "www-data", "");
    let server = stale_nginx(&site, &php);
    configure(&mut site, php.socket(), "");
    let run_during = |seconds: u32| {
        thread::scope(|scope| {
            let page = format!("/{seconds}.php");
            let reader = scope.spawn(move || ask(server.port, &page).unwrap());
            let begun = site.path(&format!("begun/{seconds}"));
            wait::until("the page has begun", || begun.exists().then_some(()));
            let ran = site.cutover(&["hooks", "run", "opcache"]);
            let has_ended = reader.is_finished();
            assert_eq!(reader.join().unwrap(), "200 slept");
            (ran, has_ended)
        })
    };
    let (ran, has_ended) = run_during(1);
    ran.failed(0, &["is empty"]);
    assert!(has_ended, "the reset waits for the page");
    let (ran, has_ended) = run_during(8);
    ran.failed(0, &["will be empty when the requests that run now have ended"]);
    assert!(!has_ended, "the hook does not wait for the page");
}

#[test]
fn a_pool_that_listens_on_a_port_is_reset_too() {
    if !is_root() {
        return;
    }
    let mut site = Site::new();
    write(&site, 1);
    site.deploy(&[]);
    let port = crate::support::free_port();
    let pool =
        format!("[port]\nlisten = 127.0.0.1:{port}\npm = static\npm.max_children = 1\nuser = www-data\n{TIMELESS}");
    let _php = Php::start_as(&site, "www-data", &pool);
    tree::set_mode(site.path(""), 0o755);
    configure(&mut site, &format!("127.0.0.1:{port}"), "");
    write(&site, 2);
    let report = site.cutover(&["deploy"]);
    report.failed(0, &[&format!("[opcache] OPcache of 127.0.0.1:{port} is empty")]);
    let list = site.succeed(&["hooks", "list"]);
    assert_eq!(list["hooks"][0]["opcache_reset"], json!(format!("127.0.0.1:{port}")));
    assert_eq!(list["hooks"][0]["run"], json!(null));
}

/// Runs the hook on a pool with these settings. It must fail with these words.
#[track_caller]
fn fails(pool: &str, expected: &[&str]) {
    let mut site = Site::new();
    tree::set_mode(site.path(""), 0o755);
    write(&site, 1);
    site.deploy(&[]);
    let php = Php::start_as(&site, "www-data", pool);
    configure(&mut site, php.socket(), "");
    let ran = site.cutover(&["hooks", "run", "opcache"]);
    ran.failed(6, expected);
    ran.failed(6, &["The hook `opcache` (after_switch) did not reset OPcache of `", ", and run this again"]);
    assert_eq!(names(&site.target("cache")), [""; 0], "nothing is left");
}

#[test]
fn a_pool_that_does_not_reset_opcache_is_told_with_its_reason() {
    if !is_root() {
        return;
    }
    fails(
        "php_admin_value[disable_functions] = opcache_reset",
        &["has `opcache_reset` disabled", "Take `opcache_reset` out"],
    );
    fails(
        "php_admin_value[opcache.restrict_api] = /nowhere",
        &["lets other scripts alone reset OPcache", "restrict_api"],
    );
    fails("php_admin_value[open_basedir] = /nowhere", &["it cannot open the script `", "see its `open_basedir`"]);
    fails("chroot = /usr", &["it cannot open the script `", "its `chroot`"]);
    fails("security.limit_extensions = .php5", &["it does not run the script `", "security.limit_extensions"]);
    fails(
        "php_admin_value[auto_prepend_file] = /nowhere.php",
        &["it answered with status 500", "Read the log of PHP-FPM"],
    );
    fails(
        "php_admin_value[disable_functions] = extension_loaded",
        &["it answered with status 500", "extension_loaded"],
    );
}

#[test]
fn what_a_pool_prints_before_is_no_answer_and_does_not_hide_it() {
    if !is_root() {
        return;
    }
    let mut site = Site::new();
    tree::set_mode(site.path(""), 0o755);
    fs::write(site.path("before.php"), "<?php echo str_repeat('done ', 500);").unwrap();
    write(&site, 1);
    site.deploy(&[]);
    let pool = format!("php_admin_value[auto_prepend_file] = {}", site.path("before.php").display());
    let php = Php::start_as(&site, "www-data", &pool);
    configure(&mut site, php.socket(), "");
    site.cutover(&["hooks", "run", "opcache"]).failed(0, &["is empty"]);
    drop(php);
    let php = Php::start_as(&site, "www-data", "php_admin_value[opcache.enable] = 0");
    configure(&mut site, php.socket(), "");
    site.cutover(&["hooks", "run", "opcache"]).failed(0, &["is switched off: there is nothing to empty"]);
}

#[test]
fn a_reset_that_fails_is_the_failure_of_its_hook() {
    let mut site = Site::new();
    write(&site, 1);
    site.deploy(&[]);
    let live = site.live();
    let nowhere = site.path("nowhere.sock").display().to_string();
    configure(&mut site, &nowhere, "");
    write(&site, 2);
    let ran = site.cutover(&["deploy"]);
    let reason = format!("did not reset OPcache of `{nowhere}`: nothing answers there: No such file or directory");
    ran.failed(6, &[&reason, "Hint: Write what `listen` of the pool says into `opcache_reset`, and run this again"]);
    assert_eq!(site.live(), live, "the release is taken back");
    configure(&mut site, &nowhere, "halt_on_error = false");
    site.cutover(&["deploy", "--force"]).failed(0, &["Warning: ", &reason]);
    assert_ne!(site.live(), live);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    configure(&mut site, &listener.local_addr().unwrap().to_string(), "");
    thread::spawn(move || listener.accept().unwrap().0.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    site.cutover(&["hooks", "run", "opcache"]).failed(6, &["what answers there is not PHP-FPM"]);
}

#[test]
fn a_directory_that_others_may_write_to_holds_no_script() {
    let mut site = Site::new();
    write(&site, 1);
    site.deploy(&[]);
    fs::create_dir(site.target("cache")).unwrap();
    tree::set_mode(site.target("cache"), 0o777);
    configure(&mut site, "/nowhere.sock", "");
    let ran = site.cutover(&["hooks", "run", "opcache"]);
    ran.failed(6, &["cache"]);
    assert!(!ran.stderr.contains("nothing answers"), "it was not asked: {}", ran.stderr);
    assert_eq!(names(&site.target("cache")), [""; 0]);
    // Nor does a symlink lead the script elsewhere.
    fs::remove_dir(site.target("cache")).unwrap();
    fs::create_dir(site.path("elsewhere")).unwrap();
    symlink(site.path("elsewhere"), site.target("cache")).unwrap();
    let ran = site.cutover(&["hooks", "run", "opcache"]);
    ran.failed(6, &["cache"]);
    assert!(!ran.stderr.contains("nothing answers"), "it was not asked: {}", ran.stderr);
    assert_eq!(names(&site.path("elsewhere")), [""; 0]);
}

#[test]
fn the_pool_may_run_as_another_user_if_it_may_read_the_script_and_lets_the_deployer_connect() {
    if !is_root() {
        return;
    }
    let mut sshd = Sshd::start();
    let user = sshd.add_user("/bin/bash");
    let mut site = Site::over(&sshd, &user);
    tree::set_mode(site.path(""), 0o755);
    write(&site, 1);
    site.deploy(&[]);
    let php = Php::start_as(&site, "www-data", "");
    configure(&mut site, php.socket(), "");
    let mode = |path: &Path, mode: u32| tree::set_mode(path, mode);
    mode(Path::new(php.socket()), 0o600);
    let run = || site.cutover(&["hooks", "run", "opcache"]);
    run().failed(6, &["this user may not connect to it", "with `listen.acl_users` or `listen.group`"]);
    mode(Path::new(php.socket()), 0o666);
    mode(&site.target(""), 0o700);
    run().failed(6, &["it cannot open the script `", "the modes of the directories"]);
    for above in site.target("").ancestors().filter(|above| above.starts_with(sshd.home(&user))) {
        mode(above, 0o755);
    }
    run().failed(0, &["is empty"]);
}
