//! Registers that a guest uses and the shim does not: kept and put back when another guest runs.

use microkernel::arch::features::{Features, features};
use microkernel::arch::fpu;
use x86::msr::*;
use x86_64::registers::debug::{DebugAddressRegister, Dr0, Dr1, Dr2, Dr3};
use x86_64::registers::xcontrol::XCr0;

/// Control registers at a kernel's first instruction: protection, paging, write protection, FPU errors native.
pub const CR0: u64 = 0x8001_0033;
/// The same: physical address extension.
pub const CR4: u64 = 1 << 5;
/// The same: SYSCALL no, long mode, no-execute.
pub const EFER: u64 = 1 << 8 | 1 << 10 | 1 << 11;

/// MSRs that are the guest's own; VMLOAD and VMSAVE switch all of them, VT-x the first five.
pub const OWN: [u32; 10] = [
    IA32_SYSENTER_CS,
    IA32_SYSENTER_ESP,
    IA32_SYSENTER_EIP,
    IA32_FS_BASE,
    IA32_GS_BASE,
    IA32_STAR,
    IA32_LSTAR,
    IA32_CSTAR,
    IA32_FMASK,
    IA32_KERNEL_GSBASE,
];

/// Floating-point registers, extended control register 0, debug addresses.
pub struct Kept {
    area: fpu::Area,
    components: u64,
    debug: [u64; 4],
}

impl Default for Kept {
    /// As after reset.
    fn default() -> Self {
        let kept = Self { area: fpu::Area::uninit(), components: 1, debug: [0; 4] };
        kept.area.reset();
        kept
    }
}

impl Kept {
    /// Keeps what the processor has. The shim itself uses none of these registers (soft float), and runs with CR0.TS clear.
    pub fn save(&mut self) {
        if features().contains(Features::XSAVE) {
            // Read, not remembered: QEMU 7.2 lets a guest's XSETBV through.
            self.components = XCr0::read_raw();
            set_components(supported());
        }
        fpu::save(&self.area);
        self.debug = [Dr0::read(), Dr1::read(), Dr2::read(), Dr3::read()];
    }

    /// Puts it back.
    pub fn load(&self) {
        if features().contains(Features::XSAVE) {
            set_components(supported());
            fpu::restore(&self.area);
            set_components(self.components);
        } else {
            fpu::restore(&self.area);
        }
        // Debug addresses do nothing to the shim: DR7 is 0 while it runs (AMD APM 2, 15.6; SDM 3C 28.5.1).
        Dr0::write(self.debug[0]);
        Dr1::write(self.debug[1]);
        Dr2::write(self.debug[2]);
        Dr3::write(self.debug[3]);
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

/// Writes XCR0.
pub fn set_components(value: u64) {
    // SAFETY: XSAVE exists and CR4.OSXSAVE is set; the value is one that XCR0 took, or `legal`.
    unsafe { XCr0::write_raw(value) };
}
