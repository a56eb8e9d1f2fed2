//! What the instances do while one of them, or several, see how much of the processor they are given.

use core::arch::asm;

use bootinfo::shim;
use microkernel::arch::cpu;
use microkernel::log;

use crate::bare::{self, DEADLINE};

/// Milliseconds that are looked at.
const WINDOW: u64 = 200;
/// Rounds of the loop between two looks at the clock.
const ROUNDS: u64 = 1000;

/// Plays this instance's part in a list with commas.
pub fn play(list: &str) -> ! {
    let number = core::arch::x86_64::__cpuid(shim::INSTANCE_LEAF).eax;
    let role = list.split(',').nth(number as usize).unwrap_or_default();
    bare::ignore(shim::DEADLINE_VECTOR);
    match role {
        "count" => count(),
        "sleep" => {}
        // SAFETY: all of these keep the processor, which is the point.
        "spin" => unsafe { asm!("cli", "2: jmp 2b", options(noreturn)) },
        "exits" => loop {
            core::hint::black_box(core::arch::x86_64::__cpuid(1));
        },
        "ticks" => loop {
            // SAFETY: the shim has the register; the interrupt does nothing.
            unsafe {
                cpu::write_msr(DEADLINE, cpu::now() + 1);
                asm!("sti", "nop", "cli");
            }
        },
        "output" => loop {
            log!("more");
        },
        other => log!("there is no role `{other}`"),
    }
    loop {
        // SAFETY: an interrupt does nothing.
        unsafe { asm!("sti", "hlt") };
    }
}

/// Counts turns of a loop in a window of time that begins at the same moment for every instance, and says how many ticks these were
/// worth.
fn count() {
    // The least that so many rounds take: nobody else had a turn in between.
    let least = (0..100).map(|_| time(|| rounds(ROUNDS))).min().unwrap_or(0);
    let window = u64::from(core::arch::x86_64::__cpuid(shim::CLOCK_LEAF).eax) * WINDOW;
    let start = (cpu::now() / window + 1) * window;
    while cpu::now() < start {}
    let mut counted = 0;
    while cpu::now() < start + window {
        rounds(ROUNDS);
        counted += 1;
    }
    log!("share: from {start} of {window} had {}", counted * least);
}

fn time(action: impl FnOnce()) -> u64 {
    let start = cpu::now();
    action();
    cpu::now() - start
}

/// Two instructions each.
fn rounds(count: u64) {
    // SAFETY: it changes one register.
    unsafe { asm!("2: dec {0}", "jnz 2b", inout(reg) count => _, options(nomem, nostack)) };
}
