//! The machine. One architecture, so a module with a contract instead of a trait.
//!
//! The core calls: [`set_current`], [`cpu::now`], [`cpu::copy`], [`cpu::fault_address`], [`paging`], [`apic`],
//! [`ioapic`], [`port`], [`serial`], [`fpu`]. On the host ([`BARE`] is false) privileged instructions are left out, and `host`
//! stands in for what they would ask, so that tests can run the core.

mod x86_64;
pub use x86_64::*;
