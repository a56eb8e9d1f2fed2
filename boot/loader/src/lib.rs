//! The loader: from a machine's firmware to the first instruction of the kernel, and a library that starts a kernel
//! in any physical memory (the hypervisor shim's guests too).
//!
//! Read in this order: [`memory`] (what memory there is, and taking pieces of it), [`archive`], [`elf`] (a file
//! becomes a checked plan), [`acpi`], [`paging`], [`handover`] (all of it put together: the state that `bootinfo`
//! documents), [`rights`] (a look at it from outside). None of these touches hardware: they see memory through [`Physical`], and the host tests (`tests/`) give
//! them a machine made of a byte vector. [`machine`] is the real one.
#![no_std]
#![deny(unsafe_code)]

pub mod acpi;
pub mod archive;
pub mod counter;
pub mod elf;
mod error;
pub mod handover;
#[allow(unsafe_code)]
pub mod machine;
pub mod memory;
pub mod paging;
mod physical;
pub mod rights;
pub mod stages;

pub use error::Error;
pub use handover::{Entry, Machine, load};
pub use memory::Map;
pub use physical::Physical;
