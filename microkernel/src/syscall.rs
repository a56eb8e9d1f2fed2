//! System calls: decode, act, encode.

use abi::{Error, Kind, Op, Tag, buffer, object::endpoint, tag::Flags};

use crate::{
    Kernel,
    endpoint::{Endpoint, Reply},
    invoke::{self, Results},
    ipc::{self, Payload},
    object,
    raw::Ref,
    slot::SlotRef,
    thread::{Owed, Sent, ThreadRef},
    trace::Event,
    transfer, trap,
    usermem::Lease,
};

/// The running thread executed SYSCALL; its registers are in its frame. True: it goes on, and returns with zeros, which are
/// not in the frame.
#[inline(always)]
#[must_use]
pub fn handle(kernel: &mut Kernel) -> bool {
    let thread = kernel.enter();
    let tag = Tag(thread.frame().rax.get());
    kernel
        .trace
        .record_message(Event::Call, thread.address(), tag.0);
    let result = if tag.is_plain_call() {
        call(kernel, thread, tag, None)
    } else {
        dispatch(kernel, thread, tag)
    };
    // A thread that destroyed itself is gone: nobody is told. One that blocked is told later.
    if kernel.current() != thread {
        kernel.leave(kernel.current());
        return false;
    }
    if tag.flags().intersects(Flags::CAP | Flags::LEASES) && thread.is_ready() {
        thread.reset_request();
    }
    match result {
        Ok(Results::InFrame) => {}
        Ok(Results::Zero) if kernel.goes_on(thread) => return true,
        Ok(Results::Zero) => thread.frame().set_status(0),
        Err(error) => thread.frame().set_status(error as u64),
    }
    kernel.leave(thread);
    false
}

/// Flags an operation knows; anything else is `InvalidTag`.
const fn known(op: Op) -> Flags {
    match op {
        Op::Call => Flags::TIMED.union(Flags::CAP).union(Flags::LEASES),
        Op::ReplyRecv => Flags::TIMED
            .union(Flags::PAYLOAD)
            .union(Flags::CAP)
            .union(Flags::VIA),
        Op::Recv => Flags::TIMED.union(Flags::CAP).union(Flags::VIA),
        Op::Reply => Flags::PAYLOAD.union(Flags::CAP).union(Flags::VIA),
        Op::Yield | Op::Nop => Flags::empty(),
    }
}

#[inline(always)]
fn dispatch(kernel: &mut Kernel, thread: ThreadRef, tag: Tag) -> Result<Results, Error> {
    let op = tag.op().ok_or(Error::InvalidTag)?;
    let flags = tag.flags();
    if !known(op).contains(flags) || tag.extra() > Tag::MAX_EXTRA {
        return Err(Error::InvalidTag);
    }
    let frame = thread.frame();
    if flags.contains(Flags::CAP) {
        thread.transfer.set(frame.r9.get());
    }
    let deadline = flags.contains(Flags::TIMED).then(|| frame.r10.get());
    match op {
        Op::Call => unusual_call(kernel, thread, tag, deadline),
        Op::Recv => {
            let endpoint = receive_from(thread)?;
            if flags.contains(Flags::VIA) {
                let reply = reply_object(thread)?;
                ipc::defer(kernel, thread, reply)?;
            }
            ipc::check_receive(thread)?;
            ipc::receive(kernel, thread, endpoint, deadline)?;
            Ok(Results::InFrame)
        }
        Op::Reply => {
            let via = decode_reply(thread, tag)?;
            if let Some((client, _)) = ipc::reply(kernel, thread, tag, via) {
                kernel.make_ready(client);
            }
            Ok(Results::Zero)
        }
        Op::ReplyRecv => {
            let endpoint = receive_from(thread)?;
            if flags.contains(Flags::VIA) {
                ipc::check_receive(thread)?;
            }
            let via = decode_reply(thread, tag)?;
            let client = ipc::reply(kernel, thread, tag, via);
            // The reply is done; from here on errors are the receive half's.
            let received = ipc::receive(kernel, thread, endpoint, deadline);
            match client {
                Some((client, in_turn)) if !thread.is_ready() => kernel.hand_back(client, in_turn),
                Some((client, _)) => kernel.make_ready(client),
                None => {}
            }
            received?;
            Ok(Results::InFrame)
        }
        Op::Yield => {
            frame.set_status(0);
            kernel.rotate();
            Ok(Results::InFrame)
        }
        Op::Nop => Ok(Results::Zero),
    }
}

