//! Page tables of this kernel, and a program in ring 3 that faults without end.

use core::arch::asm;
use core::cell::UnsafeCell;

use bootinfo::PHYSICAL_MAP;
use microkernel::arch::{cpu, gdt};

use crate::bare::{self, Own};

/// CR0.AM.
const ALIGNMENT_MASK: u64 = 1 << 18;
/// RFLAGS: alignment checks, always 1.
const FLAGS: u64 = 1 << 18 | 2;
/// Of page-table entries.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const USER: u64 = 1 << 2;
const NO_EXECUTE: u64 = 1 << 63;

/// `mov rax, [rip + 2]`, of which no address is aligned, and the same again.
static PROGRAM: Own<[u8; 4096]> = Own(UnsafeCell::new({
    let mut page = [0x90; 4096];
    let code = [0x48, 0x8b, 0x05, 2, 0, 0, 0, 0xeb, 0xf7];
    let mut index = 0;
    while index < code.len() {
        page[index] = code[index];
        index += 1;
    }
    page
}));

/// The handler returns to the instruction that caused the exception, as often as it does.
pub fn misaligned_for_ever() {
    let program = PROGRAM.0.get() as u64;
    bare::ignore(bare::ALIGNMENT);
    open(program);
    // SAFETY: it is the attack.
    unsafe {
        let cr0: u64;
        asm!("mov {}, cr0", out(reg) cr0);
        asm!("mov cr0, {}", in(reg) cr0 | ALIGNMENT_MASK);
        asm!(
            "push {data}", "push {stack}", "push {flags}", "push {code}", "push {program}", "iretq",
            data = in(reg) u64::from(gdt::USER_DATA),
            stack = in(reg) program + 4096,
            flags = in(reg) FLAGS,
            code = in(reg) u64::from(gdt::USER_CODE),
            program = in(reg) program,
            options(noreturn),
        )
    }
}

/// Lets programs execute a page.
pub fn open(page: u64) {
    change_page(page, |entry| (entry | USER) & !NO_EXECUTE);
}

/// Takes the low addresses away, which the loader left mapped: nothing of them is in use.
pub fn forget_low_addresses() {
    // SAFETY: the top table, in memory that the physical map shows.
    unsafe {
        let root: u64;
        asm!("mov {}, cr3", out(reg) root);
        ((PHYSICAL_MAP + (root & ADDRESS)) as *mut u64).write_volatile(0);
    }
    cpu_forgets();
}

/// Changes the entries of a page on all levels.
pub fn change_page(page: u64, change: impl Fn(u64) -> u64) {
    change_levels(page, &[39, 30, 21, 12], change);
}

/// Changes the entry of a page on the last level.
pub fn change_entry(page: u64, change: impl Fn(u64) -> u64) {
    change_levels(page, &[12], change);
}

/// Changes the entries of a page at these shifts of its address.
fn change_levels(page: u64, levels: &[u32], change: impl Fn(u64) -> u64) {
    // SAFETY: page tables, which the loader made in memory that the physical map shows; the page stays where it is.
    unsafe {
        let root: u64;
        asm!("mov {}, cr3", out(reg) root);
        let mut table = root;
        for shift in [39, 30, 21, 12] {
            let index = page >> shift & 0x1ff;
            let entry = (PHYSICAL_MAP + (table & ADDRESS) + index * 8) as *mut u64;
            table = entry.read_volatile();
            if levels.contains(&shift) {
                entry.write_volatile(change(table));
            }
        }
    }
    cpu_forgets();
}

/// SSE instructions do not trap: CR0.TS is off, CR4.OSFXSR and OSXMMEXCPT are on.
pub fn allow_sse() {
    // SAFETY: nothing of this kernel uses what these instructions change.
    unsafe {
        asm!("clts", "mov {0}, cr4", "or {0}, 0x600", "mov cr4, {0}", out(reg) _);
    }
}

/// Global pages, too, are forgotten.
fn cpu_forgets() {
    const GLOBAL: u64 = 1 << 7;
    // SAFETY: the tables that CR3 names are the ones in use; CR4.PGE exists wherever Postern runs.
    unsafe {
        let (cr3, cr4): (u64, u64);
        asm!("mov {}, cr3", out(reg) cr3);
        asm!("mov {}, cr4", out(reg) cr4);
        asm!("mov cr4, {}", in(reg) cr4 ^ GLOBAL);
        asm!("mov cr4, {}", in(reg) cr4);
        asm!("mov cr3, {}", in(reg) cr3);
    }
    cpu::fence();
}
