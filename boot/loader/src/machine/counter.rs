//! Starting the counter of core cycles, for measurements that ask for it (`bootinfo::cycles`).

use core::arch::x86_64::__cpuid as cpuid;

use bootinfo::cycles;
use x86_64::registers::control::{Cr4, Cr4Flags};
use x86_64::registers::model_specific::Msr;

use crate::counter::{LEAF, counts_core_cycles};

/// IA32_TSC_AUX (SDM 4, table 2-2).
const TSC_AUX: u32 = 0xc000_0103;
/// IA32_FIXED_CTR1, IA32_FIXED_CTR_CTRL and IA32_PERF_GLOBAL_CTRL (SDM 3B 20.2.2).
const COUNTER: u32 = 0x30a;
const CONTROL: u32 = 0x38d;
const GLOBAL: u32 = 0x38f;
/// In them: counter 1, in every ring, without interrupts.
const EVERY_RING: u64 = 0b0011 << 4;
const ENABLED: u64 = 1 << 33;
/// Turns of a loop in which a counter that runs must move.
const TURNS: usize = 1000;

/// Starts it if the command line asks for it, and lets programs read it and find out. Where nobody asks, what firmware left is off.
pub fn start(command_line: &str) {
    let tells = has_rdtscp();
    let runs = tells && cycles::is_wanted(command_line) && run();
    // SAFETY: the processor has the register if it has RDTSCP; PCE lets programs read counters, and is asked for.
    unsafe {
        if tells {
            let index = if runs { cycles::INDEX } else { 0 };
            Msr::new(TSC_AUX).write(index.into());
        }
        Cr4::update(|cr4| cr4.set(Cr4Flags::PERFORMANCE_MONITOR_COUNTER, runs));
    }
}

/// Starts the counter. `false`: there is none, or it does not move (Bochs has a leaf about it, and nothing behind).
fn run() -> bool {
    if !counts_core_cycles(cpuid(0).eax, cpuid(LEAF)) {
        return false;
    }
    // SAFETY: CPUID says that these registers exist; a counter changes nothing.
    unsafe {
        Msr::new(CONTROL).write(EVERY_RING);
        Msr::new(GLOBAL).write(ENABLED);
        let counter = Msr::new(COUNTER);
        let before = counter.read();
        (0..TURNS).for_each(|_| core::hint::spin_loop());
        counter.read() != before
    }
}

/// Whether there are RDTSCP and the register it reads (SDM 2A "CPUID").
fn has_rdtscp() -> bool {
    const EXTENDED: u32 = 0x8000_0001;
    cpuid(EXTENDED - 1).eax >= EXTENDED && cpuid(EXTENDED).edx & 1 << 27 != 0
}
