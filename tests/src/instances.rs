//! A machine with several instances that a test talks to.

use std::time::Instant;

use bootinfo::shim;
use postern::instances::Demultiplexer;
use postern::machine::{Event, Machine};
use postern::qemu::Options;
use postern::run::{self, Files};
use postern::system::System;

use crate::session::PROMPT;
use crate::{LIMIT, Seat, seat};

/// What the shim itself prints.
pub const SHIM: u8 = shim::SHIM;

/// The machine.
pub struct Instances {
    machine: Machine,
    _files: Files,
    line: Demultiplexer,
    /// What each source printed, and how much of it was expected already.
    logs: [(String, usize); 256],
    target: u8,
    _seat: Seat,
}

impl Instances {
    /// Boots `system`.
    ///
    /// # Panics
    /// The machine could not be started.
    pub fn boot(options: &Options, system: &System) -> Instances {
        let seat = seat();
        let booted = run::boot(options, system).expect("the machine starts");
        Instances {
            machine: booted.machine,
            _files: booted.files,
            line: Demultiplexer::default(),
            logs: std::array::from_fn(|_| Default::default()),
            target: system.primary,
            _seat: seat,
        }
    }

    /// Waits until `source` (an instance, or [`SHIM`]) has printed `text`, and returns all it printed since the last expectation.
    ///
    /// # Panics
    /// It does not come: the machine ended, or nothing more comes.
    pub fn expect(&mut self, source: u8, text: &str) -> String {
        let deadline = Instant::now() + LIMIT;
        loop {
            let (log, seen) = &mut self.logs[usize::from(source)];
            if let Some(at) = log[*seen..].find(text) {
                let end = *seen + at + text.len();
                let found = log[*seen..end].to_string();
                *seen = end;
                return found;
            }
            match self.machine.next(Some(deadline)) {
                Some(Event::Output(bytes)) => self.hear(&bytes),
                end => {
                    let end = self.explain(end);
                    panic!("{end} instead of {text:?} of {source}\n{}", self.logs());
                }
            }
        }
    }

    /// Takes apart what the machine printed.
    fn hear(&mut self, bytes: &[u8]) {
        let logs = &mut self.logs;
        self.line.feed(bytes, |source, byte| {
            if byte != b'\r' {
                logs[usize::from(source)].0.push(char::from(byte));
            }
        });
    }

    /// Why nothing more comes. A machine that hangs is asked where (the shim's answer is in its log).
    fn explain(&mut self, event: Option<Event>) -> String {
        match event {
            Some(Event::Ended) => match self.machine.wait() {
                Ok((status, complaints)) => {
                    format!("end of the emulator ({status:?}) {complaints}")
                }
                Err(error) => format!("end of the emulator ({error:#})"),
            },
            Some(other) => format!("{other:?}"),
            None => {
                let words = run::last_words(&self.machine);
                self.hear(&words);
                format!("nothing for {LIMIT:?}")
            }
        }
    }

    /// The last that each source printed.
    fn logs(&self) -> String {
        const MOST: usize = 8 << 10;
        let mut all = String::new();
        for (source, (log, _)) in self.logs.iter().enumerate() {
            let from = log.len().saturating_sub(MOST);
            let from = (from..).find(|at| log.is_char_boundary(*at)).unwrap_or(0);
            if !log.is_empty() {
                all += &format!("--- source {source}:\n{}\n", &log[from..]);
            }
        }
        all
    }

    /// Whole lines that a source has printed since the last expectation, up to `before` if that is in them.
    pub fn rest(&mut self, source: u8, before: &str) -> String {
        let (log, seen) = &mut self.logs[usize::from(source)];
        let from = *seen;
        let lines = log[from..].rfind('\n').map_or(0, |end| end + 1);
        let length = log[from..from + lines].find(before);
        *seen = from + length.unwrap_or(lines);
        log[from..*seen].to_string()
    }

    /// Everything that a source has printed, as far as it was waited for.
    pub fn log(&self, source: u8) -> &str {
        &self.logs[usize::from(source)].0
    }

    /// Types a command at the prompt of an instance's shell, and returns what it printed.
    ///
    /// # Panics
    /// As [`Instances::expect`].
    pub fn command(&mut self, instance: u8, command: &str) -> String {
        self.enter(instance, command);
        let printed = self.expect(instance, PROMPT);
        printed.trim_end_matches(PROMPT).to_string()
    }

    /// Types a command, and waits until it is read, but not for its end.
    ///
    /// # Panics
    /// As [`Instances::expect`].
    pub fn enter(&mut self, instance: u8, command: &str) {
        let mut typed = Vec::new();
        if self.target != instance {
            typed.extend([shim::SWITCH, b'0' + instance]);
            self.target = instance;
        }
        typed.extend(command.bytes());
        typed.push(b'\r');
        self.machine.send(&typed).expect("it listens");
        self.expect(instance, &format!("{command}\n"));
    }
}
