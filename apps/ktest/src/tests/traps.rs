//! Exceptions as messages.

use crate::lab::{HIGH, Lab, Setup};
use crate::outcome::Outcome;
use crate::raw::{self, Snippet};
use crate::{check, refused, same};
use abi::fault::{EXTRA, RESUME, Registers, STOP};
use abi::tag::Message;
use abi::{Error, USER_END};
use libsys::syscall::{self, Answer, Output, Slot};

/// All registers of a received fault.
fn registers(fault: &Output) -> Registers {
    let mut words = [0; Registers::WORDS];
    (words[0], words[1]) = (fault.words[2], fault.words[3]);
    for (i, word) in words[2..].iter_mut().enumerate() {
        *word = syscall::word(4 + i);
    }
    Registers::from_words(words)
}

/// The answer that makes a thread go on with these registers.
fn resume_with(registers: &Registers) -> Answer<'static> {
    let words = registers.to_words();
    for (i, word) in words[2..].iter().enumerate() {
        syscall::set_word(4 + i, *word);
    }
    Answer {
        extra: EXTRA,
        ..Answer::new(RESUME, [0, 0, words[0], words[1]])
    }
}

/// A snippet, the vectors it may trap with, error code, address.
type Case = (fn() -> Snippet, &'static [u64], u64, u64);

/// Runs each snippet in a thread whose faults come here, checks the report and lets it go on behind the instruction.
fn provoke(lab: &mut Lab, cases: &'static [Case]) -> Outcome {
    let faults = lab.endpoint()?;
    let setup = Setup {
        priority: HIGH,
        fault: faults,
    };
    let helper = lab.spawn_with(setup, move || {
        for (snippet, ..) in cases {
            snippet().run();
        }
    })?;
    for (snippet, vectors, error, address) in cases {
        let snippet = snippet();
        let fault = syscall::recv(faults).check()?;
        same!(fault.tag.message(), Message::Fault);
        same!(fault.tag.extra(), EXTRA);
        let seen = (snippet.name, fault.words[0] as u32 as u64, fault.words[2]);
        check!(vectors.contains(&seen.1));
        same!(seen, (snippet.name, seen.1, snippet.at));
        let mut seen = fault.words[0] >> 32;
        if *error == GATE_0X80 && seen == 0x80 * 16 + 2 {
            // QEMU 7.2 counts gates of 16 bytes.
            seen = GATE_0X80;
        }
        same!((snippet.name, seen), (snippet.name, *error));
        let expected = if *address == OWN {
            snippet.start()
        } else {
            *address
        };
        same!((snippet.name, fault.words[1]), (snippet.name, expected));
        let mut registers = registers(&fault);
        check!(registers.rsp == fault.words[3] && registers.rflags & 0x200 != 0);
        registers.rip = snippet.after;
        registers.rflags &= !0x100;
        syscall::reply(resume_with(&registers)).check()?;
    }
    // It came through all of them.
    lab.join(helper)
}

/// Error code: gate 0x80 of the IDT (SDM 3A 6.13).
const GATE_0X80: u64 = 0x80 * 8 + 2;

/// Stands for the snippet's own first address.
const OWN: u64 = 1;

/// What arithmetic, debugging and plain wrong instructions cause.
pub fn instructions(lab: &mut Lab) -> Outcome {
    provoke(
        lab,
        &[
            (raw::divide, &[0], 0, 0),
            (raw::step, &[1], 0, 0),
            (raw::breakpoint, &[3], 0, 0),
            (raw::invalid, &[6], 0, 0),
        ],
    )
}

/// What only a kernel may do, and ways into it that do not exist.
pub fn privileged(lab: &mut Lab) -> Outcome {
    provoke(
        lab,
        &[
            (raw::int80, &[13], GATE_0X80, 0),
            (raw::hlt, &[13], 0, 0),
            (raw::cli, &[13], 0, 0),
            (raw::port, &[13], 0, 0),
            (raw::rdmsr, &[13], 0, 0),
            (raw::cr3, &[13], 0, 0),
            (raw::dr7, &[13], 0, 0),
            (raw::swapgs, &[13], 0, 0),
            (raw::sysret, &[13], 0, 0),
            (raw::lgdt, &[13], 0, 0),
        ],
    )
}

/// Without the right to the floating-point unit its instructions trap (7; 6 while the kernel leaves SSE off altogether); the
/// segment bases cannot be changed (CR4.FSGSBASE is 0).
pub fn without_rights(lab: &mut Lab) -> Outcome {
    provoke(
        lab,
        &[
            (raw::x87, &[7], 0, 0),
            (raw::sse, &[7], 0, 0),
            (raw::rdfsbase, &[6], 0, 0),
            (raw::wrgsbase, &[6], 0, 0),
        ],
    )
}

/// Addresses nobody mapped, of the kernel, of nobody, and stores into code. (Through RBP a non-canonical one is a stack fault
/// on processors, a general protection fault in QEMU.)
pub fn addresses(lab: &mut Lab) -> Outcome {
    provoke(
        lab,
        &[
            (raw::noncanonical, &[13], 0, 0),
            (raw::stack, &[12, 13], 0, 0),
            (raw::load, &[14], 4, 0x1000),
            (raw::kernel, &[14], 5, 0xffff_ffff_8000_0000),
            (raw::store, &[14], 7, OWN),
        ],
    )
}

/// AC without CR0.AM changes nothing.
pub fn no_alignment_check(lab: &mut Lab) -> Outcome {
    let faults = lab.endpoint()?;
    let helper = lab.spawn_with(
        Setup {
            priority: HIGH,
            fault: faults,
        },
        raw::unaligned,
    )?;
    refused!(syscall::recv_until(faults, 0).check(), TimedOut);
    lab.join(helper)
}

/// A stack cannot be executed.
pub fn no_execute(lab: &mut Lab) -> Outcome {
    let faults = lab.endpoint()?;
    let frame = lab.frame()?;
    let page = lab.map(frame, 0)?;
    let helper = lab.spawn_with(
        Setup {
            priority: HIGH,
            fault: faults,
        },
        move || {
            raw::execute(page);
        },
    )?;
    let fault = syscall::recv(faults).check()?;
    same!(
        (fault.words[0], fault.words[1], fault.words[2]),
        (14 | 0x15 << 32, page, page)
    );
    // Return as the callee would have.
    let mut registers = registers(&fault);
    registers.rip = raw::top_of_stack(&registers);
    registers.rsp += 8;
    syscall::reply(resume_with(&registers)).check()?;
    lab.join(helper)
}

/// A pattern in every register, with its complement in what it goes on with.
fn pattern(flip: u64) -> Registers {
    let r = |n: u64| (n * 0x0101_0101_0101_0101) ^ flip;
    Registers {
        rip: 0,
        rsp: 0,
        // CF PF AF ZF SF OF, and those no kernel needs: DF AC ID.
        rflags: if flip == 0 { 0x0024_0ed7 } else { 0x202 },
        rax: r(1),
        rcx: r(2),
        rdx: r(3),
        rbx: r(4),
        rbp: r(5),
        rsi: r(6),
        rdi: r(7),
        r8: r(8),
        r9: r(9),
        r10: r(10),
        r11: r(11),
        r12: r(12),
        r13: r(13),
        r14: r(14),
        r15: r(15),
    }
}

/// A fault tells every register as it was; the answer sets every register, or none.
pub fn all_registers(lab: &mut Lab) -> Outcome {
    let (faults, result) = (lab.endpoint()?, lab.endpoint()?);
    let helper = lab.spawn_with(
        Setup {
            priority: HIGH,
            fault: faults,
        },
        move || {
            for _ in 0..2 {
                let after = raw::break_with(&pattern(0));
                for (i, word) in after.to_words()[2..].iter().enumerate() {
                    syscall::set_word(4 + i, *word);
                }
                syscall::call_extra(result, 0, [0; 4], 16);
            }
        },
    )?;
    for change in [false, true] {
        let fault = syscall::recv(faults).check()?;
        let seen = registers(&fault);
        same!(
            seen,
            Registers {
                rip: raw::broken(),
                rsp: seen.rsp,
                ..pattern(0)
            }
        );
        let wanted = Registers {
            rip: seen.rip,
            rsp: seen.rsp,
            ..pattern(u64::MAX)
        };
        let answer = if change {
            resume_with(&wanted)
        } else {
            Answer::new(RESUME, [0; 4])
        };
        syscall::reply(answer).check()?;
        let m = syscall::recv(result).check()?;
        let after = registers(&m);
        let expected = if change { wanted } else { seen };
        same!(after.to_words()[2..], expected.to_words()[2..]);
        syscall::reply(Answer::new(0, [0; 4])).check()?;
    }
    lab.join(helper)
}

/// An answer that would return outside user addresses is refused; the thread still waits.
pub fn refused_answers(lab: &mut Lab) -> Outcome {
    let faults = lab.endpoint()?;
    let helper = lab.spawn_with(
        Setup {
            priority: HIGH,
            fault: faults,
        },
        || {
            raw::invalid().run();
        },
    )?;
    let fault = syscall::recv(faults).check()?;
    let good = Registers {
        rip: raw::invalid().after,
        ..registers(&fault)
    };
    for rip in [USER_END, 0x8000_0000_0000, 0xffff_8000_0000_0000, u64::MAX] {
        let answer = resume_with(&Registers { rip, ..good });
        refused!(syscall::reply(answer).check(), InvalidAddress);
        let both =
            syscall::reply_recv_with(faults, resume_with(&Registers { rip, ..good }), Some(0));
        refused!(both.check(), InvalidAddress);
    }
    same!(helper.info()?.state, 4);
    let flags = Registers {
        rflags: !0x100,
        ..good
    };
    syscall::reply(resume_with(&flags)).check()?;
    lab.join(helper)
}

/// STOP, and a label that is neither, make the thread Inactive; INFO says why.
pub fn stopping(lab: &mut Lab) -> Outcome {
    let faults = lab.endpoint()?;
    for label in [STOP, 2, u32::MAX] {
        let helper = lab.spawn_with(
            Setup {
                priority: HIGH,
                fault: faults,
            },
            || {
                raw::divide().run();
            },
        )?;
        syscall::recv(faults).check()?;
        syscall::reply(Answer::new(label, [0; 4])).check()?;
        let info = helper.info()?;
        same!((info.state, info.stopped_by), (0, Some(0)));
        // Started again it tries again, and faults again.
        helper.start()?;
        same!(syscall::recv(faults).check()?.words[2], raw::divide().at);
        syscall::reply(Answer::new(STOP, [0; 4])).check()?;
    }
    // Nobody to hear it.
    let helper = lab.spawn(HIGH, || raw::invalid().run())?;
    same!(helper.info()?.stopped_by, Some(6));
    Ok(())
}

/// An app handles its own traps: one of its threads serves the fault endpoint of the others, all in one space that is not
/// the tester's. (Its own breakpoint, its own page fault.)
pub fn handled_at_home(lab: &mut Lab) -> Outcome {
    // Slots of the app: its faults, the result, its space, a frame.
    const FAULTS: Slot = Slot(1);
    const RESULT: Slot = Slot(2);
    const SPACE: Slot = Slot(3);
    const FRAME: Slot = Slot(4);
    extern "C" fn handler(_: u64) -> ! {
        let mut fault = syscall::recv(FAULTS);
        loop {
            let answer = match fault.words[0] as u8 {
                // A breakpoint is over; go on.
                3 => Answer::new(RESUME, [0; 4]),
                14 => {
                    let page = fault.words[1] & !(abi::PAGE - 1);
                    let rights = abi::object::frame::READ | abi::object::frame::WRITE;
                    let frame = libsys::object::Frame(FRAME);
                    let mapped = libsys::object::Space(SPACE).map(frame, page, rights, 0);
                    Answer::new(if mapped.is_ok() { RESUME } else { STOP }, [0; 4])
                }
                _ => Answer::new(STOP, [0; 4]),
            };
            fault = syscall::reply_recv_with(FAULTS, answer, None);
        }
    }
    extern "C" fn app(_: u64) -> ! {
        raw::breakpoint().run();
        raw::write(raw::WINDOW + 8, 5);
        let value = raw::read(raw::WINDOW + 8);
        syscall::call(RESULT, 0, [value, 0, 0, 0]);
        raw::stop()
    }
    let (faults, result) = (lab.endpoint()?, lab.endpoint()?);
    let frame = lab.frame()?;
    let give = [
        (faults, abi::object::endpoint::RECV, 0),
        (result, abi::object::endpoint::CALL, 0),
    ];
    let process = lab.process(handler, 0, HIGH, &give, Slot(0))?;
    process.table.derive(SPACE, process.space.0, 1, 0)?;
    process.table.derive(FRAME, frame.0, 3, 0)?;
    lab.process_thread(&process, 1, app, 0, HIGH, faults)?;
    same!(syscall::recv(result).check()?.words[0], 5);
    Ok(())
}

/// A fault in the middle of owing: the caller waits on, and is answered when the fault was handled.
pub fn while_owing(lab: &mut Lab) -> Outcome {
    let (faults, endpoint) = (lab.endpoint()?, lab.endpoint()?);
    lab.spawn_with(
        Setup {
            priority: HIGH,
            fault: faults,
        },
        move || {
            syscall::recv(endpoint);
            raw::breakpoint().run();
            syscall::reply(Answer::new(8, [0; 4]));
        },
    )?;
    let handler = lab.spawn(HIGH, move || {
        syscall::recv(faults);
        syscall::reply(Answer::new(RESUME, [0; 4]));
    })?;
    same!(syscall::call(endpoint, 0, [0; 4]).check()?.tag.label(), 8);
    lab.join(handler)?;
    same!(
        syscall::recv_until(faults, 0).check().err(),
        Some(Error::TimedOut)
    );
    Ok(())
}
