//! What every user program links.
//!
//! A program: [`entry!`] names its start; [`handle::Handle`] is an open name; [`println!`] writes to the console. A server:
//! implement [`serve::Server`] and call [`serve::serve`]. Below them, in this order: [`syscall`] (the ways into the
//! kernel), [`object`] (kernel objects), [`lease`], [`rt`] (start and end), [`proto`] (the wire protocols).
#![cfg_attr(target_os = "none", no_std)]
extern crate alloc;

pub mod cap;
pub mod fs;
pub mod handle;
pub mod heap;
pub mod input;
pub mod lease;
pub mod net;
pub mod object;
pub mod print;
pub mod process;
pub mod proto;
pub mod registers;
pub mod rt;
pub mod serve;
pub mod shared;
pub mod slots;
pub mod sync;
pub mod syscall;
pub mod thread;
pub mod time;
pub mod trace;

mod request;
mod session;
