//! What the drivers of virtio devices share: how a device on the PCI bus is reached, and memory that it can reach.
//!
//! Read in this order: [`platform`] (what a driver needs from whoever links it), [`config`] and [`transport`] (registers and
//! interrupts), [`program`] (a program of Postern as the platform); `host` is a machine and a device for tests of drivers.
#![cfg_attr(target_os = "none", no_std)]
extern crate alloc;

pub mod config;
#[cfg(not(target_os = "none"))]
pub mod host;
pub mod pci;
pub mod platform;
pub mod program;
pub mod transport;
