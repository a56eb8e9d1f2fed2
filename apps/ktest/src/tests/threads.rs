//! Threads: CONFIGURE, PRIORITY, START, SUSPEND, registers, and ways to go.

use crate::lab::{CEILING, HIGH, LOW, Lab, NORMAL};
use crate::outcome::Outcome;
use crate::place::{Place, area, prepare};
use crate::{check, raw, refused, same};
use abi::fault::Registers;
use abi::object::thread::State;
use abi::{Error, Kind, USER_END};
use libsys::object::{OWN_TABLE, Space, Thread};
use libsys::syscall::{self, Answer, Slot};

/// CONFIGURE: only while Inactive, at a page that is free.
pub fn configure(lab: &mut Lab) -> Outcome {
    let (thread, own) = lab.thread()?;
    let configure = |address| thread.configure(OWN_TABLE, lab.space, Slot(0), address);
    for address in [
        0,
        1,
        own + 8,
        USER_END,
        0xffff_8000_0000_0000,
        u64::MAX << 12,
    ] {
        refused!(configure(address), InvalidAddress);
    }
    refused!(configure(area(0)), AlreadyMapped);
    configure(own)?;
    // Again, elsewhere: the old buffer is given up.
    configure(own + 4096)?;
    configure(own)?;
    let (other, _) = lab.thread()?;
    refused!(
        other.configure(OWN_TABLE, lab.space, Slot(0), own),
        AlreadyMapped
    );
    refused!(
        lab.me.configure(OWN_TABLE, lab.space, Slot(0), own),
        BadState
    );
    // Without tables for its buffer it is without configuration, and runs into a fault nobody hears.
    let full = Space(lab.make(Kind::Space, 15)?);
    full.map(lab.frame()?, 0, 1, 0)?;
    full.map(lab.frame()?, 1 << 39, 1, 0)?;
    refused!(
        thread.configure(OWN_TABLE, full, Slot(0), 1 << 40),
        OutOfTables
    );
    same!(thread.info()?.state, State::Inactive as u8);
    Ok(())
}

/// No register makes the kernel return where the processor would trap in kernel mode.
pub fn register_limits(lab: &mut Lab) -> Outcome {
    let (thread, own) = lab.thread()?;
    thread.configure(OWN_TABLE, lab.space, Slot(0), own)?;
    let set = |rip| {
        thread.write_registers(&Registers {
            rip,
            ..Registers::default()
        })
    };
    for rip in [
        USER_END,
        0x7fff_ffff_ffff,
        0x8000_0000_0000,
        0xffff_8000_0000_0000,
        u64::MAX,
    ] {
        refused!(set(rip), InvalidAddress);
    }
    set(USER_END - 1)?;
    let all = Registers {
        rflags: u64::MAX,
        rsp: u64::MAX,
        rip: 5,
        ..Registers::default()
    };
    thread.write_registers(&all)?;
    let read = thread.read_registers()?;
    same!((read.rip, read.rsp), (5, u64::MAX));
    // Of the flags: no IOPL, no NT, no VM, no VIF; always IF.
    same!(read.rflags & 0x001a_7000, 0);
    same!(read.rflags & 0x202, 0x202);
    refused!(lab.me.write_registers(&Registers::default()), BadState);
    Ok(())
}

/// READ_REGISTERS of a thread that waits in a system call: what the ABI keeps, else zeros.
pub fn reading(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    let input = Registers {
        rdi: endpoint.0 as u64,
        rbx: 0x11,
        rbp: 0x22,
        r12: 0x33,
        r15: 0x44,
        rdx: 0,
        r9: 0x66,
        r10: 0x77,
        rsi: 0x88,
        ..Registers::default()
    };
    let thread = lab.spawn(HIGH, move || {
        // SAFETY: an ordinary call without leases.
        unsafe { raw::enter(&input) };
    })?;
    let read = thread.read_registers()?;
    let expected = Registers {
        rip: raw::entered(),
        rsp: read.rsp,
        rflags: read.rflags,
        rbx: 0x11,
        rbp: 0x22,
        r12: 0x33,
        r15: 0x44,
        ..Registers::default()
    };
    same!(read, expected);
    check!(read.rsp > area(1) && read.rsp < area(2));
    Ok(())
}

