//! close: dropping a handle closes it, and what it took at the server is free again.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]
extern crate alloc;

use alloc::vec::Vec;
use libsys::handle::Handle;
use libsys::println;

libsys::entry!(start);

fn start() {
    let mut open = Vec::new();
    let full = loop {
        match Handle::open("blah:") {
            Ok(handle) => open.push(handle),
            Err(error) => break error,
        }
    };
    println!("{} are open, then: {full}", open.len());
    drop(open.pop());
    println!(
        "one was closed; opening again works: {}",
        Handle::open("blah:").is_ok()
    );
    drop(open);
    let again = (0..100).all(|_| Handle::open("blah:").is_ok());
    println!("opened and closed 100 times: {again}");
}
