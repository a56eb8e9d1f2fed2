//! What the processor has after an exit, and what a guest begins with.

use core::arch::asm;

use loader::Entry;
use microkernel::arch::{cpu, gdt};
use x86_64::instructions::tables::{sgdt, sidt};
use x86_64::registers::control::{Cr0, Cr3, Cr4};

use super::VMXE;
use super::entry::postern_vmx_exit;
use super::vmcs::field::*;
use super::vmcs::write;

/// State at a kernel's first instruction: protection, paging, write protection, FPU errors native.
const CR0: u64 = 0x8001_0033;
const CR4: u64 = 1 << 5;
const EFER: u64 = 1 << 8 | 1 << 10 | 1 << 11;
const PAT: u64 = 0x0007_0406_0007_0406;
/// Segments: selector, limit, access rights (25.4.1): ES, CS, SS, DS, FS, GS, LDTR, TR.
const SEGMENTS: [(u64, u64, u64); 8] = {
    const DATA: (u64, u64, u64) = (16, 0xffff_ffff, 0xc093);
    [DATA, (8, 0xffff_ffff, 0xa09b), DATA, DATA, DATA, DATA, (0, 0, 1 << 16), (0x28, 0x67, 0x8b)]
};

/// The shim's own state, to which every exit returns (25.5).
pub fn write_host() {
    let (cr3, _) = Cr3::read_raw();
    write(HOST_CR0, Cr0::read_raw());
    write(HOST_CR3, cr3.start_address().as_u64());
    write(HOST_CR4, Cr4::read_raw());
    // SAFETY: these registers exist in long mode.
    let (efer, pat) = unsafe { (cpu::read_msr(0xc000_0080), cpu::read_msr(0x277)) };
    write(HOST_EFER, efer);
    write(HOST_PAT, pat);
    let data = u64::from(gdt::KERNEL_DATA);
    let task: u64;
    // SAFETY: STR only reads.
    unsafe { asm!("str {}", out(reg) task, options(nomem, nostack)) };
    // ES, CS, SS, DS, FS, GS, TR.
    let selectors = [data, gdt::KERNEL_CODE.into(), data, data, 0, 0, task & 0xffff];
    for (index, selector) in (0..).zip(selectors) {
        write(HOST_SELECTORS + 2 * index, selector);
    }
    write(HOST_TR_BASE, &raw const gdt::POSTERN_TSS as u64);
    write(HOST_GDTR_BASE, sgdt().base.as_u64());
    write(HOST_IDTR_BASE, sidt().base.as_u64());
    write(HOST_RIP, postern_vmx_exit as *const () as u64);
}

/// The state in which a loader enters a kernel.
pub fn write_guest(entry: &Entry) {
    for (index, (selector, limit, rights)) in (0..).zip(SEGMENTS) {
        write(GUEST_SELECTORS + 2 * index, selector);
        write(GUEST_LIMITS + 2 * index, limit);
        write(GUEST_RIGHTS + 2 * index, rights);
        write(GUEST_BASES + 2 * index, 0);
    }
    // Limits of GDTR and IDTR follow those of the segments, as do their bases.
    for index in [8, 9] {
        write(GUEST_LIMITS + 2 * index, 0);
        write(GUEST_BASES + 2 * index, 0);
    }
    for (field, value) in [
        (GUEST_CR0, CR0),
        (CR0_SHADOW, CR0),
        (GUEST_CR3, entry.page_tables),
        (GUEST_CR4, CR4 | VMXE),
        (CR4_SHADOW, CR4),
        (GUEST_EFER, EFER),
        (GUEST_PAT, PAT),
        (GUEST_DEBUG, 0),
        (GUEST_DR7, 0x400),
        (GUEST_RSP, 0),
        (GUEST_RIP, entry.kernel),
        (GUEST_RFLAGS, 2),
        (GUEST_PENDING_DEBUG, 0),
        (GUEST_SHADOW, 0),
        (GUEST_ACTIVITY, 0),
        (ENTRY_EVENT, 0),
    ] {
        write(field, value);
    }
}
