//! The fast path's text, assembled for the machine, and once more for tests on a host.
//!
//! The text itself, with every check, is `fastpath.s`. The two assemblies differ only in the macros given here: how a
//! constant address is used, how a space is loaded, how user mode is entered. A test drives the second one and the slow
//! path over the same states and compares every word.

use core::mem::offset_of;

use abi::{Op, Tag, fault, tag};

use super::{
    entry::{POSTERN_STACK, STACK},
    frame::{self, Frame},
    gdt::POSTERN_TSS,
};
use crate::{
    Kernel,
    endpoint::{Endpoint, Reply},
    ipc::{self, Payload},
    irq::{Irq, Progress},
    slot,
    thread::{self, POSTERN_NOBODY, Thread, ThreadRef, offset},
};

/// Offset of a field of the saved registers, seen from the thread's address, which is where the frame ends.
pub const fn saved(offset: usize) -> i64 {
    offset as i64 - size_of::<Frame>() as i64
}

/// Copies a reply's payload. The slow path does the same, so if this fails it says why.
extern "C" fn payload(server: ThreadRef, client: ThreadRef, address: u64, length: u64) -> bool {
    let payload = Payload { address, length };
    ipc::copy_payload(server, client, payload).is_ok()
}

/// Assembles the text behind `$macros`; the highest ready priority lies `$top` bytes behind `$ready`.
macro_rules! assemble {
    ($macros:literal, $ready:path, $top:expr, $($operand:tt)*) => {
        core::arch::global_asm!(
            $macros,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/arch/x86_64/fastpath.s")),
            ready = sym $ready,
            top = const $top,
            tss = sym POSTERN_TSS,
            nobody = sym POSTERN_NOBODY,
            fast_slots = const offset_of!(Thread, fast_slots),
            table = const offset_of!(Thread, table),
            cr3 = const offset_of!(Thread, cr3),
            wait = const offset_of!(Thread, wait),
            fast_caller = const offset::FAST_CALLER,
            fast_fault = const offset_of!(Thread, fast_fault),
            request = const offset::REQUEST,
            priority = const offset_of!(Thread, priority),
            lease = const offset_of!(Thread, leases),
            buffer = const offset::BUFFER,
            flags = const slot::offset::FLAGS,
            object = const slot::offset::OBJECT,
            messages = const offset_of!(Endpoint, messages),
            badge = const slot::offset::DATA,
            fast_call = const slot::Flags::FAST_CALL.bits(),
            fast_recv = const slot::Flags::FAST_RECV.bits(),
            rip = const saved(offset_of!(Frame, rip)),
            rsp = const saved(offset_of!(Frame, rsp)),
            rbx = const saved(offset_of!(Frame, rbx)),
            rbp = const saved(offset_of!(Frame, rbp)),
            rflags = const frame::FLAGS,
            e_rflags = const saved(offset_of!(Frame, rflags)),
            user_flags = const frame::USER_FLAGS,
            general = const frame::GENERAL,
            frame_size = const size_of::<Frame>(),
            user_end = const abi::USER_END,
            e_rsi = const saved(offset_of!(Frame, rsi)),
            fast_reply = const slot::Flags::FAST_REPLY.bits(),
            caller = const offset_of!(Reply, caller),
            owed = const offset::OWED,
            owes_irq = const thread::OWED_IRQ,
            owes_nothing = const thread::OWED_NOTHING,
            irq_progress = const offset_of!(Irq, progress),
            irq_count = const offset_of!(Irq, count),
            irq_owner = const offset_of!(Irq, owner),
            irq_masked = const offset_of!(Irq, masked),
            idle = const Progress::Idle as u8,
            ready_top = const offset_of!(Kernel, ready.top),
            payer = const offset_of!(Kernel, turn.payer),
            turn_began = const offset_of!(Kernel, turn.began),
            turn_over = const offset_of!(Kernel, turn.over),
            turn_end = const offset_of!(Kernel, timer.turn_end),
            paid = const offset_of!(Thread, paid),
            resume = const Tag::new(Op::ReplyRecv, fault::RESUME, fault::EXTRA, tag::Flags::empty()).0,
            nop = const Op::Nop as u64,
            with_payload = const Op::ReplyRecv as u32 | tag::Flags::PAYLOAD.bits(),
            via = const Op::ReplyRecv as u32 | tag::Flags::VIA.bits(),
            via_with_payload = const Op::ReplyRecv as u32 | tag::Flags::VIA.union(tag::Flags::PAYLOAD).bits(),
            has_payload = const tag::Flags::PAYLOAD.bits(),
            payload = sym payload,
            stack = sym POSTERN_STACK,
            stack_size = const STACK,
            not_long = const !(0x7f << 8 | 1u32),
            max_extra = const Tag::MAX_EXTRA,
            $($operand)*
        );
    };
}

#[cfg(target_os = "none")]
assemble!(
    r#"
    .macro COMPARE_NOBODY base, offset, scratch
    cmp qword ptr [\base + \offset], offset {nobody}
    .endm
    .macro SET_NOBODY base, offset, scratch
    mov qword ptr [\base + \offset], offset {nobody}
    .endm
    .macro LOAD_KERNEL
    mov rbp, offset {kernel}
    .endm
    .macro NOW
    rdtsc
    shl rdx, 32
    or rdx, rax
    .endm
    .macro LOAD_SPACE
    mov cr3, rcx
    .endm
    .macro EXIT
    .if {checked}
    jmp postern_checked_exit
    .else
    sysretq
    .endif
    .endm
    .macro EXIT_TRAP
    .if {checked}
    jmp postern_checked_trap
    .else
    jmp postern_resume
    .endif
    .endm
    "#,
    crate::boot::POSTERN_KERNEL,
    offset_of!(Kernel, ready.top),
    kernel = sym crate::boot::POSTERN_KERNEL,
    checked = const cfg!(feature = "check-fast-path") as u32,
);

#[cfg(not(target_os = "none"))]
pub use host::*;
#[cfg(not(target_os = "none"))]
#[path = "host/fastpath.rs"]
mod host;
