//! The part of `names` that knows no messages.
#![cfg_attr(target_os = "none", no_std)]
#![forbid(unsafe_code)]

pub mod table;
