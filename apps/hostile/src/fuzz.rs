//! Random instructions at ring 0.

use core::arch::asm;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use bootinfo::PHYSICAL_MAP;
use microkernel::arch::cpu;
use microkernel::log;

use crate::attacks::Random;
use crate::bare::{self, Own};

/// Bytes of random instructions in a block.
const BLOCK: usize = 64;
/// Blocks after which there is a report.
const REPORT: u64 = 1000;
/// TSC ticks after which a block that does not end is ended.
const PATIENCE: u64 = 100_000;
/// IA32_TSC_DEADLINE.
const DEADLINE: u32 = 0x6e0;
/// Of page-table entries; and CR4.PGE.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const NO_EXECUTE: u64 = 1 << 63;
const GLOBAL: u64 = 1 << 7;

static RUNNING: AtomicBool = AtomicBool::new(false);
static SEED: AtomicU64 = AtomicU64::new(0);
static BLOCKS: AtomicU64 = AtomicU64::new(0);
static DATA: Own<[u8; 8192]> = Own(UnsafeCell::new([0; 8192]));

/// Whether an exception is the end of a block.
pub fn running() -> bool {
    RUNNING.load(Relaxed)
}

/// Executes random instructions for ever; `start` makes the seed.
pub fn run(start: u64) -> ! {
    let seed = 0x9e37_79b9_7f4a_7c15u64.wrapping_mul(start + 1) | 1;
    log!("fuzz: seed {seed:#x}");
    SEED.store(seed, Relaxed);
    RUNNING.store(true, Relaxed);
    prepare();
    next()
}

/// A block ended: the next.
pub fn next() -> ! {
    bare::catch_all();
    let blocks = BLOCKS.fetch_add(1, Relaxed) + 1;
    if blocks.is_multiple_of(REPORT) {
        // A block may have jumped into the middle of it.
        log::take_over();
        log!("fuzz: {REPORT} blocks");
    }
    let mut random = Random(SEED.load(Relaxed));
    let mut block = [0u64; BLOCK / 8];
    block.iter_mut().for_each(|word| *word = random.next());
    SEED.store(random.next(), Relaxed);
    execute(block, random.next())
}

/// Executes a block, with addresses of memory or `number` in registers.
fn execute(block: [u64; BLOCK / 8], number: u64) -> ! {
    let data = DATA.0.get() as u64 + 4096;
    // SAFETY: it is the attack. What it writes to its own memory may end it: that is for the shim to survive.
    unsafe {
        (code() as *mut [u64; BLOCK / 8]).write_volatile(block);
        cpu::write_msr(DEADLINE, cpu::now() + PATIENCE);
        asm!(
            "sti",
            "jmp {code}",
            code = in(reg) code(),
            in("rax") data,
            in("rcx") number,
            in("rdx") data,
            in("rsi") data,
            in("rdi") data,
            in("r8") number,
            in("r9") data,
            options(noreturn),
        )
    }
}

/// The page of random instructions: made executable, and the low addresses, which the loader left mapped, taken away, so that most
/// blocks end with an exception and not with the instance.
fn prepare() {
    let mut table: u64;
    // SAFETY: page tables, which the loader made in memory that the physical map shows; nothing of the low addresses is in use.
    unsafe {
        asm!("mov {}, cr3", out(reg) table);
        let root = table & ADDRESS;
        ((PHYSICAL_MAP + root) as *mut u64).write_volatile(0);
        for shift in [39, 30, 21, 12] {
            let index = code() >> shift & 0x1ff;
            let entry = (PHYSICAL_MAP + (table & ADDRESS) + index * 8) as *mut u64;
            table = entry.read_volatile();
            entry.write_volatile(table & !NO_EXECUTE);
        }
        // Global pages, too, are forgotten.
        let cr4: u64;
        asm!("mov {}, cr4", out(reg) cr4);
        asm!("mov cr4, {}", in(reg) cr4 ^ GLOBAL);
        asm!("mov cr4, {}", in(reg) cr4);
        asm!("mov cr3, {}", in(reg) root);
    }
}

/// Where the instructions are.
fn code() -> u64 {
    static PAGE: Own<[u8; 4096]> = Own(UnsafeCell::new([0; 4096]));
    PAGE.0.get() as u64
}
