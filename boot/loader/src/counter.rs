//! Whether a processor has a counter of core cycles (SDM 3B 20.2, "Architectural Performance Monitoring").

use core::arch::x86_64::CpuidResult;

/// CPUID's leaf about it.
pub const LEAF: u32 = 0xa;

/// The number of the fixed-function counter that counts core cycles while the processor is not halted (SDM 3B 20.2.2).
const CORE_CYCLES: u32 = 1;

/// What [`LEAF`] says, where the greatest leaf is `greatest`: a leaf beyond says nothing.
pub fn counts_core_cycles(greatest: u32, leaf: CpuidResult) -> bool {
    let version = leaf.eax & 0xff;
    // Fixed counters are there from version 2 on: so many, or from version 5 on those of a mask, too (SDM 3B 20.2.5.2).
    let is_one_of = leaf.edx & 0x1f > CORE_CYCLES;
    let is_in_mask = version >= 5 && leaf.ecx & 1 << CORE_CYCLES != 0;
    greatest >= LEAF && version >= 2 && (is_one_of || is_in_mask)
}
