//! The network: a driver of virtio network devices (virtio 1.2, 5.1), and TCP/IP over it (`smoltcp`).
//!
//! Read in this order: [`frames`] (what the stack wants of a device, and `net:`), [`driver`] (such a device), [`name`] (what
//! names mean), [`network`] (addresses, by DHCP or arguments, and DNS), [`tcp`], [`udp`] and [`ping`] (sockets), [`session`]
//! (what is open), [`stack`] (all of it, and who waits for what), [`server`] (the message loop).
#![cfg_attr(target_os = "none", no_std)]
#![deny(unsafe_code)]
extern crate alloc;

#[allow(unsafe_code, reason = "DMA: memory that the device writes")]
pub mod driver;
pub mod frames;
pub mod name;
pub mod network;
pub mod ping;
pub mod server;
pub mod session;
pub mod stack;
pub mod tcp;
pub mod udp;

#[cfg(test)]
#[allow(unsafe_code, reason = "a device writes the driver's memory")]
mod device;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
