//! The flash server with a fault, for tests: with the arguments `--fault-on-read N` it panics in the middle of the N-th read,
//! while the caller waits.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]
extern crate alloc;

#[path = "../../flash/src/server.rs"]
mod server;

libsys::entry!(start);

fn start() {
    server::run(fault)
}

fn fault(reads: u64) {
    if libsys::rt::number("--fault-on-read") == Some(reads) {
        panic!("as the test wants");
    }
}
