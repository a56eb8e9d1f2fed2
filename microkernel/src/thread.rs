//! A thread of execution, and a state that says what it waits for.

mod block;
mod parts;

use core::cell::Cell;

use abi::{Error, object::thread::State as StateNumber};

use crate::{
    deadlines,
    endpoint::{Endpoint, Reply},
    irq::Irq,
    queue::{Link, Linked},
    raw::Ref,
    slot::{self, Slot, SlotRef},
    usermem::Lease,
};

pub use block::{Block, Nobody, OFFSET, POSTERN_NOBODY, busy, create, in_static, nobody, offset};

/// A pointer to a thread.
pub type ThreadRef = Ref<Thread>;

/// Bytes of a Thread object: this structure, then the message buffer page.
pub const SIZE: u64 = 8192;

/// What a thread does, and whom it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadState {
    /// Stopped until START.
    Inactive,
    /// Running, or in a ready queue.
    Ready,
    /// Queued at an endpoint with a call or a fault.
    Sending {
        /// Where.
        to: Ref<Endpoint>,
    },
    /// Waiting for a message.
    Receiving {
        /// Where.
        from: Ref<Endpoint>,
    },
    /// A server has its call or fault.
    AwaitingReply {
        /// Who owes the answer.
        from: Holder,
    },
}

/// Who owes a caller its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The thread that received the call.
    Thread(ThreadRef),
    /// The Reply object it parked the caller in.
    Reply(Ref<Reply>),
}

/// What a thread that received must answer before it may receive again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Owed {
    /// Nothing.
    Nothing = OWED_NOTHING,
    /// A reply to this caller.
    Caller(ThreadRef) = 1,
    /// An acknowledgement of this interrupt.
    Irq(Ref<Irq>) = OWED_IRQ,
}

/// How the fast path knows an [`Owed`].
pub const OWED_NOTHING: u64 = 0;
/// As [`OWED_NOTHING`]; the interrupt is the next word.
pub const OWED_IRQ: u64 = 2;

bitflags::bitflags! {
    /// What may be unusual about a thread.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ThreadFlags: u8 {
        /// It may use the floating-point registers.
        const FPU = 1;
        /// The event ring shows all its system calls.
        const TRACED = 2;
    }
}

/// What a thread sends: an ordinary call, or the report of its own fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Sent {
    /// It called.
    Call = 0,
    /// It trapped.
    Fault = 1,
}

/// The part of a thread that the kernel works with. The first fields are the ones the fast path uses.
#[repr(C)]
pub struct Thread {
    /// Its Space, as CR3 wants it ([`crate::space::Space`]'s `cr3`).
    pub cr3: Cell<u64>,
    /// First slot of its CapTable.
    pub(crate) table: Cell<u64>,
    /// Slots that the fast path may use: all, or none if something about the thread is unusual.
    pub(crate) fast_slots: Cell<u64>,
    /// [`Thread::state`], packed into a word.
    pub(crate) wait: Cell<u64>,
    /// The caller it owes a reply, if the fast path may answer; else [`nobody`].
    fast_caller: Cell<ThreadRef>,
    /// The thread whose fault it owes an answer, if the fast path may give it; else [`nobody`].
    pub(crate) fast_fault: Cell<ThreadRef>,
    /// Memory it lends while AwaitingReply.
    pub leases: [Cell<Lease>; 4],
    /// Priority it runs at now: the base, or that of the caller it serves.
    pub priority: Cell<i32>,

    /// What it owes belongs to the running turn: the reply goes on in it. True, but for the time of a debt that does not.
    in_turn: Cell<bool>,
    /// Slots of its CapTable; 0 without one.
    table_slots: Cell<u64>,
    /// Priority it was given.
    pub base: Cell<i32>,
    /// No priority set through it is above this.
    pub ceiling: Cell<u8>,
    /// How many leases count. 1, but for the time it waits for the reply to a call with more of them, or to a fault (0).
    pub lease_count: Cell<u8>,
    /// Kind of its message. `Call`, but for the time its fault is being handled.
    pub sent: Cell<Sent>,
    /// See [`ThreadFlags`].
    flags: Cell<ThreadFlags>,
    link: Link<Thread>,
    /// TSC ticks it paid.
    pub paid: Cell<u64>,
    /// What it owes, if not to `fast_caller`.
    owed: Cell<Owed>,
    /// Slots it passes from and receives into: R9 of its call or receive; else 0.
    pub transfer: Cell<u64>,
    /// Badge of the capability it called through, while Sending.
    pub badge: Cell<u64>,
    /// Its place among the threads with a deadline.
    pub timer: deadlines::Node,

