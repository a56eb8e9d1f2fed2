//! Random instructions at ring 0.
//!
//! An area of memory is filled with slots of random instructions ([`code`]) and executed from its beginning to its end, many times, each
//! time with other registers. An exception, or the timer, ends a *stretch*; it goes on at the next slot.
//!
//! Instructions that surely were executed are counted: those of slots whose end was reached, and of the last one those before the
//! exception; and for no stretch more than the clock says, which counts instructions (QEMU with `-icount shift=0`, Bochs).

mod code;
mod tables;

use core::arch::asm;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use microkernel::arch::cpu;
use microkernel::log;

use self::code::{SLOT, Slot};
use crate::attacks::Random;
use crate::bare::{self, DEADLINE, Own};
use crate::user;

/// Slots of an area, and of its last page one more, which traps.
const SLOTS: usize = 256;
const AREA: usize = SLOTS * SLOT;
const PAGE: usize = 4096;
/// Of 256: slots of which some follow that are random bytes; how many these are, and how many trap before and behind them.
const RAW: u64 = 2;
const RAWS: usize = 8;
const MARGIN: usize = 3;
const AFTER: usize = MARGIN + RAWS;
/// Most instructions of a stretch.
const MOST: u64 = (SLOTS * SLOT / 2) as u64;
/// How often each area is executed.
const ROUNDS: u64 = 64;
/// Instructions after which there is a report.
const REPORT: u64 = 100_000;
/// TSC ticks after which a stretch that does not end is ended; or after half of them.
const PATIENCE: u64 = 100_000;
const NO_EXECUTE: u64 = 1 << 63;
const PRESENT: u64 = 1;
/// The first vector that is no exception.
const INTERRUPTS: u8 = 32;
/// RFLAGS that a stretch begins with: interrupts on; and those that are random: arithmetic, often; direction, nested task, alignment, seldom.
const FLAGS: u64 = 1 << 9 | 2;
const ARITHMETIC: u64 = 0x8d5;
const STRANGE: u64 = 1 << 10 | 1 << 14 | 1 << 18;

static RUNNING: AtomicBool = AtomicBool::new(false);
static SEED: AtomicU64 = AtomicU64::new(0);
/// Slot that the stretch began with, the round, and when it began.
static FIRST: AtomicUsize = AtomicUsize::new(0);
static ROUND: AtomicU64 = AtomicU64::new(0);
static BEGAN: AtomicU64 = AtomicU64::new(0);
/// When the timer fires.
static ARMED: AtomicU64 = AtomicU64::new(0);
/// Bits 0 to 15: slots whose end this stretch has reached. From bit 16 on: their instructions.
static PROGRESS: AtomicU64 = AtomicU64::new(0);
/// Ticks of a stretch without an instruction; instructions and exceptions since the last report.
static NOTHING: AtomicU64 = AtomicU64::new(u64::MAX);
static EXECUTED: AtomicU64 = AtomicU64::new(0);
static STRETCHES: AtomicU64 = AtomicU64::new(0);

/// RAX to R15, RFLAGS, and where the stretch begins.
static REGISTERS: Own<[u64; 18]> = Own(UnsafeCell::new([0; 18]));
static CODE: Own<[u8; AREA + PAGE]> = Own(UnsafeCell::new([0; AREA + PAGE]));
static STARTS: Own<[u64; SLOTS + 1]> = Own(UnsafeCell::new([0; SLOTS + 1]));
/// What instructions work on, between two pages that are not there.
static DATA: Own<[u8; 6 * PAGE]> = Own(UnsafeCell::new([0; 6 * PAGE]));

/// Whether an exception is the end of a stretch.
pub fn running() -> bool {
    RUNNING.load(Relaxed)
}

/// Executes random instructions for ever.
pub fn run(seed: u64) -> ! {
    log!("fuzz: seed {seed:#x}");
    SEED.store(seed, Relaxed);
    // Low addresses, which the loader left mapped, are taken away: so most stretches end with an exception and not with the instance.
    user::forget_low_addresses();
    for page in (0..AREA + PAGE).step_by(PAGE) {
        user::change_page((CODE.0.get() as usize + page) as u64, |entry| {
            entry & !NO_EXECUTE
        });
    }
    for page in [0, 5 * PAGE] {
        let page = (DATA.0.get() as usize + page) as u64;
        user::change_entry(page, |entry| entry & !PRESENT);
    }
    user::allow_sse();
    RUNNING.store(true, Relaxed);
    // An empty stretch tells what one costs.
    write(0, &Slot::end());
    ROUND.store(ROUNDS, Relaxed);
    execute(0, &mut Random(seed))
}

/// A stretch was ended by `vector` at `rip`, TSC ticks `now`.
pub fn trapped(vector: u8, rip: u64, now: u64) -> ! {
    let ticks = now.saturating_sub(BEGAN.load(Relaxed));
    let nothing = NOTHING.fetch_min(ticks, Relaxed);
    let (ended, mut executed) = split(PROGRESS.swap(0, Relaxed));
    let mut slot = FIRST.load(Relaxed).saturating_add(ended).min(SLOTS);
    let offset = rip.wrapping_sub(CODE.0.get() as u64) as usize;
    if offset < AREA {
        slot = slot.max(offset / SLOT);
        // The instruction that caused an exception has been executed, too: it found no end.
        executed += begun(
            offset / SLOT,
            offset % SLOT + usize::from(vector < INTERRUPTS),
        );
    }
    if vector >= INTERRUPTS {
        ARMED.store(0, Relaxed);
        if ticks > PATIENCE / 2 {
            // An endless loop, or nearly: it is not executed again.
            executed = 0;
            write(slot, &Slot::end());
        }
    }
    count(executed.min(ticks.saturating_sub(nothing) + 1), now);
    let mut random = Random(SEED.load(Relaxed));
    slot += 1;
    // Slots that only trap are left out.
    while slot < SLOTS && begun(slot, SLOT) == 1 {
        slot += 1;
    }
    if slot >= SLOTS {
        slot = 0;
        if ROUND.fetch_add(1, Relaxed) >= ROUNDS {
            ROUND.store(1, Relaxed);
            bare::catch_all();
            fill(&mut random);
            user::allow_sse();
        }
    }
    execute(slot, &mut random)
}

