//! The driver of a PS/2 keyboard, without the server around it: [`controller`] (scan codes) and [`keys`] (what they mean).
//!
//! The same library is meant for every structure: only [`controller::Ports`] differs.
#![cfg_attr(target_os = "none", no_std)]
#![forbid(unsafe_code)]
extern crate alloc;

pub mod controller;
pub mod keys;
