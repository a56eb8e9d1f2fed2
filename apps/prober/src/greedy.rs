//! Takes all it is given, keeps it, and dies with it.

use alloc::string::String;
use alloc::vec::Vec;
use libsys::handle::Handle;
use libsys::println;

/// Opens names until each server refuses, and panics with all of it open.
pub fn run() -> Result<(), String> {
    let mut kept = Vec::new();
    for name in ["null:", "blah:", "timer:", "keyboard:"] {
        let before = kept.len();
        let refusal = loop {
            match Handle::open(name) {
                Ok(handle) => kept.push(handle),
                Err(error) => break error,
            }
        };
        println!(
            "greedy: {name} {} times, then: {refusal}",
            kept.len() - before
        );
    }
    Err("it dies with all of it".into())
}
