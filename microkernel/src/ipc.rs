//! The rendezvous: call, receive, reply, and every way out of waiting (KERNEL.md B4).

use abi::{Error, Tag, tag::Flags};

use crate::{
    Kernel, arch,
    endpoint::{Endpoint, Reply},
    irq,
    raw::Ref,
    thread::{Holder, Owed, Sent, ThreadRef, ThreadState},
    trace::Event,
    transfer, trap,
    usermem::{self, Lease},
};

/// The thread calls an endpoint. Its arguments are checked; its leases and transfer are recorded.
#[inline(always)]
pub fn call(
    kernel: &mut Kernel,
    caller: ThreadRef,
    endpoint: Ref<Endpoint>,
    badge: u64,
    deadline: Option<u64>,
) -> Result<(), Error> {
    caller.sent.set(Sent::Call);
    caller.badge.set(badge);
    send(kernel, caller, endpoint, deadline)
}

/// The thread sends its fault, which has no deadline.
#[inline(never)]
pub fn send_fault(kernel: &mut Kernel, sender: ThreadRef, endpoint: Ref<Endpoint>) {
    sender.sent.set(Sent::Fault);
    sender.lease_count.set(0);
    // Without a deadline it cannot fail.
    let _ = send(kernel, sender, endpoint, None);
}

/// The thread sends its call or fault: to a waiting receiver, or into the queue. Another thread runs afterwards.
#[inline(always)]
fn send(
    kernel: &mut Kernel,
    sender: ThreadRef,
    endpoint: Ref<Endpoint>,
    deadline: Option<u64>,
) -> Result<(), Error> {
    match take_receiver(kernel, endpoint) {
        Some(receiver) => {
            // First, so that the debt says that the fast path may not answer it.
            if let Some(deadline) = deadline {
                kernel.timer.add(sender, deadline);
            }
            endpoint.count_message();
            take(kernel, receiver, sender);
            receiver.set_state(ThreadState::Ready);
            kernel.hand_over(receiver);
        }
        None => {
            if deadline.is_some_and(|deadline| deadline <= arch::cpu::now()) {
                return Err(Error::TimedOut);
            }
            sender.set_state(ThreadState::Sending { to: endpoint });
            endpoint.add_sender(sender);
            if let Some(deadline) = deadline {
                kernel.timer.add(sender, deadline);
            }
            kernel.run_next();
        }
    }
    Ok(())
}

/// The receiver whose turn it is does not wait any more; what it gets follows.
#[inline(always)]
pub fn take_receiver(kernel: &mut Kernel, endpoint: Ref<Endpoint>) -> Option<ThreadRef> {
    let receiver = endpoint.first_receiver()?;
    endpoint.remove_receiver(receiver);
    kernel.timer.remove(receiver);
    Some(receiver)
}

/// Delivers a sender's message to a server, which owes the reply from now on.
#[inline(always)]
fn take(kernel: &mut Kernel, server: ThreadRef, sender: ThreadRef) {
    sender.set_state(ThreadState::AwaitingReply { from: Holder::Thread(server) });
    kernel.trace.record_message(Event::Deliver, sender.address(), server.address());
    match sender.sent.get() {
        Sent::Call => {
            let tag = Tag(sender.frame().rax.get());
            let mut message = carry(sender, server, tag);
            if tag.flags().contains(Flags::LEASES) {
                message |= Flags::MORE_LEASES.bits() as u64;
            }
            server.frame().set_message(
                message,
                sender.badge.get(),
                sender.leases[0].get().bits,
                sender.frame().words(),
            );
        }
        Sent::Fault => trap::deliver(sender, server),
    }
    server.transfer.set(0);
    // Whoever takes a call runs at its caller's priority, if that is higher, until it replies.
    let priority = server.base.get().max(sender.priority.get());
    if priority != server.priority.get() {
        kernel.set_priority(server, priority);
    }
    server.set_owed(Owed::Caller(sender));
}

