//! Postern's kernel: it carries messages between protected programs and turns traps into messages.
//!
//! # Principles
//! - Everything is a message to a capability: an endpoint (a server answers) or a kernel object (the kernel answers).
//! - Decode, then act: a system call that fails has changed nothing.
//! - The kernel has no heap. All its memory is inside objects that user programs paid for with Untyped.
//! - An object lives exactly as long as its original capability; every other capability to it descends from that one.
//! - Every entry does bounded work; long operations return `Again` and the caller's stub loops.
//! - User input never panics the kernel.
//!
//! # Reading order
//! [`raw`] and [`object`] (how objects are pointed at), [`slot`] and [`tree`] (capabilities and who descends from whom),
//! [`captable`] (what can be done with them), [`untyped`] and [`lifetime`] (how objects begin and end), [`thread`],
//! [`endpoint`] and [`ipc`] (the rendezvous), [`sched`], [`deadlines`] and [`timer`] (who runs), [`space`] and [`usermem`]
//! (address spaces, leases), [`irq`] and [`trap`] (interrupts and faults as messages), [`invoke`] and [`syscall`]
//! (decode, act, encode), and last `arch::x86_64` (all the machine there is) and `main.rs` (boot, one line a step).
#![cfg_attr(target_os = "none", no_std)]

pub mod arch;
pub mod boot;
pub mod captable;
pub mod deadlines;
pub mod endpoint;
pub mod invoke;
pub mod ipc;
pub mod irq;
pub mod kernel;
pub mod lifetime;
pub mod log;
pub mod mem;
pub mod object;
pub mod queue;
pub mod raw;
pub mod sched;
pub mod slot;
pub mod space;
pub mod syscall;
pub mod thread;
pub mod timer;
pub mod trace;
pub mod transfer;
pub mod trap;
pub mod tree;
pub mod untyped;
pub mod usermem;

pub use kernel::Kernel;
