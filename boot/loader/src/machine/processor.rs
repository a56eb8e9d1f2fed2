//! The processor: what it must have, how it is set up, and the jump into the kernel.

use core::arch::asm;

use raw_cpuid::CpuId;
use x86_64::registers::control::{Cr0, Cr0Flags, Efer, EferFlags};

use crate::{Entry, Error};

/// Checks the features that the kernel needs on every machine. (Long mode was checked in `start.s`.)
pub fn check() -> Result<(), Error> {
    let cpuid = CpuId::new();
    let basic = cpuid.get_feature_info();
    let basic = basic.as_ref();
    let extended = cpuid.get_extended_processor_and_feature_identifiers();
    let extended = extended.as_ref();
    let features = [
        ("MSR", basic.is_some_and(|f| f.has_msr())),
        ("TSC", basic.is_some_and(|f| f.has_tsc())),
        ("APIC", basic.is_some_and(|f| f.has_apic())),
        ("PAT", basic.is_some_and(|f| f.has_pat())),
        ("NX", extended.is_some_and(|f| f.has_execute_disable())),
        ("SYSCALL", extended.is_some_and(|f| f.has_syscall_sysret())),
    ];
    match features.into_iter().find(|(_, present)| !present) {
        Some((name, _)) => Err(Error::Processor(name)),
        None => Ok(()),
    }
}

/// Turns on what `bootinfo` promises: no-execute pages, and read-only pages that bind the kernel too.
///
/// # Safety
/// [`check`] must have succeeded, and the loader must not write to read-only pages (its own map has none).
pub unsafe fn prepare() {
    // SAFETY: NX exists (`check`); write protection changes nothing for a map without read-only pages.
    unsafe {
        Efer::update(|flags| flags.insert(EferFlags::NO_EXECUTE_ENABLE));
        Cr0::update(|flags| flags.insert(Cr0Flags::WRITE_PROTECT));
    }
}

/// Jumps into the kernel.
///
/// # Safety
/// `entry` must come from [`crate::load`] on this machine: its tables map the loader where it runs (the low 4 GiB)
/// and the kernel where it is linked.
pub unsafe fn enter(entry: Entry) -> ! {
    // SAFETY: the instructions after the write to CR3 are still mapped, and nothing of the loader is needed after
    // the jump (caller). Interrupts are off and the direction flag is clear since `start.s`.
    unsafe {
        asm!(
            "mov cr3, {tables}",
            "jmp {kernel}",
            tables = in(reg) entry.page_tables,
            kernel = in(reg) entry.kernel,
            in("rdi") entry.boot_info,
            in("rsi") entry.boot_info_size,
            options(noreturn),
        )
    }
}
