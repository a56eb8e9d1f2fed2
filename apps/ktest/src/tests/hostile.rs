//! Programs that mean harm: only they are hurt.

use crate::lab::{HIGH, LOW, Lab, NORMAL, after};
use crate::outcome::Outcome;
use crate::{check, raw, refused, same};
use abi::object::{captable, endpoint, untyped};
use abi::{Error, Kind};
use libsys::lease::Lease;
use libsys::object::{CapTable, OWN_TABLE, Untyped};
use libsys::syscall::{self, Answer, Slot};

/// A program of many threads floods an endpoint: its server serves others all the same, in turn.
pub fn floods(lab: &mut Lab) -> Outcome {
    extern "C" fn flood(_: u64) -> ! {
        loop {
            syscall::call(Slot(1), 1, [0; 4]);
        }
    }
    let endpoint = lab.endpoint()?;
    let badged = lab.copy(endpoint, endpoint::CALL, 1)?;
    let process = lab.process(flood, 0, LOW, &[(badged, endpoint::CALL, 0)], Slot(0))?;
    for i in 1..8 {
        lab.process_thread(&process, i, flood, 0, LOW, Slot(0))?;
    }
    lab.spawn(HIGH, move || {
        let mut m = syscall::recv(endpoint);
        loop {
            m = syscall::reply_recv(endpoint, 0, [m.words[0] + 1, 0, 0, 0]);
        }
    })?;
    for i in 0..200 {
        // Lets the flood in between.
        lab.rest(50_000);
        let m = syscall::call_until(endpoint, 0, [i, 0, 0, 0], Lease::NONE, after(1)).check()?;
        same!(m.words[0], i + 1);
    }
    Ok(())
}

/// A server that never replies: callers with a deadline go on, and its death frees the others.
pub fn never_replies(lab: &mut Lab) -> Outcome {
    extern "C" fn silent(_: u64) -> ! {
        syscall::recv(Slot(1));
        loop {
            // OwesReply, for ever.
            syscall::recv(Slot(1));
        }
    }
    let endpoint = lab.endpoint()?;
    let process = lab.process(silent, 0, LOW, &[(endpoint, endpoint::RECV, 0)], Slot(0))?;
    lab.rest(1_000_000);
    let soon = libsys::time::Instant::now().0 + 1_000_000;
    let output = syscall::call_until(endpoint, 0, [0; 4], Lease::NONE, soon);
    refused!(output.check(), TimedOut);
    check!(output.delivered());
    // Its caller gave up, so it owes nothing and takes the next.
    let output = syscall::call_until(endpoint, 0, [0; 4], Lease::NONE, soon + 1_000_000);
    refused!(output.check(), TimedOut);
    check!(output.delivered());
    let nobody = lab.endpoint()?;
    lab.spawn(HIGH, move || {
        // Until the server has the call; it then spins at its caller's priority.
        let _ = syscall::recv_until(nobody, soon + 20_000_000);
        let _ = OWN_TABLE.delete(process.thread.0);
    })?;
    // Without a deadline: its death is the answer.
    let output = syscall::call(endpoint, 0, [0; 4]);
    refused!(output.check(), PartnerDied);
    check!(output.delivered());
    Ok(())
}

