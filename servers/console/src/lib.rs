//! The part of `console` that knows no messages.
#![cfg_attr(target_os = "none", no_std)]
#![forbid(unsafe_code)]
extern crate alloc;

pub mod display;
pub mod drawing;
pub mod output;
pub mod screen;
