//! The end: registers, a backtrace for the host tool to symbolise, the last events, and out.

use core::{arch::asm, fmt, ptr};

use abi::{Kind, object::endpoint};
use bootinfo::exit;

use super::{cpu, entry, frame::Frame, port};
use crate::{boot, log, object, thread::ThreadRef};

/// Events shown.
const LAST_EVENTS: usize = 64;

/// Most return addresses printed.
const DEPTH: usize = 32;

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
    registers("registers", frame);
    if frame.cs.get() & 3 == 0 {
        backtrace(frame.rip.get(), frame.rbp.get());
    } else {
        // An NMI in a program. To root, and so to the host tool, the badge of its faults says which one.
        log!("badge {:#x} backtrace:", fault_badge(running()));
        log!("  {:#018x}", frame.rip.get());
    }
    end()
}

/// A panic of the kernel's Rust code.
pub fn panicked(message: fmt::Arguments) -> ! {
    log::take_over();
    log!("KERNEL PANIC: {message}");
    let rbp: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rbp", out(reg) rbp, options(nomem, nostack, preserves_flags)) };
    backtrace(panicked as *const () as u64, rbp);
    end()
}

fn registers(title: &str, frame: &Frame) {
    let f = frame;
    log!(
        "{title}: rip {:#018x} rsp {:#018x} rflags {:#x} cs {:#x}",
        f.rip.get(),
        f.rsp.get(),
        f.rflags.get(),
        f.cs.get()
    );
    log!(
        "  rax {:#018x} rbx {:#018x} rcx {:#018x} rdx {:#018x}",
        f.rax.get(),
        f.rbx.get(),
        f.rcx.get(),
        f.rdx.get()
    );
    log!(
        "  rsi {:#018x} rdi {:#018x} rbp {:#018x} r8  {:#018x}",
        f.rsi.get(),
        f.rdi.get(),
        f.rbp.get(),
        f.r8.get()
    );
    log!(
        "  r9  {:#018x} r10 {:#018x} r11 {:#018x} r12 {:#018x}",
        f.r9.get(),
        f.r10.get(),
        f.r11.get(),
        f.r12.get()
    );
    log!(
        "  r13 {:#018x} r14 {:#018x} r15 {:#018x}",
        f.r13.get(),
        f.r14.get(),
        f.r15.get()
    );
}

/// Return addresses along the chain of frame pointers, as far as it stays on the kernel's stack.
fn backtrace(rip: u64, mut rbp: u64) {
    log!("backtrace:");
    log!("  {rip:#018x}");
    let (low, high) = entry::stack_bounds();
    for _ in 0..DEPTH {
        if !rbp.is_multiple_of(8) || rbp < low || rbp + 16 > high {
            break;
        }
        // SAFETY: both words lie on the kernel's stack.
        let (next, address) = unsafe {
            (
                ptr::read(rbp as *const u64),
                ptr::read((rbp + 8) as *const u64),
            )
        };
        // The first frame of all has nobody to return to.
        if address == 0 {
            break;
        }
        log!("  {address:#018x}");
        if next <= rbp {
            break;
        }
        rbp = next;
    }
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
    log!(
        "thread {:#x}, badge of its faults {:#x}",
        thread.address(),
        fault_badge(thread)
    );
    registers("its registers at its last entry", thread.frame());
    log!("last events, oldest first:");
    for record in kernel.trace.last(LAST_EVENTS) {
        log!(
            "  {:?} {:#x} {:#x}",
            record.event,
            record.first,
            record.second
        );
    }
    log!("KERNEL PANIC END");
    port::end_machine(exit::KERNEL_PANIC)
}
