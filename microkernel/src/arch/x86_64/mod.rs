//! x86_64: the only place for instructions, page-table bits and descriptor tables.

pub mod apic;
#[cfg(all(feature = "check-fast-path", target_os = "none"))]
pub mod checked;
pub mod clock;
pub mod cpu;
pub mod entry;
pub mod fastpath;
pub mod features;
pub mod fpu;
pub mod frame;
pub mod gdt;
#[cfg(not(target_os = "none"))]
pub mod host;
pub mod idt;
pub mod ioapic;
pub mod mmio;
pub mod paging;
pub mod panic;
pub mod port;
pub mod serial;

use spin::Once;

use crate::thread::ThreadRef;

/// Whether this is the kernel itself, or the core under test on a host.
pub const BARE: bool = cfg!(target_os = "none");

/// Tells the processor which thread runs: its traps are saved in that thread's frame.
#[inline]
pub fn set_current(thread: ThreadRef) {
    #[cfg(target_os = "none")]
    gdt::set_trap_stack(thread.address());
    #[cfg(not(target_os = "none"))]
    host::set_machine(|machine| machine.current = Some(thread));
}

/// The thread that runs, as the processor knows it; `None` on a host before the first [`set_current`].
#[inline]
pub fn current() -> Option<ThreadRef> {
    #[cfg(not(target_os = "none"))]
    return host::machine().current;
    // SAFETY: `set_current` and the fast path write only addresses of live threads there.
    #[cfg(target_os = "none")]
    Some(unsafe { crate::raw::Ref::from_address(gdt::trap_stack()) })
}

/// Physical memory that no device frame may name: RAM and the interrupt controllers.
static PROTECTED: Once<heapless::Vec<(u64, u64), 96>> = Once::new();

/// Sets the ranges (start, size) that [`is_protected`] knows. Once, at boot.
pub fn protect(ranges: heapless::Vec<(u64, u64), 96>) {
    PROTECTED.call_once(|| ranges);
}

/// Whether a physical range touches memory or an interrupt controller.
pub fn is_protected(physical: u64, size: u64) -> bool {
    PROTECTED.get().is_none_or(|ranges| {
        ranges.iter().any(|&(start, length)| physical < start + length && start < physical + size)
    })
}
