//! How what measures in a kernel's place ends where another kernel follows (`bootinfo::relay`): it leaves what it printed, and goes
//! back to the loader.
#![no_std]

use bootinfo::PHYSICAL_MAP;
use bootinfo::relay::{HEADER, Relay};
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use x86_64::registers::control::Cr3;

/// [`Relay`], and the page tables that the loader made. All zeros: no kernel follows.
static RESUME: AtomicU64 = AtomicU64::new(0);
static TEXT: AtomicU64 = AtomicU64::new(0);
static SIZE: AtomicU64 = AtomicU64::new(0);
static TABLES: AtomicU64 = AtomicU64::new(0);

/// Looks for the loader's word. Before other page tables than the loader's are loaded.
pub fn init(command_line: &str) {
    let Some(relay) = Relay::of(command_line) else {
        return;
    };
    TEXT.store(relay.text, Relaxed);
    SIZE.store(relay.size, Relaxed);
    TABLES.store(Cr3::read_raw().0.start_address().as_u64(), Relaxed);
    RESUME.store(relay.resume, Relaxed);
}

/// Leaves text for the last kernel, as far as there is room, if one follows.
pub fn tell(text: &str) {
    if RESUME.load(Relaxed) == 0 {
        return;
    }
    let start = PHYSICAL_MAP + TEXT.load(Relaxed);
    let room = SIZE.load(Relaxed) - HEADER;
    let length = start as *mut u64;
    // SAFETY: the loader keeps this memory for text; it is in the physical map, nobody else runs, and no reference points there.
    unsafe {
        let before = length.read().min(room);
        let count = (text.len() as u64).min(room - before);
        let end = (start + HEADER + before) as *mut u8;
        core::ptr::copy_nonoverlapping(text.as_ptr(), end, count as usize);
        length.write(before + count);
    }
}

/// Goes on with the next kernel, if one follows. Devices must be silent.
pub fn pass_on() {
    let resume = RESUME.load(Relaxed);
    if resume != 0 {
        // SAFETY: the loader's tables map this image where it runs, and the loader where it goes; both are still as they were, in
        // memory that is not Usable.
        unsafe {
            asm!(
                "cli",
                "mov cr3, {tables}",
                "jmp {resume}",
                tables = in(reg) TABLES.load(Relaxed),
                resume = in(reg) resume,
                options(noreturn),
            )
        }
    }
}
