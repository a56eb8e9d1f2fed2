//! Whether a processor counts core cycles: what the leaf of processors says, and what a damaged one could.

use core::arch::x86_64::CpuidResult;

use loader::counter::{LEAF, counts_core_cycles};

fn leaf([eax, ebx, ecx, edx]: [u32; 4]) -> CpuidResult {
    CpuidResult { eax, ebx, ecx, edx }
}

#[test]
fn processors_that_have_the_counter() {
    for (name, registers) in [
        ("Core 2 (Penryn)", [0x0728_0202, 0, 0, 0x503]),
        ("Core i7 (Haswell)", [0x0730_0403, 0, 0, 0x603]),
        ("Core (Ice Lake)", [0x0830_0805, 0, 0xf, 0x8604]),
    ] {
        assert!(counts_core_cycles(0x16, leaf(registers)), "{name}");
    }
    let by_mask = leaf([0x0830_0805, 0, 0b10, 0]);
    assert!(counts_core_cycles(LEAF, by_mask));
}

#[test]
fn processors_that_do_not() {
    for (name, greatest, registers) in [
        ("AMD, and QEMU's emulation", 0x10, [0; 4]),
        (
            "version 1: no fixed counters",
            0xa,
            [0x0728_0201, 0, 0, 0x503],
        ),
        ("only counter 0", 0xa, [0x0730_0403, 0, 0, 0x601]),
        // ECX says something from version 5 on.
        (
            "counter 1 in a reserved mask",
            0xa,
            [0x0730_0404, 0, 2, 0x600],
        ),
        (
            "a mask without counter 1",
            0x1f,
            [0x0830_0805, 0, 0b1101, 0x600],
        ),
        // A leaf beyond the greatest shows another one's registers (SDM 2A "CPUID").
        ("no such leaf", LEAF - 1, [0x0730_0403, 0, 0, 0x603]),
    ] {
        assert!(!counts_core_cycles(greatest, leaf(registers)), "{name}");
    }
}