/// Brings over what a message has beyond its four words. Returns the tag it arrives with.
#[inline(always)]
fn carry(sender: ThreadRef, receiver: ThreadRef, tag: Tag) -> u64 {
    let mut arrives = tag.0 & !0xffff_ffff;
    if tag.extra() > 0 {
        receiver.copy_words(sender, tag.extra());
        arrives |= (tag.extra() as u64) << 8;
    }
    if sender.transfer.get() != 0 && transfer::pass(sender, receiver) {
        arrives |= Flags::CAP_ARRIVED.bits() as u64;
    }
    arrives
}

/// Whether a thread may receive now.
pub fn check_receive(server: ThreadRef) -> Result<(), Error> {
    match server.debt() {
        Owed::Caller(_) => Err(Error::OwesReply),
        _ => Ok(()),
    }
}

/// The thread receives: an interrupt, else a queued sender, else it waits.
#[inline(always)]
pub fn receive(
    kernel: &mut Kernel,
    server: ThreadRef,
    endpoint: Ref<Endpoint>,
    deadline: Option<u64>,
) -> Result<(), Error> {
    if let Owed::Irq(irq) = server.debt() {
        irq::acknowledge(kernel, irq);
    }
    if let Some(irq) = endpoint.first_pending() {
        endpoint.remove_pending(irq);
        irq::deliver(kernel, irq, server);
    } else if let Some(sender) = endpoint.pop_sender() {
        endpoint.count_message();
        take(kernel, server, sender);
        // The reply begins its turn.
        server.leave_turn();
    } else {
        if deadline.is_some_and(|deadline| deadline <= arch::cpu::now()) {
            return Err(Error::TimedOut);
        }
        if let Some(deadline) = deadline {
            kernel.timer.add(server, deadline);
        }
        server.set_state(ThreadState::Receiving { from: endpoint });
        endpoint.add_receiver(server);
    }
    Ok(())
}

/// Bytes a reply copies into lease 0.
#[derive(Clone, Copy, Debug)]
pub struct Payload {
    /// In the server's space.
    pub address: u64,
    /// Bytes.
    pub length: u64,
}

/// Copies a reply's payload; no reply has happened yet, and if this fails none will.
pub fn copy_payload(server: ThreadRef, client: ThreadRef, payload: Payload) -> Result<(), Error> {
    if payload.length > abi::COPY_LIMIT {
        return Err(Error::InvalidArgument);
    }
    let Payload { address, length } = payload;
    let lease = Lease::of(client, 0, usermem::Direction::ToLender, 0, length)?;
    if length == 0 {
        return Ok(());
    }
    let (from_root, to_root) = (server.cr3.get(), client.cr3.get());
    // Mostly that is all.
    let first = usermem::copy_piece(from_root, address, to_root, lease, length);
    let result = match first {
        Ok(bytes) if bytes < length => {
            let (from, to) = (address + bytes, lease + bytes);
            usermem::copy(from_root, from, to_root, to, length - bytes).result
        }
        other => other.map(drop),
    };
    result.map_err(|side| side.error(usermem::Side::To))
}

/// Answers `client`, whom the server owes or who is parked in `via`. `tag`, words and transfer are the server's. Returns the
/// caller that became Ready, which the kernel does not run yet, and whether that is in the running turn.
#[inline(always)]
pub fn reply(
    kernel: &mut Kernel,
    server: ThreadRef,
    tag: Tag,
    via: Option<Ref<Reply>>,
    client: Option<ThreadRef>,
) -> Option<(ThreadRef, bool)> {
    let Some(client) = client else {
        if let (None, Owed::Irq(irq)) = (via, server.debt()) {
            irq::acknowledge(kernel, irq);
        }
        return None;
    };
    kernel.trace.record_message(Event::Reply, server.address(), client.address());
    let in_turn = via.is_none() && server.is_in_turn();
    match via {
        Some(reply) => reply.clear(),
        None => settle(kernel, server),
    }
    kernel.timer.remove(client);
    if client.sent.get() == Sent::Fault {
        client.reset_request();
        return trap::answer(client, server, tag).map(|client| (client, in_turn));
    }
    let message = carry(server, client, tag);
    client.reset_request();
    client.frame().set_message(message, 0, 0, server.frame().words());
    client.set_state(ThreadState::Ready);
    Some((client, in_turn))
}

