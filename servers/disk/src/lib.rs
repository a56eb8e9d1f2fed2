//! The drivers of block devices, without the server around them: virtio (virtio 1.2, 5.2).
//!
//! The same library is meant for every structure: a server links it with message handling, a monolith with traps, an
//! application with itself. Only [`virtio::platform::Platform`] differs. Read in this order: [`device`] (what a
//! driver does), [`driver`] over its [`ring`], [`range`] and [`jobs`] (reads and writes of any byte range, made of requests), [`gpt`]
//! (partitions), [`watchdog`] (devices that do not answer).
#![cfg_attr(target_os = "none", no_std)]
extern crate alloc;

pub mod ata;
pub mod device;
pub mod driver;
pub mod gpt;
pub mod jobs;
pub mod name;
pub mod range;
pub mod ring;
pub mod watchdog;

#[cfg(test)]
mod fake;
