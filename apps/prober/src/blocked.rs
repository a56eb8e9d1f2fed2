//! Waits for something to read, whoever dies meanwhile.

use alloc::vec::Vec;
use libsys::handle::{Handle, IoError};
use libsys::println;
use libsys::proto::io::READABLE;

/// Reads from `name` until a line ends; opens it again when its server dies.
pub fn run(name: &str) {
    loop {
        match line(name) {
            Ok(line) => {
                println!("blocked: {name} gives {line:?}");
                return;
            }
            Err(error @ IoError::ServerDied { .. }) => println!("blocked: {name}: {error}"),
            Err(error) => {
                println!("blocked: {name}: {error}");
                return;
            }
        }
    }
}

fn line(name: &str) -> Result<Vec<u8>, IoError> {
    let handle = Handle::open(name)?;
    // There is nothing yet, and who does not want to wait is told so.
    match handle.try_read(&mut [0; 8]) {
        Err(IoError::WouldBlock) => {}
        Err(error) => return Err(error),
        Ok(_) => return Err(IoError::BadRequest),
    }
    // From here on it is this program that gets what comes.
    println!("blocked: reads {name}");
    let mut line = Vec::new();
    while line.last() != Some(&b'\r') {
        let mut bytes = [0; 8];
        handle.wait(READABLE)?;
        let count = handle.read(&mut bytes)?;
        line.extend(&bytes[..count]);
    }
    Ok(line)
}
