//! The instructions that reach a virtual machine control structure. Its fields (SDM 3D, appendix B) have their names from the crate
//! `x86`.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

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
pub fn read(field: u32) -> u64 {
    let value;
    // SAFETY: a structure is loaded; the field exists (SDM 3D, appendix B).
    unsafe {
        asm!("vmread {value}, {field}", value = out(reg) value, field = in(reg) u64::from(field), options(nomem, nostack))
    };
    value
}

/// Writes a field.
#[inline]
pub fn write(field: u32, value: u64) {
    // SAFETY: as in `read`. What the processor does not accept it refuses at the next entry.
    unsafe {
        asm!("vmwrite {field}, {value}", value = in(reg) value, field = in(reg) u64::from(field), options(nostack))
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
