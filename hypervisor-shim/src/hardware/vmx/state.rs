//! What the processor has after an exit, and what a guest begins with.

use loader::Entry;
use microkernel::arch::gdt;
use x86::msr::{IA32_EFER, IA32_PAT};
use x86::vmx::vmcs::{control, guest, host};
use x86_64::instructions::tables::{sgdt, sidt};
use x86_64::registers::control::{Cr0, Cr3, Cr4};

use super::VMXE;
use super::entry::postern_vmx_exit;
use super::vmcs::write;
use crate::hardware::processor::{Identity, Real};
use crate::hardware::registers::{CR0, CR4, EFER};
use crate::msr::PAT_VALUE;

/// Segments: selector, limit, access rights (25.4.1): ES, CS, SS, DS, FS, GS, LDTR, TR.
const SEGMENTS: [(u64, u64, u64); 8] = {
    const DATA: (u64, u64, u64) = (16, 0xffff_ffff, 0xc093);
    [DATA, (8, 0xffff_ffff, 0xa09b), DATA, DATA, DATA, DATA, (0, 0, 1 << 16), (0x28, 0x67, 0x8b)]
};

/// The shim's own state, to which every exit returns (25.5).
pub fn write_host() {
    let (cr3, _) = Cr3::read_raw();
    write(host::CR0, Cr0::read_raw());
    write(host::CR3, cr3.start_address().as_u64());
    write(host::CR4, Cr4::read_raw());
    write(host::IA32_EFER_FULL, Real.msr(IA32_EFER));
    write(host::IA32_PAT_FULL, Real.msr(IA32_PAT));
    // ES, CS, SS, DS, FS, GS, TR.
    let data = u64::from(gdt::KERNEL_DATA);
    // SAFETY: STR only reads.
    let task = u64::from(unsafe { x86::task::tr() }.bits());
    let selectors = [data, gdt::KERNEL_CODE.into(), data, data, 0, 0, task];
    for (index, selector) in (0..).zip(selectors) {
        write(host::ES_SELECTOR + 2 * index, selector);
    }
    write(host::TR_BASE, &raw const gdt::POSTERN_TSS as u64);
    write(host::GDTR_BASE, sgdt().base.as_u64());
    write(host::IDTR_BASE, sidt().base.as_u64());
    write(host::RIP, postern_vmx_exit as *const () as u64);
}

/// The state in which a loader enters a kernel.
pub fn write_guest(entry: &Entry) {
    for (index, (selector, limit, rights)) in (0..).zip(SEGMENTS) {
        write(guest::ES_SELECTOR + 2 * index, selector);
        write(guest::ES_LIMIT + 2 * index, limit);
        write(guest::ES_ACCESS_RIGHTS + 2 * index, rights);
        write(guest::ES_BASE + 2 * index, 0);
    }
    // Limits of GDTR and IDTR follow those of the segments, as do their bases.
    for index in [8, 9] {
        write(guest::ES_LIMIT + 2 * index, 0);
        write(guest::ES_BASE + 2 * index, 0);
    }
    for (field, value) in [
        (guest::CR0, CR0),
        (control::CR0_READ_SHADOW, CR0),
        (guest::CR3, entry.page_tables),
        (guest::CR4, CR4 | VMXE),
        (control::CR4_READ_SHADOW, CR4),
        (guest::IA32_EFER_FULL, EFER),
        (guest::IA32_PAT_FULL, PAT_VALUE),
        (guest::IA32_DEBUGCTL_FULL, 0),
        (guest::DR7, 0x400),
        (guest::RSP, 0),
        (guest::RIP, entry.kernel),
        (guest::RFLAGS, 2),
        (guest::PENDING_DBG_EXCEPTIONS, 0),
        (guest::INTERRUPTIBILITY_STATE, 0),
        (guest::ACTIVITY_STATE, 0),
        (control::VMENTRY_INTERRUPTION_INFO_FIELD, 0),
    ] {
        write(field, value);
    }
}
