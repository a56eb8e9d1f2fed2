//! Takes all it is given, and keeps it or dies with it.

use alloc::string::String;
use alloc::vec::Vec;
use libsys::handle::Handle;
use libsys::rt::{self, ENDPOINT};
use libsys::{println, syscall};

/// Opens the names behind `--keep` until each server refuses, and keeps all of it. Without, it takes some of its own and
/// panics with all of it open.
pub fn run() -> Result<(), String> {
    let names: Vec<&str> = rt::info().args.iter().skip(2).map(String::as_str).collect();
    let own = ["null:", "blah:", "timer:", "keyboard:"];
    let mut kept = Vec::new();
    for name in if names.is_empty() { &own[..] } else { &names } {
        let before = kept.len();
        let refusal = loop {
            match Handle::open(name) {
                Ok(handle) => kept.push(handle),
                Err(error) => break error,
            }
        };
        println!(
            "{}: {name} {} times, then: {refusal}",
            rt::info().name,
            kept.len() - before
        );
    }
    while !names.is_empty() {
        // Nobody calls this program.
        let _ = syscall::recv(ENDPOINT);
    }
    Err("it dies with all of it".into())
}
