//! A running machine that a test talks to.

use std::ffi::OsString;
use std::process::Command;
use std::time::Instant;

use postern::from_image;
use postern::machine::{Event, Machine};
use postern::monitor::Monitor;
use postern::qemu::Options;
use postern::run::{self, Files};
use postern::status::Status;
use postern::symbols::Symbols;
use postern::system::System;

use crate::{LIMIT, Seat, seat};

/// The shell's prompt.
pub const PROMPT: &str = "postern> ";

/// A machine, its serial line in the test's hands.
pub struct Session {
    /// The machine.
    pub machine: Machine,
    symbols: Option<Symbols>,
    _files: Option<Files>,
    log: String,
    /// The beginning of a character.
    rest: Vec<u8>,
    /// Where the next expectation starts.
    seen: usize,
    _seat: Seat,
}

impl Session {
    /// Boots `system`.
    ///
    /// # Panics
    /// The machine could not be started.
    pub fn boot(options: &Options, system: &System) -> Session {
        Session::boot_with(options, system, &[])
    }

    /// [`Session::boot`], with arguments for QEMU beyond those of the options.
    ///
    /// # Panics
    /// The machine could not be started.
    pub fn boot_with(options: &Options, system: &System, more: &[&str]) -> Session {
        let seat = seat();
        let more: Vec<OsString> = more.iter().map(OsString::from).collect();
        let booted = run::boot_with(options, system, &more).expect("the machine starts");
        Session {
            machine: booted.machine,
            symbols: Some(booted.symbols),
            _files: Some(booted.files),
            log: String::new(),
            rest: Vec::new(),
            seen: 0,
            _seat: seat,
        }
    }

    /// Boots the image of `options`.
    ///
    /// # Panics
    /// There is none, or the machine could not be started.
    pub fn boot_image(options: &Options) -> Session {
        let seat = seat();
        let image = options.iso.as_ref().expect("there is an image");
        let booted = from_image::boot(options, image, &[]).expect("the machine starts");
        Session {
            machine: booted.machine,
            symbols: None,
            _files: Some(booted.files),
            log: String::new(),
            rest: Vec::new(),
            seen: 0,
            _seat: seat,
        }
    }

    /// Starts a QEMU command line of the test's own.
    ///
    /// # Panics
    /// The machine could not be started.
    pub fn start(command: Command) -> Session {
        let seat = seat();
        Session {
            machine: Machine::start(command).expect("the machine starts"),
            symbols: None,
            _files: None,
            log: String::new(),
            rest: Vec::new(),
            seen: 0,
            _seat: seat,
        }
    }

    /// Waits until the machine has printed `text`, and returns all it printed since the last expectation, CR removed.
    ///
    /// # Panics
    /// It does not come: the machine ended, or nothing more comes.
    pub fn expect(&mut self, text: &str) -> String {
        let deadline = Instant::now() + LIMIT;
        let mut from = self.seen;
        loop {
            if let Some(at) = self.log[from..].find(text) {
                let end = from + at + text.len();
                let found = self.log[self.seen..end].to_string();
                self.seen = end;
                return found;
            }
            // It may have begun, but not before this.
            let begun = self.log.len().saturating_sub(text.len());
            from = from.max(self.log.floor_char_boundary(begun));
            match self.machine.next(Some(deadline)) {
                Some(Event::Output(bytes)) => self.take(&bytes),
                other => panic!("{other:?} instead of {text:?} after\n{}", self.log),
            }
        }
    }

    /// Types at the serial line.
    ///
    /// # Panics
    /// The machine has ended.
    pub fn send(&mut self, text: &str) {
        self.machine.send(text.as_bytes()).expect("it listens");
    }

    /// Types a command at the shell's prompt and returns what it printed.
    ///
    /// # Panics
    /// As [`Session::expect`].
    pub fn command(&mut self, command: &str) -> String {
        self.send(&format!("{command}\r"));
        self.expect(&format!("{command}\n"));
        let printed = self.expect(PROMPT);
        printed.trim_end_matches(PROMPT).to_string()
    }

    /// QEMU's monitor.
    ///
    /// # Panics
    /// It is not QEMU.
    pub fn monitor(&self) -> &Monitor {
        self.machine.monitor().expect("QEMU has one")
    }

    /// Everything the machine has printed so far, as far as it was waited for.
    pub fn log(&self) -> &str {
        &self.log
    }

    /// Forgets what was printed so far, in a session that prints very much.
    pub fn forget(&mut self) {
        self.log.drain(..self.seen);
        self.seen = 0;
    }

    /// Waits for the end: how it ended, and everything it printed, with symbols.
    ///
    /// # Panics
    /// It does not end.
    pub fn finish(mut self) -> (Status, String) {
        self.ends();
        let (code, complaints) = self.machine.wait().expect("it has ended");
        let log = match &self.symbols {
            Some(symbols) => symbols.annotate(&self.log),
            None => self.log.clone(),
        };
        println!("{log}{complaints}");
        (Status::of_qemu(code, &complaints).0, log)
    }

    /// Waits for the end, however that is.
    ///
    /// # Panics
    /// It does not end.
    pub fn ends(&mut self) {
        let deadline = Instant::now() + LIMIT;
        loop {
            match self.machine.next(Some(deadline)) {
                Some(Event::Output(bytes)) => self.take(&bytes),
                Some(Event::Ended) => break,
                other => panic!("{other:?} instead of the end after\n{}", self.log),
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.rest) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.rest.len(),
        };
        let text: Vec<u8> = self.rest.drain(..whole).collect();
        self.log += &String::from_utf8_lossy(&text).replace('\r', "");
    }
}
