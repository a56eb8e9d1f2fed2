//! The drivers at ring 0: what the library OS and the monolith have in common. It boots in the kernel's place.
//!
//! The drivers are the crates that the servers are made of (`disk`, `flash`, `keyboard`, `net`, `null`), unchanged; this is their platform. Read in
//! this order: [`start`] (from the loader to the program), [`memory`] (for devices), [`heap`], [`interrupts`], [`bus`] (devices on
//! the PCI bus), [`flash`](mod@flash), [`keyboard`](mod@keyboard),
//! [`net`](mod@net), [`caller`] (memory of whoever asks), [`devices`] (`read` and `write`), [`line`](mod@line).
#![cfg_attr(target_os = "none", no_std)]
extern crate alloc;

pub mod bus;
pub mod caller;
pub mod devices;
pub mod flash;
pub mod heap;
pub mod interrupts;
pub mod keyboard;
pub mod line;
pub mod memory;
pub mod net;
pub mod start;

/// The machine, as the drivers' platform.
pub struct Machine;
