//! A relay before a server that counts what the client sends, and can hold it up after so many bytes.
//!
//! What is held up is neither lost nor ended: both sides wait, so that a test may kill one of them in the middle of an
//! upload, whatever the speed of the machine. Dropping the relay ends it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use super::wait;

/// A relay that runs.
pub(crate) struct Relay {
    port: u16,
    gate: Arc<Gate>,
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
    /// Starts one before a port of this machine.
    pub(crate) fn start(server: u16) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Mutex::new(State { passed_bytes: 0, limit_bytes: u64::MAX });
        let gate = Arc::new(Gate { state, changed: Condvar::new() });
        let shared = Arc::clone(&gate);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { return };
                connect(client, server, &shared);
            }
        });
        Relay { port, gate }
    }

    /// Returns its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Holds up what comes after so many further bytes.
    pub(crate) fn hold_after(&self, bytes: u64) {
        let mut state = self.gate.state.lock().unwrap();
        state.limit_bytes = state.passed_bytes + bytes;
    }

    /// Waits until the limit is reached.
    #[track_caller]
    pub(crate) fn wait_until_held(&self) {
        wait::until("the relay holds", || {
            let state = self.gate.state.lock().unwrap();
            (state.passed_bytes >= state.limit_bytes).then_some(())
        });
    }

    /// Lets everything through again.
    pub(crate) fn release(&self) {
        self.gate.state.lock().unwrap().limit_bytes = u64::MAX;
        self.gate.changed.notify_all();
    }

    /// Returns how many bytes of the client's have reached the server so far.
    pub(crate) fn passed_bytes(&self) -> u64 {
        self.gate.state.lock().unwrap().passed_bytes
    }
}

fn connect(client: TcpStream, server: TcpStream, gate: &Arc<Gate>) {
    client.set_nodelay(true).ok();
    server.set_nodelay(true).ok();
    let (from_server, to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let gate = Arc::clone(gate);
    std::thread::spawn(move || pass(from_server, to_client, |_| {}));
    std::thread::spawn(move || pass(client, server, |bytes| gate.pass(bytes)));
}

impl Gate {
    /// Waits until there is room for more, then counts these.
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
