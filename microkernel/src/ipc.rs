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

/// The thread sends its call or fault: to a waiting receiver, or into the queue.
pub fn send(
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
        }
    }
    Ok(())
}

/// The receiver whose turn it is does not wait any more; what it gets follows.
#[inline]
pub fn take_receiver(kernel: &mut Kernel, endpoint: Ref<Endpoint>) -> Option<ThreadRef> {
    let receiver = endpoint.first_receiver()?;
    endpoint.remove_receiver(receiver);
    kernel.timer.remove(receiver);
    Some(receiver)
}

/// Delivers a sender's message to a server, which owes the reply from now on.
#[inline(always)]
fn take(kernel: &mut Kernel, server: ThreadRef, sender: ThreadRef) {
    sender.set_state(ThreadState::AwaitingReply {
        from: Holder::Thread(server),
    });
    kernel
        .trace
        .record_message(Event::Deliver, sender.address(), server.address());
    match sender.sent.get() {
        Sent::Call => {
            let tag = Tag(sender.frame().rax.get());
            let mut low = (tag.extra() as u64) << 8;
            if tag.extra() > 0 {
                server.copy_words(sender, tag.extra());
            }
            if tag.flags().contains(Flags::LEASES) {
                low |= Flags::MORE_LEASES.bits() as u64;
            }
            if sender.transfer.get() != 0 && transfer::pass(kernel, sender, server) {
                low |= Flags::CAP_ARRIVED.bits() as u64;
            }
            let label = tag.0 & !0xffff_ffff;
            server.frame().set_message(
                label | low,
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

/// Whether a thread may receive now.
pub fn check_receive(server: ThreadRef) -> Result<(), Error> {
    match server.debt() {
        Owed::Caller(_) => Err(Error::OwesReply),
        _ => Ok(()),
    }
}

/// The thread receives: an interrupt, else a queued sender, else it waits.
pub fn receive(
    kernel: &mut Kernel,
    server: ThreadRef,
    endpoint: Ref<Endpoint>,
    deadline: Option<u64>,
) -> Result<(), Error> {
    if let Owed::Irq(irq) = server.debt() {
        server.set_owed(Owed::Nothing);
        irq::acknowledge(kernel, irq);
    }
    if let Some(irq) = endpoint.first_pending() {
        endpoint.remove_pending(irq);
        irq::deliver(kernel, irq, server);
    } else if let Some(sender) = endpoint.first_sender() {
        endpoint.remove_sender(sender);
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

/// Whom a reply answers: the parked caller in a Reply object, or what the server owes.
pub fn answered(server: ThreadRef, via: Option<Ref<Reply>>) -> Owed {
    match via {
        Some(reply) => reply.caller.get().map_or(Owed::Nothing, Owed::Caller),
        None => server.debt(),
    }
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
pub fn copy_payload(server: ThreadRef, target: Owed, payload: Payload) -> Result<(), Error> {
    let Owed::Caller(client) = target else {
        return Ok(());
    };
    if payload.length > abi::COPY_LIMIT {
        return Err(Error::InvalidArgument);
    }
    let lease = Lease::of(client, 0, usermem::Direction::ToLender, 0, payload.length)?;
    let copied = usermem::copy(
        server.cr3.get(),
        payload.address,
        client.cr3.get(),
        lease,
        payload.length,
    );
    copied.result.map_err(|side| side.error(usermem::Side::To))
}

/// Answers. `tag`, words and transfer are the server's; the target is what [`answered`] said. Returns the caller that
/// became Ready, which the kernel does not run yet, and whether that is in the running turn.
pub fn reply(
    kernel: &mut Kernel,
    server: ThreadRef,
    tag: Tag,
    via: Option<Ref<Reply>>,
) -> Option<(ThreadRef, bool)> {
    let client = match answered(server, via) {
        Owed::Nothing => return None,
        Owed::Irq(irq) => {
            server.set_owed(Owed::Nothing);
            irq::acknowledge(kernel, irq);
            return None;
        }
        Owed::Caller(client) => client,
    };
    kernel
        .trace
        .record_message(Event::Reply, server.address(), client.address());
    let in_turn = via.is_none() && server.is_in_turn();
    match via {
        Some(reply) => reply.caller.set(None),
        None => settle(kernel, server),
    }
    kernel.timer.remove(client);
    if client.sent.get() == Sent::Fault {
        client.reset_request();
        return trap::answer(client, server, tag).map(|client| (client, in_turn));
    }
    if tag.extra() > 0 {
        client.copy_words(server, tag.extra());
    }
    let mut low = (tag.extra() as u64) << 8;
    if server.transfer.get() != 0 && transfer::pass(kernel, server, client) {
        low |= Flags::CAP_ARRIVED.bits() as u64;
    }
    client.reset_request();
    client
        .frame()
        .set_message(tag.0 & !0xffff_ffff | low, 0, 0, server.frame().words());
    client.set_state(ThreadState::Ready);
    Some((client, in_turn))
}

/// Parks the server's current caller in a Reply object.
pub fn defer(kernel: &mut Kernel, server: ThreadRef, reply: Ref<Reply>) -> Result<(), Error> {
    check_defer(server, reply)?;
    if let Owed::Caller(client) = server.debt() {
        client.set_state(ThreadState::AwaitingReply {
            from: Holder::Reply(reply),
        });
        reply.caller.set(Some(client));
        settle(kernel, server);
    }
    Ok(())
}

/// Whether the server's current caller can be parked there.
pub fn check_defer(server: ThreadRef, reply: Ref<Reply>) -> Result<(), Error> {
    match server.debt() {
        Owed::Irq(_) => Err(Error::BadState),
        Owed::Nothing => Err(Error::NoCaller),
        Owed::Caller(_) if reply.caller.get().is_some() => Err(Error::Busy),
        Owed::Caller(_) => Ok(()),
    }
}

/// The server owes nothing any more.
fn settle(kernel: &mut Kernel, server: ThreadRef) {
    server.set_owed(Owed::Nothing);
    let base = server.base.get();
    if server.priority.get() != base {
        kernel.set_priority(server, base);
    }
}

/// Nobody owes `client` an answer any more.
fn release(kernel: &mut Kernel, client: ThreadRef) {
    match client.state() {
        ThreadState::AwaitingReply {
            from: Holder::Thread(server),
        } => settle(kernel, server),
        ThreadState::AwaitingReply {
            from: Holder::Reply(reply),
        } => reply.caller.set(None),
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
            thread.set_owed(Owed::Nothing);
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
        let delivered = if delivered {
            Flags::DELIVERED.bits() as u64
        } else {
            0
        };
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
