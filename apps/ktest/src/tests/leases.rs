//! Leases: what a caller lends, who reaches it, and how far.

use crate::lab::{HIGH, Lab};
use crate::outcome::Outcome;
use crate::raw::{self, WINDOW};
use crate::{check, refused, same};
use abi::object::{frame, reply, space};
use abi::tag::{Flags, LeaseBits, Op};
use abi::{COPY_LIMIT, PAGE, Tag, USER_END};
use alloc::vec;
use libsys::lease::Lease;
use libsys::object::{Frame, Reply};
use libsys::syscall::{self, Answer, CALLER, Input, Output, Slot};

const READ: u64 = LeaseBits::READ.bits();
const WRITE: u64 = LeaseBits::WRITE.bits();
const ME: Reply = Reply(CALLER);

/// A call that lends by numbers, as no library would let it.
fn lend(endpoint: Slot, base: u64, bits: u64) -> Output {
    let tag = Tag::new(Op::Call, 0, 0, Flags::empty());
    syscall::enter(Input {
        base,
        length: bits,
        ..Input::new(tag, endpoint, [0; 4])
    })
}

/// A copy by numbers: status and bytes moved.
fn copy(label: u32, offset: u64, own: u64, length: u64) -> (u8, u64) {
    let output = syscall::call(CALLER, label, [0, offset, own, length]);
    (output.tag.status(), output.words[0])
}

/// Four leases, each with its own rights and length.
pub fn four(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    let helper = lab.spawn(HIGH, move || {
        let (a, c) = ([1u8; 10], [3u8; 30]);
        let (mut b, mut d) = ([2u8; 20], [4u8; 40]);
        let leases = [
            Lease::read(&a),
            Lease::write(&mut b),
            Lease::read(&c),
            Lease::read_write(&mut d),
        ];
        let m = syscall::call_lending_many(endpoint, 0, [0; 4], &leases);
        let sum = b.iter().chain(&d).map(|byte| *byte as u64).sum();
        syscall::call(endpoint, m.tag.status() as u32, [sum, 0, 0, 0]);
    })?;
    let m = syscall::recv(endpoint).check()?;
    check!(m.tag.flags().contains(Flags::MORE_LEASES));
    for (i, (length, rights)) in [(10, READ), (20, WRITE), (30, READ), (40, READ | WRITE)]
        .into_iter()
        .enumerate()
    {
        let index = i as u64;
        same!(ME.lease_info(index)?.bits(), length | rights);
        let mut bytes = vec![9; length as usize];
        let read = ME.lease_read(index, 0, &mut bytes);
        let written = ME.lease_write(index, 0, &vec![7; length as usize]);
        if rights & READ != 0 {
            read?;
            check!(bytes.iter().all(|byte| *byte == i as u8 + 1));
        } else {
            refused!(read, LeaseBounds);
        }
        if rights & WRITE != 0 {
            written?;
        } else {
            refused!(written, LeaseBounds);
        }
        let mut one = [0; 1];
        refused!(ME.lease_read(index, length, &mut one), LeaseBounds);
        refused!(ME.lease_read(index, u64::MAX, &mut one), LeaseBounds);
    }
    for index in [4, 5, 255, 256, 1 << 32, u64::MAX] {
        refused!(ME.lease_info(index), LeaseBounds);
        refused!(ME.lease_read(index, 0, &mut [0; 1]), LeaseBounds);
    }
    syscall::reply(Answer::new(0, [0; 4]));
    let m = syscall::recv(endpoint).check()?;
    same!((m.tag.label(), m.words[0]), (0, 7 * 60));
    syscall::reply(Answer::new(0, [0; 4]));
    lab.join(helper)
}

/// A call without LEASES lends one, whatever lies in the buffer.
pub fn one(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    lab.spawn(HIGH, move || {
        let bytes = [5u8; 100];
        for word in 120..126 {
            syscall::set_word(word, 8 | READ);
        }
        syscall::call_lending(endpoint, 0, [0; 4], Lease::read(&bytes));
    })?;
    let m = syscall::recv(endpoint).check()?;
    same!(m.lease.bits(), 100 | READ);
    refused!(ME.lease_info(1), LeaseBounds);
    let mut bytes = [0; 60];
    ME.lease_read(0, 40, &mut bytes)?;
    same!(bytes, [5; 60]);
    refused!(ME.lease_read(0, 41, &mut bytes), LeaseBounds);
    Ok(())
}

/// Base and length of leases that reach outside user memory.
const OUTSIDE: [(u64, u64); 11] = [
    (USER_END, 1),
    (USER_END - 1, 2),
    (0x8000_0000_0000, 1),
    (0xffff_8000_0000_0000, 8),
    (0xffff_8000_0010_0000, 4096),
    (0xffff_ffff_8000_0000, 8),
    (u64::MAX, 1),
    (u64::MAX, 2),
    (0, !(READ | WRITE)),
    (4096, !(READ | WRITE)),
    (u64::MAX, !(READ | WRITE)),
];

