//! A relay before a server. It counts the client's bytes, and can hold them after a number, hold the answers, refuse
//! connections, and cut them.
//!
//! Held bytes are neither lost nor ended: both sides wait, so that a test can kill one of them in the middle of an
//! upload, at any speed of the machine. Dropping the relay ends it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use super::wait;

/// A running relay.
pub(crate) struct Relay {
    port: u16,
    gates: Arc<Gates>,
}

/// The gates of all connections.
struct Gates {
    sent: Gate,
    answers: Gate,
    sockets: Mutex<Vec<TcpStream>>,
    /// The connections that are still accepted.
    admitted: Mutex<u32>,
}

struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    passed_bytes: u64,
    limit_bytes: u64,
}

impl Relay {
    /// Starts a relay before a port of this machine.
    pub(crate) fn start(server: u16) -> Relay {
        Relay::listen(TcpListener::bind("127.0.0.1:0").unwrap(), server)
    }

    /// Starts a relay whose sockets buffer little of the client's bytes.
    pub(crate) fn start_narrow(server: u16) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // Accepted sockets inherit the buffer of the listening one.
        rustix::net::sockopt::set_socket_recv_buffer_size(&listener, 64 << 10).unwrap();
        Relay::listen(listener, server)
    }

    fn listen(listener: TcpListener, server: u16) -> Relay {
        let port = listener.local_addr().unwrap().port();
        let admitted = Mutex::new(u32::MAX);
        let gates = Gates { sent: Gate::open(), answers: Gate::open(), sockets: Mutex::default(), admitted };
        let gates = Arc::new(gates);
        let shared = Arc::clone(&gates);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if !shared.admits() {
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { return };
                connect(client, server, &shared);
            }
        });
        Relay { port, gates }
    }

    /// Returns its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Accepts only so many further connections, and closes all others at once.
    pub(crate) fn admit(&self, connections: u32) {
        *self.gates.admitted.lock().unwrap() = connections;
    }

    /// Holds the client's bytes after so many further ones.
    pub(crate) fn hold_after(&self, bytes: u64) {
        self.gates.sent.hold_after(bytes);
    }

    /// Holds all answers of the server from now on.
    pub(crate) fn hold_answers(&self) {
        self.hold_answers_after(0);
    }

    /// Holds the server's bytes after so many further ones.
    pub(crate) fn hold_answers_after(&self, bytes: u64) {
        self.gates.answers.hold_after(bytes);
    }

    /// Cuts all connections, and drops the held bytes. New connections are accepted.
    pub(crate) fn cut(&self) {
        for socket in self.gates.sockets.lock().unwrap().drain(..) {
            socket.shutdown(Shutdown::Both).ok();
        }
        self.gates.sent.release();
        self.gates.answers.release();
    }

    /// Waits until the limit is reached.
    #[track_caller]
    pub(crate) fn wait_until_held(&self) {
        wait::until("the relay holds", || {
            let state = self.gates.sent.state.lock().unwrap();
            (state.passed_bytes >= state.limit_bytes).then_some(())
        });
    }

    /// Passes everything again.
    pub(crate) fn release(&self) {
        self.gates.sent.release();
    }

    /// Returns how many of the client's bytes have reached the server.
    pub(crate) fn passed_bytes(&self) -> u64 {
        self.gates.sent.state.lock().unwrap().passed_bytes
    }
}

impl Gates {
    fn admits(&self) -> bool {
        let mut admitted = self.admitted.lock().unwrap();
        let is_admitted = *admitted > 0;
        *admitted = admitted.saturating_sub(1);
        is_admitted
    }
}

fn connect(client: TcpStream, server: TcpStream, gates: &Arc<Gates>) {
    client.set_nodelay(true).ok();
    server.set_nodelay(true).ok();
    gates.sockets.lock().unwrap().extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
    let (from_server, to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let (up, down) = (Arc::clone(gates), Arc::clone(gates));
    std::thread::spawn(move || pass(from_server, to_client, |bytes| down.answers.pass(bytes)));
    std::thread::spawn(move || pass(client, server, |bytes| up.sent.pass(bytes)));
}

impl Gate {
    fn open() -> Gate {
        let state = Mutex::new(State { passed_bytes: 0, limit_bytes: u64::MAX });
        Gate { state, changed: Condvar::new() }
    }

    fn hold_after(&self, bytes: u64) {
        let mut state = self.state.lock().unwrap();
        state.limit_bytes = state.passed_bytes + bytes;
    }

    fn release(&self) {
        self.state.lock().unwrap().limit_bytes = u64::MAX;
        self.changed.notify_all();
    }

    /// Waits until there is room for more, then counts these bytes.
    fn pass(&self, bytes: u64) {
        let state = self.state.lock().unwrap();
        let mut state = self.changed.wait_while(state, |state| state.passed_bytes >= state.limit_bytes).unwrap();
        state.passed_bytes += bytes;
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut count: impl FnMut(u64)) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        count(length as u64);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    to.shutdown(Shutdown::Write).ok();
    from.shutdown(Shutdown::Read).ok();
}
