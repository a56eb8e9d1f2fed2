//! read: the same call, whatever the name stands for.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

use libsys::handle::{Handle, IoError};
use libsys::println;

libsys::entry!(start);

fn start() -> Result<(), IoError> {
    for name in ["disk:0", "blah:", "zero:", "null:"] {
        let handle = Handle::open(name)?;
        let mut buffer = [b'?'; 16];
        let count = handle.read(&mut buffer)?;
        let bytes = &buffer[..count];
        println!("{name} gave {count} bytes: {}", bytes.escape_ascii());
    }
    Ok(())
}
