//! Tests of the kernel, from where its users are: programs that do what a program may do, and what it may not.
//!
//! One binary, several programs of `boot/systems/ktest.toml` and `kfuzz.toml`; the first argument says which:
//! `tests` runs the list in [`tests`] and prints a line for each; `fuzz` makes random system calls ([`fuzz`]), `echo` and
//! `witness` are the programs beside it that must not notice. Read [`lab`] first.
#![cfg_attr(target_os = "none", no_std)]
extern crate alloc;

pub mod calls;
pub mod fuzz;
pub mod lab;
pub mod outcome;
pub mod place;
pub mod process;
pub mod random;
pub mod raw;
pub mod runner;
pub mod tests;
pub mod vector;
pub mod witness;

use libsys::rt;

/// The program.
///
/// # Panics
/// The manifest gives it an argument it does not know.
pub fn start() {
    let role = rt::info().args.first().map_or("", |role| role);
    match role {
        "tests" => runner::run(),
        "fuzz" => fuzz::run(),
        "echo" => witness::echo(),
        "witness" => witness::run(),
        other => panic!("no role `{other}`"),
    }
}
