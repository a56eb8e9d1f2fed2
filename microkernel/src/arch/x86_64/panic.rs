//! The end: registers, a backtrace for the host tool to symbolise, the last events, and out.

use core::{arch::asm, fmt, panic::PanicInfo, ptr};

use abi::{Kind, fault::Registers, object::endpoint};
use bootinfo::exit;

use super::{cpu, entry, frame::Frame, port};
use crate::{boot, log, log::Text, object, thread::ThreadRef};

/// Events shown.
const LAST_EVENTS: usize = 64;

/// Most bytes of the stack printed.
const STACK: u64 = 2048;

/// Vector of the non-maskable interrupt.
const NMI: u64 = 2;

/// An exception in the kernel itself, or an NMI anywhere.
pub fn exception(frame: &Frame) -> ! {
    log::take_over();
    match frame.vector.get() {
        NMI => log!("KERNEL PANIC: non-maskable interrupt"),
        vector => log!(
            "KERNEL PANIC: exception {vector}, error {:#x}, address {:#x}",
            frame.error.get(),
            cpu::fault_address()
        ),
    }
    let found = frame.registers();
    registers("registers", &found);
    if frame.cs.get() & 3 == 0 {
        stack(found.rsp);
    } else {
        // An NMI in a program. To root, and so to the host tool, the badge of its faults says which one.
        log!("badge {:#x} backtrace:", fault_badge(running()));
        log!("  {:#018x}", found.rip);
    }
    end()
}

/// A panic of the kernel's Rust code.
pub fn panicked(info: &PanicInfo) -> ! {
    log::take_over();
    log!("KERNEL PANIC: {}", info.message());
    if let Some(place) = info.location() {
        // As one type: printing another is more text.
        log!("at {}:{}:{}", Text(place.file()), u64::from(place.line()), u64::from(place.column()));
    }
    // What a function keeps for its caller, in the order of `Registers`.
    let mut kept = [0; Registers::WORDS];
    // SAFETY: reads registers, and writes inside the array.
    unsafe {
        asm!(
            "lea {scratch}, [rip]",
            "mov [{kept}], {scratch}",
            "mov [{kept} + 8], rsp",
            "mov [{kept} + 16], r15",
            "mov [{kept} + 24], r14",
            "mov [{kept} + 32], r13",
            "mov [{kept} + 40], r12",
            "mov [{kept} + 96], rbp",
            "mov [{kept} + 104], rbx",
            scratch = out(reg) _,
            kept = in(reg) &raw mut kept,
            options(nostack, preserves_flags),
        )
    };
    let found = Registers::from_words(kept);
    registers("registers", &found);
    stack(found.rsp);
    end()
}

/// Names of what [`Registers::to_words`] gives.
const NAMES: [&str; Registers::WORDS] = [
    "rip", "rsp", "r15", "r14", "r13", "r12", "r11", "r10", "r9", "r8", "rdi", "rsi", "rbp", "rbx",
    "rdx", "rcx", "rax", "rflags",
];

#[inline(never)]
fn registers(title: &str, registers: &Registers) {
    log!("{}:", Text(title));
    let words = registers.to_words();
    for (names, words) in NAMES.chunks(3).zip(words.chunks(3)) {
        log!("{}", Row(names, words));
    }
}

/// Registers, by name and value.
struct Row<'a>(&'a [&'a str], &'a [u64]);

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, word) in self.0.iter().zip(self.1) {
            write!(f, "  {} {word:#018x}", Text(name))?;
        }
        Ok(())
    }
}

/// The kernel's stack from about RSP on. The kernel keeps no frame pointers: with this and the registers, the host tool finds
/// out who called whom.
#[inline(never)]
fn stack(rsp: u64) {
    let (low, high) = entry::stack_bounds();
    if (low..high).contains(&rsp) {
        let from = rsp & !31;
        for row in (from..high.min(from + STACK)).step_by(32) {
            // SAFETY: the row lies on the kernel's stack, whose end is aligned to pages.
            let words: [u64; 4] = unsafe { ptr::read(row as *const _) };
            let [first, second, third, fourth] = words;
            log!("stack {row:#x}: {first:#x} {second:#x} {third:#x} {fourth:#x}");
        }
    }
    log!("backtrace:");
}

/// The thread that runs. The processor knows of none before `Kernel::begin`.
fn running() -> ThreadRef {
    let kernel = boot::kernel();
    if kernel.boot_time == 0 {
        return kernel.idle;
    }
    kernel.current()
}

/// The badge that a thread's faults carry; 0 if nobody gets them.
fn fault_badge(thread: ThreadRef) -> u64 {
    let slot = thread.fault_slot();
    object::check(slot, Kind::Endpoint, endpoint::CALL).map_or(0, |()| slot.data())
}

fn end() -> ! {
    let kernel = boot::kernel();
    let thread = running();
    log!("thread {:#x}, badge of its faults {:#x}", thread.address(), fault_badge(thread));
    registers("its registers at its last entry", &thread.frame().registers());
    log!("last events, oldest first:");
    for record in kernel.trace.last(LAST_EVENTS) {
        log!("  {:?} {:#x} {:#x}", record.event, record.first, record.second);
    }
    log!("KERNEL PANIC END");
    port::end_machine(exit::KERNEL_PANIC)
}