/// A caller may lend addresses that are not its own: nobody can copy a byte there.
pub fn descriptors(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    lab.spawn(HIGH, move || {
        for (base, length) in OUTSIDE {
            for i in 1..4 {
                syscall::set_word(abi::buffer::lease(i) / 8, base);
                syscall::set_word(abi::buffer::lease(i) / 8 + 1, length | READ | WRITE);
            }
            let tag = Tag::new(Op::Call, 0, 0, Flags::LEASES);
            let length = length | READ | WRITE;
            syscall::enter(Input {
                base,
                length,
                ..Input::new(tag, endpoint, [0; 4])
            });
        }
    })?;
    let own = [0u64; 8];
    let own = own.as_ptr() as u64;
    for (base, length) in OUTSIDE {
        syscall::recv(endpoint).check()?;
        for index in 0..4 {
            for label in [reply::LEASE_READ, reply::LEASE_WRITE] {
                // From the first byte outside user memory on.
                for offset in [0, USER_END.saturating_sub(base), length - 1] {
                    let output = syscall::call(CALLER, label, [index, offset, own, 1]);
                    let status = output.tag.status();
                    const REFUSED: [u8; 2] =
                        [abi::Error::LeaseFault as u8, abi::Error::LeaseBounds as u8];
                    check!(REFUSED.contains(&status));
                    same!(output.words[0], 0);
                }
            }
        }
        let answer = Answer {
            payload: &[1; 1],
            ..Answer::new(0, [0; 4])
        };
        check!(syscall::reply(answer).check().is_err());
        syscall::reply(Answer::new(0, [0; 4])).check()?;
    }
    Ok(())
}

/// A page that is missing in the lease ends the copy there, and says how far it came; one that is missing in the server is
/// the server's mistake.
pub fn missing_pages(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    let (a, b) = (lab.frame()?, lab.frame()?);
    lab.map(a, 0)?;
    lab.map(b, 1)?;
    let read_only = Frame(lab.copy(a.0, frame::READ, 0)?);
    lab.space
        .map(read_only, WINDOW + 2 * PAGE, frame::READ, space::WRITE_BACK)?;
    // Two pages, a read-only one, and nothing.
    lab.spawn(HIGH, move || {
        lend(endpoint, WINDOW, (4 * PAGE) | READ | WRITE);
    })?;
    syscall::recv(endpoint).check()?;
    let own = vec![6u8; 4 * PAGE as usize];
    let own = own.as_ptr() as u64;
    const FAULT: u8 = abi::Error::LeaseFault as u8;
    const BAD: u8 = abi::Error::BadBuffer as u8;
    same!(copy(reply::LEASE_READ, 0, own, 3 * PAGE), (0, 3 * PAGE));
    same!(copy(reply::LEASE_READ, 0, own, 4 * PAGE), (FAULT, 3 * PAGE));
    same!(
        copy(reply::LEASE_WRITE, 0, own, 4 * PAGE),
        (FAULT, 2 * PAGE)
    );
    same!(copy(reply::LEASE_WRITE, 3 * PAGE - 1, own, 2), (FAULT, 0));
    same!(copy(reply::LEASE_READ, 3 * PAGE - 1, own, 2), (FAULT, 1));
    let hole = WINDOW + 8 * PAGE;
    same!(copy(reply::LEASE_READ, 0, hole, 8), (BAD, 0));
    same!(copy(reply::LEASE_WRITE, 0, hole, 8), (BAD, 0));
    // The server's own read-only page, and the page before a hole.
    same!(copy(reply::LEASE_READ, 0, WINDOW + 2 * PAGE, 8), (BAD, 0));
    same!(
        copy(reply::LEASE_READ, 0, WINDOW + 2 * PAGE - 16, 32),
        (BAD, 16)
    );
    for bad in [
        USER_END,
        USER_END - 8,
        1 << 47,
        0xffff_8000_0000_0000,
        u64::MAX,
        u64::MAX - 7,
    ] {
        same!(copy(reply::LEASE_READ, 0, bad, 16), (BAD, 0));
        same!(copy(reply::LEASE_WRITE, 0, bad, 16), (BAD, 0));
    }
    // Unmapping takes effect at once, in the middle of the call.
    lab.space.unmap(b)?;
    same!(copy(reply::LEASE_READ, 0, own, 2 * PAGE), (FAULT, PAGE));
    Ok(())
}

