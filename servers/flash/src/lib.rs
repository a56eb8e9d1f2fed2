//! The driver of a NOR flash chip (CFI, Intel command set), and two ways to use it, without the server around them.
//!
//! The same library is meant for every structure: only [`platform::Platform`] differs. Read in this order: [`platform`],
//! [`cfi`] (what a chip says about itself), [`chip`] (commands), then the users: [`raw`] (bytes anywhere) and [`keys`]
//! (named values that survive power cuts).
#![cfg_attr(target_os = "none", no_std)]
#![forbid(unsafe_code)]
extern crate alloc;

pub mod cfi;
pub mod chip;
pub mod keys;
pub mod platform;
pub mod raw;
pub mod waiting;

#[cfg(test)]
mod model;
