//! No register passes from one thread to another but those the ABI names (B1's table).

use crate::lab::{HIGH, LOW, Lab, Setup};
use crate::outcome::Outcome;
use crate::{check, raw, same};
use abi::fault::{RESUME, Registers};
use abi::tag::{Flags, Op};
use abi::{Kind, Tag};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use libsys::syscall::{self, Answer, Slot};

/// A sender's secrets: what must not arrive anywhere.
const SECRET: u64 = 0x5ec2_e700_0000_0000;
/// RFLAGS that a user can set: CF PF AF ZF SF TF DF OF NT AC ID.
const FLAGS: u64 = 0x0024_4fd7;

/// Registers for a system call that asks for nothing special, secrets in all that has no meaning.
fn secrets(op: Op, target: Slot, flags: u64) -> Registers {
    Registers {
        rflags: flags,
        rax: Tag::new(op, 9, 0, Flags::empty()).0,
        rdi: target.0 as u64,
        rsi: SECRET | 1,
        rdx: SECRET | 2,
        r8: 0,
        r9: SECRET | 4,
        r10: SECRET | 5,
        rbx: SECRET | 6,
        rbp: SECRET | 7,
        r12: 12,
        r13: 13,
        r14: 14,
        r15: 15,
        ..Registers::default()
    }
}

/// What the ABI says comes out of a system call: words, label, RBX and RBP of one's own, and zeros.
fn expected(input: &Registers, seen: &Registers, label: u64, words: [u64; 4]) -> Registers {
    Registers {
        rip: 0,
        rsp: seen.rsp,
        rflags: 0x202,
        rax: label << 32,
        rcx: raw::entered(),
        r11: 0x202,
        rbx: input.rbx,
        rbp: input.rbp,
        r12: words[0],
        r13: words[1],
        r14: words[2],
        r15: words[3],
        ..Registers::default()
    }
}

fn enter(input: &Registers) -> Registers {
    // SAFETY: the tests here lend nothing.
    unsafe { raw::enter(input) }
}

/// Call and reply, on whatever path the kernel takes: both sides see their own and the words, else zeros.
pub fn call_and_reply(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    let report = lab.endpoint()?;
    for (flags, timed) in [(0x202, false), (FLAGS, false), (0x202, true)] {
        let server = lab.spawn(HIGH, move || {
            let input = secrets(Op::Recv, endpoint, flags);
            let got = enter(&input);
            let want = expected(&input, &got, 9, [12, 13, 14, 15]);
            // RDI is the badge, which is 0.
            let right = got == want;
            let mut reply = secrets(Op::Reply, Slot(0), flags);
            reply.r12 = 112;
            let got = enter(&reply);
            let right = right && got == expected(&reply, &got, 0, [0; 4]);
            syscall::call(report, right as u32, [0; 4]);
        })?;
        let mut input = secrets(Op::Call, endpoint, flags);
        if timed {
            input.rax |= Flags::TIMED.bits() as u64;
            input.r10 = crate::lab::after(1);
        }
        let got = enter(&input);
        same!(got, expected(&input, &got, 9, [112, 13, 14, 15]));
        same!(syscall::recv(report).check()?.tag.label(), 1);
        syscall::reply(Answer::new(0, [0; 4]));
        lab.join(server)?;
    }
    Ok(())
}

/// A refused call, a NOP, a YIELD and an invocation of a kernel object return nothing of others either.
pub fn other_system_calls(lab: &mut Lab) -> Outcome {
    let untyped = lab.make(Kind::Untyped, 12)?;
    for flags in [0x202, FLAGS] {
        for op in [Op::Nop, Op::Yield] {
            let mut input = secrets(op, Slot(0), flags);
            input.rax = op as u64;
            let got = enter(&input);
            let kept = Registers {
                rcx: raw::entered(),
                r11: 0x202,
                rflags: 0x202,
                ..input
            };
            let zero = expected(&input, &got, 0, [0; 4]);
            // Its own registers back, or zeros.
            for (got, own) in got
                .to_words()
                .into_iter()
                .zip(kept.to_words().into_iter().zip(zero.to_words()))
            {
                check!(got == own.0 || got == own.1);
            }
        }
        let input = secrets(Op::Call, Slot(255), flags);
        let got = enter(&input);
        let wanted = expected(&input, &got, 0, [0; 4]);
        same!(
            got,
            Registers {
                rax: abi::Error::NoCapability as u64,
                ..wanted
            }
        );
        let mut input = secrets(Op::Call, untyped, flags);
        input.rax = (abi::object::untyped::INFO as u64) << 32;
        let got = enter(&input);
        same!(got, expected(&input, &got, 0, [4096, 4096, 0, 0]));
    }
    Ok(())
}

