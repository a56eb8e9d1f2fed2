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
    thread::{Sent, ThreadRef},
    trace::Event,
    transfer, trap,
    usermem::Lease,
};

/// How a thread goes on after a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With what is in its frame; it may be another thread by now.
    Frame,
    /// With zeros, which are not in its frame.
    Zeros,
}

/// What has an entry of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// [`Op::Call`].
    Call,
    /// [`Op::Recv`].
    Recv,
    /// [`Op::Reply`] and [`Op::ReplyRecv`].
    Reply,
    /// Everything else.
    Other,
}

impl Operation {
    /// The one that a tag asks for.
    pub const fn of(tag: Tag) -> Self {
        match tag.op() {
            Some(Op::Call) => Self::Call,
            Some(Op::Recv) => Self::Recv,
            Some(Op::Reply | Op::ReplyRecv) => Self::Reply,
            Some(Op::Yield | Op::Nop) | None => Self::Other,
        }
    }
}

/// The running thread executed SYSCALL with this operation in its tag; its registers are in its frame. There is an entry for
/// each operation, so that this is a choice at compile time.
#[inline(always)]
pub fn handle(kernel: &mut Kernel, operation: Operation) -> Exit {
    match operation {
        Operation::Call => call(kernel),
        Operation::Recv => recv(kernel),
        Operation::Reply => reply(kernel),
        Operation::Other => other(kernel),
    }
}

/// Whose call it is, and its tag.
#[inline(always)]
fn enter(kernel: &mut Kernel) -> (ThreadRef, Tag) {
    let thread = kernel.enter();
    let tag = Tag(thread.frame().rax.get());
    kernel.trace.record_message(Event::Call, thread.address(), tag.0);
    (thread, tag)
}

/// Whether the tag has nothing but what an operation knows.
#[inline(always)]
fn check(tag: Tag, known: Flags) -> Result<(), Error> {
    if !known.contains(tag.flags()) || tag.extra() > Tag::MAX_EXTRA {
        return Err(Error::InvalidTag);
    }
    Ok(())
}

/// [`check`], and notes what R9 passes and receives into, until the request is over. A tag that has nothing but `usual`
/// flags, all of them known, is quickly through.
#[inline(always)]
fn check_message(thread: ThreadRef, tag: Tag, usual: Flags, known: Flags) -> Result<(), Error> {
    if tag.has_only(usual) {
        return Ok(());
    }
    check(tag, known)?;
    if tag.flags().contains(Flags::CAP) {
        thread.transfer.set(thread.frame().r9.get());
    }
    Ok(())
}

/// Send to RDI and wait for the reply.
#[inline(always)]
fn call(kernel: &mut Kernel) -> Exit {
    let (thread, tag) = enter(kernel);
    let result = match called(thread, tag) {
        Ok(Some(slot)) if slot.kind() == Kind::Endpoint => {
            match call_endpoint(kernel, thread, tag, slot) {
                Ok(()) => return Exit::Frame,
                Err(error) => Err(error),
            }
        }
        Ok(Some(slot)) => invoke::object(kernel, thread, slot, tag.label()),
        Ok(None) => invoke::caller(thread, tag.label()),
        Err(error) => Err(error),
    };
    // A thread that destroyed itself is gone: nobody is told.
    if kernel.current() != thread {
        kernel.leave(kernel.current());
        return Exit::Frame;
    }
    finish(kernel, thread, tag, result)
}

/// Receive from RDI, perhaps after the current caller was parked in a Reply object.
#[inline(always)]
fn recv(kernel: &mut Kernel) -> Exit {
    let (thread, tag) = enter(kernel);
    let result = decode_recv(kernel, thread, tag);
    finish(kernel, thread, tag, result)
}

/// Reply to the current caller, or to the one in a Reply object; and then, perhaps, receive from RDI.
#[inline(always)]
fn reply(kernel: &mut Kernel) -> Exit {
    let (thread, tag) = enter(kernel);
    let result = decode_reply(kernel, thread, tag);
    if kernel.current() != thread {
        return Exit::Frame;
    }
    finish(kernel, thread, tag, result)
}

/// Let others of the same priority run; nothing; or an operation that does not exist.
#[inline(always)]
fn other(kernel: &mut Kernel) -> Exit {
    let (thread, tag) = enter(kernel);
    let result = match tag.op().filter(|_| check(tag, Flags::empty()).is_ok()) {
        Some(Op::Yield) => {
            thread.frame().set_status(0);
            kernel.rotate();
            return Exit::Frame;
        }
        Some(Op::Nop) => Ok(Results::Zero),
        _ => Err(Error::InvalidTag),
    };
    finish(kernel, thread, tag, result)
}

/// The thread that entered is still the running one, though it may have blocked.
#[inline(always)]
fn finish(
    kernel: &mut Kernel,
    thread: ThreadRef,
    tag: Tag,
    result: Result<Results, Error>,
) -> Exit {
    if tag.flags().intersects(Flags::CAP | Flags::LEASES) && thread.is_ready() {
        thread.reset_request();
    }
    match result {
        Ok(Results::InFrame) => {}
        Ok(Results::Zero) if kernel.goes_on(thread) => return Exit::Zeros,
        Ok(Results::Zero) => thread.frame().set_status(0),
        Err(error) => thread.frame().set_status(error as u64),
    }
    kernel.leave(thread);
    Exit::Frame
}