/// Slots, and their instructions.
fn split(progress: u64) -> (usize, u64) {
    ((progress & 0xffff) as usize, progress >> 16)
}

/// Instructions that begin in the first bytes of a slot.
fn begun(slot: usize, bytes: usize) -> u64 {
    // SAFETY: nothing holds a reference to it.
    let starts = unsafe { (*STARTS.0.get())[slot] };
    let before = starts & ((1u128 << bytes) - 1) as u64;
    before.count_ones().into()
}

/// Counts instructions, and reports them.
fn count(executed: u64, now: u64) {
    STRETCHES.fetch_add(1, Relaxed);
    // No stretch counts for more than an area: what it is taken from may have been overwritten.
    let executed = executed.min(MOST);
    if EXECUTED.fetch_add(executed, Relaxed) + executed >= REPORT {
        EXECUTED.store(0, Relaxed);
        let stretches = STRETCHES.swap(0, Relaxed);
        // A stretch may have jumped into the middle of it.
        log::take_over();
        // What it wrote may have made this nonsense: who reads it sees by the clock.
        log!("fuzz: {REPORT} instructions by {now}, {stretches} stretches");
    }
}

/// Fills the area. What is random bytes may jump a little back or forth: there it finds slots that trap, so that only whole instructions of the
/// others are executed, which are counted.
fn fill(random: &mut Random) {
    let counter = PROGRESS.as_ptr() as i64 - CODE.0.get() as i64;
    let mut index = 0;
    while index < SLOTS {
        let raw = random.next() >> 20 & 0xff < RAW;
        for number in 0..if raw { MARGIN + RAWS + MARGIN } else { 1 } {
            let slot = match number {
                _ if !raw => Slot::random(random, (counter - (index * SLOT) as i64) as i32),
                MARGIN..AFTER => Slot::raw(random),
                _ => Slot::end(),
            };
            write(index.min(SLOTS), &slot);
            index += 1;
        }
    }
    write(SLOTS, &Slot::end());
}

/// Writes a slot.
fn write(index: usize, slot: &Slot) {
    // SAFETY: the area is nobody else's; it is as much larger than its slots as one needs that traps.
    unsafe {
        let at = CODE.0.get().cast::<[u64; SLOT / 8]>().add(index);
        for (number, bytes) in slot.code.chunks_exact(8).enumerate() {
            let word = bytes.try_into().map_or(0, u64::from_le_bytes);
            (&raw mut (*at)[number]).write_volatile(word);
        }
        (*STARTS.0.get())[index] = slot.starts;
    }
}

/// Registers for the next stretch: all of them at the beginning of a round, else a few.
fn prepare(slot: usize, random: &mut Random) -> &'static mut [u64; 18] {
    // SAFETY: nothing else holds a reference to it.
    let registers = unsafe { &mut *REGISTERS.0.get() };
    let data = DATA.0.get() as u64 + PAGE as u64;
    let number = random.next();
    if slot == 0 {
        registers[..16].fill_with(|| random.next() >> (random.next() & 63));
        for (pointer, shift) in [(3, 0), (6, 9), (7, 18), (13, 27)] {
            registers[pointer] = data + 1024 + (number >> shift & 0x7f8);
        }
        registers[4] = data + 3072;
    }
    registers[(number >> 40 & 3) as usize] = number;
    registers[16] = FLAGS | number >> 7 & ARITHMETIC;
    if number >> 48 & 0x3f == 0 {
        registers[16] |= number >> 12 & STRANGE;
        registers[(number >> 54 & 15) as usize] = number;
    }
    registers
}

/// Executes slots from `slot` on.
fn execute(slot: usize, random: &mut Random) -> ! {
    let registers = prepare(slot, random);
    registers[17] = (CODE.0.get() as usize + slot * SLOT) as u64;
    SEED.store(random.0, Relaxed);
    FIRST.store(slot, Relaxed);
    PROGRESS.store(0, Relaxed);
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
            "push qword ptr [rip + {all} + 128]",
            "popfq",
            "mov rax, [rip + {all}]",
            "mov rcx, [rip + {all} + 8]",
            "mov rdx, [rip + {all} + 16]",
            "mov rbx, [rip + {all} + 24]",
            "mov rsp, [rip + {all} + 32]",
            "mov rbp, [rip + {all} + 40]",
            "mov rsi, [rip + {all} + 48]",
            "mov rdi, [rip + {all} + 56]",
            "mov r8, [rip + {all} + 64]",
            "mov r9, [rip + {all} + 72]",
            "mov r10, [rip + {all} + 80]",
            "mov r11, [rip + {all} + 88]",
            "mov r12, [rip + {all} + 96]",
            "mov r13, [rip + {all} + 104]",
            "mov r14, [rip + {all} + 112]",
            "mov r15, [rip + {all} + 120]",
            "jmp qword ptr [rip + {all} + 136]",
            all = sym REGISTERS,
            options(noreturn),
        )
    }
}
