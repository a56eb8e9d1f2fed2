//! How a Thread lies in its object, what the fast path finds where, and the threads that no object holds.

use core::mem::offset_of;

use super::{AWAITING_THREAD, Thread, ThreadRef};
use crate::{
    arch::{fpu, frame::Frame},
    raw::Ref,
    slot::Slot,
};

/// Lower half of a Thread object: the saved registers lie right below the [`Thread`], so that one word (TSS.RSP0)
/// says who runs and where the processor saves a trap's registers.
#[repr(C, align(4096))]
pub struct Block {
    _unused: [u64; 12],
    frame: Frame,
    thread: Thread,
    pub(super) fpu: fpu::Area,
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

/// Where the fast path finds what it needs, seen from the thread's address.
pub mod offset {
    use super::{Block, OFFSET, Thread, offset_of};

    /// The caller that the fast path may answer.
    pub const FAST_CALLER: usize = offset_of!(Thread, fast_caller);
    /// How many leases count, and right behind it the kind of its message.
    pub const REQUEST: usize = offset_of!(Thread, lease_count);
    const _: () = assert!(REQUEST + 1 == offset_of!(Thread, sent));
    /// What it owes, if not to that one: two words, of which the second means nothing if it owes nothing.
    pub const OWED: usize = offset_of!(Thread, owed);
    /// Word 4 of its message buffer.
    pub const BUFFER: usize = size_of::<Block>() - OFFSET as usize + abi::buffer::word(4);
}
