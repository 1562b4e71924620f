//! Checks against servers that answer right, wrong, late and without end.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::check::CheckFrom;
use crate::error::HttpFault;

/// A server that answers each request by a function of its number and its lines.
struct Server {
    port: u16,
    requests: Arc<AtomicU32>,
}

impl Server {
    fn start(answer: impl Fn(u32, &[String], &mut TcpStream) + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(AtomicU32::new(0));
        let (counter, answer) = (requests.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
                let answer = answer.clone();
                std::thread::spawn(move || {
                    let mut stream = stream;
                    let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                    let lines: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                    answer(number, &lines, &mut stream);
                });
            }
        });
        Server { port, requests }
    }

    /// Starts a server with one answer for all.
    fn saying(answer: impl Into<Vec<u8>>) -> Server {
        let answer = answer.into();
        Server::start(move |_, _, stream| drop(stream.write_all(&answer)))
    }

    fn probe(&self) -> HttpProbe {
        HttpProbe {
            url: format!("http://127.0.0.1:{}/health", self.port),
            headers: [].into(),
            status: 200,
            body: None,
            header: None,
            timeout: Duration::from_secs(20),
        }
    }
}

fn check_of(probe: Probe) -> Check {
    let interval = Duration::from_millis(1);
    Check { name: "health".into(), probe, from: CheckFrom::Server, retries: 0, interval }
}

fn run_with(check: &Check, cancel: &Cancel, on_failed_try: &dyn Fn(&FailedTry<'_>)) -> Result<(), Error> {
    let run_command = &|command: &Command| match command.run.as_str() {
        "true" => Ok(Ok(())),
        other => Ok(Err(format!("`{other}` ended with 1"))),
    };
    let mask = &Mask::default();
    Prober { http: &HttpClient::plain(), cancel, run_command, mask, on_failed_try }.run(check)
}

fn ask(probe: HttpProbe) -> Result<(), CheckFault> {
    match run_with(&check_of(Probe::Http(probe)), &Cancel::default(), &|_| {}) {
        Ok(()) => Ok(()),
        Err(Error::Check(CheckError { fault, .. })) => Err(*fault),
        Err(other) => panic!("{other:?}"),
    }
}

#[track_caller]
fn fails(probe: HttpProbe, expected: &str) {
    assert_eq!(ask(probe).unwrap_err().to_string(), expected);
}

#[test]
fn an_answer_is_compared_with_status_header_and_body() {
    let server = Server::saying("HTTP/1.1 200 OK\r\nX-Release: 7\r\nContent-Length: 9\r\n\r\nall is ok");
    let probe = || server.probe();
    let header = |name: &str, value: &str| Some((name.to_owned(), value.to_owned()));
    ask(probe()).unwrap();
    ask(HttpProbe { body: Some("is ok".into()), header: header("x-RELEASE", "7"), ..probe() }).unwrap();
    fails(
        HttpProbe { status: 204, ..probe() },
        "Expected status 204, and got 200 OK; the body begins with `all is ok`",
    );
    fails(
        HttpProbe { body: Some("fine".into()), ..probe() },
        "Expected `fine` in the body; the body begins with `all is ok`",
    );
    fails(HttpProbe { header: header("x-release", "8"), ..probe() }, "Expected the header `x-release: 8`, and got `7`");
    fails(HttpProbe { header: header("x-other", "8"), ..probe() }, "Expected the header `x-other: 8`, and got none");
}

#[test]
fn a_request_names_its_host_its_program_and_the_headers_of_the_check() {
    let server = Server::start(|_, lines, stream| {
        let text = lines.join("|");
        drop(write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()));
    });
    let body = |text: &str| Some(text.to_owned());
    ask(HttpProbe { body: body("GET /health HTTP/1.1|"), ..server.probe() }).unwrap();
    ask(HttpProbe { body: body(&format!("host: 127.0.0.1:{}", server.port)), ..server.probe() }).unwrap();
    ask(HttpProbe { body: body(&format!("user-agent: cutover/{}", env!("CARGO_PKG_VERSION"))), ..server.probe() })
        .unwrap();
    let headers = [("Host".to_owned(), "shop.example.com".to_owned()), ("X-Token".into(), "7".into())];
    let with_headers = HttpProbe { headers: headers.into(), ..server.probe() };
    ask(HttpProbe { body: body("host: shop.example.com"), ..with_headers.clone() }).unwrap();
    ask(HttpProbe { body: body("x-token: 7"), ..with_headers.clone() }).unwrap();
    let of_address = ask(HttpProbe { body: body(&format!("127.0.0.1:{}", server.port)), ..with_headers });
    assert!(of_address.is_err());
}

