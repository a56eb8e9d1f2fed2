//! Where servers receive, and where they park callers.

use core::{cell::Cell, mem::offset_of};

use crate::{
    irq::Irq,
    queue::Queue,
    raw::Ref,
    thread::{self, Thread, ThreadRef},
};

/// An endpoint: callers wait here for a server, servers for callers; never both.
#[repr(C, align(64))]
pub struct Endpoint {
    /// What the fast path looks at: the receiver, if exactly one waits and nothing about it is unusual; else
    /// [`thread::nobody`] if nobody waits for anything, or [`thread::busy`].
    fast: Cell<ThreadRef>,
    /// Threads in state Sending, first come first served.
    senders: Queue<Thread>,
    /// Threads in state Receiving, without the one in `fast`.
    receivers: Queue<Thread>,
    /// Interrupts that fired and wait for a receiver.
    pending: Queue<Irq>,
    /// Calls and faults that it delivered. The fast path counts its own.
    pub(crate) messages: Cell<u64>,
}

/// Bytes of an Endpoint.
pub const SIZE: u64 = 64;
const _: () = assert!(size_of::<Endpoint>() == SIZE as usize);
// The fast path reads it at the endpoint's own address.
const _: () = assert!(offset_of!(Endpoint, fast) == 0);

impl Endpoint {
    /// Nobody here.
    pub(crate) const fn new() -> Self {
        Self {
            fast: Cell::new(thread::nobody()),
            senders: Queue::new(),
            receivers: Queue::new(),
            pending: Queue::new(),
            messages: Cell::new(0),
        }
    }

    /// The receiver whose turn is next.
    #[inline]
    pub fn first_receiver(&self) -> Option<ThreadRef> {
        let fast = self.fast.get();
        if fast == thread::nobody() {
            None
        } else if fast == thread::busy() {
            self.receivers.first()
        } else {
            Some(fast)
        }
    }

    /// Calls and faults that it delivered so far.
    pub fn messages(&self) -> u64 {
        self.messages.get()
    }

    /// It delivers one more.
    #[inline(always)]
    pub fn count_message(&self) {
        self.messages.set(self.messages.get() + 1);
    }

    /// What the fast path looks at.
    pub fn fast(&self) -> ThreadRef {
        self.fast.get()
    }

    /// All receivers, in turn.
    pub fn receivers(&self) -> impl Iterator<Item = ThreadRef> + '_ {
        let fast = self.fast.get();
        let plain = fast != thread::nobody() && fast != thread::busy();
        plain.then_some(fast).into_iter().chain(self.receivers.members())
    }

    /// All callers, in turn.
    pub fn senders(&self) -> impl Iterator<Item = ThreadRef> + '_ {
        self.senders.members()
    }

    /// All interrupts, in turn.
    pub fn pending(&self) -> impl Iterator<Item = Ref<Irq>> + '_ {
        self.pending.members()
    }

    /// The caller whose turn is next.
    pub fn first_sender(&self) -> Option<ThreadRef> {
        self.senders.first()
    }

    /// Takes the caller whose turn is next: it does not wait for a receiver any more.
    #[inline(always)]
    pub fn pop_sender(&self) -> Option<ThreadRef> {
        let sender = self.senders.pop_front()?;
        self.update();
        Some(sender)
    }

    /// A thread waits for a message.
    #[inline(always)]
    pub fn add_receiver(&self, receiver: ThreadRef) {
        if self.fast.get() == thread::nobody() && receiver.is_plain_receiver() {
            self.fast.set(receiver);
        } else {
            self.add_to_receivers(receiver);
        }
    }

    fn add_to_receivers(&self, receiver: ThreadRef) {
        let fast = self.fast.get();
        if fast != thread::nobody() && fast != thread::busy() {
            self.receivers.push_back(fast);
        }
        self.receivers.push_back(receiver);
        self.fast.set(thread::busy());
    }

    /// A thread does not wait for a message any more.
    pub fn remove_receiver(&self, receiver: ThreadRef) {
        if self.fast.get() == receiver {
            self.fast.set(thread::nobody());
            return;
        }
        self.receivers.remove(receiver);
        match self.receivers.only() {
            Some(last) if last.is_plain_receiver() => {
                self.receivers.remove(last);
                self.fast.set(last);
            }
            _ => self.update(),
        }
    }

    /// A thread waits for a receiver.
    pub fn add_sender(&self, sender: ThreadRef) {
        self.senders.push_back(sender);
        self.fast.set(thread::busy());
    }

    /// A thread does not wait for a receiver any more.
    pub fn remove_sender(&self, sender: ThreadRef) {
        self.senders.remove(sender);
        self.update();
    }

    /// An interrupt waits for a receiver.
    pub fn add_pending(&self, irq: Ref<Irq>) {
        self.pending.push_back(irq);
        self.fast.set(thread::busy());
    }

    /// An interrupt does not wait any more.
    pub fn remove_pending(&self, irq: Ref<Irq>) {
        self.pending.remove(irq);
        self.update();
    }

    /// The interrupt whose turn is next.
    pub fn first_pending(&self) -> Option<Ref<Irq>> {
        self.pending.first()
    }

    /// A queue lost a member.
    fn update(&self) {
        if self.senders.is_empty() && self.receivers.is_empty() && self.pending.is_empty() {
            self.fast.set(thread::nobody());
        }
    }
}

/// A Reply object: holds one caller until somebody answers VIA it.
#[repr(C, align(64))]
pub struct Reply {
    /// The parked caller, if the fast path may answer it; else [`thread::nobody`].
    pub fast: Cell<ThreadRef>,
    /// The parked caller, in state AwaitingReply from this object.
    pub caller: Cell<Option<ThreadRef>>,
}

// The fast path reads whom it may answer at the object's own address.
const _: () = assert!(offset_of!(Reply, fast) == 0);

impl Reply {
    /// Nobody parked.
    pub(crate) const fn new() -> Self {
        Self { fast: Cell::new(thread::nobody()), caller: Cell::new(None) }
    }

    /// Parks a caller.
    #[inline(always)]
    pub fn park(&self, caller: ThreadRef) {
        self.caller.set(Some(caller));
        if caller.is_plain_caller() {
            self.fast.set(caller);
        }
    }

    /// Nobody is parked any more.
    #[inline(always)]
    pub fn clear(&self) {
        self.fast.set(thread::nobody());
        self.caller.set(None);
    }
}
