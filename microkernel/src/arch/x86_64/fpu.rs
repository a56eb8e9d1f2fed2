//! The x87, SSE and AVX registers (SDM 1, chapter 13). The kernel itself never uses them.
//!
//! While a thread with the FPU right runs they are its own. At all other times they hold the initial state and CR0.TS is
//! set, so that touching them is exception 7 (#NM). Nothing is switched lazily: a thread's values never lie in the
//! registers while another runs, not even for speculation to see (CVE-2018-3665).

use core::{arch::asm, cell::UnsafeCell, mem::MaybeUninit};

use x86_64::registers::{
    control::{Cr0, Cr0Flags},
    xcontrol::{XCr0, XCr0Flags},
};

use super::{
    BARE,
    features::{Features, features},
};

/// Bytes of the saved registers: the FXSAVE area, the XSAVE header, the upper halves of the AVX registers.
const SIZE: usize = 832;
const LEGACY: usize = 512;
const HEADER: usize = 64;
/// Offsets in the area and what they hold initially (SDM 1, table 13-1 and 13.6). All else is 0.
const CONTROL_WORD: (usize, [u8; 2]) = (0, 0x037f_u16.to_le_bytes());
const MXCSR: (usize, [u8; 4]) = (24, 0x1f80_u32.to_le_bytes());

/// Where a thread's registers are saved while it does not run.
#[repr(C, align(64))]
pub struct Area(UnsafeCell<MaybeUninit<[u8; SIZE]>>);

struct Initial(Area);
// SAFETY: only read.
unsafe impl Sync for Initial {}
static INITIAL: Initial = Initial(Area(UnsafeCell::new(MaybeUninit::new(initial()))));

const fn initial() -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    (bytes[CONTROL_WORD.0], bytes[CONTROL_WORD.0 + 1]) = (CONTROL_WORD.1[0], CONTROL_WORD.1[1]);
    (bytes[MXCSR.0], bytes[MXCSR.0 + 1]) = (MXCSR.1[0], MXCSR.1[1]);
    bytes
}

impl Area {
    /// Not usable before [`Area::reset`].
    pub const fn uninit() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }

    /// Makes it hold the initial state.
    pub fn reset(&self) {
        // SAFETY: one CPU; the kernel holds no reference into an area.
        unsafe { (*self.0.get()).write(initial()) };
    }
}

/// Lets programs use the registers where the kernel allows it, and makes them hold the initial state. CR4 is set.
pub fn init() {
    if features().contains(Features::XSAVE) {
        let mut components = XCr0Flags::X87 | XCr0Flags::SSE;
        components.set(XCr0Flags::AVX, features().contains(Features::AVX));
        // SAFETY: CPUID announced XSAVE and AVX, and CR4.OSXSAVE is set.
        unsafe { XCr0::write(components) };
    }
    clear();
}

/// A thread with these saved registers is about to run.
pub fn enter(area: &Area) {
    if BARE {
        // SAFETY: changes CR0.TS only, which is for programs.
        unsafe { asm!("clts", options(nomem, nostack, preserves_flags)) };
        restore(area);
    }
}

/// The thread whose registers are to be saved here does not run any more.
pub fn leave(area: &Area) {
    if BARE {
        save(area);
        clear();
    }
}

/// The initial state, and no access.
fn clear() {
    // SAFETY: the registers are nobody's; FNINIT clears what restoring may leave on some processors (the addresses of
    // the last x87 instruction and its operand).
    unsafe { asm!("clts", "fninit", options(nomem, nostack)) };
    restore(&INITIAL.0);
    // SAFETY: CR0.TS is for programs; the kernel does not use what it guards.
    unsafe { Cr0::update(|cr0| cr0.insert(Cr0Flags::TASK_SWITCHED)) };
}

/// Keeps the registers (of the components in XCR0). The hypervisor shim uses it, too.
pub fn save(area: &Area) {
    let area = area.0.get();
    // SAFETY: the area is big enough for the components in XCR0, aligned, and its header was written by `reset`.
    unsafe {
        if features().contains(Features::XSAVE) {
            asm!("xsave64 [{}]", in(reg) area, in("eax") u32::MAX, in("edx") u32::MAX, options(nostack, preserves_flags));
        } else {
            asm!("fxsave64 [{}]", in(reg) area, options(nostack, preserves_flags));
        }
    }
}

/// Puts back what [`save`] kept.
pub fn restore(area: &Area) {
    let area = area.0.get();
    // SAFETY: the area was written by `reset` and `save` alone, so nothing reserved is set. The kernel keeps nothing in
    // these registers.
    unsafe {
        if features().contains(Features::XSAVE) {
            asm!("xrstor64 [{}]", in(reg) area, in("eax") u32::MAX, in("edx") u32::MAX, options(nostack, readonly, preserves_flags));
        } else {
            asm!("fxrstor64 [{}]", in(reg) area, options(nostack, readonly, preserves_flags));
        }
    }
}

const _: () = assert!(SIZE == LEGACY + HEADER + 16 * 16);
