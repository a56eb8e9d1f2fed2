//! Turns the addresses of a backtrace into functions and lines.
//!
//! A backtrace starts with a line that contains `backtrace:`, with `program NAME` before it (root's words) or `badge 0x…`
//! (the kernel's, for a program) unless it is the kernel's own; then comes one line per frame, with nothing but its address.
//! The frames of the kernel's own are found here ([`crate::unwind`]).

use std::collections::HashMap;
use std::path::PathBuf;

use addr2line::Loader;
use bootinfo::archive;

use crate::unwind::{Report, number};

/// Symbol files of a system.
pub struct Symbols {
    folder: PathBuf,
    /// Files of the programs, in the order of the manifest.
    programs: Vec<String>,
}

impl Symbols {
    /// Those in `folder`, one ELF file per program; `programs` are the files of the manifest's programs in its order.
    pub fn new(folder: PathBuf, programs: Vec<String>) -> Symbols {
        Symbols { folder, programs }
    }

    /// The file with the symbols of a program.
    pub fn file(&self, program: &str) -> PathBuf {
        self.folder.join(program)
    }

    /// `log` with a function and a line behind each address of a backtrace.
    pub fn annotate(&self, log: &str) -> String {
        let mut annotator = Annotator::new(self);
        let mut annotated = String::new();
        for line in log.lines() {
            annotated.push_str(line);
            annotated.push_str(&annotator.line(line));
            annotated.push('\n');
        }
        annotated
    }

    /// Whose backtrace a heading announces, if anybody knows.
    fn owner<'a>(&'a self, heading: &'a str) -> Option<&'a str> {
        if let Some((_, badge)) = heading.split_once("badge 0x") {
            // The upper half of a badge is the program's number. Root counts from 1; who was started anew has a later one.
            let badge = u64::from_str_radix(badge.split(' ').next()?, 16).ok()?;
            let index = usize::try_from(badge >> 32).ok()?.checked_sub(1)?;
            return self.programs.get(index).map(String::as_str);
        }
        let Some((_, rest)) = heading.split_once("program ") else {
            return Some(archive::KERNEL);
        };
        let name = rest.split([' ', ':', ',']).next()?;
        Some(name.trim_matches(['`', '\'', '"']))
    }
}

/// Follows a log line by line, or byte by byte as it comes.
pub struct Annotator<'a> {
    symbols: &'a Symbols,
    loaders: HashMap<String, Option<Loader>>,
    /// What the kernel said of itself.
    report: Report,
    /// Whose backtrace it is, in the middle of one.
    program: Option<String>,
    /// The line so far, and its carriage return, if that may be its end.
    begun: Vec<u8>,
    returned: bool,
}

impl<'a> Annotator<'a> {
    /// At a log's beginning.
    pub fn new(symbols: &'a Symbols) -> Annotator<'a> {
        Annotator {
            symbols,
            loaders: HashMap::new(),
            report: Report::default(),
            program: None,
            begun: Vec::new(),
            returned: false,
        }
    }

    /// What to add to the next line.
    fn line(&mut self, line: &str) -> String {
        self.report.line(line);
        if line.contains("backtrace:") {
            self.program = self.symbols.owner(line).map(String::from);
            return self.kernel_frames(line);
        }
        let (Some(address), Some(name)) = (address(line), self.program.clone()) else {
            self.program = None;
            return String::new();
        };
        self.place(&name, address)
    }

    /// The frames below the heading of the kernel's own backtrace, each on a line of its own. It leaves them to the host.
    fn kernel_frames(&mut self, heading: &str) -> String {
        if heading.trim() != "backtrace:" {
            return String::new();
        }
        let file = self.symbols.file(archive::KERNEL);
        let found = self.report.backtrace(&file).unwrap_or_default();
        let mut lines = String::new();
        for (index, address) in found.into_iter().enumerate() {
            // The first is no return address.
            let place = self.place(archive::KERNEL, address + u64::from(index == 0));
            lines.push_str(&format!("\n  {address:#018x}{place}"));
        }
        lines
    }

    /// Two spaces and a program's place of an address, if anybody knows it.
    fn place(&mut self, program: &str, address: u64) -> String {
        let loader = self
            .loaders
            .entry(program.into())
            .or_insert_with(|| Loader::new(self.symbols.file(program)).ok());
        let place = loader.as_ref().and_then(|loader| place(loader, address));
        place.map_or_else(String::new, |place| format!("  {place}"))
    }

    /// Takes the next bytes and returns them, annotated. Only a carriage return waits for what follows it.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            if byte == b'\n' {
                let line = String::from_utf8_lossy(&std::mem::take(&mut self.begun)).into_owned();
                // A terminal wants both at a line's end.
                let more = self.line(&line).replace('\n', "\r\n");
                out.extend_from_slice(more.as_bytes());
            }
            if std::mem::take(&mut self.returned) {
                out.push(b'\r');
            }
            match byte {
                b'\r' => self.returned = true,
                _ => out.push(byte),
            }
            if !matches!(byte, b'\r' | b'\n') && self.begun.len() < LONGEST {
                self.begun.push(byte);
            }
        }
        out
    }
}

