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
    endpoint,
    ipc::{self, Payload},
    irq, kernel, slot,
    thread::{self, POSTERN_NOBODY, ThreadRef, offset},
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
            fast_slots = const offset::FAST_SLOTS,
            table = const offset::TABLE,
            cr3 = const offset::CR3,
            wait = const offset::WAIT,
            fast_caller = const offset::FAST_CALLER,
            fast_fault = const offset::FAST_FAULT,
            request = const offset::REQUEST,
            priority = const offset::PRIORITY,
            lease = const offset::LEASE,
            buffer = const offset::BUFFER,
            flags = const slot::offset::FLAGS,
            object = const slot::offset::OBJECT,
            messages = const endpoint::MESSAGES,
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
            caller = const endpoint::CALLER,
            owed = const offset::OWED,
            owes_irq = const thread::OWED_IRQ,
            owes_nothing = const thread::OWED_NOTHING,
            irq_progress = const irq::offset::PROGRESS,
            irq_count = const irq::offset::COUNT,
            irq_owner = const irq::offset::OWNER,
            irq_masked = const irq::offset::MASKED,
            idle = const irq::Progress::Idle as u8,
            ready_top = const kernel::offset::READY_TOP,
            payer = const kernel::offset::PAYER,
            turn_began = const kernel::offset::TURN_BEGAN,
            turn_over = const kernel::offset::TURN_OVER,
            turn_end = const kernel::offset::TURN_END,
            paid = const offset::PAID,
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
    .macro COMPARE_NOBODY
    cmp qword ptr [rsi], offset {nobody}
    .endm
    .macro SET_NOBODY
    mov qword ptr [rsi], offset {nobody}
    .endm
    .macro SET_NO_FAULT
    mov qword ptr [r11 + {fast_fault}], offset {nobody}
    .endm
    .macro COMPARE_NO_CALLER
    cmp qword ptr [r11 + {fast_caller}], offset {nobody}
    .endm
    .macro SET_NOT_PARKED
    mov qword ptr [r10], offset {nobody}
    .endm
    .macro KERNEL
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
    kernel::offset::READY_TOP,
    kernel = sym crate::boot::POSTERN_KERNEL,
    checked = const cfg!(feature = "check-fast-path") as u32,
);

#[cfg(not(target_os = "none"))]
pub use host::*;
#[cfg(not(target_os = "none"))]
#[path = "host/fastpath.rs"]
mod host;