/// Nobody gives more priority than his own ceiling.
pub fn ceilings(lab: &mut Lab) -> Outcome {
    let (thread, _) = lab.thread()?;
    refused!(thread.priority(CEILING + 1, 0), AboveCeiling);
    refused!(thread.priority(0, CEILING + 1), AboveCeiling);
    refused!(thread.priority(255, 255), AboveCeiling);
    let words = [1 << 32, 0, 0, 0];
    refused!(
        syscall::invoke(thread.0, abi::object::thread::PRIORITY, words),
        AboveCeiling
    );
    thread.priority(CEILING, CEILING)?;
    // A helper with a lower ceiling cannot lift itself, nor anybody else, above it.
    let answer = lab.endpoint()?;
    let helper = lab.spawn(HIGH, move || {
        let refused = thread.priority(HIGH + 1, 0) == Err(Error::AboveCeiling)
            && thread.priority(0, HIGH + 1) == Err(Error::AboveCeiling)
            && thread.priority(HIGH, HIGH).is_ok();
        syscall::call(answer, refused as u32, [0; 4]);
    })?;
    same!(syscall::recv(answer).check()?.tag.label(), 1);
    syscall::reply(Answer::new(0, [0; 4]));
    lab.join(helper)
}

/// Every state, as INFO tells it, and what START and SUSPEND say in it.
pub fn states(lab: &mut Lab) -> Outcome {
    let (server, client) = (lab.endpoint()?, lab.endpoint()?);
    let state = |thread: Thread| thread.info().map(|info| info.state);
    let thread = lab.spawn(LOW, move || {
        syscall::call(server, 0, [0; 4]);
        syscall::recv(client);
    })?;
    same!(state(thread)?, State::Ready as u8);
    refused!(thread.start(), BadState);
    lab.rest(1_000_000);
    same!(state(thread)?, State::Sending as u8);
    refused!(thread.start(), BadState);
    syscall::recv(server).check()?;
    same!(state(thread)?, State::AwaitingReply as u8);
    syscall::reply(Answer::new(0, [0; 4]));
    lab.rest(1_000_000);
    same!(state(thread)?, State::Receiving as u8);
    thread.suspend()?;
    same!(state(thread)?, State::Inactive as u8);
    thread.suspend()?;
    Ok(())
}

/// SUSPEND ends what a thread waits for; it hears so when it is started again.
pub fn suspend_and_restart(lab: &mut Lab) -> Outcome {
    let (endpoint, result) = (lab.endpoint()?, lab.endpoint()?);
    let thread = lab.spawn(HIGH, move || {
        let output = syscall::call(endpoint, 0, [0; 4]);
        syscall::call(
            result,
            output.tag.status() as u32,
            [output.delivered() as u64, 0, 0, 0],
        );
    })?;
    syscall::recv(endpoint).check()?;
    thread.suspend()?;
    // Its caller is gone: the answer is dropped.
    syscall::reply(Answer::new(0, [0; 4])).check()?;
    thread.start()?;
    let message = syscall::recv(result).check()?;
    same!(message.tag.label(), Error::Cancelled as u32);
    same!(message.words[0], 1);
    Ok(())
}

/// A thread deletes itself while others wait for it and it waits for nobody.
pub fn ends_itself(lab: &mut Lab) -> Outcome {
    let (thread, own) = lab.thread()?;
    let endpoint = lab.endpoint()?;
    let place = Place {
        table: OWN_TABLE,
        space: lab.space,
        fault: Slot(0),
        area: own,
    };
    lab.start_job(thread, place, LOW, move || {
        syscall::recv(endpoint);
        let _ = OWN_TABLE.delete(thread.0);
        // Never: there is nobody to return to.
        syscall::call(endpoint, 99, [0; 4]);
    })?;
    let output = syscall::call(endpoint, 0, [0; 4]);
    same!(output.check().err(), Some(Error::PartnerDied));
    check!(output.delivered());
    refused!(thread.info(), NoCapability);
    refused!(syscall::recv_until(endpoint, 0).check(), TimedOut);
    Ok(())
}

