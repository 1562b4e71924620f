//! Answers in parts, and what a hostile server may send.

use std::os::unix::net::UnixListener;

use super::record::*;
use super::*;

fn record(kind: u8, content: &[u8], padding: u8) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let mut record = vec![1, kind, 0, 1, length[0], length[1], padding, 0];
    record.extend_from_slice(content);
    record.extend(vec![b'p'; usize::from(padding)]);
    record
}

fn end(status: u8) -> Vec<u8> {
    record(END_REQUEST, &[0, 0, 0, 0, status, 0, 0, 0], 0)
}

/// Reads an answer in parts of this length.
fn read(bytes: &[u8], part: usize) -> Result<FpmAnswer, FpmFault> {
    let mut reading = Reading::default();
    for part in bytes.chunks(part) {
        if reading.take(part)? {
            return reading.answer();
        }
    }
    Err(reading.ended_early())
}

#[test]
fn an_answer_is_read_in_parts_of_any_length() {
    let bytes = [
        record(STDERR, b"PHP message: one\n", 3),
        record(STDOUT, b"Status: 404 Not Found\r\nX: y\r\n\r\nFile ", 0),
        record(STDOUT, b"not found.", 7),
        record(STDOUT, b"", 0),
        end(0),
    ]
    .concat();
    for part in 1..=bytes.len() {
        let answer = read(&bytes, part).unwrap();
        assert_eq!((answer.status, &answer.body[..]), (404, &b"File not found."[..]), "{part}");
        assert_eq!(answer.messages, b"PHP message: one\n");
    }
    let plain = [record(STDOUT, b"Content-type: text/plain\r\n\r\nbody", 0), end(0)].concat();
    assert_eq!(read(&plain, 100).unwrap().status, 200);
}

#[test]
fn what_is_no_answer_is_told() {
    let check = |bytes: &[u8], expected: &str| {
        let found = format!("{:?}", read(bytes, 1000).unwrap_err());
        assert!(found.starts_with(expected), "{found}");
    };
    check(b"HTTP/1.1 400 Bad Request\r\n\r\n", "NotFastCgi");
    check(&[2, STDOUT, 0, 1, 0, 0, 0, 0], "NotFastCgi");
    check(&[1, STDOUT, 0, 2, 0, 0, 0, 0], "NotFastCgi");
    check(&record(99, b"", 0), "NotFastCgi");
    check(&record(END_REQUEST, b"", 0), "NotFastCgi");
    check(&[record(STDOUT, b"Status: x\r\n\r\n", 0), end(0)].concat(), "NotFastCgi");
    check(&end(1), "NotFastCgi");
    check(&end(2), "Overloaded");
    check(&record(STDERR, b"died\x1b[31m", 0), "Closed { reason: \"died\\\\u{1b}[31m\" }");
    check(&record(STDOUT, b"half", 0)[..10], "Closed { reason: \"the connection ended\" }");
}

#[test]
fn of_a_long_answer_little_is_kept_and_an_endless_one_is_refused() {
    let long = record(STDOUT, &vec![b'x'; 65_535], 0);
    let answer = read(&[long.repeat(20), record(STDERR, &vec![b'y'; 60_000], 0), end(0)].concat(), 4096).unwrap();
    assert!(answer.body.len() + answer.messages.len() <= 32 << 10);
    let fault = read(&long.repeat(80), 4096).unwrap_err();
    assert!(matches!(fault, FpmFault::TooLong { .. }), "{fault:?}");
}

#[test]
fn variables_are_written_with_short_and_long_lengths() {
    let (name, value) = ("N", "v".repeat(200));
    let expected =
        [&[1, 4, 0, 1, 0, 206, 0, 0, 1, 0x80, 0, 0, 200][..], b"N", value.as_bytes(), &[1, 4, 0, 1, 0, 0, 0, 0]]
            .concat();
    assert_eq!(params(&[(name, &value)]), [&expected[..], &[1, 5, 0, 1, 0, 0, 0, 0]].concat());
    assert_eq!(begin(), [1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn an_address_is_a_socket_or_a_host_with_a_port() {
    let check = |text: &str, expected: Option<FpmAddress>| assert_eq!(text.parse().ok(), expected, "{text}");
    check("/run/php.sock", Some(FpmAddress::Socket("/run/php.sock".into())));
    for text in ["127.0.0.1:9000", "[::1]:9000", "php_fpm-1.internal:9000"] {
        check(text, Some(FpmAddress::Tcp(text.into())));
    }
    for text in ["", "php.sock", "127.0.0.1", "127.0.0.1:", ":9000", "a:0", "a:65536", "a b:1", "/a\nb", "a:+1"] {
        check(text, None);
    }
}

/// Asks a server that does this with the connection.
fn ask(serve: impl FnOnce(UnixStream) + Send + 'static, must_stop: &dyn Fn() -> bool) -> (String, Duration) {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || serve(listener.accept().unwrap().0));
    let request = FpmRequest {
        address: FpmAddress::Socket(socket),
        script: "/srv/script.php".into(),
        query: "token".into(),
        timeout: Duration::from_millis(400),
    };
    let began = Instant::now();
    let answer = match request.ask(must_stop) {
        Ok(answer) => format!("{answer:?}"),
        Err(error) => error.to_string(),
    };
    (answer, began.elapsed())
}

#[test]
fn a_server_that_is_slow_or_silent_costs_no_more_than_the_time_limit() {
    let silent = |stream: UnixStream| {
        std::thread::sleep(Duration::from_secs(3));
        drop(stream);
    };
    // A byte at a time would go on for long.
    let slow = |mut stream: UnixStream| {
        for byte in record(STDOUT, &[b'x'; 200], 0) {
            std::thread::sleep(Duration::from_millis(20));
            if stream.write_all(&[byte]).is_err() {
                break;
            }
        }
    };
    for (answer, took) in [ask(silent, &|| false), ask(slow, &|| false)] {
        assert!(answer.contains("TimedOut"), "{answer}");
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
    let (answer, took) = ask(silent, &|| true);
    assert_eq!(answer, "Interrupted");
    assert!(took < Duration::from_millis(300), "{took:?}");
}
