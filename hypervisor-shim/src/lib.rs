//! The hypervisor shim: several kernels on one machine, each in a partition of its own, none of them noticing the others.
//!
//! It is booted by the loader in the kernel's place. A guest runs at full speed: system calls, messages, page faults, changes of
//! CR3 and of page tables do not stop it. It stops for what it must not do alone, and for what does not exist for it; that is
//! all there is to read here.
//!
//! # Reading order
//! [`pool`], [`partition`] and [`nested`] (whose memory is whose), [`sched`] (whose turn it is), [`exits`] and [`vcpu`] (why a guest
//! stops, and what can be done with it then), [`instance`] (a guest), [`machine`] (all of them, and the answer to every exit),
//! then what a guest sees: [`cpuid`], [`msr`], [`ports`], [`uart`], [`rtc`], [`lines`], [`channel`], [`pci`], [`console`], the
//! one instruction that is decoded ([`decode`]). None of these touches the machine, and the tests run them on the host.
//! [`hardware`] is the machine: the only place for `unsafe`.
#![no_std]
#![deny(unsafe_code)]

pub mod channel;
pub mod console;
pub mod cpuid;
pub mod decode;
pub mod exits;
#[allow(unsafe_code)]
pub mod hardware;
pub mod instance;
pub mod lines;
pub mod machine;
pub mod msr;
pub mod nested;
pub mod partition;
pub mod pci;
pub mod pool;
pub mod ports;
pub mod rtc;
pub mod sched;
pub mod setup;
pub mod uart;
pub mod vcpu;

pub use bootinfo::shim::INSTANCES;

/// A number with these bits set.
pub(crate) const fn bits(set: &[u32]) -> u64 {
    let (mut value, mut index) = (0, 0);
    while index < set.len() {
        value |= 1 << set[index];
        index += 1;
    }
    value
}

#[cfg(test)]
#[macro_use]
extern crate std;
#[cfg(test)]
mod testing;
