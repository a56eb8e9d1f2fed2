//! The virtual machine control structure: its fields that are used (SDM 3D, appendix B), and the instructions that reach them.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Encodings of fields.
pub mod field {
    pub const VPID: u64 = 0x0000;
    pub const GUEST_SELECTORS: u64 = 0x0800;
    pub const HOST_SELECTORS: u64 = 0x0c00;
    pub const PORTS_LOW: u64 = 0x2000;
    pub const PORTS_HIGH: u64 = 0x2002;
    pub const REGISTERS: u64 = 0x2004;
    pub const EPT: u64 = 0x201a;
    pub const GUEST_PHYSICAL: u64 = 0x2400;
    pub const LINK: u64 = 0x2800;
    pub const GUEST_DEBUG: u64 = 0x2802;
    pub const GUEST_PAT: u64 = 0x2804;
    pub const GUEST_EFER: u64 = 0x2806;
    pub const HOST_PAT: u64 = 0x2c00;
    pub const HOST_EFER: u64 = 0x2c02;
    pub const PIN_CONTROLS: u64 = 0x4000;
    pub const CONTROLS: u64 = 0x4002;
    pub const EXCEPTIONS: u64 = 0x4004;
    pub const EXIT_CONTROLS: u64 = 0x400c;
    pub const ENTRY_CONTROLS: u64 = 0x4012;
    pub const ENTRY_EVENT: u64 = 0x4016;
    pub const ENTRY_ERROR: u64 = 0x4018;
    pub const ENTRY_LENGTH: u64 = 0x401a;
    pub const MORE_CONTROLS: u64 = 0x401e;
    pub const INSTRUCTION_ERROR: u64 = 0x4400;
    pub const EXIT_REASON: u64 = 0x4402;
    pub const EXIT_EVENT: u64 = 0x4404;
    pub const EXIT_ERROR: u64 = 0x4406;
    pub const VECTORING_EVENT: u64 = 0x4408;
    pub const VECTORING_ERROR: u64 = 0x440a;
    pub const EXIT_LENGTH: u64 = 0x440c;
    pub const GUEST_LIMITS: u64 = 0x4800;
    pub const GUEST_RIGHTS: u64 = 0x4814;
    pub const GUEST_SHADOW: u64 = 0x4824;
    pub const GUEST_ACTIVITY: u64 = 0x4826;
    pub const TIMER: u64 = 0x482e;
    pub const CR0_MASK: u64 = 0x6000;
    pub const CR4_MASK: u64 = 0x6002;
    pub const CR0_SHADOW: u64 = 0x6004;
    pub const CR4_SHADOW: u64 = 0x6006;
    pub const QUALIFICATION: u64 = 0x6400;
    pub const GUEST_CR0: u64 = 0x6800;
    pub const GUEST_CR3: u64 = 0x6802;
    pub const GUEST_CR4: u64 = 0x6804;
    pub const GUEST_BASES: u64 = 0x6806;
    pub const GUEST_DR7: u64 = 0x681a;
    pub const GUEST_RSP: u64 = 0x681c;
    pub const GUEST_RIP: u64 = 0x681e;
    pub const GUEST_RFLAGS: u64 = 0x6820;
    pub const GUEST_PENDING_DEBUG: u64 = 0x6822;
    pub const HOST_CR0: u64 = 0x6c00;
    pub const HOST_CR3: u64 = 0x6c02;
    pub const HOST_CR4: u64 = 0x6c04;
    pub const HOST_TR_BASE: u64 = 0x6c0a;
    pub const HOST_GDTR_BASE: u64 = 0x6c0c;
    pub const HOST_IDTR_BASE: u64 = 0x6c0e;
    pub const HOST_RSP: u64 = 0x6c14;
    pub const HOST_RIP: u64 = 0x6c16;
}

/// Physical address of the structure that the instructions reach; 0: none.
static CURRENT: AtomicU64 = AtomicU64::new(0);

/// From now on fields are those of the structure at `block`.
#[inline]
pub fn load(block: u64) {
    if CURRENT.load(Relaxed) != block {
        // SAFETY: `block` is a page of its own that `clear` has prepared; VMX is on.
        unsafe { asm!("vmptrld [{}]", in(reg) &raw const block, options(nostack)) };
        CURRENT.store(block, Relaxed);
    }
}

/// Prepares the page at `block`, which begins with the processor's revision.
pub fn clear(block: u64) {
    // SAFETY: a page of its own, zeroed but for the revision; VMX is on.
    unsafe { asm!("vmclear [{}]", in(reg) &raw const block, options(nostack)) };
}

/// Reads a field.
#[inline]
pub fn read(field: u64) -> u64 {
    let value;
    // SAFETY: a structure is loaded; the field exists (SDM 3D, appendix B).
    unsafe {
        asm!("vmread {value}, {field}", value = out(reg) value, field = in(reg) field, options(nomem, nostack))
    };
    value
}

/// Writes a field.
#[inline]
pub fn write(field: u64, value: u64) {
    // SAFETY: as in `read`. What the processor does not accept it refuses at the next entry.
    unsafe {
        asm!("vmwrite {field}, {value}", value = in(reg) value, field = in(reg) field, options(nostack))
    };
}

/// Forgets what the TLB knows of all guests (SDM 3C 29.4.3): INVEPT and INVVPID, all contexts.
pub fn flush() {
    let descriptor = [0u64; 2];
    // SAFETY: the processor has both in this form (`supported`).
    unsafe {
        asm!(
            "invept {all}, [{at}]",
            "invvpid {all}, [{at}]",
            all = in(reg) 2u64,
            at = in(reg) descriptor.as_ptr(),
            options(nostack),
        )
    };
}
