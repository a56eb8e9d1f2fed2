//! Files on a FAT volume (12, 16 or 32), without the server around it.
//!
//! `hadris-fat` knows the format and writes in an order that a power cut can interrupt anywhere; what such a cut leaves
//! behind is repaired at the next mount. Read in this order: [`disk`] (sectors), [`cache`] (the bounded block cache),
//! [`repair`], [`volume`] (mounting and operations), `rename` and [`replace`], [`mount`] (what stays open when a volume is mounted anew).
#![cfg_attr(target_os = "none", no_std)]
#![forbid(unsafe_code)]
extern crate alloc;

pub mod cache;
pub mod disk;
pub mod mount;
mod rename;
pub mod repair;
pub mod replace;
pub mod volume;
