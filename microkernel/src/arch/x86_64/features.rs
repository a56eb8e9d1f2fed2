//! What the processor can do, as CPUID says. (Not as control registers say: QEMU's emulation takes CR4.PCIDE and x2APIC
//! registers without having either.)

use bootinfo::shim;
use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

bitflags::bitflags! {
    /// Features the kernel uses where they exist. It does the same without, by other means.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Features: u32 {
        /// The kernel half stays in the TLB when the space changes.
        const GLOBAL = 1;
        /// So do the entries of the space that is left.
        const PCID = 1 << 1;
        /// Entries of another space can be flushed one by one.
        const INVPCID = 1 << 2;
        /// The kernel cannot execute user pages.
        const SMEP = 1 << 3;
        /// The kernel cannot touch user pages.
        const SMAP = 1 << 4;
        /// User programs cannot read descriptor table registers.
        const UMIP = 1 << 5;
        /// The local APIC's registers are model-specific registers.
        const X2APIC = 1 << 6;
        /// The APIC timer takes TSC values.
        const TSC_DEADLINE = 1 << 7;
        /// Floating-point registers are saved by components.
        const XSAVE = 1 << 8;
        /// One of them is the upper halves of the AVX registers.
        const AVX = 1 << 9;
        /// The hypervisor shim is below: it keeps the interrupt controllers (`bootinfo::shim`).
        const SHIM = 1 << 10;
    }
}

static FOUND: AtomicU32 = AtomicU32::new(0);

/// What [`detect`] found. On a host, what the test's machine has.
#[inline]
pub fn features() -> Features {
    #[cfg(not(target_os = "none"))]
    return super::host::machine().features;
    #[cfg(target_os = "none")]
    Features::from_bits_retain(FOUND.load(Relaxed))
}

/// Asks CPUID. Once, at boot.
pub fn detect() -> Features {
    let cpuid = raw_cpuid::CpuId::new();
    let mut found = Features::empty();
    if let Some(basic) = cpuid.get_feature_info() {
        found.set(Features::GLOBAL, basic.has_pge());
        found.set(Features::PCID, basic.has_pcid());
        found.set(Features::X2APIC, basic.has_x2apic());
        found.set(Features::TSC_DEADLINE, basic.has_tsc_deadline());
        found.set(Features::XSAVE, basic.has_xsave());
        found.set(Features::AVX, basic.has_xsave() && basic.has_avx());
    }
    if let Some(extended) = cpuid.get_extended_feature_info() {
        found.set(Features::INVPCID, extended.has_invpcid());
        found.set(Features::SMEP, extended.has_smep());
        found.set(Features::SMAP, extended.has_smap());
        found.set(Features::UMIP, extended.has_umip());
    }
    let shim = core::arch::x86_64::__cpuid(shim::LEAF);
    found.set(Features::SHIM, [shim.ebx, shim.ecx, shim.edx] == shim::SIGNATURE);
    FOUND.store(found.bits(), Relaxed);
    found
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bitflags::parser::to_writer(self, f)
    }
}