/// One operation moves at most 64 KiB; nothing is moved for length 0.
pub fn sizes(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    let helper = lab.spawn(HIGH, move || {
        let mut m = syscall::recv(endpoint);
        loop {
            let mut bytes = [0u8; 256];
            let length = m.lease.length();
            let mut sum = 0;
            for offset in (0..length).step_by(256) {
                let piece = &mut bytes[..(length - offset).min(256) as usize];
                let _ = ME.lease_read(0, offset, piece);
                sum += piece.iter().map(|byte| *byte as u64).sum::<u64>();
            }
            m = syscall::reply_recv(endpoint, 0, [sum, 0, 0, 0]);
        }
    })?;
    for length in [0, 1, 7, 8, 9, 255, 4096, 100_000] {
        let bytes = vec![1u8; length];
        let m = syscall::call_lending(endpoint, 0, [0; 4], Lease::read(&bytes));
        same!(m.check()?.words[0], length as u64);
    }
    helper.suspend()?;
    let big = vec![2u8; 200_000];
    let (base, bits) = (big.as_ptr() as u64, 200_000 | READ);
    lab.spawn(HIGH, move || {
        lend(endpoint, base, bits);
    })?;
    syscall::recv(endpoint).check()?;
    let mut own = vec![0u8; 200_000];
    let to = own.as_mut_ptr() as u64;
    same!(copy(reply::LEASE_READ, 0, to, 200_000), (0, COPY_LIMIT));
    same!(copy(reply::LEASE_READ, 0, to, u64::MAX), (0, COPY_LIMIT));
    same!(copy(reply::LEASE_READ, 200_000, to, 0), (0, 0));
    ME.lease_read(0, 1, &mut own[1..])?;
    check!(own[1..].iter().all(|byte| *byte == 2));
    Ok(())
}

/// A reply carries bytes into lease 0. If it is refused the caller still waits, and the leases still live.
pub fn payload(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    let helper = lab.spawn(HIGH, move || {
        let mut bytes = [1u8; 100];
        let m = syscall::call_lending(endpoint, 0, [0; 4], Lease::write(&mut bytes));
        let sum = bytes.iter().map(|byte| *byte as u64).sum();
        syscall::call(endpoint, m.tag.label(), [sum, 0, 0, 0]);
    })?;
    syscall::recv(endpoint).check()?;
    let with = |payload| {
        syscall::reply(Answer {
            payload,
            ..Answer::new(77, [0; 4])
        })
    };
    let by_address = |base: u64, length: u64| {
        let tag = Tag::new(Op::Reply, 77, 0, Flags::PAYLOAD);
        syscall::enter(Input {
            base,
            length,
            ..Input::new(tag, CALLER, [0; 4])
        })
        .check()
    };
    refused!(with(&[5; 101]).check(), LeaseBounds);
    refused!(by_address(WINDOW, 100), BadBuffer);
    refused!(by_address(u64::MAX, 100), BadBuffer);
    refused!(by_address(0xffff_8000_0000_0000, 100), BadBuffer);
    refused!(by_address(WINDOW, COPY_LIMIT + 1), InvalidArgument);
    refused!(by_address(WINDOW, u64::MAX), InvalidArgument);
    same!(ME.lease_info(0)?.bits(), 100 | WRITE);
    let both = syscall::reply_recv_with(
        endpoint,
        Answer {
            payload: &[5; 101],
            ..Answer::new(0, [0; 4])
        },
        None,
    );
    refused!(both.check(), LeaseBounds);
    with(&[5; 60]).check()?;
    refused!(ME.lease_info(0), NoCaller);
    let m = syscall::recv(endpoint).check()?;
    same!((m.tag.label(), m.words[0]), (77, 5 * 60 + 40));
    // To nobody: dropped, like any reply.
    syscall::reply(Answer::new(0, [0; 4])).check()?;
    by_address(WINDOW, 8)?;
    lab.join(helper)
}

/// Payload to a parked caller, and to one that lends read-only memory.
pub fn payload_via(lab: &mut Lab) -> Outcome {
    let (endpoint, reply) = (lab.endpoint()?, lab.reply()?);
    let page = lab.frame()?;
    lab.map(page, 0)?;
    raw::write(WINDOW, 0);
    for rights in [WRITE, READ] {
        lab.spawn(HIGH, move || {
            lend(endpoint, WINDOW, 8 | rights);
        })?;
        syscall::recv(endpoint).check()?;
        reply.defer()?;
        let answer = Answer {
            payload: &[0x11; 8],
            ..Answer::new(0, [0; 4])
        };
        let sent = syscall::reply_via(reply.0, answer).check();
        if rights == WRITE {
            sent?;
            same!(raw::read(WINDOW), 0x1111_1111_1111_1111);
        } else {
            refused!(sent, LeaseBounds);
            same!(reply.lease_info(0)?.length(), 8);
        }
    }
    Ok(())
}
