//! Bad input of the kinds no other file has: numbers for pointers and lengths, and objects in every state of their end.

use crate::lab::{HIGH, Lab, NORMAL};
use crate::outcome::Outcome;
use crate::raw;
use crate::{check, refused, same};
use abi::object::{captable, endpoint, reply, thread};
use abi::tag::{Flags, Op};
use abi::{Error, Kind, Tag, USER_END};
use libsys::lease::Lease;
use libsys::object::{CapTable, OWN_TABLE, Reply, Thread};
use libsys::syscall::{self, Answer, CALLER, Input, Slot, invoke};

/// Numbers a program may use for anything.
pub const NASTY: [u64; 20] = [
    0,
    1,
    7,
    0xfff,
    0x1000,
    0xffff_ffff,
    0x1_0000_0000,
    USER_END - 1,
    USER_END,
    0x7fff_ffff_ffff,
    0x8000_0000_0000,
    0xffff_7fff_ffff_ffff,
    0xffff_8000_0000_0000,
    0xffff_8000_0010_0000,
    0xffff_ffff_8000_0000,
    1 << 62,
    1 << 63,
    u64::MAX - 0xfff,
    u64::MAX - 1,
    u64::MAX,
];

/// Every register of every operation holds every nasty number, one at a time and all at once.
pub fn every_register(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    for op in [
        Op::Call,
        Op::ReplyRecv,
        Op::Recv,
        Op::Reply,
        Op::Yield,
        Op::Nop,
    ] {
        for flags in 0..64u32 {
            // A deadline that is over, so that nothing waits; CAP, PAYLOAD, LEASES, VIA in every combination.
            let bits = (flags & 1) << 5
                | (flags >> 1 & 1) << 6
                | (flags >> 2 & 1) << 7
                | (flags >> 3 & 1) << 15;
            let timed = if matches!(op, Op::Call | Op::Recv | Op::ReplyRecv) {
                1 << 4
            } else {
                0
            };
            for nasty in NASTY {
                let mut input =
                    Input::new(Tag(op as u64 | (bits | timed) as u64), endpoint, [nasty; 4]);
                let place = flags >> 4;
                input.base = if place & 1 == 0 { nasty } else { 0 };
                input.length = if place & 2 == 0 { nasty } else { 64 };
                input.via = Slot(nasty as u32);
                input.transfer = abi::tag::Transfer::from_bits(nasty);
                let output = syscall::enter(input);
                let code = output.tag.status();
                check!(code == 0 || Error::from_code(code).is_some());
            }
        }
    }
    Ok(())
}

/// Every operation of every kind of object with every nasty number in every word.
pub fn every_operation(lab: &mut Lab) -> Outcome {
    let (thread, _) = lab.thread()?;
    let frame = lab.frame()?;
    let table = lab.table(4)?;
    let space = lab.make(Kind::Space, 15)?;
    let untyped = lab.make(Kind::Untyped, 16)?;
    let (reply, irq) = (lab.reply()?, lab.irq()?);
    for slot in [
        thread.0, frame.0, table.0, space, untyped, reply.0, irq.0, CALLER,
    ] {
        for label in 0..12 {
            // The kernel's answer to START of a thread that was never configured is a fault nobody hears.
            let starts = slot == thread.0 && label == thread::START;
            for position in 0..5 {
                for nasty in NASTY {
                    let mut words = [1; 4];
                    if position < 4 {
                        words[position] = nasty;
                    } else {
                        words = [nasty; 4];
                    }
                    if !starts {
                        let _ = invoke(slot, label, words);
                    }
                }
            }
        }
    }
    // The tester's own table was an argument; what it holds is as it was.
    same!(OWN_TABLE.identify(frame.0, Slot(0))?.kind, Kind::Frame);
    Ok(())
}

/// A leased page, a payload and an argument block that straddle the end of what is mapped.
pub fn straddling(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    let frame = lab.frame()?;
    let page = lab.map(frame, 0)?;
    lab.spawn(HIGH, move || {
        let tag = Tag::new(Op::Call, 0, 0, Flags::empty());
        let base = page + 4096 - 5;
        let length = 10 | abi::tag::LeaseBits::READ.bits() | abi::tag::LeaseBits::WRITE.bits();
        syscall::enter(Input {
            base,
            length,
            ..Input::new(tag, endpoint, [0; 4])
        });
    })?;
    syscall::recv(endpoint).check()?;
    let payload = Answer {
        payload: &[1; 10],
        ..Answer::new(0, [0; 4])
    };
    refused!(syscall::reply(payload).check(), LeaseFault);
    let moved = syscall::call(CALLER, reply::LEASE_READ, [0, 0, page + 4096 - 3, 5]);
    same!(
        (moved.tag.status(), moved.words[0]),
        (Error::BadBuffer as u8, 3)
    );
    syscall::reply(Answer {
        payload: &[2; 5],
        ..Answer::new(0, [0; 4])
    })
    .check()?;
    same!(raw::read(page + 4096 - 8) >> 24, 0x02_0202_0202);
    Ok(())
}

