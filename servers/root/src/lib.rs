//! Root: the first program. It builds the system from the manifest and then serves memory and supervises.
//!
//! Read in this order: [`slots`] (what lies where in root's table), [`system`] (how the system is built),
//! [`program`] and [`load`] (how one program is), [`device`] and [`pci`] (its hardware), [`serve`] (the message
//! loop) with [`memory`] and [`control`], [`fault`], [`death`] and [`restart`] (what happens when a program dies), [`children`] (programs that programs start).
//!
//! Rules kept everywhere: root calls nobody but the kernel; what a client sends is checked before anything changes,
//! and never makes root panic; what a program uses comes from its own budget, so one REVOKE takes it all back.
#![cfg_attr(target_os = "none", no_std)]
#![deny(unsafe_code)]
extern crate alloc;

pub mod archive;
pub mod budget;
pub mod caps;
pub mod channel;
pub mod children;
pub mod control;
pub mod death;
pub mod device;
pub mod elf;
pub mod fault;
pub mod layout;
pub mod load;
pub mod log;
pub mod memory;
pub mod pci;
pub mod power;
pub mod problem;
pub mod program;
pub mod relayed;
pub mod restart;
pub mod screen;
pub mod serve;
pub mod shared;
pub mod slots;
pub mod system;
pub mod window;
