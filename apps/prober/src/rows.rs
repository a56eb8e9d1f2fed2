//! Each device x each operation.

use core::fmt::Debug;
use libsys::handle::{Handle, IoError};
use libsys::println;
use libsys::proto::io::{READABLE, WRITABLE};

/// Sessions opened one after the other, more than any server can have at a time.
const MANY: usize = 1000;

/// Prints a line for each operation on each device.
pub fn run() {
    for name in ["null:", "zero:", "blah:", "timer:", "timer:5"] {
        match Handle::open(name) {
            Ok(handle) => each(name, &handle),
            Err(error) => println!("{name} open: {error}"),
        }
        many(name);
    }
    for name in [
        "null:x",
        "zero:1",
        "blah:blah",
        "timer:x",
        "timer:0",
        "timer:-1",
        "keyboard:x",
    ] {
        println!("{name}: {}", shown(Handle::open(name).map(drop)));
    }
    many("keyboard:");
}

fn each(name: &str, handle: &Handle) {
    let mut buffer = [0xaa; 64];
    let read = handle.read_at(0, &mut buffer);
    let bytes = match read {
        // What changes from run to run is checked by what does not.
        Ok(count) if name == "timer:" => {
            let digits = buffer[..count].iter().filter(|byte| byte.is_ascii_digit());
            println!("timer: read has {} digits", digits.count());
            &[][..]
        }
        Ok(count) => &buffer[..count.min(16)],
        Err(_) => &[],
    };
    println!("{name} read: {} {bytes:x?}", shown(read));
    println!("{name} write: {}", shown(handle.write_at(0, b"HELLO")));
    println!("{name} read nothing: {}", shown(handle.read_at(0, &mut [])));
    println!(
        "{name} read 4 bytes: {}",
        shown(handle.read_at(0, &mut [0; 4]))
    );
    println!(
        "{name} write 5000 bytes: {}",
        shown(handle.write_at(0, &[b'x'; 5000]))
    );
    println!(
        "{name} read past the end: {}",
        shown(handle.read_at(1 << 40, &mut buffer))
    );
    println!(
        "{name} write past the end: {}",
        shown(handle.write_at(u64::MAX, b"x"))
    );
    println!("{name} sync: {}", shown(handle.sync()));
    println!(
        "{name} stat: {}",
        shown(handle.stat().map(|stat| (stat.size, stat.kind)))
    );
    println!("{name} wait to read: {}", shown(handle.wait(READABLE)));
    println!("{name} wait to write: {}", shown(handle.wait(WRITABLE)));
    println!("{name} wait for nothing: {}", shown(handle.wait(4)));
}

/// Opens a name again and again, and then as often as it can be open at a time.
fn many(name: &str) {
    let mut buffer = [0; 8];
    let opened = (0..MANY).filter(|_| {
        let Ok(handle) = Handle::open(name) else {
            return false;
        };
        // Keys and moments do not come for the asking.
        name == "keyboard:" || name == "timer:5" || handle.read_at(0, &mut buffer).is_ok()
    });
    println!("{name} opened {} times", opened.count());
    let mut open = alloc::vec::Vec::new();
    let refusal = loop {
        match Handle::open(name) {
            Ok(handle) => open.push(handle),
            Err(error) => break error,
        }
    };
    println!(
        "{name} has {} sessions at a time, then: {refusal}",
        open.len()
    );
}

fn shown<T: Debug>(result: Result<T, IoError>) -> alloc::string::String {
    match result {
        Ok(value) => alloc::format!("{value:?}"),
        Err(error) => alloc::format!("{error}"),
    }
}