/// What the operations know.
const CALL: Flags = Flags::TIMED.union(Flags::CAP).union(Flags::LEASES);
const RECV: Flags = Flags::TIMED.union(Flags::CAP).union(Flags::VIA);
const REPLY: Flags = Flags::PAYLOAD.union(Flags::CAP).union(Flags::VIA);
const REPLY_RECV: Flags = REPLY.union(Flags::TIMED);

/// R10, if it is a deadline.
#[inline(always)]
fn deadline(thread: ThreadRef, tag: Tag) -> Option<u64> {
    tag.flags().contains(Flags::TIMED).then(|| thread.frame().r10.get())
}

#[inline(always)]
fn decode_recv(kernel: &mut Kernel, thread: ThreadRef, tag: Tag) -> Result<Results, Error> {
    check_message(thread, tag, Flags::VIA.union(Flags::TIMED), RECV)?;
    let endpoint = receive_from(thread)?;
    if tag.flags().contains(Flags::VIA) {
        ipc::defer(kernel, thread, reply_object(thread)?)?;
    } else {
        ipc::check_receive(thread)?;
    }
    ipc::receive(kernel, thread, endpoint, deadline(thread, tag))?;
    Ok(Results::InFrame)
}

#[inline(always)]
fn decode_reply(kernel: &mut Kernel, thread: ThreadRef, tag: Tag) -> Result<Results, Error> {
    let receives = tag.0 as u8 & 0xf == Op::ReplyRecv as u8;
    let known = if receives { REPLY_RECV } else { REPLY };
    check_message(thread, tag, Flags::VIA, known)?;
    let endpoint = if receives {
        let endpoint = receive_from(thread)?;
        if tag.flags().contains(Flags::VIA) {
            ipc::check_receive(thread)?;
        }
        Some(endpoint)
    } else {
        None
    };
    let (via, client) = check_reply(thread, tag)?;
    let client = ipc::reply(kernel, thread, tag, via, client);
    // The reply is done; from here on errors are the receive half's.
    let result = match endpoint {
        Some(endpoint) => {
            ipc::receive(kernel, thread, endpoint, deadline(thread, tag)).map(|()| Results::InFrame)
        }
        None => Ok(Results::Zero),
    };
    match client {
        Some((client, in_turn)) if !thread.is_ready() => kernel.hand_back(client, in_turn),
        Some((client, _)) => kernel.make_ready(client),
        None => {}
    }
    result
}

/// The slot that a call names; `None`: its current caller.
#[inline(always)]
fn called(thread: ThreadRef, tag: Tag) -> Result<Option<SlotRef>, Error> {
    check_message(thread, tag, Flags::empty(), CALL)?;
    match thread.frame().rdi.get() {
        0 => Ok(None),
        index => thread.any_slot(index).map(Some),
    }
}

#[inline(always)]
fn call_endpoint(
    kernel: &mut Kernel,
    thread: ThreadRef,
    tag: Tag,
    slot: SlotRef,
) -> Result<(), Error> {
    let endpoint: Ref<Endpoint> = object::named(slot, endpoint::CALL)?;
    if tag.flags().contains(Flags::CAP) {
        check_transfer(thread, Some(slot))?;
    }
    record_leases(thread, tag);
    ipc::call(kernel, thread, endpoint, slot.data(), deadline(thread, tag))
}

/// The endpoint named by RDI, to receive from.
#[inline(always)]
fn receive_from(thread: ThreadRef) -> Result<Ref<Endpoint>, Error> {
    object::named(thread.any_slot(thread.frame().rdi.get())?, endpoint::RECV)
}

/// The Reply object named by RSI.
#[inline(always)]
fn reply_object(thread: ThreadRef) -> Result<Ref<Reply>, Error> {
    object::named(thread.any_slot(thread.frame().rsi.get())?, 0)
}

/// Checks everything about a reply and copies its payload: after this it cannot fail. Says whom it answers.
#[inline(always)]
fn check_reply(
    thread: ThreadRef,
    tag: Tag,
) -> Result<(Option<Ref<Reply>>, Option<ThreadRef>), Error> {
    let flags = tag.flags();
    let via = if flags.contains(Flags::VIA) { Some(reply_object(thread)?) } else { None };
    if flags.contains(Flags::CAP) {
        check_transfer(thread, None)?;
    }
    let client = match via {
        Some(reply) => reply.caller.get(),
        None => thread.caller(),
    };
    if let Some(client) = client {
        if client.sent.get() == Sent::Fault {
            trap::check_answer(thread, tag)?;
        }
        if flags.contains(Flags::PAYLOAD) {
            copy_payload(thread, client)?;
        }
    }
    Ok((via, client))
}

#[inline(never)]
fn copy_payload(thread: ThreadRef, client: ThreadRef) -> Result<(), Error> {
    let payload = Payload { address: thread.frame().rdx.get(), length: thread.frame().r8.get() };
    ipc::copy_payload(thread, client, payload)
}

/// A capability to pass must exist, and a call must go through an endpoint capability with GRANT.
#[inline(never)]
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
#[inline(always)]
fn record_leases(thread: ThreadRef, tag: Tag) {
    let frame = thread.frame();
    thread.leases[0].set(Lease { base: frame.rdx.get(), bits: frame.r8.get() });
    if tag.flags().contains(Flags::LEASES) {
        record_more_leases(thread);
    }
}

#[inline(never)]
fn record_more_leases(thread: ThreadRef) {
    for index in 1..4 {
        let word = buffer::lease(index) / 8;
        thread.leases[index].set(Lease { base: thread.word(word), bits: thread.word(word + 1) });
    }
    thread.lease_count.set(4);
}
