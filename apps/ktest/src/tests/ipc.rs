//! The rendezvous: call, receive, reply, and callers set aside.

use crate::lab::{HIGH, LOW, Lab, NORMAL};
use crate::outcome::Outcome;
use crate::{check, refused, same};
use abi::Tag;
use abi::tag::{Flags, Message, Op};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use libsys::object::{Irq, Reply};
use libsys::syscall::{self, Answer, CALLER, Input, Slot};

/// Label, four words and badge arrive; so does the answer.
pub fn words(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    let badged = lab.copy(endpoint, abi::object::endpoint::CALL, u64::MAX)?;
    lab.spawn(HIGH, move || {
        let mut m = syscall::recv(endpoint);
        loop {
            let [a, b, c, d] = m.words;
            m = syscall::reply_recv(endpoint, !m.tag.label(), [!d, !c, !b, m.badge ^ a]);
        }
    })?;
    for (label, words) in [
        (0, [0; 4]),
        (u32::MAX, [u64::MAX; 4]),
        (0x1234_5678, [1, 2, 3, 1 << 63]),
    ] {
        let m = syscall::call(badged, label, words).check()?;
        same!(m.tag.0, (!label as u64) << 32);
        let [a, b, c, d] = words;
        same!(m.words, [!d, !c, !b, !a]);
        same!((m.badge, m.lease.bits()), (0, 0));
    }
    Ok(())
}

/// 0 to 116 further words, both ways, and not one more.
pub fn extra_words(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    lab.spawn(HIGH, move || {
        let mut m = syscall::recv(endpoint);
        loop {
            let extra = m.tag.extra();
            for i in 4..4 + extra {
                syscall::set_word(i, !syscall::word(i));
            }
            let answer = Answer {
                extra,
                ..Answer::new(extra as u32, m.words)
            };
            m = syscall::reply_recv_with(endpoint, answer, None);
        }
    })?;
    for extra in 0..=Tag::MAX_EXTRA {
        for i in 4..128 {
            syscall::set_word(i, (extra * 1000 + i) as u64);
        }
        let m = syscall::call_extra(endpoint, 0, [0; 4], extra).check()?;
        same!((m.tag.label(), m.tag.extra()), (extra as u32, extra));
        for i in 4..128 {
            let sent = (extra * 1000 + i) as u64;
            same!(syscall::word(i), if i < 4 + extra { !sent } else { sent });
        }
    }
    for extra in Tag::MAX_EXTRA + 1..128 {
        let m = syscall::call_extra(endpoint, 0, [0; 4], extra);
        refused!(m.check(), InvalidTag);
    }
    Ok(())
}

/// Bits of the tag that mean nothing, or nothing to this operation.
pub fn tags(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    let enter = |tag: u64| syscall::enter(Input::new(Tag(tag), endpoint, [0; 4])).check();
    for op in 6..16 {
        refused!(enter(op), InvalidTag);
    }
    for op in 0..6 {
        for bit in 16..32 {
            refused!(enter(op | 1 << bit), InvalidTag);
        }
    }
    let wrong = [
        (Op::Call, Flags::PAYLOAD | Flags::VIA),
        (Op::ReplyRecv, Flags::LEASES),
        (Op::Recv, Flags::PAYLOAD | Flags::LEASES),
        (Op::Reply, Flags::TIMED | Flags::LEASES),
        (
            Op::Yield,
            Flags::TIMED | Flags::PAYLOAD | Flags::CAP | Flags::LEASES | Flags::VIA,
        ),
        (
            Op::Nop,
            Flags::TIMED | Flags::PAYLOAD | Flags::CAP | Flags::LEASES | Flags::VIA,
        ),
    ];
    for (op, flags) in wrong {
        for flag in flags.iter() {
            refused!(enter(op as u64 | flag.bits() as u64), InvalidTag);
        }
    }
    // The label is the partners' own.
    enter(0xffff_ffff << 32 | Op::Nop as u64)?;
    Ok(())
}