/// Longest line that can be part of a backtrace.
const LONGEST: usize = 256;

/// The address that is all of a line.
fn address(line: &str) -> Option<u64> {
    number(line.trim())
}

/// `function at file:line`, innermost inlined function first.
fn place(loader: &Loader, address: u64) -> Option<String> {
    // A return address may be the first byte of the next line, or of the next function.
    let before = address.checked_sub(1)?;
    let mut frames = loader.find_frames(before).ok()?;
    let mut places = Vec::new();
    while let Ok(Some(frame)) = frames.next() {
        let function = frame
            .function
            .as_ref()
            .and_then(|function| Some(function.demangle().ok()?.into_owned()));
        let mut place = function.unwrap_or_else(|| "?".into());
        if let Some(location) = frame.location {
            let file = location.file.unwrap_or("?");
            let file = file.strip_prefix("/postern/").unwrap_or(file);
            place.push_str(&format!(" at {file}:{}", location.line.unwrap_or(0)));
        }
        places.push(place);
    }
    if places.is_empty() {
        places.push(loader.find_symbol(before)?.to_string());
    }
    Some(places.join(", inlined in "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_name_their_owner() {
        let symbols = Symbols::new("nowhere".into(), vec!["names".into(), "disk".into()]);
        for (heading, owner) in [
            ("backtrace:", Some("kernel")),
            ("program disk backtrace:", Some("disk")),
            ("[1.2] program `disk`: backtrace:", Some("disk")),
            ("badge 0x200000003 backtrace:", Some("disk")),
            ("badge 0x300000003 backtrace:", None),
            ("badge 0x0 backtrace:", None),
        ] {
            assert_eq!(symbols.owner(heading), owner, "{heading}");
        }
    }

    #[test]
    fn only_addresses_are_touched() {
        assert_eq!(
            address("  0xffffffff80001234\r"),
            Some(0xffff_ffff_8000_1234)
        );
        assert_eq!(address("rip 0xffffffff80001234"), None);
        let log = "0x1000\nbacktrace:\n  0x1000\nend\n  0x1000\n";
        assert_eq!(
            Symbols::new("nowhere".into(), Vec::new()).annotate(log),
            log
        );
    }

    #[test]
    fn a_log_is_annotated_as_it_comes() {
        let own = std::env::current_exe().expect("a test knows its file");
        let name = own
            .file_name()
            .expect("it has a name")
            .display()
            .to_string();
        let folder = own.parent().expect("it lies in a folder").into();
        let symbols = Symbols::new(folder, Vec::new());
        let address = find(&own, "a_log_is_annotated_as_it_comes") + 1;
        let log = format!("$ dmesg\r\nprogram {name} backtrace:\r\n  {address:#x}\r\n> \rx");
        let whole = symbols.annotate(&log.replace('\r', ""));
        assert!(whole.contains("symbols.rs:"), "{whole}");
        let mut annotator = Annotator::new(&symbols);
        let mut fed = Vec::new();
        for byte in log.as_bytes() {
            fed.extend(annotator.feed(&[*byte]));
        }
        let fed = String::from_utf8(fed).expect("it is text");
        assert!(fed.ends_with("\r\n> \rx"), "{fed}");
        assert_eq!(fed.replace('\r', "").trim_end(), whole.trim_end());
        assert_eq!(
            annotator.feed(b"no line end is waited for"),
            b"no line end is waited for"
        );
    }

    #[test]
    fn an_address_becomes_a_place() {
        let own = std::env::current_exe().expect("a test knows its file");
        let loader = Loader::new(&own).expect("it is an ELF file");
        // The test itself: found by its symbol, so that its address needs no running code.
        let symbol = find(&own, "an_address_becomes_a_place");
        let place = place(&loader, symbol + 1).expect("the symbol is known");
        assert!(
            place.contains("an_address_becomes_a_place") && place.contains("symbols.rs:"),
            "{place}"
        );
    }

    fn find(file: &std::path::Path, name: &str) -> u64 {
        use object::{Object, ObjectSymbol};
        let bytes = std::fs::read(file).expect("it can be read");
        let file = object::File::parse(bytes.as_slice()).expect("it is an ELF file");
        let named = |symbol: &object::Symbol| {
            symbol.size() > 0 && symbol.name().is_ok_and(|own| own.contains(name))
        };
        file.symbols()
            .find(named)
            .expect("it has the symbol")
            .address()
    }
}
