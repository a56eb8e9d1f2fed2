//! Single instructions, and the processor's set-up.

use core::arch::asm;

use x86_64::registers::{
    control::{Cr0, Cr0Flags, Cr4, Cr4Flags, Efer, EferFlags},
    model_specific::{LStar, Msr, SFMask, Star},
    rflags::RFlags,
    segmentation::SegmentSelector,
};

use super::{
    BARE, entry,
    features::{self, Features},
    fpu, gdt,
};

/// The time stamp counter.
#[inline(always)]
pub fn now() -> u64 {
    #[cfg(not(target_os = "none"))]
    return super::host::machine().now;
    // SAFETY: RDTSC only reads a counter.
    #[cfg(target_os = "none")]
    unsafe {
        core::arch::x86_64::_rdtsc()
    }
}

/// The address of the last page fault.
pub fn fault_address() -> u64 {
    #[cfg(not(target_os = "none"))]
    return super::host::machine().fault_address;
    #[cfg(target_os = "none")]
    x86_64::registers::control::Cr2::read_raw()
}

/// Copies bytes, by words first.
///
/// # Safety
/// Both ranges are valid memory for `length` bytes, the target is writable, and Rust holds no reference into it.
#[inline]
pub unsafe fn copy(from: u64, to: u64, length: u64) {
    // SAFETY: as the caller promises; the direction flag is clear in the kernel.
    unsafe {
        asm!(
            "rep movsq",
            "mov rcx, {rest}",
            "rep movsb",
            rest = in(reg) length & 7,
            inout("rcx") length >> 3 => _,
            inout("rsi") from => _,
            inout("rdi") to => _,
            options(nostack, preserves_flags),
        );
    }
}

/// Copies words.
///
/// # Safety
/// As [`copy`], for `8 * count` bytes.
#[inline]
pub unsafe fn copy_words(from: u64, to: u64, count: usize) {
    // SAFETY: as the caller promises; the direction flag is clear in the kernel.
    unsafe {
        asm!(
            "rep movsq",
            inout("rcx") count => _,
            inout("rsi") from => _,
            inout("rdi") to => _,
            options(nostack, preserves_flags),
        );
    }
}

/// Every load and store before it is done.
pub fn fence() {
    // SAFETY: MFENCE only orders memory accesses.
    unsafe { asm!("mfence", options(nostack, preserves_flags)) };
}

/// Waits for an interrupt with an empty kernel stack; never returns to the caller.
pub fn halt() -> ! {
    loop {
        x86_64::instructions::interrupts::disable();
        x86_64::instructions::hlt();
    }
}

/// Sets up control registers and SYSCALL with what CPUID announces.
pub fn init() {
    set_control_registers(features::detect());
    fpu::init();
    set_fast_path(true);
    // SYSRET loads CS from the upper half + 16 and SS from it + 8, with RPL 3 (SDM 3A 5.8.8).
    let selectors = Star::write(
        SegmentSelector(gdt::USER_CODE),
        SegmentSelector(gdt::USER_DATA),
        SegmentSelector(gdt::KERNEL_CODE),
        SegmentSelector(gdt::KERNEL_DATA),
    );
    debug_assert!(selectors.is_ok());
    SFMask::write(
        RFlags::INTERRUPT_FLAG
            | RFlags::TRAP_FLAG
            | RFlags::DIRECTION_FLAG
            | RFlags::ALIGNMENT_CHECK
            | RFlags::NESTED_TASK
            | RFlags::IOPL_LOW
            | RFlags::IOPL_HIGH,
    );
}

/// CR0, CR4 and EFER, with those of the features that they switch. CR4 is written whole: what firmware
/// left on (FSGSBASE) is off, but for PCE, which the loader sets where a measurement asks for it (`bootinfo::cycles`).
pub fn set_control_registers(features: Features) {
    let mut cr4 =
        Cr4Flags::PHYSICAL_ADDRESS_EXTENSION | Cr4Flags::OSFXSR | Cr4Flags::OSXMMEXCPT_ENABLE;
    for (feature, flag) in [
        (Features::GLOBAL, Cr4Flags::PAGE_GLOBAL),
        // CR3 holds the loader's root, whose low 12 bits are 0 (SDM 3A 4.10.1).
        (Features::PCID, Cr4Flags::PCID),
        (Features::SMEP, Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION),
        (Features::SMAP, Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION),
        (Features::UMIP, Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION),
        (Features::XSAVE, Cr4Flags::OSXSAVE),
    ] {
        cr4.set(flag, features.contains(feature));
    }
    cr4 |= Cr4::read() & Cr4Flags::PERFORMANCE_MONITOR_COUNTER;
    // SAFETY: paging stays on; the flags set were announced by CPUID.
    unsafe {
        Cr0::write(
            Cr0Flags::PROTECTED_MODE_ENABLE
                | Cr0Flags::NUMERIC_ERROR
                | Cr0Flags::EXTENSION_TYPE
                | Cr0Flags::TASK_SWITCHED
                | Cr0Flags::MONITOR_COPROCESSOR
                | Cr0Flags::WRITE_PROTECT
                | Cr0Flags::PAGING,
        );
        Cr4::write(cr4);
        Efer::update(|efer| {
            *efer |= EferFlags::SYSTEM_CALL_EXTENSIONS | EferFlags::NO_EXECUTE_ENABLE
        });
    }
}

/// Lets system calls try the fast path, or not. What they do is the same; tests compare both.
pub fn set_fast_path(on: bool) {
    if BARE {
        LStar::write(x86_64::VirtAddr::new(entry::syscall_address(on)));
    }
}

/// Writes a model-specific register.
///
/// # Safety
/// The register exists and the value keeps the kernel's assumptions.
pub unsafe fn write_msr(register: u32, value: u64) {
    // SAFETY: as the caller promises.
    unsafe { Msr::new(register).write(value) }
}

/// Reads a model-specific register.
///
/// # Safety
/// The register exists.
pub unsafe fn read_msr(register: u32) -> u64 {
    // SAFETY: as the caller promises.
    unsafe { Msr::new(register).read() }
}