/// A thread whose table is deleted, by itself, finds no capability any more and goes on.
pub fn loses_its_table(lab: &mut Lab) -> Outcome {
    let table = lab.table(5)?;
    let endpoint = lab.endpoint()?;
    table.derive(Slot(1), table.0, abi::object::captable::ALL, 0)?;
    table.derive(Slot(2), endpoint, abi::object::endpoint::ALL, 0)?;
    let (thread, own) = lab.thread()?;
    let place = Place {
        table,
        space: lab.space,
        fault: endpoint,
        area: own,
    };
    lab.start_job(thread, place, HIGH, move || {
        syscall::call(Slot(2), 1, [0; 4]);
        let first = syscall::call(Slot(2), 2, [0; 4]);
        // Found no table: tells by a fault whose address is the error.
        if first.check().is_err() {
            raw::read(raw::WINDOW + 4096 * first.tag.status() as u64);
        }
    })?;
    syscall::recv(endpoint).check()?;
    OWN_TABLE.delete(table.0)?;
    syscall::reply(Answer::new(0, [0; 4]));
    let fault = syscall::recv(endpoint).check()?;
    same!(
        fault.words[1],
        raw::WINDOW + 4096 * Error::NoCapability as u64
    );
    Ok(())
}

/// A thread whose space is deleted under it faults at its next instruction, as a message like any fault.
pub fn loses_its_space(lab: &mut Lab) -> Outcome {
    let (faults, go) = (lab.endpoint()?, lab.endpoint()?);
    extern "C" fn waits(_: u64) -> ! {
        syscall::call(Slot(1), 7, [0; 4]);
        raw::stop()
    }
    let give = [(go, abi::object::endpoint::CALL, 0)];
    let process = lab.process(waits, 0, NORMAL, &give, faults)?;
    same!(syscall::recv(go).check()?.tag.label(), 7);
    OWN_TABLE.delete(process.space.0)?;
    syscall::reply(Answer::new(0, [0; 4]));
    let fault = syscall::recv(faults).check()?;
    same!(fault.words[0] as u8, 14);
    same!(fault.words[1], fault.words[2]);
    syscall::reply(Answer::new(abi::fault::STOP, [0; 4]));
    same!(process.thread.info()?.stopped_by, Some(14));
    Ok(())
}

/// Threads come and go without a trace.
pub fn lives(lab: &mut Lab) -> Outcome {
    let memory = libsys::object::Untyped(lab.make(Kind::Untyped, 13)?);
    let endpoint = lab.endpoint()?;
    let (_, own) = lab.thread()?;
    let slot = lab.slot();
    extern "C" fn calls(endpoint: u64) -> ! {
        syscall::call(Slot(endpoint as u32), 1, [0; 4]);
        raw::stop()
    }
    for _ in 0..300 {
        memory.retype(Kind::Thread, 0, 1, OWN_TABLE, slot, 0)?;
        let thread = Thread(slot);
        let place = Place {
            table: OWN_TABLE,
            space: lab.space,
            fault: Slot(0),
            area: own,
        };
        prepare(thread, place, calls, endpoint.0 as u64)?;
        thread.priority(HIGH, HIGH)?;
        thread.start()?;
        same!(syscall::recv(endpoint).check()?.tag.label(), 1);
        // It still waits for the answer.
        OWN_TABLE.delete(slot)?;
        syscall::reply(Answer::new(0, [0; 4])).check()?;
        same!(memory.info()?.0, 8192);
    }
    Ok(())
}
