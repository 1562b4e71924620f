//! A web server for the pages of an application: `/health` is what PHP makes of `health.php` in the root of that moment.
//! A page that ends with an error has status 500.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

/// The server. It ends with the process.
pub(crate) struct Pages {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Pages {
    /// Starts a server for the pages in a directory, which need not exist yet.
    pub(crate) fn start(root: &Path) -> Pages {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let pages = Pages { address: listener.local_addr().unwrap(), asked: Arc::default() };
        let (root, asked) = (root.to_owned(), Arc::clone(&pages.asked));
        thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &root, &asked);
            }
        });
        pages
    }

    /// Returns the address of the root.
    pub(crate) fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the paths that were asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn answer(mut stream: TcpStream, root: &Path, asked: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    // The headers are read too, or closing the connection would reset it.
    lines.by_ref().take_while(|line| !line.is_empty()).for_each(drop);
    let path = first.split(' ').nth(1).unwrap().to_owned();
    asked.lock().unwrap().push(path.clone());
    let page: PathBuf = root.join(format!("{}.php", path.trim_start_matches('/')));
    let output = Command::new("php").arg(page).output().unwrap();
    let status = if output.status.success() { "200 OK" } else { "500 Internal Server Error" };
    let length = output.stdout.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&output.stdout)).unwrap_or_default();
}
