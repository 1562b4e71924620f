//! `cutover doctor --url`, with the real nginx: right, with an old symlink, behind a cache, packed.

use std::net::TcpListener;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::nginx::Nginx;
use crate::support::php::Php;
use crate::support::site::{RunResult, Site};
use crate::support::sshd::{is_root, run};
use crate::support::wait;
use crate::support::web_server::{WebServer, WebServerKind};

/// Writes a version: a file that differs, one that does not, and pages that show their release and their commit.
fn write(site: &Site, version: u32) {
    site.write("public/assets/app v.css", format!("a {{ order: {version} }}\n").repeat(200));
    site.write("public/same.txt", "the same");
    site.write("public/.hidden.txt", format!("{version}"));
    site.write("public/release.php", "<?php echo basename(dirname(__DIR__));");
    site.write("public/changed.php", format!("<?php // {version}"));
}

/// Makes a site with two releases, of which the second is live.
fn two_releases() -> Site {
    let site = Site::new();
    for version in [1, 2] {
        write(&site, version);
        site.deploy(&["--release", &version.to_string()]);
    }
    site
}

fn check(site: &Site, port: u16, words: &[&str]) -> RunResult {
    let url = format!("http://127.0.0.1:{port}/");
    let all: Vec<&str> =
        ["doctor", "--url", &url, "--root", "public"].into_iter().chain(words.iter().copied()).collect();
    site.cutover(&all)
}

/// Returns the releases of the answers.
fn releases(object: &Value) -> Vec<Value> {
    object["web"]["answers"].as_array().unwrap().iter().map(|answer| answer["release"].clone()).collect()
}

#[test]
fn a_web_server_that_serves_the_live_release_is_right_before_and_after_a_switch() {
    let site = two_releases();
    let root = site.target("current/public");
    let nginx = Nginx::start(&site.path("nginx"), |port| {
        format!("server {{ listen 127.0.0.1:{port}; root {}; }}", root.display())
    });
    let found = check(&site, nginx.port, &[]).succeeded();
    assert_eq!(
        (&found["web"]["served"], &found["web"]["live"], &found["web"]["before"]),
        (&json!("2"), &json!("2"), &json!("1"))
    );
    assert_eq!(releases(&found), [json!("2")], "one file differs that a web server shows: {found}");
    let url = found["web"]["answers"][0]["url"].as_str().unwrap();
    assert!(url.ends_with("/assets/app%20v.css"), "{url}");
    site.succeed(&["rollback"]);
    assert_eq!(check(&site, nginx.port, &[]).succeeded()["web"]["served"], "1");
}

#[test]
fn a_web_server_with_an_old_release_is_found_out() {
    let site = two_releases();
    let old = Nginx::start(&site.path("nginx"), |port| {
        format!("server {{ listen 127.0.0.1:{port}; root {}; }}", site.release("1").join("public").display())
    });
    let ran = check(&site, old.port, &[]);
    ran.failed(6, &["The web server serves release 1, and 2 is live", "Hint: Each finding above has its next step"]);
    assert_eq!((&ran.json["web"]["served"], &ran.json["web"]["live"]), (&json!("1"), &json!("2")));
    // Another root, and another site.
    let ran = site.cutover(&["doctor", "--url", &format!("http://127.0.0.1:{}", old.port)]);
    ran.failed(6, &["No answer tells which release the web server serves"]);
    assert!(
        ran.json["findings"].to_string().contains("name the directory that it shows with `--root DIR`"),
        "{}",
        ran.json
    );
}

#[test]
fn without_a_link_nothing_is_live_and_no_web_server_is_asked() {
    let site = two_releases();
    std::fs::remove_file(site.target("current")).unwrap();
    let ran = check(&site, 1, &[]);
    ran.failed(6, &["No release of", "is live"]);
    let found = ran.json["findings"].to_string();
    assert!(found.contains("current-missing") && found.contains("`cutover rollback"), "{found}");
    assert!(!found.contains("Nothing was deployed"), "{found}");
}

