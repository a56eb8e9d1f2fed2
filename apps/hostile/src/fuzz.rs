//! Random instructions at ring 0.
//!
//! A page is filled with random bytes and executed from its beginning to its end: an exception, or the timer, only moves on to the
//! next byte. Each page is executed several times, with other registers. What is counted are instructions that surely were
//! executed: the clock counts instructions (QEMU with `-icount shift=0`, Bochs), and a stretch between two exceptions counts if
//! it was so short that there was no exit in it, and no endless loop; any other counts as one.

use core::arch::asm;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use microkernel::arch::cpu;
use microkernel::log;

use crate::attacks::Random;
use crate::bare::{self, Own};
use crate::user;

/// Bytes of random instructions.
const BLOCK: u64 = 4096;
/// How often each block is executed.
const ROUNDS: u64 = 4;
/// Instructions after which there is a report.
const REPORT: u64 = 10_000;
/// TSC ticks after which a stretch that does not end is ended; or after half of them.
const PATIENCE: u64 = 4000;
/// The longest stretch that counts: no exit and back is so short.
const COUNTED: u64 = 50;
/// IA32_TSC_DEADLINE.
const DEADLINE: u32 = 0x6e0;
const NO_EXECUTE: u64 = 1 << 63;
/// One in 64 of these is left, and the others are NOP: CLI and POPF, after which an endless loop is one, and OUT to a number, which may
/// be a reset. Else most lives would be short.
const RARE: [u8; 4] = [0xfa, 0x9d, 0xe6, 0xe7];
/// UD2.
const UNDEFINED: [u8; 2] = [0x0f, 0x0b];

static RUNNING: AtomicBool = AtomicBool::new(false);
static SEED: AtomicU64 = AtomicU64::new(0);
/// The next byte to execute, the round, and when the last stretch began.
static NEXT: AtomicU64 = AtomicU64::new(BLOCK);
static ROUND: AtomicU64 = AtomicU64::new(ROUNDS);
static BEGAN: AtomicU64 = AtomicU64::new(0);
/// When the timer fires.
static ARMED: AtomicU64 = AtomicU64::new(0);
/// Ticks of a stretch without an instruction; instructions since the last report.
static NOTHING: AtomicU64 = AtomicU64::new(u64::MAX);
static EXECUTED: AtomicU64 = AtomicU64::new(0);
static DATA: Own<[u8; 8192]> = Own(UnsafeCell::new([0; 8192]));
static PAGE: Own<[u8; BLOCK as usize]> = Own(UnsafeCell::new([0; BLOCK as usize]));

/// Whether an exception is the end of a stretch.
pub fn running() -> bool {
    RUNNING.load(Relaxed)
}

/// Executes random instructions for ever; `start` makes the seed.
pub fn run(start: u64) -> ! {
    let seed = 0x9e37_79b9_7f4a_7c15u64.wrapping_mul(start + 1) | 1;
    log!("fuzz: seed {seed:#x}");
    SEED.store(seed, Relaxed);
    // Low addresses, which the loader left mapped, are taken away: so most stretches end with an exception and not with the instance.
    user::forget_low_addresses();
    user::change_page(PAGE.0.get() as u64, |entry| entry & !NO_EXECUTE);
    RUNNING.store(true, Relaxed);
    // SAFETY: nothing else reads or writes the page.
    unsafe { PAGE.0.get().cast::<[u8; 2]>().write_volatile(UNDEFINED) };
    execute(0, &mut Random(seed))
}

/// A stretch ended at `rip`, TSC ticks `now`.
pub fn trapped(rip: u64, now: u64) -> ! {
    let ticks = now.saturating_sub(BEGAN.load(Relaxed));
    let nothing = NOTHING.fetch_min(ticks, Relaxed);
    let executed = match ticks.saturating_sub(nothing) {
        short @ 0..=COUNTED => short,
        _ => 1,
    };
    if EXECUTED.fetch_add(executed, Relaxed) + executed >= REPORT {
        EXECUTED.fetch_sub(REPORT, Relaxed);
        // A stretch may have jumped into the middle of it.
        log::take_over();
        // What it wrote may have made this nonsense: who reads it sees by the clock.
        log!("fuzz: {REPORT} instructions by {now}");
    }
    let mut random = Random(SEED.load(Relaxed));
    let page = PAGE.0.get() as u64;
    let mut next = NEXT.load(Relaxed);
    // Where it went on from, or, if it was in the page and has come further, there.
    if (page + next..page + BLOCK).contains(&rip) {
        next = rip - page;
    }
    next += 1;
    if next >= BLOCK {
        next = 0;
        if ROUND.fetch_add(1, Relaxed) >= ROUNDS {
            ROUND.store(1, Relaxed);
            fill(&mut random);
        }
        bare::catch_all();
    }
    execute(next, &mut random)
}

/// Fills the page.
fn fill(random: &mut Random) {
    let bytes = PAGE.0.get().cast::<u8>();
    for index in 0..BLOCK as usize {
        let number = random.next();
        let byte = match number as u8 {
            byte if RARE.contains(&byte) && number >> 8 & 0x3f != 0 => 0x90,
            byte => byte,
        };
        // SAFETY: the page is nobody else's.
        unsafe { bytes.add(index).write_volatile(byte) };
    }
}

/// Executes the block from a byte on, with addresses of memory or a number in registers.
fn execute(next: u64, random: &mut Random) -> ! {
    let data = DATA.0.get() as u64 + 4096;
    let number = random.next();
    SEED.store(number, Relaxed);
    NEXT.store(next, Relaxed);
    // SAFETY: it is the attack. What it writes to its own memory may end it: that is for the shim to survive.
    unsafe {
        // Not each time: it is an exit.
        let now = cpu::now();
        if now + PATIENCE / 2 > ARMED.load(Relaxed) {
            cpu::write_msr(DEADLINE, now + PATIENCE);
            ARMED.store(now + PATIENCE, Relaxed);
        }
        BEGAN.store(cpu::now(), Relaxed);
        asm!(
            "sti",
            "jmp {code}",
            code = in(reg) PAGE.0.get() as u64 + next,
            in("rax") data,
            // How often a string instruction is repeated.
            in("rcx") number & 0xff,
            in("rdx") data,
            in("rsi") data,
            in("rdi") data,
            in("r8") number,
            in("r9") data,
            options(noreturn),
        )
    }
}
