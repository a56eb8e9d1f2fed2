//! What both paths must agree about. The same list, with its reasons, as the host's test has (`tests/proof/fast.rs`).

use super::{Check, Object, RAX, Registers};
use crate::{
    arch::frame::{self, Frame},
    raw::Ref,
    syscall::Exit,
    thread::{self, ThreadRef, ThreadState, offset},
};
use abi::Op;

/// Writes a system call's registers where the slow path looks for them, as its entry does.
pub fn enter_frame(frame: &Frame, registers: &Registers) {
    let [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, _, r12, r13, r14, r15] = *registers;
    for (cell, value) in [
        (&frame.rip, rcx),
        (&frame.rsp, rsp),
        (&frame.rax, rax),
        (&frame.rdx, rdx),
        (&frame.rbx, rbx),
        (&frame.rbp, rbp),
        (&frame.rsi, rsi),
        (&frame.rdi, rdi),
        (&frame.r8, r8),
        (&frame.r9, r9),
        (&frame.r10, r10),
        (&frame.r12, r12),
        (&frame.r13, r13),
        (&frame.r14, r14),
        (&frame.r15, r15),
    ] {
        cell.set(value);
    }
}

/// What a program sees when the slow path returns to it.
fn at_return(frame: &Frame, exit: Exit) -> Registers {
    let kept = [frame.rip.get(), frame.rbx.get(), frame.rsp.get(), frame.rbp.get()];
    let [rip, rbx, rsp, rbp] = kept;
    let mut registers = [0, rip, 0, rbx, rsp, rbp, 0, 0, 0, 0, 0, frame::FLAGS, 0, 0, 0, 0];
    if exit == Exit::Frame {
        registers[RAX] = frame.rax.get();
        registers[7] = frame.rdi.get();
        registers[8] = frame.r8.get();
        registers[12..].copy_from_slice(&frame.words());
    }
    registers
}

/// The call went both ways. `fast`: who ran after the fast path, `Ok` with a trap's registers, `Err` with a system call's.
pub fn paths(check: &Check, fast: Result<ThreadRef, ThreadRef>, runs: ThreadRef, exit: Exit) {
    let before = &check.before;
    assert!(fast == Ok(runs) || fast == Err(runs), "{before:x?}: another thread runs");
    if fast.is_err() {
        let mut expected = at_return(runs.frame(), exit);
        if before[RAX] as u32 == Op::Nop as u32 {
            // It touches nothing: what the slow path clears is still the caller's own.
            expected = *before;
            (expected[RAX], expected[11]) = (0, frame::FLAGS);
        }
        assert_eq!(check.after, expected, "{before:x?}: registers");
    }
    for object in &check.threads {
        if let Some(now) = object.words() {
            // SAFETY: `save` got its address from a living thread, which no message destroys.
            let thread = unsafe { Ref::from_address(object.address + thread::OFFSET) };
            for (index, after) in object.after.iter().enumerate() {
                let at = object.address + 8 * index as u64;
                // SAFETY: a word of that object.
                let now = unsafe { (now as *const u64).add(index).read_volatile() };
                assert!(
                    *after == now || is_stale(thread, at, runs),
                    "{before:x?}: thread {:#x} + {:#x}: {after:#x}, the slow path {now:#x}",
                    object.address,
                    8 * index
                );
            }
        }
    }
    same(&check.endpoint, "the endpoint");
    same(&check.reply, "the Reply object");
    same(&check.irq, "the interrupt");
}

fn same<const WORDS: usize>(object: &Object<WORDS>, what: &str) {
    if let Some(now) = object.words() {
        // SAFETY: an object that was alive before a message, which destroys none.
        let now = unsafe { now.read_volatile() };
        assert_eq!(object.after, now, "{what}");
    }
}

/// Nobody reads this word of a thread before it is written again. Who runs has its registers in the processor.
fn is_stale(thread: ThreadRef, at: u64, runs: ThreadRef) -> bool {
    let frame = thread.frame();
    let inside = |start: u64, bytes: u64| (start..start + bytes).contains(&at);
    if frame.is_syscall() && inside(frame as *const Frame as u64, size_of::<Frame>() as u64) {
        let kept = [&frame.rip, &frame.rsp, &frame.rbx, &frame.rbp];
        return thread == runs || !kept.iter().any(|register| register.as_ptr() as u64 == at);
    }
    let state = thread.state();
    let lends = matches!(state, ThreadState::AwaitingReply { .. });
    inside(thread.paid.as_ptr() as u64, 8)
        || inside(thread.address() + offset::OWED as u64, 16)
        || inside(thread.badge.as_ptr() as u64, 8) && !matches!(state, ThreadState::Sending { .. })
        || inside(thread.leases.as_ptr() as u64, 64) && !lends
        || inside(thread.address() + offset::FAST_CALLER as u64, 8)
            && matches!(state, ThreadState::Receiving { .. })
}
