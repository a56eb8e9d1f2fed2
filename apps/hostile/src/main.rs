//! A kernel that attacks the hypervisor shim and the instances beside it. Each start makes the next attack of a list: the shim's
//! CPUID leaf says how often it was started. With `fuzz=SEED` on the command line it executes random instructions
//! instead, with `channels` it attacks those at the other ends of its channels for ever, with `NONCE SAMPLES measure` it says what
//! exits cost, and with `roles=` the instances do what is said there, each its own.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod attacks;
#[cfg(target_os = "none")]
mod bare;
#[cfg(target_os = "none")]
mod channels;
#[cfg(target_os = "none")]
mod fuzz;
#[cfg(target_os = "none")]
mod measure;
#[cfg(target_os = "none")]
mod roles;
#[cfg(target_os = "none")]
mod user;

/// On a host there is nothing to attack.
#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("This runs above the hypervisor shim: type `cargo test -p tests --test hostile`.");
    std::process::exit(2);
}
