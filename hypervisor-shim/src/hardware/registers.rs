//! Registers that a guest uses and the shim does not: kept and put back when another guest runs.

use core::arch::asm;

use microkernel::arch::features::{Features, features};

/// Bytes of floating-point state with AVX (XCR0 = 7), and what FXSAVE writes.
const AREA: usize = 832;
/// MXCSR after reset, in both formats.
const MXCSR: (usize, u32) = (24, 0x1f80);
/// x87 control word after reset.
const FCW: u16 = 0x37f;

/// Floating-point registers, extended control register 0, debug addresses.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Kept {
    area: [u8; AREA],
    components: u64,
    debug: [u64; 4],
}

impl Kept {
    /// As after reset.
    pub fn new() -> Self {
        let mut area = [0; AREA];
        area[..2].copy_from_slice(&FCW.to_le_bytes());
        area[MXCSR.0..MXCSR.0 + 4].copy_from_slice(&MXCSR.1.to_le_bytes());
        Self { area, components: 1, debug: [0; 4] }
    }

    /// Keeps what the processor has.
    pub fn save(&mut self) {
        let area = &raw mut self.area;
        // SAFETY: the area is 64-byte aligned and as long as the state of the components x87, SSE and AVX. The shim itself uses
        // none of these registers (soft float). It runs with CR0.TS clear and CR4.OSXSAVE set where XSAVE exists.
        unsafe {
            if features().contains(Features::XSAVE) {
                // Read, not remembered: QEMU 7.2 lets a guest's XSETBV through.
                let (low, high): (u64, u64);
                asm!("xgetbv", in("ecx") 0, out("rax") low, out("rdx") high, options(nomem, nostack));
                self.components = low | high << 32;
                set_components(supported());
                asm!("xsave64 [{}]", in(reg) area, in("eax") 7, in("edx") 0, options(nostack));
            } else {
                asm!("fxsave64 [{}]", in(reg) area, options(nostack));
            }
            asm!(
                "mov {0}, dr0", "mov {1}, dr1", "mov {2}, dr2", "mov {3}, dr3",
                out(reg) self.debug[0], out(reg) self.debug[1],
                out(reg) self.debug[2], out(reg) self.debug[3],
                options(nomem, nostack),
            );
        }
    }

    /// Puts it back.
    pub fn load(&self) {
        let area = &raw const self.area;
        // SAFETY: as in `save`; the area holds what `save` or `new` wrote. Debug addresses do nothing to the shim: DR7 is 0 while
        // it runs (AMD APM 2, 15.6; SDM 3C 28.5.1).
        unsafe {
            if features().contains(Features::XSAVE) {
                set_components(supported());
                asm!("xrstor64 [{}]", in(reg) area, in("eax") 7, in("edx") 0, options(nostack));
                set_components(self.components);
            } else {
                asm!("fxrstor64 [{}]", in(reg) area, options(nostack));
            }
            asm!(
                "mov dr0, {0}", "mov dr1, {1}", "mov dr2, {2}", "mov dr3, {3}",
                in(reg) self.debug[0], in(reg) self.debug[1],
                in(reg) self.debug[2], in(reg) self.debug[3],
                options(nomem, nostack),
            );
        }
    }

    /// The running guest writes XCR0, which must be [`legal`].
    pub fn set_components(&self, value: u64) {
        // SAFETY: `legal` said so.
        unsafe { set_components(value) };
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self::new()
    }
}

/// Components that a guest may have.
fn supported() -> u64 {
    if features().contains(Features::AVX) { 7 } else { 3 }
}

/// Whether a guest may write this to XCR0 (SDM 1, 13.3): x87 always, AVX only with SSE.
pub fn legal(value: u64) -> bool {
    features().contains(Features::XSAVE) && value & !supported() == 0 && matches!(value, 1 | 3 | 7)
}

/// # Safety
/// XSAVE exists and is on, and the value is one that XCR0 takes.
unsafe fn set_components(value: u64) {
    // SAFETY: as the caller promises.
    unsafe {
        asm!("xsetbv", in("ecx") 0, in("eax") value as u32, in("edx") (value >> 32) as u32, options(nomem, nostack))
    };
}
