//! Checks over HTTP, asked of a real web server.

use std::fs;
use std::time::Duration;

use engine::Mask;
use engine::cancel::Cancel;
use engine::check::{Check, CheckFrom, HttpProbe, Probe};
use engine::error::Error;
use engine::http::HttpClient;
use engine::probe::Prober;

use crate::support::nginx::Nginx;
use crate::support::site::{Site, text};

/// Asks with both clients, which must get the same answer.
#[track_caller]
fn check(probe: &HttpProbe, expected: Result<(), &str>) {
    let check = Check {
        name: "health".into(),
        probe: Probe::Http(probe.clone()),
        from: CheckFrom::Server,
        retries: 0,
        interval: Duration::ZERO,
    };
    for http in [HttpClient::plain(), HttpClient::with_tls()] {
        let prober = Prober {
            http: &http,
            cancel: &Cancel::default(),
            run_command: &|_| panic!("it has no command"),
            mask: &Mask::default(),
            on_failed_try: &|_| {},
        };
        let found = prober.run(&check).map_err(|error| match error {
            Error::Check(error) => error.fault.to_string(),
            other => panic!("{other:?}"),
        });
        assert_eq!(found.as_ref().err().map(String::as_str), expected.err());
    }
}

#[test]
fn a_page_of_nginx_passes_or_says_what_it_is() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("pages")).unwrap();
    fs::write(place.path().join("pages/health"), "all is well").unwrap();
    let nginx = Nginx::start(&place.path().join("nginx"), |port| {
        format!(
            "server {{ listen 127.0.0.1:{port}; root {}; add_header X-Release 7; \
             location /old {{ return 301 /health; }} location /loop {{ return 302 /loop; }} \
             location /named {{ if ($host != shop.example.com) {{ return 404; }} return 200 shop; }} \
             location /broken {{ proxy_pass http://127.0.0.1:1; }} }}",
            place.path().join("pages").display()
        )
    });
    let at = |path: &str| HttpProbe {
        url: format!("http://localhost:{}{path}", nginx.port),
        headers: [].into(),
        status: 200,
        body: None,
        header: None,
        timeout: Duration::from_secs(20),
    };
    let header = |value: &str| Some(("x-release".to_owned(), value.to_owned()));
    check(&HttpProbe { body: Some("is well".into()), header: header("7"), ..at("/health") }, Ok(()));
    check(&HttpProbe { body: Some("is well".into()), ..at("/old") }, Ok(()));
    check(&HttpProbe { status: 301, ..at("/old") }, Ok(()));
    check(&HttpProbe { header: header("8"), ..at("/health") }, Err("Expected the header `x-release: 8`, and got `7`"));
    check(&at("/loop"), Err("It redirects more than 5 times"));
    check(&HttpProbe { headers: [("Host".to_owned(), "shop.example.com".to_owned())].into(), ..at("/named") }, Ok(()));
    check(
        &HttpProbe { body: Some("fine".into()), ..at("/health") },
        Err("Expected `fine` in the body; the body begins with `all is well`"),
    );
    let version = "<html> <head><title>502 Bad Gateway</title></head> <body> <center><h1>502 Bad Gateway</h1></center>";
    let found = format!("Expected status 200, and got 502 Bad Gateway; the body begins with `{version} ");
    let failed = std::panic::catch_unwind(|| check(&at("/broken"), Ok(())));
    let message = *failed.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains(&found), "{message}");
}

/// Makes a site that nginx serves, and whose page must say `fine`: asked by the client and by the server.
fn site_with_checks() -> (Site, Nginx) {
    let mut site = Site::new();
    let nginx = Nginx::serving(&site);
    let check = |from: &str| {
        format!(
            "[[checks]]\nname = \"of the {from}\"\nurl = \"http://127.0.0.1:{}/page\"\nbody = \"fine\"\nfrom = \
             \"{from}\"\nretries = 2\ninterval = \"0s\"\n",
            nginx.port
        )
    };
    site.configure(&format!("{}{}", check("server"), check("client")));
    (site, nginx)
}

#[test]
fn a_release_whose_page_is_right_stays_and_one_whose_page_is_wrong_is_taken_back() {
    let (site, nginx) = site_with_checks();
    site.write("page", "all is fine");
    let first = text(&site.deploy(&[])["release"]);
    assert_eq!(site.live(), Some(first.clone()));
    site.write("page", "all is lost");
    let expected = "Expected `fine` in the body; the body begins with `all is lost`";
    let ran = site.cutover(&["deploy"]);
    ran.failed(6, &["The check `of the server` failed 3 times", expected]);
    assert_eq!(ran.json["error"]["kind"], "hook");
    assert_eq!(site.live(), Some(first));
    assert_eq!(nginx.get("/page", None).2, "all is fine");
}

#[test]
fn a_check_of_the_client_takes_a_release_back_too() {
    let (mut site, nginx) = site_with_checks();
    let check = |body: &str| {
        let url = format!("http://127.0.0.1:{}/page", nginx.port);
        format!("[[checks]]\nname = \"page\"\nurl = \"{url}\"\nbody = \"{body}\"\n")
    };
    site.configure(&check("fine"));
    site.write("page", "all is fine");
    let first = text(&site.deploy(&[])["release"]);
    site.configure(&check("better"));
    site.write("page", "all is fine again");
    let expected = "Expected `better` in the body; the body begins with `all is fine again`";
    site.cutover(&["deploy"]).failed(6, &["The check `page` failed", expected]);
    assert_eq!(site.live(), Some(first));
}
