//! A person at a terminal: a real pseudo terminal, and a program that has it as its controlling terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::wait;

/// A person who runs a command.
pub(crate) struct Person {
    keyboard: File,
    /// The end of the terminal that programs have.
    terminal: OwnedFd,
    screen: Arc<Mutex<Vec<u8>>>,
    child: Child,
}

impl Person {
    /// Runs a command with stdin, stdout and stderr at the terminal.
    pub(crate) fn run(command: &Command) -> Person {
        Person::run_with(command, |_| {})
    }

    /// Works like [`Person::run`], at a terminal of so many columns.
    pub(crate) fn run_at_width(command: &Command, columns: u16) -> Person {
        Person::run_at(command, |_| {}, columns)
    }

    /// Works like [`Person::run`]. `change` may give it other streams; stdin stays.
    pub(crate) fn run_with(command: &Command, change: impl FnOnce(&mut Command)) -> Person {
        Person::run_at(command, change, 0)
    }

    fn run_at(command: &Command, change: impl FnOnce(&mut Command), columns: u16) -> Person {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = rustix::fs::open(name, flags, Mode::empty()).unwrap();
        tcsetwinsize(&terminal, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let stream = || Stdio::from(terminal.try_clone().unwrap());
        let mut session = Command::new("setsid");
        session.arg("--ctty").arg(command.get_program()).args(command.get_args());
        if let Some(directory) = command.get_current_dir() {
            session.current_dir(directory);
        }
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => session.env(name, value),
                None => session.env_remove(name),
            };
        }
        session.stdin(stream()).stdout(stream()).stderr(stream()).env("TERM", "xterm");
        change(&mut session);
        let child = session.spawn().unwrap();
        let keyboard = File::from(keyboard);
        let screen = Arc::new(Mutex::new(Vec::new()));
        let (mut shown, kept) = (keyboard.try_clone().unwrap(), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // It ends with the terminal.
            while let Ok(bytes @ 1..) = shown.read(&mut buffer) {
                kept.lock().unwrap().extend_from_slice(&buffer[..bytes]);
            }
        });
        Person { keyboard, terminal, screen, child }
    }

    /// Returns all that the terminal has shown.
    pub(crate) fn screen(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    /// Waits until the terminal has shown a text so many times.
    #[track_caller]
    pub(crate) fn sees(&self, text: &str, times: usize) {
        let began = std::time::Instant::now();
        while self.screen().matches(text).count() < times {
            let is_late = began.elapsed() > std::time::Duration::from_secs(60);
            assert!(!is_late, "{text:?} was not shown {times} times: {}", self.screen());
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// Types a text.
    pub(crate) fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    /// Waits for a question, and types the answer.
    #[track_caller]
    pub(crate) fn answers(&mut self, question: &str, times: usize, answer: &str) {
        self.sees(question, times);
        self.types(&format!("{answer}\n"));
    }

    /// Returns whether the terminal shows what is typed.
    pub(crate) fn sees_what_is_typed(&self) -> bool {
        tcgetattr(&self.terminal).unwrap().local_modes.contains(LocalModes::ECHO)
    }

    /// Waits for the end of the command, and returns its exit code and all that was shown.
    pub(crate) fn ends(mut self) -> (Option<i32>, String) {
        let code = wait::until("the command ends", || self.child.try_wait().unwrap()).code();
        assert!(self.sees_what_is_typed(), "the terminal has its echo again");
        // What was written before the end is there at once; the thread may still read it.
        let marker = "the end of the screen";
        let mut terminal = File::from(self.terminal.try_clone().unwrap());
        terminal.write_all(marker.as_bytes()).unwrap();
        self.sees(marker, 1);
        (code, self.screen().replace(marker, ""))
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
