//! The disk server with a fault, for tests: with the argument `--fault-on-read N` it executes an invalid instruction in the
//! middle of the N-th read, when the device has the request and the caller waits.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[path = "../../disk/src/server.rs"]
mod server;

libsys::entry!(start);

fn start() {
    server::run(fault)
}

fn fault(reads: u64) {
    if libsys::rt::number("--fault-on-read") == Some(reads) {
        // SAFETY: an invalid instruction has no effect but the exception, which is what the test wants.
        unsafe { core::arch::asm!("ud2", options(nomem, nostack)) }
    }
}
