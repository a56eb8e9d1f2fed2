//! The part of `timer` that knows no messages.
#![cfg_attr(target_os = "none", no_std)]
#![forbid(unsafe_code)]
extern crate alloc;

pub mod queue;
pub mod rtc;