/// A new thread starts with what WRITE_REGISTERS said, and READ_REGISTERS shows only what is its own.
pub fn new_thread(lab: &mut Lab) -> Outcome {
    let (thread, area) = lab.thread()?;
    thread.configure(libsys::object::OWN_TABLE, lab.space, Slot(0), area)?;
    // Nothing of whatever lay in that memory before.
    same!(
        thread.read_registers()?,
        Registers {
            rflags: 0x202,
            ..Registers::default()
        }
    );
    Ok(())
}

/// Faults and interrupts: a handler that was blocked in a system call sees the message and no more; the thread that faulted
/// finds everything as it was.
pub fn fault(lab: &mut Lab) -> Outcome {
    let (faults, report) = (lab.endpoint()?, lab.endpoint()?);
    let handler = lab.spawn(HIGH, move || {
        let input = secrets(Op::Recv, faults, FLAGS);
        let got = enter(&input);
        let words = [3, 0, raw::broken(), got.r15];
        let mut want = expected(&input, &got, 0, words);
        want.rax = 16 << 8 | Flags::FAULT.bits() as u64;
        let right = got == want;
        syscall::reply(Answer::new(RESUME, [0; 4]));
        syscall::call(report, right as u32, [0; 4]);
    })?;
    lab.spawn_with(
        Setup {
            priority: LOW,
            fault: faults,
        },
        move || {
            let input = Registers {
                rax: 1,
                rcx: 2,
                r11: 3,
                rflags: 0x0024_0ed7,
                ..secrets(Op::Call, Slot(1), 0)
            };
            let input = Registers {
                rflags: 0x0024_0ed7,
                ..input
            };
            let got = raw::break_with(&input);
            let right = got
                == Registers {
                    rsp: got.rsp,
                    ..input
                };
            syscall::call(report, right as u32, [0; 4]);
        },
    )?;
    for _ in 0..2 {
        same!(syscall::recv(report).check()?.tag.label(), 1);
        syscall::reply(Answer::new(0, [0; 4]));
    }
    lab.join(handler)
}

/// Two threads of equal priority that fill all registers and spin, preempted by the timer and by each other: neither finds a
/// register or a flag changed.
pub fn preemption(lab: &mut Lab) -> Outcome {
    let stop = Arc::new(AtomicU64::new(0));
    let right = Arc::new(AtomicU64::new(0));
    for i in 0..4 {
        let (stop, right) = (stop.clone(), right.clone());
        lab.spawn(LOW, move || {
            let input = Registers {
                // Different flags each.
                rflags: [0x202, 0x0024_0ed7, 0x243, 0xe96][i],
                rax: SECRET + i as u64,
                r11: SECRET + 100 + i as u64,
                r8: SECRET + 200 + i as u64,
                r15: stop.as_ptr() as u64,
                ..secrets(Op::Call, Slot(i as u32), 0)
            };
            let input = Registers {
                rflags: [0x202, 0x0024_0ed7, 0x243, 0xe96][i],
                ..input
            };
            // SAFETY: R15 is the address of the word that ends it, which outlives the thread.
            let got = unsafe { raw::spin_with(&input) };
            let want = Registers {
                rsp: got.rsp,
                rcx: 1,
                ..input
            };
            right.fetch_add((got == want) as u64, Relaxed);
        })?;
    }
    for _ in 0..40 {
        // Wakes in the middle of their slices, and lets other system calls run between.
        lab.rest(3_100_000);
        syscall::nop();
    }
    stop.store(1, Relaxed);
    lab.rest(200_000_000);
    same!(right.load(Relaxed), 4);
    Ok(())
}
