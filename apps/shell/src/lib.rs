//! The part of the shell that needs no system: how lines are typed, split, understood and shown.
#![cfg_attr(target_os = "none", no_std)]
#![forbid(unsafe_code)]
extern crate alloc;

pub mod arguments;
pub mod crash;
pub mod hexdump;
pub mod history;
pub mod http;
pub mod line;
pub mod number;
pub mod syntax;
pub mod trace;