#[test]
fn redirects_are_followed_unless_one_is_expected_and_not_for_ever() {
    let server = Server::start(|_, lines, stream| {
        let path = lines[0].split(' ').nth(1).unwrap();
        let to = |path: &str| format!("HTTP/1.1 302 Found\r\nLocation: {path}\r\nContent-Length: 0\r\n\r\n");
        let answer = match path {
            "/health" => to("/login"),
            "/login" => "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".into(),
            "/secure" => to("https://127.0.0.1/"),
            "/file" => to("file:///etc/passwd"),
            "/nowhere" => "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n".into(),
            "/same" => "HTTP/1.1 304 Not Modified\r\n\r\n".into(),
            counted => to(&format!("{counted}x")),
        };
        drop(stream.write_all(answer.as_bytes()));
    });
    let at = |path: &str| HttpProbe { url: format!("http://127.0.0.1:{}{path}", server.port), ..server.probe() };
    ask(HttpProbe { status: 302, ..at("/health") }).unwrap();
    ask(HttpProbe { status: 403, ..at("/health") }).unwrap();
    let port = server.port;
    fails(
        at("/health"),
        &format!("Expected status 200, and got 403 Forbidden from `http://127.0.0.1:{port}/login`; the body is empty"),
    );
    let before = server.requests.load(Ordering::SeqCst);
    fails(at("/loop"), "It redirects more than 5 times");
    assert_eq!(server.requests.load(Ordering::SeqCst) - before, 6);
    fails(
        at("/secure"),
        &format!(
            "`http://127.0.0.1:{port}/secure` leads to an address that needs TLS, and the server's side of Cutover has \
             none"
        ),
    );
    fails(at("/nowhere"), "It redirects to an address that makes no sense: the answer names no address");
    fails(
        at("/file"),
        "It redirects to an address that makes no sense: `file:///etc/passwd` is no `http://` or `https://` address",
    );
    assert_eq!(server.requests.load(Ordering::SeqCst) - before, 9, "it is no path of the same host");
    fails(at("/same"), "Expected status 200, and got 304 Not Modified; the body is empty");
}

