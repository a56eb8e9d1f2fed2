//! What a guest is told about its processor: what the kernel uses, and nothing that would not work (SDM 2A, "CPUID").

use bootinfo::shim;

use crate::bits;

/// Leaf 1, ECX: MONITOR, VMX, SMX, debug store and performance, x2APIC; what hides is what a guest cannot use.
const HIDDEN_1_ECX: u32 = bits(&[2, 3, 5, 6, 15, 21]) as u32;
const TSC_DEADLINE: u32 = 1 << 24;
const OSXSAVE: u32 = 1 << 27;
const HYPERVISOR: u32 = 1 << 31;
/// Leaf 1, EDX: machine check, memory type ranges, machine check architecture, debug store.
const HIDDEN_1_EDX: u32 = bits(&[7, 12, 14, 21]) as u32;
/// Leaf 7, EBX: FSGSBASE, BMI1, AVX2, SMEP, BMI2, ERMS, RDSEED, ADX, SMAP, CLFLUSHOPT, CLWB, SHA.
const SHOWN_7_EBX: u32 = bits(&[0, 3, 5, 7, 8, 9, 18, 19, 20, 23, 24, 29]) as u32;
const UMIP: u32 = 1 << 2;
/// Leaf 0xd: components x87, SSE, AVX; bytes of all three.
pub const COMPONENTS: u64 = 7;
const COMPONENTS_SIZE: u32 = 832;
const XSAVEOPT: u32 = 1;
/// Leaf 0x8000_0001, ECX: SVM, SKINIT and what counts or profiles. EDX: RDTSCP, for its register is not the guest's.
const HIDDEN_X1_ECX: u32 = bits(&[2, 3, 9, 10, 12, 13]) as u32 | 0x3ff << 20;
const HIDDEN_X1_EDX: u32 = 1 << 27;

/// CR4: XSAVE is on.
const CR4_OSXSAVE: u64 = 1 << 18;

/// EAX, EBX, ECX, EDX.
pub type Leaf = [u32; 4];

/// What an instance, known by its number and how often it was restarted, sees in place of `real`. `cr4` is its own, `khz` the TSC's.
pub fn shown(
    leaf: u32,
    subleaf: u32,
    real: Leaf,
    (number, restarts): (u32, u32),
    cr4: u64,
    khz: u32,
) -> Leaf {
    let [a, b, c, d] = real;
    match leaf {
        1 => {
            let mut features = c & !(HIDDEN_1_ECX | OSXSAVE) | TSC_DEADLINE | HYPERVISOR;
            if cr4 & CR4_OSXSAVE != 0 {
                features |= OSXSAVE;
            }
            // The APIC's number is in the upper byte.
            [a, b & 0xff_ffff, features, d & !HIDDEN_1_EDX]
        }
        7 if subleaf == 0 => [0, b & SHOWN_7_EBX, c & UMIP, 0],
        0xd => match subleaf {
            0 => [a & COMPONENTS as u32, b, c.min(COMPONENTS_SIZE), 0],
            1 => [a & XSAVEOPT, 0, 0, 0],
            2 => real,
            _ => [0; 4],
        },
        // Monitoring, performance, thermal and other counters; topology, enclaves, tracing, keys, SVM.
        5 | 6 | 7 | 0xa..=0x14 | 0x17..=0x3fff_ffff | 0x8000_000a | 0x8000_001b.. => [0; 4],
        shim::LEAF => {
            let [b, c, d] = shim::SIGNATURE;
            [shim::CLOCK_LEAF, b, c, d]
        }
        shim::INSTANCE_LEAF => [number, restarts, 0, 0],
        shim::CLOCK_LEAF => [khz, 0, 0, 0],
        0x8000_0001 => [a, b, c & !HIDDEN_X1_ECX, d & !HIDDEN_X1_EDX],
        _ if leaf >> 28 == 4 => [0; 4],
        _ => real,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shim_shows_itself_and_hides_what_it_uses() {
        let show = |leaf, subleaf| shown(leaf, subleaf, [!0; 4], (3, 5), 0, 2_000_000);
        let [.., c, _] = show(1, 0);
        assert_eq!(c & (1 << 5 | 1 << 21 | OSXSAVE), 0);
        assert_ne!(c & HYPERVISOR, 0);
        assert_eq!(show(0x8000_0001, 0)[2] & 1 << 2, 0);
        assert_eq!(show(0x8000_000a, 0), [0; 4]);
        assert_eq!(show(shim::LEAF, 0)[1..], shim::SIGNATURE);
        assert_eq!(show(shim::INSTANCE_LEAF, 0)[..2], [3, 5]);
        assert_eq!(show(shim::CLOCK_LEAF, 0)[0], 2_000_000);
        assert_eq!(show(0xd, 0)[0], 7);
        assert_eq!(show(7, 1), [0; 4]);
        let with_xsave = shown(1, 0, [0; 4], (0, 0), CR4_OSXSAVE, 0);
        assert_ne!(with_xsave[2] & OSXSAVE, 0);
    }
}
