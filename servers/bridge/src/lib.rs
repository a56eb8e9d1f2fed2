//! `bridge`: names of one instance, served in another, over a channel of the hypervisor shim (docs/servers/bridge.md).
//!
//! Reading order: [`memory`] (what both ends share), [`link`] (two rings of messages, and how each end knows that the other is
//! still the one it was), [`end`] (an end with its bell), [`export`] (answers requests), [`import`] (makes them).
//!
//! The other end is not trusted, nor is anything in the shared memory: it is read once, into memory of this program's own, checked
//! there and only then used. What does not hold breaks the link: both ends begin anew, and whoever waited is told.
#![cfg_attr(target_os = "none", no_std)]
#![forbid(unsafe_code)]
extern crate alloc;

pub mod end;
pub mod export;
pub mod import;
pub mod link;
pub mod memory;
#[cfg(test)]
mod tests;
