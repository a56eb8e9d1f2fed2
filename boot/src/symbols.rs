//! Turns the addresses of a backtrace into functions and lines.
//!
//! A backtrace starts with a line that contains `backtrace:`, with `program NAME` before it (root's words) or `badge 0x…`
//! (the kernel's, for a program) unless it is the kernel's own; then comes one line per frame, with nothing but its address.
//! The frames of the kernel's own are found here ([`crate::unwind`]).

use std::collections::HashMap;
use std::path::PathBuf;

use addr2line::Loader;
use bootinfo::archive;

use crate::unwind::Report;

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
        let mut loaders: HashMap<String, Option<Loader>> = HashMap::new();
        let mut program = None;
        let mut report = Report::default();
        let mut annotated = String::new();
        for line in log.lines() {
            annotated.push_str(line);
            report.line(line);
            if line.contains("backtrace:") {
                program = self.owner(line).map(String::from);
                annotated.push_str(&self.kernel_backtrace(line, &report));
            } else if let (Some(address), Some(name)) = (address(line), &program) {
                let loader = loaders
                    .entry(name.clone())
                    .or_insert_with(|| Loader::new(self.file(name)).ok());
                if let Some(place) = loader.as_ref().and_then(|loader| place(loader, address)) {
                    annotated.push_str(&format!("  {place}"));
                }
            } else {
                program = None;
            }
            annotated.push('\n');
        }
        annotated
    }

    /// The frames below the heading of the kernel's own backtrace, each on a line of its own. It leaves them to the host.
    fn kernel_backtrace(&self, heading: &str, report: &Report) -> String {
        if heading.trim() != "backtrace:" {
            return String::new();
        }
        let file = self.file(archive::KERNEL);
        let loader = Loader::new(&file).ok();
        let mut lines = String::new();
        for address in report.backtrace(&file).unwrap_or_default() {
            lines.push_str(&format!("\n  {address:#018x}"));
            // The first is no return address.
            let after = address + u64::from(!lines[1..].contains('\n'));
            if let Some(place) = loader.as_ref().and_then(|loader| place(loader, after)) {
                lines.push_str(&format!("  {place}"));
            }
        }
        lines
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

/// The address that is all of a line.
fn address(line: &str) -> Option<u64> {
    u64::from_str_radix(line.trim().strip_prefix("0x")?, 16).ok()
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