/// A client revokes and deletes what its server uses at that moment: its frame, its lease, its capability in transfer.
pub fn revokes_in_use(lab: &mut Lab) -> Outcome {
    const MEMORY: Untyped = Untyped(Slot(1));
    const SERVER: Slot = Slot(2);
    const TABLE: CapTable = CapTable(Slot(3));
    const SPACE: libsys::object::Space = libsys::object::Space(Slot(4));
    extern "C" fn client(_: u64) -> ! {
        let frame = libsys::object::Frame(Slot(10));
        loop {
            let _ = MEMORY.retype(Kind::Frame, 12, 1, TABLE, frame.0, untyped::ALL);
            let _ = SPACE.map(frame, raw::WINDOW, 3, 0);
            let tag = abi::Tag::new(abi::tag::Op::Call, 0, 0, abi::tag::Flags::CAP);
            let transfer = abi::tag::Transfer {
                pass: 10,
                move_it: false,
                receive: 11,
            };
            let length = 4096 | 3 << 62;
            let input = syscall::Input::new(tag, SERVER, [0; 4]);
            syscall::enter(syscall::Input {
                base: raw::WINDOW,
                length,
                transfer,
                ..input
            });
            let _ = TABLE.delete(frame.0);
        }
    }
    extern "C" fn vandal(_: u64) -> ! {
        loop {
            let _ = TABLE.revoke(MEMORY.0);
            let _ = TABLE.delete(Slot(10));
            syscall::yield_now();
        }
    }
    let endpoint = lab.endpoint()?;
    let memory = lab.make(Kind::Untyped, 16)?;
    let process = lab.process(client, 0, LOW, &[], Slot(0))?;
    process.thread.suspend()?;
    process.table.move_from(MEMORY.0, memory)?;
    process
        .table
        .derive(SERVER, endpoint, endpoint::CALL | endpoint::GRANT, 0)?;
    process
        .table
        .derive(TABLE.0, process.table.0, captable::ALL, 0)?;
    process.table.derive(SPACE.0, process.space.0, 1, 0)?;
    process.thread.start()?;
    lab.process_thread(&process, 1, vandal, 0, LOW, Slot(0))?;
    let receive = lab.slot();
    let mut good = 0;
    for i in 0..500 {
        syscall::recv_transferring(endpoint, receive).check()?;
        // Lets the vandal in, now and then.
        if i % 3 == 0 {
            lab.rest(100_000);
        }
        let mut bytes = [1; 4096];
        match libsys::object::Reply(syscall::CALLER).lease_read(0, 0, &mut bytes) {
            Ok(()) => {
                check!(bytes.iter().all(|byte| *byte == 0));
                good += 1;
            }
            Err(error) => check!(matches!(error, Error::LeaseFault | Error::NoCaller)),
        }
        let _ = OWN_TABLE.delete(receive);
        syscall::reply(Answer::new(0, [0; 4])).check()?;
    }
    check!(good > 10 && good < 500);
    Ok(())
}

/// A program uses up its memory, its slots and its page tables: others have theirs.
pub fn exhausts_itself(lab: &mut Lab) -> Outcome {
    const MEMORY: Untyped = Untyped(Slot(1));
    const RESULT: Slot = Slot(2);
    const TABLE: CapTable = CapTable(Slot(3));
    extern "C" fn glutton(_: u64) -> ! {
        let mut made = 0;
        for slot in 10..64 {
            let taken = MEMORY.retype(Kind::Frame, 12, 1, TABLE, Slot(slot), untyped::ALL);
            made += taken.is_ok() as u64;
        }
        let last = MEMORY.retype(Kind::Endpoint, 0, 1, TABLE, Slot(63), untyped::ALL);
        let code = last.map_or_else(|error| error as u64, |()| 0);
        loop {
            syscall::call(RESULT, 0, [made, code, 0, 0]);
        }
    }
    let (result, memory) = (lab.endpoint()?, lab.make(Kind::Untyped, 15)?);
    let before = lab.memory().info()?.0;
    let process = lab.process(glutton, 0, NORMAL, &[], Slot(0))?;
    let after = lab.memory().info()?.0;
    process.thread.suspend()?;
    process.table.move_from(MEMORY.0, memory)?;
    process.table.derive(RESULT, result, endpoint::CALL, 0)?;
    process
        .table
        .derive(TABLE.0, process.table.0, captable::ALL, 0)?;
    process.thread.start()?;
    let m = syscall::recv(result).check()?;
    same!(m.words[..2], [8, Error::OutOfMemory as u64]);
    same!(lab.memory().info()?.0, after);
    check!(after < before);
    lab.frame()?;
    Ok(())
}