/// Objects that are being destroyed step by step: whoever still has a capability to them finds none.
pub fn half_destroyed(lab: &mut Lab) -> Outcome {
    let table = lab.table(12)?;
    let way_in = lab.slot();
    let endpoint = lab.endpoint()?;
    for slot in 1..2000 {
        table.derive(Slot(slot), endpoint, endpoint::ALL, 0)?;
    }
    OWN_TABLE.derive(way_in, table.0, captable::ALL, 0)?;
    let (thread, area) = lab.thread()?;
    thread.configure(table, lab.space, Slot(0), area)?;
    // One step only: the table is on its way.
    let delete =
        |slot: Slot| syscall::call(OWN_TABLE.0, captable::DELETE, [slot.0 as u64, 0, 0, 0]).check();
    refused!(delete(table.0), Again);
    for slot in [table.0, way_in] {
        refused!(CapTable(slot).identify(Slot(1), Slot(0)), NoCapability);
        refused!(
            CapTable(slot).derive(Slot(3000), endpoint, 0, 0),
            NoCapability
        );
        refused!(OWN_TABLE.derive(lab.slot(), slot, 0, 0), NoCapability);
        refused!(
            thread.configure(CapTable(slot), lab.space, Slot(0), area),
            NoCapability
        );
        let pass = abi::tag::Transfer {
            pass: slot.0,
            ..Default::default()
        };
        let passed = syscall::call_transferring(endpoint, 0, [0; 4], Lease::NONE, pass);
        refused!(passed.check(), NoCapability);
    }
    OWN_TABLE.delete(table.0)?;
    // An endpoint with more waiters than one step may wake.
    let crowded = lab.endpoint()?;
    let copy = lab.copy(crowded, endpoint::ALL, 0)?;
    for _ in 0..34 {
        lab.spawn(HIGH, move || {
            syscall::call(crowded, 0, [0; 4]);
        })?;
    }
    refused!(delete(crowded), Again);
    for slot in [crowded, copy] {
        refused!(syscall::call(slot, 0, [0; 4]).check(), NoCapability);
        refused!(syscall::recv_until(slot, 0).check(), NoCapability);
        refused!(lab.irq()?.bind(slot, 0), NoCapability);
    }
    OWN_TABLE.delete(crowded)?;
    Ok(())
}

/// Revoking what is in use: the memory of a thread that waits, of its endpoint, its Reply object, its interrupt.
pub fn revoked_in_use(lab: &mut Lab) -> Outcome {
    for kind in 0..4 {
        let (request, event) = (lab.endpoint()?, lab.endpoint()?);
        let memory = libsys::object::Untyped(lab.make(Kind::Untyped, 14)?);
        let object = lab.slot();
        let made = match kind {
            0 => Kind::Endpoint,
            1 => Kind::Reply,
            2 => Kind::Irq,
            _ => Kind::CapTable,
        };
        memory.retype(made, 6, 1, OWN_TABLE, object, 0)?;
        lab.spawn(HIGH, move || {
            syscall::recv(request);
            match kind {
                0 => drop(syscall::call(object, 0, [0; 4])),
                1 => {
                    let _ = Reply(object).defer();
                    syscall::recv(event);
                }
                2 => {
                    let _ = libsys::object::Irq(object).bind(event, 3);
                    let _ = libsys::object::Irq(object).raise();
                    syscall::reply(Answer::new(0, [0; 4]));
                    // Receives it and owes the acknowledgement.
                    syscall::recv(event);
                    syscall::recv(event);
                }
                _ => drop(CapTable(object).derive(Slot(1), object, 0, 0)),
            }
            syscall::reply(Answer::new(0, [0; 4]));
        })?;
        let revoker = lab.spawn(NORMAL, move || {
            let _ = OWN_TABLE.revoke(memory.0);
        })?;
        let output = syscall::call_until(request, 0, [0; 4], Lease::NONE, crate::lab::after(1));
        // Parked in a Reply object that went, it hears so; else the helper answers.
        check!(output.check().is_ok() || output.check().err() == Some(Error::PartnerDied));
        lab.join(revoker)?;
        same!(memory.info()?.0, 1 << 14);
        OWN_TABLE.delete(request)?;
        OWN_TABLE.delete(event)?;
    }
    Ok(())
}

/// Threads without table, without space, without anything.
pub fn unconfigured(lab: &mut Lab) -> Outcome {
    let bare = Thread(lab.make(Kind::Thread, 0)?);
    bare.start()?;
    same!(bare.info()?.state, thread::State::Ready as u8);
    bare.priority(HIGH, HIGH)?;
    let info = bare.info()?;
    same!((info.state, info.stopped_by), (0, Some(14)));
    // It may still be configured, and run.
    let (_, area) = lab.thread()?;
    bare.configure(OWN_TABLE, lab.space, Slot(0), area)?;
    same!(bare.info()?.state, thread::State::Inactive as u8);
    Ok(())
}