#[test]
fn a_cache_with_an_old_file_is_told_from_the_web_server_behind_it() {
    let site = two_releases();
    site.succeed(&["switch", "1"]);
    let root = site.target("current/public").display().to_string();
    let cache = site.path("cache-of-nginx").display().to_string();
    // The lowest level of a path in `proxy_cache_path` is made by nginx.
    let nginx = Nginx::start(&site.path("nginx"), |port| {
        let origin = site.path("origin.sock").display().to_string();
        format!(
            "proxy_cache_path {cache} keys_zone=files:1m;\n\
             server {{ listen unix:{origin}; root {root}; add_header Cache-Control max-age=600; }}\n\
             server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://unix:{origin}; proxy_cache files; \
             proxy_cache_valid 200 10m; add_header Age 7; }} }}"
        )
    });
    assert_eq!(check(&site, nginx.port, &[]).succeeded()["web"]["served"], "1");
    site.succeed(&["switch", "2"]);
    let ran = check(&site, nginx.port, &[]);
    ran.failed(6, &["A cache in front of the web server serves release 1, and 2 is live"]);
    let ran = site.shows(&["doctor", "--url", &format!("http://127.0.0.1:{}/", nginx.port), "--root", "public"]);
    let row: Vec<&str> =
        ran.lines().skip_while(|line| !line.starts_with("ADDRESS")).nth(1).unwrap().split("  ").collect();
    let row: Vec<&str> = row.into_iter().map(str::trim).filter(|cell| !cell.is_empty()).skip(1).collect();
    assert_eq!(row, ["1", "Age 7; max-age=600; 2 past caches"], "{ran}");
}

#[test]
fn an_answer_that_is_always_packed_is_unpacked() {
    let site = two_releases();
    let packed = site.path("packed/assets");
    std::fs::create_dir_all(&packed).unwrap();
    let from = site.release("1").join("public/assets/app v.css");
    std::fs::copy(from, packed.join("app v.css")).unwrap();
    run(Command::new("gzip").arg(packed.join("app v.css")));
    std::fs::rename(packed.join("app v.css.gz"), packed.join("app v.css")).unwrap();
    let root = site.path("packed");
    let nginx = Nginx::start(&site.path("nginx"), |port| {
        let header = "add_header Content-Encoding gzip;";
        format!("server {{ listen 127.0.0.1:{port}; root {}; {header} }}", root.display())
    });
    check(&site, nginx.port, &[]).failed(6, &["The web server serves release 1, and 2 is live"]);
}

#[test]
fn a_page_tells_which_code_runs() {
    if !is_root() {
        return;
    }
    let site = two_releases();
    let php = Php::start_as(&site, "www-data", "pm.max_children = 1");
    let right = WebServer::of_php(WebServerKind::Nginx, &site, &php);
    let found = check(&site, right.port, &["--version-file", "/release.php"]).succeeded();
    assert_eq!(releases(&found), [json!("2"), json!("2")], "{found}");
    let stale = php.printed(WebServerKind::Nginx, &site).replace("$realpath_root", "$document_root");
    let stale = WebServer::start(WebServerKind::Nginx, &site, &stale);
    check(&site, stale.port, &["--version-file", "release.php"]).succeeded();
    site.succeed(&["rollback"]);
    check(&site, right.port, &["--version-file", "release.php"]).succeeded();
    // Its files are of the live release, and its code is not.
    let ran = check(&site, stale.port, &["--version-file", "release.php"]);
    ran.failed(6, &["The web server serves release 2, and 1 is live"]);
    for (page, reason) in
        [("same.txt", "it names no release and no commit of one"), ("gone.php", "status 404 Not Found")]
    {
        let ran = check(&site, right.port, &["--version-file", page]);
        assert_eq!(ran.json["web"]["answers"][1]["reason"], reason);
        ran.failed(6, &["The files are those of release 1", page, "does not tell which code runs"]);
    }
}

#[test]
fn releases_without_a_file_that_differs_need_a_page() {
    let site = Site::new();
    for version in ["1", "2"] {
        site.write("public/index.php", version);
        site.deploy(&["--release", version]);
    }
    let ran = check(&site, 1, &[]);
    ran.failed(6, &["No file that a web server shows differs between 1 and 2"]);
    assert!(ran.json["findings"].to_string().contains("with `--version-file PATH`"), "{}", ran.json);
    let ran = check(&site, 1, &["--version-file", "version"]);
    ran.failed(6, &["No answer tells which release the web server serves"]);
}