    // Embedded capabilities: children of the slots named at CONFIGURE.
    table_slot: Slot,
    space_slot: Slot,
    fault_slot: Slot,

    /// CR2 of its last page fault.
    pub fault_address: Cell<u64>,
    /// Vector | 1 << 8 of the trap that stopped it, 0 if none did.
    pub stopped_by: Cell<u64>,
    /// User address of the message buffer, 0 if not mapped.
    pub buffer: Cell<u64>,
}

impl Linked for Thread {
    fn link(&self) -> &Link<Self> {
        &self.link
    }
}

impl Thread {
    /// An Inactive thread without anything.
    pub const fn new(priority: i32) -> Self {
        Self {
            cr3: Cell::new(0),
            table: Cell::new(0),
            fast_slots: Cell::new(0),
            wait: Cell::new(INACTIVE),
            fast_caller: Cell::new(nobody()),
            fast_fault: Cell::new(nobody()),
            leases: [const { Cell::new(Lease::NONE) }; 4],
            priority: Cell::new(priority),
            in_turn: Cell::new(true),
            table_slots: Cell::new(0),
            flags: Cell::new(ThreadFlags::empty()),
            base: Cell::new(priority),
            ceiling: Cell::new(0),
            lease_count: Cell::new(1),
            sent: Cell::new(Sent::Call),
            link: Link::new(),
            paid: Cell::new(0),
            owed: Cell::new(Owed::Nothing),
            badge: Cell::new(0),
            transfer: Cell::new(0),
            timer: deadlines::Node::new(),
            fault_address: Cell::new(0),
            stopped_by: Cell::new(0),
            table_slot: Slot::EMPTY,
            space_slot: Slot::EMPTY,
            fault_slot: Slot::EMPTY,
            buffer: Cell::new(0),
        }
    }

    /// What it waits for. Stale while the thread runs: every entry but the fast path first says Ready.
    #[inline]
    pub fn state(&self) -> ThreadState {
        let wait = self.wait.get();
        let pointer = wait & !TAG;
        // SAFETY: `set_state` or the fast path packed a reference to a live object, and its end clears the state first.
        unsafe {
            match wait & TAG {
                RECEIVING => ThreadState::Receiving { from: Ref::from_address(pointer) },
                AWAITING_THREAD => {
                    ThreadState::AwaitingReply { from: Holder::Thread(Ref::from_address(wait)) }
                }
                AWAITING_PARKED => {
                    ThreadState::AwaitingReply { from: Holder::Reply(Ref::from_address(pointer)) }
                }
                SENDING => ThreadState::Sending { to: Ref::from_address(pointer) },
                READY => ThreadState::Ready,
                _ => ThreadState::Inactive,
            }
        }
    }

    /// It runs or could run.
    #[inline]
    pub fn is_ready(&self) -> bool {
        self.wait.get() == READY
    }

    /// Changes [`Thread::state`].
    #[inline]
    pub fn set_state(&self, state: ThreadState) {
        self.wait.set(match state {
            ThreadState::Inactive => INACTIVE,
            ThreadState::Ready => READY,
            ThreadState::Sending { to } => to.address() | SENDING,
            ThreadState::Receiving { from } => from.address() | RECEIVING,
            ThreadState::AwaitingReply { from: Holder::Thread(server) } => server.address(),
            ThreadState::AwaitingReply { from: Holder::Reply(reply) } => {
                reply.address() | AWAITING_PARKED
            }
        });
    }

    /// What it owes. A receiving thread owes nothing, whatever the fast path left behind.
    pub fn owed(&self) -> Owed {
        if matches!(self.state(), ThreadState::Receiving { .. }) {
            Owed::Nothing
        } else {
            self.debt()
        }
    }

    /// [`Thread::owed`] of a thread that does not receive.
    #[inline]
    pub fn debt(&self) -> Owed {
        let caller = self.fast_caller.get();
        if caller != nobody() { Owed::Caller(caller) } else { self.owed.get() }
    }

    /// The caller it owes a reply, if it does not receive.
    #[inline(always)]
    pub fn caller(&self) -> Option<ThreadRef> {
        match self.debt() {
            Owed::Caller(caller) => Some(caller),
            _ => None,
        }
    }

    /// The caller that the fast path may answer, or [`nobody`]; stale while it receives.
    pub fn fast_caller(&self) -> ThreadRef {
        self.fast_caller.get()
    }

