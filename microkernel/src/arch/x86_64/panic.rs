//! The end: registers, a backtrace for the host tool to symbolise, the last events, and out.

use core::{arch::asm, fmt, ptr};

use bootinfo::exit;

use super::{cpu, entry, frame::Frame, port};
use crate::{boot, log};

/// Events shown.
const LAST_EVENTS: usize = 64;

/// Most return addresses printed.
const DEPTH: usize = 32;

/// An exception in the kernel itself.
pub fn exception(frame: &Frame) -> ! {
    log::take_over();
    log!(
        "KERNEL PANIC: exception {}, error {:#x}, address {:#x}",
        frame.vector.get(),
        frame.error.get(),
        cpu::fault_address()
    );
    registers("registers", frame);
    backtrace(frame.rip.get(), frame.rbp.get());
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
        log!("  {address:#018x}");
        if next <= rbp {
            break;
        }
        rbp = next;
    }
}

fn end() -> ! {
    let kernel = boot::kernel();
    log!("thread {:#x}", kernel.current().address());
    registers("its registers", kernel.current().frame());
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