#[test]
fn a_file_that_an_older_release_has_too_does_not_tell_that_the_live_one_is_served() {
    let mut site = Site::new();
    site.configure("source = 'source'\nkeep_releases = 9\n");
    for (release, version) in [("1", 1), ("2", 2), ("3", 1)] {
        write(&site, version);
        site.write("public/other.txt", if release == "2" { "2" } else { "1" });
        site.deploy(&["--release", release]);
    }
    let nginx = |release: &str| {
        Nginx::start(&site.path(&format!("nginx-{release}")), |port| {
            format!("server {{ listen 127.0.0.1:{port}; root {}; }}", site.release(release).join("public").display())
        })
    };
    for release in ["1", "3"] {
        let ran = check(&site, nginx(release).port, &[]);
        ran.failed(6, &["the content of release 3, which is live, and which other releases have too"]);
        assert_eq!(ran.json["web"]["answers"][0]["also_in"], json!(["1"]), "{}", ran.json);
        assert_eq!(ran.json["web"]["answers"][0]["reason"], "its content is that of 3 (live), and of 1");
        assert!(ran.json["findings"].to_string().contains("with `--version-file PATH`"), "{}", ran.json);
    }
    let old = nginx("2");
    check(&site, old.port, &[]).failed(6, &["The web server serves release 2, and 3 is live"]);
    // A file of its own tells.
    site.write("public/unique.txt", "4");
    site.deploy(&["--release", "4"]);
    check(&site, nginx("4").port, &[]).succeeded();
    check(&site, old.port, &[]).failed(6, &["No answer tells which release the web server serves"]);
    site.write("public/other.txt", "5");
    site.deploy(&["--release", "5"]);
    check(&site, nginx("5").port, &[]).succeeded();
    check(&site, old.port, &[]).failed(6, &["The web server serves release 2, and 5 is live"]);
}

#[test]
fn a_site_with_a_password_gets_the_headers_of_a_check_of_the_same_host() {
    let mut site = two_releases();
    let root = site.target("current/public").display().to_string();
    let nginx = Nginx::start(&site.path("nginx"), |port| {
        let only = "if ($http_authorization != 'Basic bWU6cGFzcw==') { return 401; }";
        format!("server {{ listen 127.0.0.1:{port}; root {root}; {only} }}")
    });
    check(&site, nginx.port, &[]).failed(6, &["No answer tells which release the web server serves"]);
    let of = |port: u16| {
        let headers = "{ Authorization = 'Basic bWU6cGFzcw==' }";
        format!(
            "source = 'source'\n[[checks]]\nname = 'health'\nurl = 'http://127.0.0.1:{port}/health'\nheaders = {headers}\n"
        )
    };
    site.configure(&of(1));
    check(&site, nginx.port, &[]).failed(6, &["No answer tells which release the web server serves"]);
    site.configure(&of(nginx.port));
    check(&site, nginx.port, &[]).succeeded();
    let ran = site.cutover(&["doctor", "--url", &format!("http://me:pass@127.0.0.1:{}/", nginx.port)]);
    ran.failed(2, &["it has a user or password: give it to a check of the same host, whose `headers` are sent"]);
}

#[test]
fn a_redirect_to_another_scheme_is_no_path_of_the_site() {
    let site = two_releases();
    let nginx = Nginx::start(&site.path("nginx"), |port| {
        format!("server {{ listen 127.0.0.1:{port}; location / {{ return 302 file:///etc/passwd; }} }}")
    });
    let ran = check(&site, nginx.port, &[]);
    ran.failed(6, &["No answer tells which release the web server serves"]);
    let reason = ran.json["web"]["answers"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("`file:///etc/passwd` is no `http://` or `https://` address"), "{reason}");
}

#[test]
fn an_interrupted_question_is_an_interruption_and_no_finding() {
    let site = two_releases();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    silent.set_nonblocking(true).unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let doctor = site.command(&["doctor", "--url", &url, "--root", "public"]).spawn().unwrap();
    let _asked = wait::until("it asks", || silent.accept().ok());
    kill_process(Pid::from_child(&doctor), Signal::INT).unwrap();
    let ran = RunResult::wait(doctor);
    ran.failed(130, &["Interrupted"]);
    assert_eq!(ran.json["error"]["kind"], "interrupted", "{}", ran.json);
}