#[test]
fn a_server_that_does_not_answer_is_given_up_when_the_time_is_over() {
    let wait = |_: u32, _: &[String], _: &mut TcpStream| loop {
        std::thread::park();
    };
    let silent = Server::start(wait);
    let timeout = Duration::from_millis(300);
    let began = Instant::now();
    fails(HttpProbe { timeout, ..silent.probe() }, "There was no complete answer within 300ms");
    let endless = Server::start(|_, _, stream| {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n"));
        while stream.write_all(b"more ").is_ok() {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    ask(HttpProbe { timeout, ..endless.probe() }).unwrap();
    ask(HttpProbe { timeout, body: Some("more more".into()), ..endless.probe() }).unwrap();
    fails(
        HttpProbe { timeout, body: Some("ok".into()), ..endless.probe() },
        "There was no complete answer within 300ms",
    );
    fails(
        HttpProbe { timeout, status: 500, ..endless.probe() },
        &format!("Expected status 500, and got 200 OK; the body begins with `{}`", "more ".repeat(40)),
    );
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_long_body_is_read_as_far_as_it_is_searched() {
    let server = Server::start(|_, _, stream| {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n"));
        while stream.write_all(&[b'.'; 4096]).is_ok() {}
    });
    let failed = ask(HttpProbe { body: Some("ok".into()), ..server.probe() }).unwrap_err().to_string();
    assert!(
        failed.starts_with("Expected `ok` in the body, of which the first MiB was read; the body begins with `...")
    );
}

#[test]
fn an_answer_that_is_no_http_is_told_from_one_that_breaks_off() {
    let check = |answer: &[u8], expected: &str| {
        let server = Server::saying(answer);
        fails(HttpProbe { body: Some("ok".into()), ..server.probe() }, expected);
    };
    check(b"SSH-2.0-OpenSSH_9.2\r\n", "The answer cannot be read as HTTP: http parse fail: invalid HTTP version");
    check(b"", "The server closed the connection before its answer was complete");
    check(b"HTTP/1.1 200", "The server closed the connection before its answer was complete");
    check(
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        "The server closed the connection before its answer was complete",
    );
    check(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "The answer cannot be read as HTTP: chunk length cannot be read as a number",
    );
}

#[test]
fn headers_without_end_are_not_read_to_their_end() {
    let server = Server::start(|_, _, stream| {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\n"));
        let header = format!("X-Long: {}\r\n", "a".repeat(4000));
        while stream.write_all(header.as_bytes()).is_ok() {}
    });
    fails(server.probe(), "The answer has too many or too long headers: at most 65.5 kB are read");
}

#[test]
fn an_address_that_cannot_be_asked_is_told_why() {
    let at = |url: &str| HttpProbe { url: url.to_owned(), ..Server::saying("").probe() };
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    fails(
        at(&format!("http://127.0.0.1:{port}/")),
        &format!("`127.0.0.1:{port}` accepts no connection: Connection refused (os error 111)"),
    );
    let unresolved = ask(at("http://nowhere.invalid/")).unwrap_err();
    assert!(matches!(&unresolved, CheckFault::Http(HttpFault::Unresolved { host, .. }) if host == "nowhere.invalid"));
    fails(
        at("https://127.0.0.1/"),
        "`https://127.0.0.1/` leads to an address that needs TLS, and the server's side of Cutover has none",
    );
    for url in ["", "health", "/health", "ftp://127.0.0.1/", "http://", "http://a b/"] {
        let fault = ask(at(url)).unwrap_err();
        assert!(matches!(fault, CheckFault::Http(HttpFault::Malformed { .. })), "{url}: {fault:?}");
    }
}

#[test]
fn a_check_is_tried_again_until_it_passes_or_no_try_is_left() {
    let server = Server::start(|number, _, stream| {
        let status = if number < 3 { "503 Service Unavailable" } else { "200 OK" };
        drop(write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"));
    });
    let failed = RefCell::new(Vec::new());
    let report = |failed_try: &FailedTry<'_>| failed.borrow_mut().push((failed_try.number, failed_try.is_last));
    let check = Check { retries: 5, ..check_of(Probe::Http(server.probe())) };
    run_with(&check, &Cancel::default(), &report).unwrap();
    assert_eq!(failed.take(), [(1, false), (2, false)]);
    let command = Command { run: "false".into(), ..Command::default() };
    let check = Check { retries: 1, ..check_of(Probe::Command(command)) };
    let error = run_with(&check, &Cancel::default(), &report).unwrap_err();
    assert_eq!(failed.take(), [(1, false), (2, true)]);
    assert_eq!(error.with_cause(), "The check `health` failed 2 times: `false` ended with 1");
    assert_eq!(error.kind(), crate::error::Kind::Hook);
}

#[test]
fn a_check_ends_at_once_if_it_is_interrupted() {
    let silent = Server::start(|_, _, _| {
        loop {
            std::thread::park();
        }
    });
    let check = |probe: Probe| {
        let cancel = Cancel::default();
        let stop = cancel.clone();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            stop.cancel();
        });
        let interval = Duration::from_secs(3600);
        let check = Check { retries: 5, interval, ..check_of(probe) };
        assert!(matches!(run_with(&check, &cancel, &|_| {}), Err(Error::Interrupted)));
        thread.join().unwrap();
    };
    check(Probe::Http(HttpProbe { timeout: Duration::from_secs(3600), ..silent.probe() }));
    check(Probe::Command(Command { run: "false".into(), ..Command::default() }));
}

#[test]
fn a_body_is_shown_on_one_line_without_characters_that_move_a_cursor() {
    let mask = Mask::new(&["s3cret  key".into()]);
    let check = |body: &[u8], expected: &str| assert_eq!(beginning(body, &mask), expected);
    check(b"  one\r\n\ttwo \x1b[2J three\0 ", "one two [2J three");
    check(b"\x00\xff\xfe", "");
    check("gr\u{fc}n".as_bytes(), "gr\u{fc}n");
    check(b"a s3cret  key", "a ***");
    let cut = format!("{}s3cret  key", "x".repeat(SHOWN_CHARACTERS - 3));
    check(cut.as_bytes(), &format!("{}***", "x".repeat(SHOWN_CHARACTERS - 3)));
    assert_eq!(beginning("\u{e9}".repeat(5000).as_bytes(), &mask).chars().count(), SHOWN_CHARACTERS);
}
