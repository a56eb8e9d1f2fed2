//! The driver of a virtio block device (virtio 1.2, 5.2), without the server around it.
//!
//! The same library is meant for every structure: a server links it with message handling, a monolith with traps, an
//! application with itself. Only [`virtio::platform::Platform`] differs. Read in this order: [`driver`] (requests in
//! flight), [`range`] and [`jobs`] (reads and writes of any byte range, made of requests).
#![cfg_attr(target_os = "none", no_std)]
extern crate alloc;

pub mod driver;
pub mod jobs;
pub mod range;

#[cfg(test)]
mod fake;