    /// Changes [`Thread::owed`]. Its priority must be what it will be while it owes this: a reply on the fast path does
    /// not change it back.
    #[inline]
    pub fn set_owed(&self, owed: Owed) {
        self.in_turn.set(true);
        let (mut call, mut fault) = (nobody(), nobody());
        if let Owed::Caller(caller) = owed
            && caller.is_plain_receiver()
            && self.priority.get() == self.base.get()
        {
            match caller.sent.get() {
                Sent::Fault => fault = caller,
                Sent::Call if caller.lease_count.get() == 1 => call = caller,
                Sent::Call => {}
            }
        }
        self.fast_caller.set(call);
        self.fast_fault.set(fault);
        self.owed.set(owed);
    }

    /// It owes a caller nothing any more.
    #[inline(always)]
    pub fn owe_nothing(&self) {
        self.in_turn.set(true);
        self.fast_caller.set(nobody());
        self.fast_fault.set(nobody());
        self.owed.set(Owed::Nothing);
    }

    /// It owes no acknowledgement any more. The fast path never knew of it.
    #[inline(always)]
    pub fn owe_no_interrupt(&self) {
        self.owed.set(Owed::Nothing);
    }

    /// What it owes belongs to the running turn.
    #[inline]
    pub fn is_in_turn(&self) -> bool {
        self.in_turn.get()
    }

    /// What it owes a caller does not belong to the running turn any more, so the fast path may not answer it.
    #[inline]
    pub fn leave_turn(&self) {
        if let Owed::Caller(caller) = self.debt() {
            self.fast_caller.set(nobody());
            self.fast_fault.set(nobody());
            self.owed.set(Owed::Caller(caller));
            self.in_turn.set(false);
        }
    }

    /// Whether nothing is unusual about what it waits for: no deadline, no slot to receive into. Only then may the fast path
    /// hand it a call, or a reply.
    pub fn is_plain_receiver(&self) -> bool {
        self.fast_slots.get() != 0 && self.transfer.get() == 0 && !self.timer.is_linked()
    }

    /// Whether nothing is unusual about its call, nor about itself: it owes nobody anything. Only then may the fast path answer
    /// it VIA a Reply object.
    #[inline(always)]
    pub fn is_plain_caller(&self) -> bool {
        self.is_plain_receiver()
            && (self.sent.get(), self.lease_count.get()) == (Sent::Call, 1)
            && self.debt() == Owed::Nothing
    }

    /// What it asked for is over: nothing unusual about it is left for the next call, which may take the fast path.
    #[inline]
    pub fn reset_request(&self) {
        self.sent.set(Sent::Call);
        self.lease_count.set(1);
        self.transfer.set(0);
    }

    /// Gives it a CapTable: the address of its first slot, and how many there are (0: none).
    pub fn set_table(&self, table: u64, slots: u64) {
        self.table.set(table);
        self.table_slots.set(slots);
        self.update_fast_slots();
    }

    /// What is unusual about it. The fast path never sees a thread of which anything is.
    pub fn flags(&self) -> ThreadFlags {
        self.flags.get()
    }

    fn update_fast_slots(&self) {
        let usual = self.flags.get().is_empty();
        self.fast_slots.set(if usual { self.table_slots.get() } else { 0 });
    }

    /// The slot at an index of its table. Index 0 is the table's own and never found.
    #[inline(always)]
    pub fn slot(&self, index: u64) -> Result<SlotRef, Error> {
        if index == 0 {
            return Err(Error::NoCapability);
        }
        self.any_slot(index)
    }

    /// [`Thread::slot`] for a lookup that looks at once for a usable capability: slot 0 is empty or dying.
    #[inline(always)]
    pub fn any_slot(&self, index: u64) -> Result<SlotRef, Error> {
        if index >= self.table_slots.get() {
            return Err(Error::NoCapability);
        }
        // SAFETY: the table has `table_slots` slots from `table` on; `lifetime` clears both when the table goes.
        Ok(unsafe { Ref::from_address(self.table.get() + index * slot::SIZE) })
    }

    /// The number of its state, for `INFO`.
    pub fn state_number(&self) -> StateNumber {
        match self.state() {
            ThreadState::Inactive => StateNumber::Inactive,
            ThreadState::Ready => StateNumber::Ready,
            ThreadState::Sending { .. } => StateNumber::Sending,
            ThreadState::Receiving { .. } => StateNumber::Receiving,
            ThreadState::AwaitingReply { .. } => StateNumber::AwaitingReply,
        }
    }
}

// Tags of a packed state; the rest of the word is the address of a partner. The fast path stores plain addresses: an
// Endpoint's, aligned to 64, means Receiving; a Thread's, an odd multiple of 16, means AwaitingReply.
const TAG: u64 = 31;
const RECEIVING: u64 = 0;
const SENDING: u64 = 1;
const AWAITING_PARKED: u64 = 2;
const READY: u64 = 3;
const INACTIVE: u64 = 4;
const AWAITING_THREAD: u64 = 16;