/// Who owes a reply cannot receive; who owes none may reply into the void.
pub fn owing(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    syscall::reply(Answer::new(0, [0; 4])).check()?;
    let helper = lab.spawn(HIGH, move || {
        syscall::call(endpoint, 1, [0; 4]);
    })?;
    syscall::recv(endpoint).check()?;
    refused!(syscall::recv(endpoint).check(), OwesReply);
    refused!(syscall::recv_until(endpoint, 0).check(), OwesReply);
    // REPLY_RECV answers and receives, both or nothing: with a bad endpoint the caller still waits.
    let bad = syscall::reply_recv(lab.memory().0, 0, [0; 4]);
    refused!(bad.check(), WrongKind);
    refused!(
        syscall::reply_recv(Slot(0), 0, [0; 4]).check(),
        NoCapability
    );
    refused!(syscall::recv(endpoint).check(), OwesReply);
    syscall::reply(Answer::new(0, [0; 4])).check()?;
    syscall::reply(Answer::new(0, [0; 4])).check()?;
    lab.join(helper)
}

/// Callers are served in the order they came, whatever their priority.
pub fn first_come_first_served(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    for (i, priority) in [HIGH, 90, HIGH, 70].into_iter().enumerate() {
        lab.spawn(priority, move || {
            syscall::call(endpoint, i as u32, [0; 4]);
        })?;
    }
    for expected in 0..4 {
        same!(syscall::recv(endpoint).check()?.tag.label(), expected);
        syscall::reply(Answer::new(0, [0; 4])).check()?;
    }
    Ok(())
}

/// Parked callers are answered later, in any order, each its own answer.
pub fn parked(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    let replies: Vec<Reply> = (0..4).map(|_| lab.reply()).collect::<Result<_, _>>()?;
    let answers = Arc::new(AtomicU64::new(0));
    let mut helpers = Vec::new();
    for i in 0..4u64 {
        let answers = answers.clone();
        helpers.push(lab.spawn(HIGH, move || {
            let m = syscall::call(endpoint, i as u32, [0; 4]);
            answers.fetch_add(m.words[0] << (8 * i), Relaxed);
        })?);
    }
    // The first two by DEFER, the others by a RECV that parks.
    for i in 0..2 {
        same!(syscall::recv(endpoint).check()?.tag.label(), i);
        replies[i as usize].defer()?;
    }
    refused!(replies[0].defer(), NoCaller);
    same!(syscall::recv(endpoint).check()?.tag.label(), 2);
    refused!(replies[0].defer(), Busy);
    refused!(
        syscall::recv_parking(endpoint, replies[1].0, None).check(),
        Busy
    );
    same!(
        syscall::recv_parking(endpoint, replies[2].0, None)
            .check()?
            .tag
            .label(),
        3
    );
    replies[3].defer()?;
    refused!(
        syscall::recv_parking(endpoint, replies[0].0, None).check(),
        NoCaller
    );
    refused!(
        syscall::recv_parking(endpoint, endpoint, None).check(),
        WrongKind
    );
    for (i, reply) in replies.iter().enumerate().rev() {
        let answer = Answer::new(0, [i as u64 + 1, 0, 0, 0]);
        syscall::reply_via(reply.0, answer).check()?;
        // Dropped: there is nobody any more.
        syscall::reply_via(reply.0, answer).check()?;
    }
    for helper in helpers {
        lab.join(helper)?;
    }
    same!(answers.load(Relaxed), 0x0403_0201);
    Ok(())
}

/// REPLY_RECV with VIA answers a parked caller and receives, if nothing else is owed.
pub fn reply_via_and_receive(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    let reply = lab.reply()?;
    for i in 0..3 {
        lab.spawn(HIGH, move || {
            syscall::call(endpoint, i, [0; 4]);
        })?;
    }
    syscall::recv(endpoint).check()?;
    reply.defer()?;
    same!(syscall::recv(endpoint).check()?.tag.label(), 1);
    let input = Input {
        via: reply.0,
        ..Input::new(Tag::new(Op::ReplyRecv, 0, 0, Flags::VIA), endpoint, [0; 4])
    };
    refused!(syscall::enter(input).check(), OwesReply);
    reply_is_busy(reply)?;
    syscall::reply(Answer::new(0, [0; 4])).check()?;
    same!(syscall::enter(input).check()?.tag.label(), 2);
    refused!(reply.lease_info(0), NoCaller);
    Ok(())
}

fn reply_is_busy(reply: Reply) -> Outcome {
    Ok(reply.lease_info(0).map(drop)?)
}

