//! The parts of a Thread object beside the [`Thread`](super::Thread): registers, message buffer, embedded slots.

use core::mem::offset_of;

use super::{Block, OFFSET, ThreadFlags, ThreadRef};
use crate::{
    arch::{self, fpu, frame::Frame},
    mem,
    raw::Ref,
    slot::{Slot, SlotRef},
};

impl ThreadRef {
    /// Changes [`Thread::flags`] of an Inactive thread. One that gets the FPU finds the initial state there.
    pub fn set_flags(self, flags: ThreadFlags) {
        if flags.difference(self.flags.get()).contains(ThreadFlags::FPU) {
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
        unsafe { (self.buffer_page() as *const u64).add(index).read_volatile() }
    }

    /// Writes word `index` of the message buffer.
    #[inline]
    pub fn set_word(self, index: usize, value: u64) {
        assert!(index < 512);
        // SAFETY: as in `word`.
        unsafe { (self.buffer_page() as *mut u64).add(index).write_volatile(value) }
    }

    /// Writes words of the message buffer, from word `first` on.
    pub fn store_words(self, first: usize, words: &[u64]) {
        assert!(first + words.len() <= 512);
        let to = self.buffer_page() + first as u64 * 8;
        // SAFETY: as in `word`; the assembly keeps nothing in mind of what it wrote.
        unsafe { arch::cpu::copy_words(words.as_ptr() as u64, to, words.len()) }
    }

    /// Reads words of the message buffer, from word 4 on.
    pub fn load_words<const COUNT: usize>(self) -> [u64; COUNT] {
        const { assert!(COUNT <= 508) };
        let mut words = [0; COUNT];
        // SAFETY: as in `store_words`.
        unsafe { arch::cpu::copy_words(self.block_address(), words.as_mut_ptr() as u64, COUNT) };
        words
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
