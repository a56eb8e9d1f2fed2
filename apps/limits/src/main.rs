//! The least that any kernel could do, measured: booted in the kernel's place (system `limits`), it crosses into user
//! mode and back with nothing between, and switches between two spaces with nothing but the switch. And the ways into a kernel
//! that Postern does not have: INT, a vector for each function, arguments from the user's memory.
//!
//! `crossing.s`, `objects.s` and `anatomy.s` are all of it that is measured; `places` names its parts,
//! `spaces` builds two spaces, `bare` runs and prints.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod bare;
#[cfg(target_os = "none")]
mod cycles;
#[cfg(target_os = "none")]
mod places;
#[cfg(target_os = "none")]
mod spaces;

/// On a host there is nothing to run.
#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!(
        "This runs on a bare machine: type `cargo bench -- --only limit` in the workspace's folder."
    );
    std::process::exit(2);
}
