//! The driver of a virtio block device (virtio 1.2, 5.2), without the server around it.
//!
//! The same library is meant for every structure: a server links it with message handling, a monolith with traps, an
//! application with itself. Only [`platform::Platform`] differs. Read in this order: [`platform`], [`config`] and
//! [`transport`] (how the device is reached), [`driver`] (requests in flight), [`range`] and [`jobs`] (reads and writes of
//! any byte range, made of requests).
#![cfg_attr(target_os = "none", no_std)]
extern crate alloc;

pub mod config;
pub mod driver;
pub mod jobs;
pub mod platform;
pub mod range;
pub mod transport;

#[cfg(test)]
mod fake;