/// Parks the server's current caller in a Reply object.
#[inline(always)]
pub fn defer(kernel: &mut Kernel, server: ThreadRef, reply: Ref<Reply>) -> Result<(), Error> {
    check_defer(server, reply)?;
    if let Owed::Caller(client) = server.debt() {
        client.set_state(ThreadState::AwaitingReply { from: Holder::Reply(reply) });
        reply.park(client);
        settle(kernel, server);
    }
    Ok(())
}

/// Whether the server's current caller can be parked there.
#[inline(always)]
pub fn check_defer(server: ThreadRef, reply: Ref<Reply>) -> Result<(), Error> {
    match server.debt() {
        Owed::Irq(_) => Err(Error::BadState),
        Owed::Nothing => Err(Error::NoCaller),
        Owed::Caller(_) if reply.caller.get().is_some() => Err(Error::Busy),
        Owed::Caller(_) => Ok(()),
    }
}

/// The server owes nothing any more.
#[inline(always)]
fn settle(kernel: &mut Kernel, server: ThreadRef) {
    server.owe_nothing();
    let base = server.base.get();
    if server.priority.get() != base {
        kernel.set_priority(server, base);
    }
}

/// Nobody owes `client` an answer any more.
fn release(kernel: &mut Kernel, client: ThreadRef) {
    match client.state() {
        ThreadState::AwaitingReply { from: Holder::Thread(server) } => settle(kernel, server),
        ThreadState::AwaitingReply { from: Holder::Reply(reply) } => reply.clear(),
        _ => {}
    }
}

/// Takes a thread out of whatever queue it waits in, its partner's books and the timer. Its state is stale after this.
pub fn stop_waiting(kernel: &mut Kernel, thread: ThreadRef) {
    match thread.state() {
        ThreadState::Inactive | ThreadState::Ready => return,
        ThreadState::Sending { to } => to.remove_sender(thread),
        ThreadState::Receiving { from } => {
            from.remove_receiver(thread);
            thread.owe_nothing();
        }
        ThreadState::AwaitingReply { .. } => release(kernel, thread),
    }
    kernel.timer.remove(thread);
}

/// Ends what a thread waits for with an error; no effect on one that does not wait.
///
/// A fault is not a call: cancelled or timed out, the thread tries its instruction again; without a partner, it stops.
pub fn cancel(kernel: &mut Kernel, thread: ThreadRef, error: Error) {
    let state = thread.state();
    if matches!(state, ThreadState::Inactive | ThreadState::Ready) {
        return;
    }
    stop_waiting(kernel, thread);
    let delivered = matches!(state, ThreadState::AwaitingReply { .. });
    let receiving = matches!(state, ThreadState::Receiving { .. });
    let fault = !receiving && thread.sent.get() == Sent::Fault;
    thread.reset_request();
    if fault {
        if error == Error::PartnerDied {
            thread.set_state(ThreadState::Inactive);
            return;
        }
    } else {
        let delivered = if delivered { Flags::DELIVERED.bits() as u64 } else { 0 };
        thread.frame().set_status(error as u64 | delivered);
    }
    thread.set_state(ThreadState::Ready);
    kernel.make_ready(thread);
}

/// Makes a thread Inactive; what it waits for is cancelled first.
pub fn suspend(kernel: &mut Kernel, thread: ThreadRef) {
    cancel(kernel, thread, Error::Cancelled);
    // A thread that stops itself is in the middle of a request.
    thread.reset_request();
    kernel.make_unready(thread);
    thread.set_state(ThreadState::Inactive);
}
