//! A thread of execution, and a state that says what it waits for.

use core::{cell::Cell, mem::offset_of};

use abi::{Error, object::thread::State as StateNumber};

use crate::{
    arch::{self, fpu, frame::Frame},
    deadlines,
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

/// Lower half of a Thread object: the saved registers lie right below the [`Thread`], so that one word (TSS.RSP0)
/// says who runs and where the processor saves a trap's registers.
#[repr(C, align(4096))]
pub struct Block {
    _unused: [u64; 12],
    frame: Frame,
    thread: Thread,
    fpu: fpu::Area,
}

/// Where in its object the [`Thread`] lies.
pub const OFFSET: u64 = offset_of!(Block, thread) as u64;
const _: () = assert!(size_of::<Block>() == 4096);
const _: () = assert!(offset_of!(Block, frame) + size_of::<Frame>() == OFFSET as usize);
// The processor wants a trap's stack aligned to 16; the bit above that marks a pointer to a thread (`AWAITING_THREAD`).
const _: () = assert!(OFFSET % 32 == AWAITING_THREAD);
// A link in the tree is a slot's address >> 5.
const _: () =
    assert!((OFFSET as usize + offset_of!(Thread, table_slot)).is_multiple_of(size_of::<Slot>()));

impl Block {
    /// An Inactive thread.
    pub const fn new(priority: i32) -> Self {
        Self {
            _unused: [0; 12],
            frame: Frame::new(),
            thread: Thread::new(priority),
            fpu: fpu::Area::uninit(),
        }
    }
}

/// The part of a thread that the kernel works with. The first fields are the ones the fast path uses.
#[repr(C)]
pub struct Thread {
    /// Its Space, as CR3 wants it ([`crate::space::Space`]'s `cr3`).
    pub cr3: Cell<u64>,
    /// First slot of its CapTable.
    table: Cell<u64>,
    /// Slots that the fast path may use: all, or none if something about the thread is unusual.
    fast_slots: Cell<u64>,
    /// [`Thread::state`], packed into a word.
    wait: Cell<u64>,
    /// The caller it owes a reply, if the fast path may answer; else [`nobody`].
    fast_caller: Cell<ThreadRef>,
    /// The thread whose fault it owes an answer, if the fast path may give it; else [`nobody`].
    fast_fault: Cell<ThreadRef>,
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

/// A stand-in for a thread where the fast path compares priorities: less urgent than every real one, and than none.
#[repr(transparent)]
pub struct Nobody(Thread);
// SAFETY: never written.
unsafe impl Sync for Nobody {}

/// See [`nobody`].
#[unsafe(no_mangle)]
pub static POSTERN_NOBODY: Nobody = Nobody(Thread::new(-3));
static BUSY: Nobody = Nobody(Thread::new(-3));

/// Stands for "no thread".
pub const fn nobody() -> ThreadRef {
    Ref::from_static(&POSTERN_NOBODY.0)
}

/// Stands for "not one thread, but see the queues".
pub const fn busy() -> ThreadRef {
    Ref::from_static(&BUSY.0)
}

/// The thread inside a block that always lives.
pub const fn in_static(block: &'static Block) -> ThreadRef {
    Ref::from_static(&block.thread)
}

/// Makes an Inactive thread.
///
/// # Safety
/// As [`Ref::create`], for [`SIZE`] bytes at `address`.
pub unsafe fn create(address: u64) -> ThreadRef {
    // SAFETY: as the caller promises. The rest of the block needs no initial value.
    unsafe {
        Ref::create(address + offset_of!(Block, frame) as u64, Frame::new());
        Ref::create(address + OFFSET, Thread::new(0))
    }
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
                RECEIVING => ThreadState::Receiving {
                    from: Ref::from_address(pointer),
                },
                AWAITING_THREAD => ThreadState::AwaitingReply {
                    from: Holder::Thread(Ref::from_address(wait)),
                },
                AWAITING_PARKED => ThreadState::AwaitingReply {
                    from: Holder::Reply(Ref::from_address(pointer)),
                },
                SENDING => ThreadState::Sending {
                    to: Ref::from_address(pointer),
                },
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
            ThreadState::AwaitingReply {
                from: Holder::Thread(server),
            } => server.address(),
            ThreadState::AwaitingReply {
                from: Holder::Reply(reply),
            } => reply.address() | AWAITING_PARKED,
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
        if caller != nobody() {
            Owed::Caller(caller)
        } else {
            self.owed.get()
        }
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
            match (caller.sent.get(), caller.lease_count.get()) {
                (Sent::Call, 1) => call = caller,
                (Sent::Fault, _) => fault = caller,
                _ => {}
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
        self.fast_slots
            .set(if usual { self.table_slots.get() } else { 0 });
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

/// Where the fast path finds what it needs, seen from the thread's address.
pub mod offset {
    use super::{Block, OFFSET, Thread, offset_of};

    /// See [`Thread::cr3`].
    pub const CR3: usize = offset_of!(Thread, cr3);
    /// First slot of its CapTable.
    pub const TABLE: usize = offset_of!(Thread, table);
    /// Slots that the fast path may use.
    pub const FAST_SLOTS: usize = offset_of!(Thread, fast_slots);
    /// Its state.
    pub const WAIT: usize = offset_of!(Thread, wait);
    /// The caller that the fast path may answer.
    pub const FAST_CALLER: usize = offset_of!(Thread, fast_caller);
    /// The thread whose fault the fast path may answer.
    pub const FAST_FAULT: usize = offset_of!(Thread, fast_fault);
    /// How many leases count, and right behind it the kind of its message.
    pub const REQUEST: usize = offset_of!(Thread, lease_count);
    const _: () = assert!(REQUEST + 1 == offset_of!(Thread, sent));
    /// What it owes, if not to that one: two words, of which the second means nothing if it owes nothing.
    pub const OWED: usize = offset_of!(Thread, owed);
    /// See [`Thread::priority`].
    pub const PRIORITY: usize = offset_of!(Thread, priority);
    /// Lease 0: base, then length and rights.
    pub const LEASE: usize = offset_of!(Thread, leases);
    /// Word 4 of its message buffer.
    pub const BUFFER: usize = size_of::<Block>() - OFFSET as usize + abi::buffer::word(4);
}

impl ThreadRef {
    /// Changes [`Thread::flags`] of an Inactive thread. One that gets the FPU finds the initial state there.
    pub fn set_flags(self, flags: ThreadFlags) {
        if flags
            .difference(self.flags.get())
            .contains(ThreadFlags::FPU)
        {
            self.fpu().reset();
        }
        self.flags.set(flags);
        self.update_fast_slots();
    }

    /// Where its floating-point registers are saved; valid with [`ThreadFlags::FPU`].
    pub fn fpu(self) -> &'static fpu::Area {
        let offset = offset_of!(Block, fpu) as u64 - OFFSET;
        // SAFETY: the area is part of the same object ([`Block`]) and lives as long. Its content is an UnsafeCell.
        unsafe { &*((self.address() + offset) as *const fpu::Area) }
    }

    /// Its saved registers.
    #[inline]
    pub fn frame(self) -> &'static Frame {
        // SAFETY: the frame is part of the same object ([`Block`]) and lives as long. Its fields are Cells.
        unsafe { &*((self.address() - size_of::<Frame>() as u64) as *const Frame) }
    }

    /// Kernel address of the message buffer page.
    fn buffer_page(self) -> u64 {
        self.address() - OFFSET + 4096
    }

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
        mem::to_physical(self.buffer_page())
    }

    /// Reads word `index` (4 to 127) of the message buffer.
    #[inline]
    pub fn word(self, index: usize) -> u64 {
        assert!(index < 512);
        // SAFETY: the buffer is the second page of the Thread object. User programs write it too, so it is only
        // ever read and written through raw volatile accesses.
        unsafe {
            (self.buffer_page() as *const u64)
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
            (self.buffer_page() as *mut u64)
                .add(index)
                .write_volatile(value)
        }
    }

    /// Copies extra message words (from word 4 on) out of the buffer of `from`.
    pub fn copy_words(self, from: ThreadRef, count: usize) {
        let count = count.min(abi::Tag::MAX_EXTRA);
        // SAFETY: both pages are message buffers of live threads, which Rust never borrows.
        unsafe { arch::cpu::copy_words(from.block_address(), self.block_address(), count) };
    }

    /// Kernel address of the block area of the message buffer (from word 4 on).
    pub fn block_address(self) -> u64 {
        self.buffer_page() + abi::buffer::word(4) as u64
    }
}

fn embedded(slot: &Slot) -> SlotRef {
    // SAFETY: a field of a live Thread; it is taken out of the tree before the Thread goes.
    unsafe { Ref::from_address(slot as *const Slot as u64) }
}