/// A call with a deadline, extra words, leases or a capability.
#[inline(never)]
fn unusual_call(
    kernel: &mut Kernel,
    thread: ThreadRef,
    tag: Tag,
    deadline: Option<u64>,
) -> Result<Results, Error> {
    call(kernel, thread, tag, deadline)
}

#[inline(always)]
fn call(
    kernel: &mut Kernel,
    thread: ThreadRef,
    tag: Tag,
    deadline: Option<u64>,
) -> Result<Results, Error> {
    let index = thread.frame().rdi.get();
    if index == 0 {
        return invoke::caller(thread, tag.label());
    }
    let slot = thread.slot(index)?;
    if slot.kind() != Kind::Endpoint {
        return invoke::object(kernel, thread, slot, tag.label());
    }
    let endpoint: Ref<Endpoint> = object::named(slot, endpoint::CALL)?;
    check_transfer(thread, Some(slot))?;
    record_leases(thread, tag);
    ipc::call(kernel, thread, endpoint, slot.data(), deadline)?;
    Ok(Results::InFrame)
}

/// The endpoint named by RDI, to receive from.
fn receive_from(thread: ThreadRef) -> Result<Ref<Endpoint>, Error> {
    object::named(thread.slot(thread.frame().rdi.get())?, endpoint::RECV)
}

/// The Reply object named by RSI.
#[inline(always)]
fn reply_object(thread: ThreadRef) -> Result<Ref<Reply>, Error> {
    object::named(thread.slot(thread.frame().rsi.get())?, 0)
}

/// Checks everything about a reply and copies its payload: after this it cannot fail.
#[inline(always)]
fn decode_reply(thread: ThreadRef, tag: Tag) -> Result<Option<Ref<Reply>>, Error> {
    let usual = match thread.debt() {
        Owed::Caller(client) => client.sent.get() == Sent::Call,
        _ => true,
    };
    if usual && tag.flags().is_empty() {
        Ok(None)
    } else {
        decode_unusual_reply(thread, tag)
    }
}

fn decode_unusual_reply(thread: ThreadRef, tag: Tag) -> Result<Option<Ref<Reply>>, Error> {
    let flags = tag.flags();
    let via = if flags.contains(Flags::VIA) {
        Some(reply_object(thread)?)
    } else {
        None
    };
    check_transfer(thread, None)?;
    let target = ipc::answered(thread, via);
    if matches!(target, Owed::Caller(client) if client.sent.get() == Sent::Fault) {
        trap::check_answer(thread, tag)?;
    }
    if flags.contains(Flags::PAYLOAD) {
        let payload = Payload {
            address: thread.frame().rdx.get(),
            length: thread.frame().r8.get(),
        };
        ipc::copy_payload(thread, target, payload)?;
    }
    Ok(via)
}

/// A capability to pass must exist, and a call must go through an endpoint capability with GRANT.
fn check_transfer(thread: ThreadRef, through: Option<SlotRef>) -> Result<(), Error> {
    let offer = abi::tag::Transfer::from_bits(thread.transfer.get());
    if offer.pass == 0 {
        return Ok(());
    }
    if !transfer::passable(thread.slot(offer.pass as u64)?) {
        return Err(Error::NoCapability);
    }
    match through {
        Some(slot) if slot.rights() & endpoint::GRANT == 0 => Err(Error::MissingRight),
        _ => Ok(()),
    }
}

/// Notes what a call lends. The descriptors are copied here and checked when they are used ([`Lease::of`]).
fn record_leases(thread: ThreadRef, tag: Tag) {
    let frame = thread.frame();
    let first = Lease {
        base: frame.rdx.get(),
        bits: frame.r8.get(),
    };
    thread.leases[0].set(first);
    if tag.flags().contains(Flags::LEASES) {
        for index in 1..4 {
            let word = buffer::lease(index) / 8;
            thread.leases[index].set(Lease {
                base: thread.word(word),
                bits: thread.word(word + 1),
            });
        }
        thread.lease_count.set(4);
    }
}
