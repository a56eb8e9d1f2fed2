//! The clock: RDTSC, or the counter of core cycles where the loader has started it.

use x86_64::registers::control::{Cr4, Cr4Flags};

/// RDTSC is 0F 31, and RDPMC, whose result is in the same registers, 0F 33 (SDM 2B).
const RDTSC: [u8; 2] = [0x0f, 0x31];
const RDPMC: [u8; 2] = [0x0f, 0x33];

unsafe extern "C" {
    /// The first and the end of the addresses at which the clock is read, in `crossing.s`.
    static limits_clocks: u64;
    static limits_clocks_end: u64;
}

/// Takes the counter for the clock if it runs: programs may read counters then (CR4.PCE). Says whether. `offset` is what to subtract
/// from an address of the image to get a physical one.
///
/// # Safety
/// The loader's page tables are loaded, and nothing has been measured yet.
pub unsafe fn take(offset: u64) -> bool {
    let runs = Cr4::read().contains(Cr4Flags::PERFORMANCE_MONITOR_COUNTER);
    if runs {
        // SAFETY: the symbols are the list's. Code is written through the loader's map of the low 4 GiB, where this image lies, and
        // is serialized by CR3's next change (SDM 3A 9.3) before it runs.
        unsafe {
            let (first, end) = (&raw const limits_clocks, &raw const limits_clocks_end);
            let places = core::slice::from_raw_parts(first, end.offset_from_unsigned(first));
            for place in places {
                let instruction = (place - offset) as *mut [u8; 2];
                assert_eq!(instruction.read(), RDTSC);
                instruction.write(RDPMC);
            }
        }
    }
    runs
}
