//! The matrix: each device ([`crate::rows`]) and what can be done with it, right and wrong. Prints a line for each cell: row,
//! column, and what came of it.

use crate::rows::{Row, Source, all};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Debug;
use libsys::handle::{Handle, IoError};
use libsys::proto::io::{CREATE, READABLE, WRITABLE};
use libsys::{println, rt, syscall};

/// Sessions opened one after the other, more than any server can have at a time.
const MANY: usize = 1000;
/// Far behind the end of everything that has one.
const BEYOND: u64 = 1 << 40;
/// Bytes of a write that is too long for some.
const LONG: usize = 5000;

/// All columns but the two of the other functions here.
pub fn run(echo: u64) {
    for row in all(echo) {
        match row.open() {
            Ok(handle) => {
                operations(&row, &handle);
                if row.label == "example" {
                    shown(&row, "read of any length", any_length(&handle));
                }
            }
            Err(error) => cell(&row, "open", &error),
        }
        for name in row.wrong {
            refused(&row, name);
        }
        sessions(&row);
    }
    println!("matrix: done");
}

/// Opening alone, for a machine that has none of the devices, or a program that may not use them: `column` says which.
pub fn open(column: &str) {
    for row in all(1) {
        shown(&row, column, row.open().map(drop));
    }
    println!("matrix: done");
}

/// What is asked of each device until its server dies of it: a read of so many bytes.
const ASKED: [(&str, &str, usize); 10] = [
    ("disk", "disk:0", 64 << 10),
    ("file", "file:/row", 4096),
    ("flash", "flash:0", 16 << 10),
    ("value", "flash:kv/row", 64),
    // Nobody sends or types anything: these wait.
    ("net", "net:", 2048),
    ("keyboard", "keyboard:", 64),
    ("null", "null:", 64),
    ("zero", "zero:", 64 << 10),
    ("example", "blah:", 64),
    ("timer", "timer:3600000", 8),
];

/// Uses each device that the argument names until its server has died with a request in its hands, and then once more. Any other server, too, may die
/// at any time.
pub fn killed() {
    let wanted = rt::info().args.get(1).map_or("", String::as_str);
    let wanted = |label: &str| wanted.split(',').any(|other| other == label);
    for (label, name, size) in ASKED.into_iter().filter(|(label, ..)| wanted(label)) {
        let mut buffer = vec![0; size];
        let mut died = None;
        while died.is_none() {
            if let Ok(handle) = Handle::open_with(name, CREATE) {
                died = until_it_dies(&handle, &mut buffer);
            }
        }
        let goes_on = || Handle::open_with(name, CREATE)?.stat();
        while goes_on().is_err() {
            syscall::yield_now();
        }
        let died = died.unwrap_or_default();
        println!("{label:<9} {:<20} {died}, and goes on", "server killed");
    }
    println!("matrix: done");
}

/// Reads until that fails, and says how; `None`: the server died between two requests.
fn until_it_dies(handle: &Handle, buffer: &mut [u8]) -> Option<&'static str> {
    loop {
        match handle.read_at(0, buffer) {
            Ok(_) => {}
            Err(IoError::ServerDied { delivered: false }) => return None,
            Err(IoError::ServerDied { delivered: true }) => return Some("during the request"),
            Err(_) => return Some("with another error"),
        }
    }
}

fn cell(row: &Row, column: &str, outcome: &dyn core::fmt::Display) {
    println!("{:<9} {column:<20} {outcome}", row.label);
}

fn shown<T: Debug>(row: &Row, column: &str, result: Result<T, IoError>) {
    match result {
        Ok(value) => cell(row, column, &format!("{value:?}")),
        Err(error) => cell(row, column, &error),
    }
}

fn operations(row: &Row, handle: &Handle) {
    if row.source == Source::Keys {
        println!("type now");
    }
    let mut buffer = [0xaa; 64];
    shown(row, "write", row.write(handle, row.at, b"HELLO"));
    let piece = &mut buffer[..row.piece];
    match row.read(handle, row.at, piece) {
        Ok(count) if row.source != Source::Changing => {
            let text = String::from_utf8_lossy(&piece[..count.min(8)]);
            cell(row, "read", &format!("{count} {text:?}"));
        }
        result => shown(row, "read", result),
    }
    shown(row, "read no bytes", row.read(handle, row.at, &mut []));
    let few = &mut buffer[..4];
    shown(row, "read 4 bytes", row.read(handle, row.at, few));
    shown(row, "write no bytes", row.write(handle, row.at, &[]));
    let long = [b'x'; LONG];
    shown(row, "write 5000 bytes", row.write(handle, row.at, &long));
    let piece = &mut buffer[..row.piece];
    shown(row, "read past the end", row.read(handle, BEYOND, piece));
    shown(row, "write past the end", row.write(handle, BEYOND, b"x"));
    shown(row, "sync", handle.sync());
    let stat = handle.stat().map(|stat| (stat.size, stat.kind));
    shown(row, "stat", stat);
    if row.source == Source::Echo {
        // The answer to this is what it waits for.
        let _ = handle.write(b"x");
    }
    shown(row, "wait to read", handle.wait(READABLE));
    shown(row, "wait to write", handle.wait(WRITABLE));
    shown(row, "wait for nothing", handle.wait(4));
}

/// Reads more and more bytes, which come in the message and then in the lease: the right ones, and none behind them. Returns of
/// how many lengths that is so.
fn any_length(handle: &Handle) -> Result<usize, IoError> {
    let numbers: [u8; 100] = core::array::from_fn(|number| number as u8);
    handle.write_at(0, &numbers)?;
    let mut right = 0;
    for length in 1..numbers.len() {
        let mut buffer = [0xaa; 100];
        let count = handle.read_at(0, &mut buffer[..length])?;
        let (read, rest) = buffer.split_at(length);
        let same = count == length && read == &numbers[..length];
        right += usize::from(same && rest.iter().all(|&byte| byte == 0xaa));
    }
    Ok(right)
}

fn refused(row: &Row, name: &str) {
    let column = format!("open {name}");
    shown(row, &column, Handle::open(name).map(drop));
}

/// Opens it again and again, and then as often as it can be open at a time.
fn sessions(row: &Row) {
    // Keys and moments do not come for the asking.
    let readable = row.source != Source::Keys && row.label != "moments";
    let used = |handle: &Handle| !readable || row.read(handle, row.at, &mut [0]).is_ok();
    let opened = (0..MANY).filter(|_| row.open().is_ok_and(|handle| used(&handle)));
    let opened = format!("{} times", opened.count());
    cell(row, "opened and closed", &opened);
    let mut open = Vec::new();
    let refusal = loop {
        match row.open() {
            Ok(handle) => open.push(handle),
            Err(error) => break error,
        }
    };
    let most = format!("{} times, then: {refusal}", open.len());
    cell(row, "open at a time", &most);
}
