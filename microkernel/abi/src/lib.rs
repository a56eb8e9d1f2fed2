//! The kernel's interface: every number that kernel and user programs must agree on, and nothing else.
//!
//! Read in this order: [`tag`] (how a system call says what it wants), [`error`] (how it fails), [`object`]
//! (kinds, rights and operations of kernel objects), [`buffer`] (the message buffer), [`fault`], [`root`] (what
//! the first program finds).
#![no_std]
#![forbid(unsafe_code)]

pub mod buffer;
pub mod error;
pub mod fault;
pub mod object;
pub mod root;
pub mod tag;
pub mod trace;

pub use error::Error;
pub use object::{Kind, Rights};
pub use tag::{Message, Op, Tag};

/// First address that no mapping may reach (the last page of the lower half stays empty: a SYSCALL in its last
/// two bytes would return to a non-canonical address; AMD APM 3, SYSRET).
pub const USER_END: u64 = 0x7fff_ffff_f000;

/// Page size in bytes.
pub const PAGE: u64 = 4096;

/// Most bytes one lease copy moves; the stub loops.
pub const COPY_LIMIT: u64 = 64 << 10;
