//! What an exit and the way back cost, in TSC ticks: instructions under `-icount shift=0`.

use core::arch::asm;

use microkernel::arch::cpu;
use microkernel::log;

use crate::bare;

/// Exits between two readings of the clock, in a row without a loop.
const BATCH: u64 = 16;
/// Readings, of which the least counts: the machine's interrupts are other exits.
const SAMPLES: usize = 100;

/// Prints a line for each.
pub fn run() {
    // SAFETY: a call of the shim changes RAX only.
    let amd = || unsafe { asm!(".rept 16", "vmmcall", ".endr", out("rax") _) };
    // SAFETY: as above.
    let intel = || unsafe { asm!(".rept 16", "vmcall", ".endr", out("rax") _) };
    match bare::is_amd() {
        true => figure("vm.exit.vmcall", BATCH, amd),
        false => figure("vm.exit.vmcall", BATCH, intel),
    }
    // SAFETY: it only reads; RBX is kept.
    let identify = || unsafe {
        asm!(
            "mov {kept}, rbx",
            ".rept 16",
            "cpuid",
            ".endr",
            "mov rbx, {kept}",
            kept = out(reg) _,
            inout("eax") 1 => _,
            out("ecx") _,
            out("edx") _,
        )
    };
    figure("vm.exit.cpuid", BATCH, identify);
}

fn figure(id: &str, batch: u64, operation: impl Fn()) {
    let sample = |_| {
        let start = cpu::now();
        operation();
        (cpu::now() - start) / batch
    };
    let least = (0..SAMPLES).map(sample).min();
    log!("{id} {}", least.unwrap_or(0));
}
