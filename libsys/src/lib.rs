//! What every user program links.
#![cfg_attr(target_os = "none", no_std)]
extern crate alloc;

pub mod proto;
pub mod syscall;