/// A server calls another while it owes, and both answers find their way.
pub fn chain(lab: &mut Lab) -> Outcome {
    let ends: Vec<Slot> = (0..4).map(|_| lab.endpoint()).collect::<Result<_, _>>()?;
    for i in 0..3 {
        let (own, next) = (ends[i], ends[i + 1]);
        lab.spawn(HIGH + i as u8, move || {
            let mut m = syscall::recv(own);
            loop {
                let [w, ..] = m.words;
                let below = syscall::call(next, 0, [w + 1, 0, 0, 0]);
                m = syscall::reply_recv(own, 0, [below.words[0] + 10, 0, 0, 0]);
            }
        })?;
    }
    let last = ends[3];
    lab.spawn(90, move || {
        let mut m = syscall::recv(last);
        loop {
            m = syscall::reply_recv(last, 0, [m.words[0] * 1000, 0, 0, 0]);
        }
    })?;
    for i in 0..50 {
        let m = syscall::call(ends[0], 0, [i, 0, 0, 0]).check()?;
        same!(m.words[0], (i + 3) * 1000 + 30);
    }
    Ok(())
}

/// A server with a low priority runs at its caller's while it owes, and no longer.
pub fn active_priority(lab: &mut Lab) -> Outcome {
    let (endpoint, reply) = (lab.endpoint()?, lab.reply()?);
    let order = Arc::new(AtomicU64::new(0));
    let log = move |order: &AtomicU64, what| order.store(order.load(Relaxed) * 10 + what, Relaxed);
    let (a, b) = (order.clone(), order.clone());
    lab.spawn(LOW, move || {
        syscall::recv(endpoint);
        log(&a, 1);
        // Still above the middle one; after parking the caller it is not.
        syscall::yield_now();
        log(&a, 2);
        let _ = reply.defer();
        log(&a, 4);
        syscall::reply_via(reply.0, Answer::new(0, [0; 4]));
    })?;
    lab.rest(1_000_000);
    lab.spawn(LOW + 5, move || log(&b, 3))?;
    syscall::call(endpoint, 0, [0; 4]).check()?;
    same!(order.load(Relaxed), 1234);
    Ok(())
}

/// The kernel says who sent; a caller cannot pass for an interrupt or a fault.
pub fn kinds_of_message(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    let irq: Irq = lab.irq()?;
    irq.bind(endpoint, 5)?;
    irq.raise()?;
    let m = syscall::recv(endpoint).check()?;
    same!(
        (m.tag.message(), m.badge, m.words[0]),
        (Message::Interrupt, 5, 1)
    );
    refused!(lab.reply()?.defer(), BadState);
    refused!(Reply(CALLER).lease_info(0), NoCaller);
    for flag in [
        Flags::FAULT,
        Flags::INTERRUPT,
        Flags::CAP_ARRIVED,
        Flags::MORE_LEASES,
    ] {
        let tag = Tag::new(Op::Call, 0, 0, flag);
        refused!(
            syscall::enter(Input::new(tag, endpoint, [0; 4])).check(),
            InvalidTag
        );
    }
    let badged = lab.copy(endpoint, abi::object::endpoint::CALL, 5)?;
    lab.spawn(HIGH, move || {
        syscall::call(badged, 0, [1, 0, 0, 0]);
    })?;
    // Receiving acknowledges the interrupt.
    let m = syscall::recv(endpoint).check()?;
    same!((m.tag.message(), m.badge), (Message::Call, 5));
    check!(m.tag.flags().is_empty());
    Ok(())
}

/// Two servers on one endpoint share the work.
pub fn two_servers(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    let served = Arc::new(AtomicU64::new(0));
    for i in 0..2 {
        let served = served.clone();
        lab.spawn(NORMAL, move || {
            let mut m = syscall::recv(endpoint);
            loop {
                served.fetch_add(1 << (32 * i), Relaxed);
                m = syscall::reply_recv(endpoint, 0, m.words);
            }
        })?;
    }
    lab.rest(1_000_000);
    for i in 0..100 {
        same!(syscall::call(endpoint, 0, [i; 4]).check()?.words, [i; 4]);
    }
    let served = served.load(Relaxed);
    same!((served & 0xffff_ffff) + (served >> 32), 100);
    check!(served >> 32 != 0 && served & 0xffff_ffff != 0);
    Ok(())
}
