//! How a row of the benchmark suite is measured, whatever the structure of the system below.
//!
//! The same code runs in the three structures, linked with the drivers (`library-os`), above a monolith (`reader`) and above
//! servers (`crossings`): each brings a [`row::Port`], which is its way to ask for bytes. Read in this order: [`clock`], [`row`]
//! (what a row is), `sampled` (how it is measured), [`run`] (the lines for the host tool, or for
//! a person).
#![cfg_attr(target_os = "none", no_std)]
extern crate alloc;

pub mod buffer;
pub mod clock;
pub mod frame;
pub mod row;
pub mod run;
mod sampled;

/// Why an id could not be measured.
pub type Failure = alloc::string::String;
