//! A thread of execution, and a state that says what it waits for.

use core::cell::Cell;

use abi::{Error, object::thread::State as StateNumber};
use intrusive_collections::RBTreeLink;

use crate::{
    arch::frame::Frame,
    endpoint::{Endpoint, Reply},
    irq::Irq,
    mem,
    queue::{Link, Linked},
    raw::Ref,
    slot::{self, Slot, SlotRef},
    usermem::Lease,
};

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
pub enum Owed {
    /// Nothing.
    Nothing,
    /// A reply to this caller.
    Caller(ThreadRef),
    /// An acknowledgement of this interrupt.
    Irq(Ref<Irq>),
}

/// What a thread sends: an ordinary call, or the report of its own fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It called.
    Call,
    /// It trapped.
    Fault,
}

/// Lower half of a Thread object.
#[repr(C, align(4096))]
pub struct Thread {
    /// Saved registers. The processor pushes a trap's frame straight to the end of this field (TSS.RSP0).
    pub frame: Frame,

    // What it may use: cached from the embedded slots below.
    /// Page-table root, as CR3 wants it.
    pub cr3: Cell<u64>,
    /// First slot of its CapTable.
    pub table: Cell<u64>,
    /// Slots of its CapTable; 0 without one.
    pub table_slots: Cell<u32>,

    // Scheduling.
    /// Priority it runs at now: the base, or that of the caller it serves.
    pub priority: Cell<u8>,
    /// Priority it was given.
    pub base: Cell<u8>,
    /// No priority set through it is above this.
    pub ceiling: Cell<u8>,
    link: Link<Thread>,
    /// TSC ticks it ran.
    pub paid: Cell<u64>,

    // IPC.
    /// What it waits for.
    pub state: Cell<ThreadState>,
    /// What it owes.
    pub owed: Cell<Owed>,
    /// Kind of its message while Sending or AwaitingReply.
    pub sent: Cell<Sent>,
    /// Badge of the capability it called through.
    pub badge: Cell<u64>,
    /// Memory it lends while AwaitingReply.
    pub leases: [Cell<Lease>; 4],
    /// How many of them: 0 (a fault), 1, or 4.
    pub lease_count: Cell<u8>,
    /// Index of the slot it passes or receives into: R9 of its call or receive.
    pub transfer: Cell<u64>,
    /// When to give up, absolute TSC; valid while in the timer queue.
    pub deadline: Cell<u64>,
    /// Node of the timer queue.
    pub timer: RBTreeLink,
    /// CR2 of its last page fault.
    pub fault_address: Cell<u64>,
    /// Vector | 1 << 8 of the trap that stopped it, 0 if none did.
    pub stopped_by: Cell<u64>,

    // Embedded capabilities: children of the slots named at CONFIGURE.
    /// Its CapTable.
    table_slot: Slot,
    /// Its Space.
    space_slot: Slot,
    /// Where its faults go.
    fault_slot: Slot,
    /// User address of the message buffer, 0 if not mapped.
    pub buffer: Cell<u64>,
}

const _: () = assert!(size_of::<Thread>() == 4096);

impl Linked for Thread {
    fn link(&self) -> &Link<Self> {
        &self.link
    }
}

impl Thread {
    /// An Inactive thread without anything.
    pub const fn new() -> Self {
        Self {
            frame: Frame::new(),
            cr3: Cell::new(0),
            table: Cell::new(0),
            table_slots: Cell::new(0),
            priority: Cell::new(0),
            base: Cell::new(0),
            ceiling: Cell::new(0),
            link: Link::new(),
            paid: Cell::new(0),
            state: Cell::new(ThreadState::Inactive),
            owed: Cell::new(Owed::Nothing),
            sent: Cell::new(Sent::Call),
            badge: Cell::new(0),
            leases: [const { Cell::new(Lease::NONE) }; 4],
            lease_count: Cell::new(0),
            transfer: Cell::new(0),
            deadline: Cell::new(0),
            timer: RBTreeLink::new(),
            fault_address: Cell::new(0),
            stopped_by: Cell::new(0),
            table_slot: Slot::EMPTY,
            space_slot: Slot::EMPTY,
            fault_slot: Slot::EMPTY,
            buffer: Cell::new(0),
        }
    }

    /// The slot at an index of its table. Index 0 is the table's own and never found.
    #[inline]
    pub fn slot(&self, index: u64) -> Result<SlotRef, Error> {
        if index == 0 || index >= self.table_slots.get() as u64 {
            return Err(Error::NoCapability);
        }
        // SAFETY: the table has `table_slots` slots from `table` on; `lifetime` clears both when the table goes.
        Ok(unsafe { Ref::from_address(self.table.get() + index * slot::SIZE) })
    }

    /// The number of its state, for `INFO`.
    pub fn state_number(&self) -> StateNumber {
        match self.state.get() {
            ThreadState::Inactive => StateNumber::Inactive,
            ThreadState::Ready => StateNumber::Ready,
            ThreadState::Sending { .. } => StateNumber::Sending,
            ThreadState::Receiving { .. } => StateNumber::Receiving,
            ThreadState::AwaitingReply { .. } => StateNumber::AwaitingReply,
        }
    }
}

impl Default for Thread {
    fn default() -> Self {
        Self::new()
    }
}

impl ThreadRef {
    /// Its embedded CapTable slot.
    pub fn table_slot(self) -> SlotRef {
        embedded(&self.table_slot)
    }

    /// Its embedded Space slot.
    pub fn space_slot(self) -> SlotRef {
        embedded(&self.space_slot)
    }

    /// Its embedded fault Endpoint slot.
    pub fn fault_slot(self) -> SlotRef {
        embedded(&self.fault_slot)
    }

    /// Physical address of the message buffer page.
    pub fn buffer_physical(self) -> u64 {
        self.physical() + 4096
    }

    /// Reads word `index` (4 to 127) of the message buffer.
    #[inline]
    pub fn word(self, index: usize) -> u64 {
        assert!(index < 512);
        // SAFETY: the buffer is the second page of the Thread object. User programs write it too, so it is only
        // ever read and written through raw volatile accesses.
        unsafe {
            ((self.address() + 4096) as *const u64)
                .add(index)
                .read_volatile()
        }
    }

    /// Writes word `index` of the message buffer.
    #[inline]
    pub fn set_word(self, index: usize, value: u64) {
        assert!(index < 512);
        // SAFETY: as in `word`.
        unsafe {
            ((self.address() + 4096) as *mut u64)
                .add(index)
                .write_volatile(value)
        }
    }

    /// Copies extra message words (from word 4 on) out of the buffer of `from`.
    pub fn copy_words(self, from: ThreadRef, count: usize) {
        for index in 4..4 + count.min(abi::Tag::MAX_EXTRA) {
            self.set_word(index, from.word(index));
        }
    }

    /// Kernel address of the block area of the message buffer (from word 4 on).
    pub fn block_address(self) -> u64 {
        mem::to_virtual(self.buffer_physical()) + abi::buffer::word(4) as u64
    }
}

fn embedded(slot: &Slot) -> SlotRef {
    // SAFETY: a field of a live Thread; it is taken out of the tree before the Thread goes.
    unsafe { Ref::from_address(slot as *const Slot as u64) }
}
