//! The fs server with a fault, for tests: with the arguments `--fault-on-write N` it panics in the middle of the N-th write,
//! while the caller waits.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]
extern crate alloc;

#[path = "../../fs/src/medium.rs"]
mod medium;
#[path = "../../fs/src/server.rs"]
mod server;

libsys::entry!(start);

fn start() {
    server::run(fault)
}

fn fault(writes: u64) {
    if libsys::rt::number("--fault-on-write") == Some(writes) {
        panic!("as the test wants");
    }
}
