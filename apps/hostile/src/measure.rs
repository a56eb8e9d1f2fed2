//! What an exit and the way back cost, in TSC ticks: instructions under `-icount shift=0`. In the lines of the benchmark suite.

use core::arch::asm;
use core::fmt::{self, Write};

use bootinfo::{MemoryKind, MemoryRange, PHYSICAL_MAP};
use microkernel::arch::{cpu, serial};

use crate::bare::{self, Own};

/// Exits between two readings of the clock, in a row without a loop.
const BATCH: u64 = 16;
/// Bytes of a large page: the shim maps memory by these.
const LARGE: u64 = 2 << 20;
/// Samples before the first that counts.
const WARM_UP: usize = 64;
/// Most samples.
const MOST: usize = 10_000;

static TICKS: Own<[u64; MOST]> = Own(core::cell::UnsafeCell::new([0; MOST]));

/// Prints a line for each id; `memory` is what the loader has not used.
pub fn run(nonce: &str, samples: usize, memory: &[MemoryRange]) {
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
    first_touches(nonce, samples, memory);
    let _ = writeln!(Line, "\x1ebench {nonce} end");
}

/// A line about the first access to each large page: the shim maps it then, once and for all, so there are as many samples as pages.
fn first_touches(nonce: &str, samples: usize, memory: &[MemoryRange]) {
    let free = memory
        .iter()
        .filter(|range| range.kind == MemoryKind::Usable);
    let pages = free.flat_map(|range| {
        let first = range.start.next_multiple_of(LARGE);
        (first..(range.start + range.size) / LARGE * LARGE).step_by(LARGE as usize)
    });
    // SAFETY: the physical map shows all memory, and nobody uses this.
    let read = |page: u64| unsafe { ((PHYSICAL_MAP + page) as *const u8).read_volatile() };
    let overhead = overhead();
    let ticks = ticks(samples);
    let mut count = 0;
    for (tick, page) in ticks.iter_mut().zip(pages) {
        let start = cpu::now();
        read(page);
        *tick = (cpu::now() - start).saturating_sub(overhead);
        count += 1;
    }
    line(
        nonce,
        "vm.exit.ept_violation",
        1,
        overhead,
        &mut ticks[..count],
    );
}

/// The least difference of two readings of the clock.
fn overhead() -> u64 {
    let difference = || {
        let start = cpu::now();
        cpu::now() - start
    };
    (0..WARM_UP).map(|_| difference()).min().unwrap_or(0)
}

/// Room for samples.
fn ticks(samples: usize) -> &'static mut [u64] {
    // SAFETY: one CPU, and nothing else names it; each figure is done with it before the next.
    unsafe { &mut (&mut *TICKS.0.get())[..samples.min(MOST)] }
}

/// A line with all samples of an operation that is done [`BATCH`] times at once.
fn figure(nonce: &str, id: &str, samples: usize, operation: impl Fn()) {
    let overhead = overhead();
    (0..WARM_UP).for_each(|_| operation());
    let ticks = ticks(samples);
    for tick in ticks.iter_mut() {
        let start = cpu::now();
        operation();
        let all = (cpu::now() - start).saturating_sub(overhead);
        *tick = (all + BATCH / 2) / BATCH;
    }
    line(nonce, id, BATCH, overhead, ticks);
}

/// A line with all samples.
fn line(nonce: &str, id: &str, batch: u64, overhead: u64, ticks: &mut [u64]) {
    ticks.sort_unstable();
    let _ = write!(Line, "\x1ebench {nonce} result {id} {batch} {overhead}");
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
