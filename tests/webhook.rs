//! The webhook: signed notices of a run, which no receiver can delay or fail.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::nginx::Nginx;
use crate::support::receiver::Receiver;
use crate::support::site::{RunResult, Site, text};
use crate::support::sshd::run;
use crate::support::wait;

const SECRET: &str = "k3y of both sides";

fn site_telling(url: &str) -> Site {
    let mut site = Site::new();
    site.configure(&format!("webhook = \"{url}\"\nwebhook_secret = \"{SECRET}\"\n"));
    site.write("file", "one");
    site
}

/// Runs a verb with variables, and returns its result.
fn cutover(site: &Site, words: &[&str], variables: &[(&str, &str)]) -> RunResult {
    RunResult::of(&site.command(words).envs(variables.iter().copied()).output().unwrap())
}

fn names(bodies: &[Value]) -> Vec<&str> {
    bodies.iter().map(|body| body["event"].as_str().unwrap()).collect()
}

/// Returns the signature of a body, as `openssl` makes it.
fn signature(body: &str) -> String {
    let mut command = Command::new("openssl");
    command.args(["dgst", "-sha256", "-hmac", SECRET]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
    let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    format!("sha256={}", output.trim().rsplit(' ').next().unwrap())
}

#[test]
fn a_receiver_is_told_of_start_and_end_and_can_check_who_tells() {
    let receiver = Receiver::start(|_| "204 No Content");
    let site = site_telling(&format!("http://127.0.0.1:{}/hook", receiver.port));
    let job = [("GITLAB_CI", "true"), ("CI_JOB_URL", "https://git.example.com/jobs/7")];
    let first = text(&cutover(&site, &["deploy"], &job).succeeded()["release"]);
    site.write("file", "two");
    let second = text(&site.deploy(&[])["release"]);
    site.succeed(&["rollback"]);
    site.succeed(&["switch", &second]);
    let bodies = receiver.bodies();
    assert_eq!(
        names(&bodies),
        ["start", "success", "start", "success", "start", "rollback", "start", "success"],
        "{bodies:?}"
    );
    let target = site.target("").to_str().unwrap().trim_end_matches('/').to_owned();
    for body in &bodies {
        assert_eq!((body["deploy_path"].as_str(), body["who"].as_str()), (Some(target.as_str()), Some("tester")));
        assert!(body["at"].as_f64().unwrap() > 1.7e9 && body["seconds"].is_f64(), "{body}");
    }
    let [started, ended, .., back, _, again] = &bodies[..] else { panic!("{bodies:?}") };
    assert_eq!(
        (&started["verb"], &started["release"], &started["live"]),
        (&json!("deploy"), &json!(null), &json!(null))
    );
    assert_eq!((&ended["job"], &ended["state"]), (&json!("https://git.example.com/jobs/7"), &json!("live")));
    assert_eq!(ended["live"], json!({ "state": "release", "release": first }));
    assert_eq!((&back["release"], &back["previous"]), (&json!(first), &json!(second)));
    assert_eq!((&again["verb"], &again["release"]), (&json!("switch"), &json!(second)));
    for request in receiver.received() {
        assert_eq!(request.headers["x-cutover-signature"], signature(&request.body));
        assert!(request.body.contains(&format!("\"at\":{}", request.headers["x-cutover-timestamp"])));
        assert_eq!(request.headers["content-type"], "application/json");
    }
}

#[test]
fn a_failure_is_told_with_its_reason_and_what_is_live() {
    let receiver = Receiver::start(|_| "200 OK");
    let site = site_telling(&format!("http://127.0.0.1:{}/hook", receiver.port));
    let release = text(&site.deploy(&[])["release"]);
    site.refused(&["switch", "1"], 1, &["There is no release"]);
    let bodies = receiver.bodies();
    assert_eq!(names(&bodies), ["start", "success", "start", "failure"]);
    assert_eq!(bodies[3]["error"]["kind"], "refused");
    assert_eq!(bodies[3]["live"], json!({ "state": "release", "release": release }));
}

#[test]
fn verbs_that_change_nothing_are_not_told() {
    let receiver = Receiver::start(|_| "200 OK");
    let site = site_telling(&format!("http://127.0.0.1:{}/hook", receiver.port));
    site.deploy(&["--dry-run"]);
    site.succeed(&["setup"]);
    site.succeed(&["releases"]);
    assert_eq!(names(&receiver.bodies()), [""; 0]);
}

#[test]
fn a_receiver_that_hangs_does_not_delay_the_switch() {
    let is_released = Arc::new((Mutex::new(false), Condvar::new()));
    let gate = is_released.clone();
    let receiver = Receiver::start(move |_| {
        drop(gate.1.wait_while(gate.0.lock().unwrap(), |is_released| !*is_released));
        "200 OK"
    });
    let site = site_telling(&format!("http://127.0.0.1:{}/hook", receiver.port));
    let child = site.command(&["deploy"]).spawn().unwrap();
    wait::until("the release is live", || site.live());
    assert_eq!(names(&receiver.bodies()), ["start"]);
    *is_released.0.lock().unwrap() = true;
    is_released.1.notify_all();
    RunResult::wait(child).succeeded();
    assert_eq!(names(&receiver.bodies()), ["start", "success"]);
}

#[test]
fn a_notice_that_nobody_accepts_is_tried_three_times_and_is_a_warning() {
    let receiver = Receiver::start(|_| "503 Service Unavailable");
    let site = site_telling(&format!("http://127.0.0.1:{}/tok3n", receiver.port));
    let ran = cutover(&site, &["deploy"], &[]);
    let expected = format!(
        "Warning: The webhook at `127.0.0.1:{}` did not accept the notice `success`: it answered 503 Service Unavailable",
        receiver.port
    );
    assert!(ran.stderr.contains(&expected), "{}", ran.stderr);
    assert!(!ran.stderr.contains("tok3n"), "{}", ran.stderr);
    ran.succeeded();
    let bodies = receiver.bodies();
    assert_eq!(names(&bodies).iter().filter(|name| **name == "success").count(), 3);
    let of_success: Vec<&Value> = bodies.iter().filter(|body| body["event"] == "success").collect();
    assert!(of_success.iter().all(|body| *body == of_success[0]));
}

#[test]
fn a_receiver_that_recovers_gets_the_notice() {
    let failures = AtomicU32::new(0);
    let receiver = Receiver::start(move |request| {
        let is_failure = request.body.contains("\"event\":\"failure\"");
        if is_failure && failures.fetch_add(1, Ordering::SeqCst) > 0 { "200 OK" } else { "502 Bad Gateway" }
    });
    let site = site_telling(&format!("http://127.0.0.1:{}/hook", receiver.port));
    let ran = cutover(&site, &["switch", "1"], &[]);
    let bodies = receiver.bodies();
    assert_eq!(names(&bodies).iter().filter(|name| **name == "failure").count(), 2, "{bodies:?}");
    assert!(!ran.stderr.contains("the notice `failure`"), "{}", ran.stderr);
    assert_eq!(ran.code, Some(1));
}

#[test]
fn an_interrupt_ends_the_wait_for_a_receiver() {
    let receiver = Receiver::start(|_| {
        loop {
            std::thread::park();
        }
    });
    let site = site_telling(&format!("http://127.0.0.1:{}/hook", receiver.port));
    let child = site.command(&["deploy"]).spawn().unwrap();
    wait::until("the release is live", || site.live());
    run(Command::new("kill").args(["-TERM", &child.id().to_string()]));
    let interrupted = Instant::now();
    let ran = RunResult::wait(child);
    assert!(interrupted.elapsed() < Duration::from_secs(9), "{}", ran.stderr);
    assert!(ran.stderr.contains("did not accept the notice"), "{}", ran.stderr);
}

#[test]
fn a_webhook_needs_a_secret_and_an_address() {
    let check = |config: &str, expected: &str| {
        let mut site = Site::new();
        site.configure(config);
        site.write("file", "one");
        site.refused(&["deploy"], 2, &[expected]);
    };
    check("\nwebhook = 'https://hooks.example.com/'", "line 2: there is a `webhook` and no `webhook_secret`");
    check("webhook_secret = 'a'", "line 1: there is a `webhook_secret` and no `webhook`");
    check("webhook = 'hooks.example.com'\nwebhook_secret = 'a'", "line 1: `webhook` must begin with `https://`");
    check(
        "webhook = 'https://hooks.example.com/'\nwebhook_secret = ''",
        "line 2: `webhook_secret` must be a secret, and is empty",
    );
}

/// Makes a certificate of `name`, with its key, signed by the authority in the same directory.
fn certificate(directory: &Path, file: &str, name: &str, dates: &[&str]) {
    let path = |end: &str| directory.join(format!("{file}{end}"));
    fs::write(path(".cnf"), format!("subjectAltName=DNS:{name}\n")).unwrap();
    let openssl = || {
        let mut command = Command::new("openssl");
        command.current_dir(directory).stderr(Stdio::null());
        command
    };
    let key = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=test"];
    run(openssl().args(key).arg("-keyout").arg(path(".key")).arg("-out").arg(path(".csr")));
    let mut sign = openssl();
    sign.args(["x509", "-req", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile"]);
    run(sign.arg(path(".cnf")).arg("-in").arg(path(".csr")).arg("-out").arg(path(".pem")).args(dates));
}

/// Makes an authority, and returns the path of its certificate.
fn authority(directory: &Path, name: &str) -> String {
    fs::create_dir(directory).unwrap();
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
    command.args(["-days", "9", "-subj", &format!("/CN={name}"), "-keyout", "ca.key", "-out", "ca.pem"]);
    run(command.current_dir(directory).stderr(Stdio::null()));
    directory.join("ca.pem").to_str().unwrap().to_owned()
}

#[test]
fn a_receiver_with_tls_must_have_a_certificate_that_this_machine_trusts() {
    let receiver = Receiver::start(|_| "200 OK");
    let mut site = Site::new();
    site.write("file", "one");
    let keys = site.path("keys");
    let ca = authority(&keys, "One");
    certificate(&keys, "right", "localhost", &["-days", "9"]);
    certificate(&keys, "other", "shop.example.com", &["-days", "9"]);
    certificate(&keys, "old", "localhost", &["-days", "-1"]);
    let server = |port: u16, name: &str| {
        format!(
            "server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {0}/{name}.pem; ssl_certificate_key {0}/{name}.key;\
             location / {{ proxy_pass http://127.0.0.1:{1}; }} }}",
            keys.display(),
            receiver.port
        )
    };
    let told = |site: &mut Site, name: &str, scheme: &str, ca: &str| {
        let nginx = Nginx::start(&site.path(&format!("nginx-{name}-{scheme}-{}", ca.len())), |port| server(port, name));
        let url = format!("{scheme}://localhost:{}/hook", nginx.port);
        site.configure(&format!("webhook = \"{url}\"\nwebhook_secret = \"{SECRET}\"\n"));
        let ran = cutover(site, &["switch", "1"], &[("SSL_CERT_FILE", ca)]);
        assert_eq!(ran.code, Some(1));
        let warnings: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("notice `failure`")).collect();
        warnings.first().map(|line| line.split_once("`failure`: ").unwrap().1.to_owned())
    };
    assert_eq!(told(&mut site, "right", "https", &ca), None);
    assert_eq!(names(&receiver.bodies()), ["start", "failure"]);
    let expected = "No TLS with `localhost`: its certificate is for another name";
    assert_eq!(told(&mut site, "other", "https", &ca).as_deref(), Some(expected));
    let expected = "No TLS with `localhost`: its certificate has expired";
    assert_eq!(told(&mut site, "old", "https", &ca).as_deref(), Some(expected));
    let foreign = authority(&site.path("foreign"), "Other");
    let expected = "No TLS with `localhost`: its certificate is of an authority that this machine does not trust";
    assert_eq!(told(&mut site, "right", "https", &foreign).as_deref(), Some(expected));
    let missing = told(&mut site, "right", "https", "/nowhere/ca.pem").unwrap();
    assert!(missing.starts_with("No TLS with `localhost`: no authority is known here ("), "{missing}");
    assert!(missing.contains("/nowhere/ca.pem"), "{missing}");
    assert_eq!(told(&mut site, "right", "http", &ca).as_deref(), Some("it answered 400 Bad Request"));
    assert_eq!(receiver.bodies().len(), 2);
}

#[test]
fn a_receiver_that_speaks_no_tls_is_told_so() {
    let place = tempfile::tempdir().unwrap();
    let nginx =
        Nginx::start(&place.path().join("nginx"), |port| format!("server {{ listen 127.0.0.1:{port}; return 200; }}"));
    let site = site_telling(&format!("https://127.0.0.1:{}/hook", nginx.port));
    let ran = cutover(&site, &["switch", "1"], &[]);
    assert!(ran.stderr.contains("No TLS with `127.0.0.1`: it does not speak TLS on that port"), "{}", ran.stderr);
}
