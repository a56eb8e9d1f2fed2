//! What an exit and the way back cost, in TSC ticks: instructions under `-icount shift=0`. In the lines of the benchmark suite.

use core::arch::asm;
use core::fmt::{self, Write};

use microkernel::arch::{cpu, serial};

use crate::bare::{self, Own};

/// Exits between two readings of the clock, in a row without a loop.
const BATCH: u64 = 16;
/// Samples before the first that counts.
const WARM_UP: usize = 64;
/// Most samples.
const MOST: usize = 10_000;

static TICKS: Own<[u64; MOST]> = Own(core::cell::UnsafeCell::new([0; MOST]));

/// Prints a line for each id.
pub fn run(nonce: &str, samples: usize) {
    // SAFETY: a call of the shim changes RAX only.
    let amd = || unsafe { asm!(".rept 16", "vmmcall", ".endr", out("rax") _) };
    // SAFETY: as above.
    let intel = || unsafe { asm!(".rept 16", "vmcall", ".endr", out("rax") _) };
    match bare::is_amd() {
        true => figure(nonce, "vm.exit.vmcall", samples, amd),
        false => figure(nonce, "vm.exit.vmcall", samples, intel),
    }
    // SAFETY: it only reads; RBX is kept.
    let identify = || unsafe {
        asm!(
            "mov {kept}, rbx",
            ".rept 16",
            "mov eax, 1",
            "cpuid",
            ".endr",
            "mov rbx, {kept}",
            kept = out(reg) _,
            out("eax") _,
            inout("ecx") 0 => _,
            out("edx") _,
        )
    };
    figure(nonce, "vm.exit.cpuid", samples, identify);
    let _ = writeln!(Line, "\x1ebench {nonce} end");
}

/// A line with all samples of an operation that is done [`BATCH`] times at once.
fn figure(nonce: &str, id: &str, samples: usize, operation: impl Fn()) {
    let sample = |operation: &dyn Fn()| {
        let start = cpu::now();
        operation();
        cpu::now() - start
    };
    let overhead = (0..WARM_UP).map(|_| sample(&|| ())).min().unwrap_or(0);
    (0..WARM_UP).for_each(|_| operation());
    // SAFETY: one CPU, and nothing else names it.
    let ticks = unsafe { &mut (&mut *TICKS.0.get())[..samples.min(MOST)] };
    for tick in ticks.iter_mut() {
        let all = sample(&operation).saturating_sub(overhead);
        *tick = (all + BATCH / 2) / BATCH;
    }
    ticks.sort_unstable();
    let _ = write!(Line, "\x1ebench {nonce} result {id} {BATCH} {overhead}");
    for same in ticks.chunk_by(|one, other| one == other) {
        let _ = write!(Line, " {}*{}", same[0], same.len());
    }
    let _ = writeln!(Line);
}

/// The serial line: the log has no room for long lines.
struct Line;

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(serial::write);
        Ok(())
    }
}
