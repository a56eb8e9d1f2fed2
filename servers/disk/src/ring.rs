//! The queue of a virtio device (virtio 1.2, 2.7), with a chain of descriptors for each slot for good.
//!
//! virtio-drivers' `VirtQueue` takes chains from a free list and asks for the physical address of every buffer at every use:
//! some 400 instructions of a request more than this.

use crate::device::{PIECES, SLOTS};
use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::{Ordering, fence};
use virtio::platform::Platform;
use virtio_drivers::transport::Transport;

/// Most descriptors of a slot's chain: header, data and status.
pub const CHAIN: usize = 2 + PIECES;
/// Descriptors of the queue.
const SIZE: usize = (SLOTS * CHAIN).next_power_of_two();

/// Where the available ring and the used ring lie in the queue's page; the descriptors come first.
const AVAILABLE: usize = 16 * SIZE;
const USED: usize = AVAILABLE + 2 * SIZE + 8;
const _: () = assert!(USED + 8 * SIZE + 8 <= 4096 && USED.is_multiple_of(4));

/// Flags of a descriptor.
const NEXT: u64 = 1 << 32;
const DEVICE_WRITES: u64 = 2 << 32;

/// A piece of memory for the device.
#[derive(Debug, Clone, Copy, Default)]
pub struct Part {
    /// Physical address.
    pub physical: u64,
    /// Bytes.
    pub bytes: u32,
    /// Whether the device writes it; else it reads it.
    pub device_writes: bool,
}

impl Part {
    /// What its descriptor says but for the address.
    #[inline(always)]
    fn rest(self) -> u64 {
        let flags = if self.device_writes { DEVICE_WRITES } else { 0 };
        u64::from(self.bytes) | flags
    }
}

/// What a descriptor says that another one follows.
#[inline(always)]
fn linked(next: usize) -> u64 {
    NEXT | (next as u64) << 48
}

/// A queue.
pub struct Ring<P> {
    page: NonNull<u8>,
    /// Requests handed over and taken back so far, modulo 2^16.
    available: u16,
    used: u16,
    /// What each slot's first descriptor says but for address and successor.
    headers: [u64; SLOTS],
    platform: PhantomData<P>,
}

impl<P: Platform> Ring<P> {
    /// Sets the device's queue up. `None`: the device's queues are too short, or there is no memory.
    pub fn new(transport: &mut impl Transport, queue: u16) -> Option<Self> {
        if transport.max_queue_size(queue) < SIZE as u32 {
            return None;
        }
        let (physical, page) = P::dma(1)?;
        let [available, used] = [AVAILABLE, USED].map(|offset| physical + offset as u64);
        transport.queue_set(queue, SIZE as u32, physical, available, used);
        Some(Self {
            page,
            available: 0,
            used: 0,
            headers: [0; SLOTS],
            platform: PhantomData,
        })
    }

    #[inline(always)]
    fn place<T>(&self, offset: usize) -> NonNull<T> {
        // SAFETY: every offset used lies in the queue's page.
        unsafe { self.page.add(offset) }.cast()
    }

    /// Says what every request of a slot begins and ends with. To be called once for each, before its first request.
    pub fn frame(&mut self, slot: usize, header: Part, status: Part) {
        let head = slot * CHAIN;
        self.describe(head, header.physical, header.rest());
        self.describe(head + CHAIN - 1, status.physical, status.rest());
        self.headers[slot] = header.rest();
    }

    #[inline(always)]
    fn describe(&mut self, descriptor: usize, physical: u64, rest: u64) {
        let at = 16 * descriptor;
        // SAFETY: DMA memory, in the descriptors of a slot that the device does not use now.
        unsafe {
            self.place(at).write_volatile(physical);
            self.place(at + 8).write_volatile(rest);
        }
    }

    /// Begins to describe a request that has so many parts between its header and its status.
    ///
    /// # Panics
    /// A chain has not as many descriptors.
    #[inline(always)]
    pub fn chain(&mut self, slot: usize, parts: usize) -> Chain<'_, P> {
        assert!(parts <= CHAIN - 2);
        let head = slot * CHAIN;
        let status = head + CHAIN - 1;
        let next = status - parts;
        let rest = self.headers[slot] | linked(next);
        // SAFETY: DMA memory, in the slot's own descriptors, which the device does not use now.
        unsafe { self.place(16 * head + 8).write_volatile(rest) };
        Chain {
            ring: self,
            head,
            next,
            status,
        }
    }

    /// The next slot that the device has given back, in any order. `None`: there is none.
    #[inline(always)]
    pub fn next_used(&mut self) -> Option<usize> {
        // SAFETY: DMA memory, in the used ring.
        let index: u16 = unsafe { self.place(USED + 2).read_volatile() };
        if index == self.used {
            return None;
        }
        fence(Ordering::Acquire);
        let entry = USED + 4 + 8 * (self.used as usize % SIZE);
        self.used = self.used.wrapping_add(1);
        // SAFETY: as above.
        let head: u32 = unsafe { self.place(entry).read_volatile() };
        Some(head as usize / CHAIN)
    }
}

/// A request that is being described.
pub struct Chain<'a, P> {
    ring: &'a mut Ring<P>,
    head: usize,
    /// The next descriptor, and the last one.
    next: usize,
    status: usize,
}

impl<P: Platform> Chain<'_, P> {
    /// The next of its parts, in the device's order.
    ///
    /// # Panics
    /// There are more than were announced.
    #[inline(always)]
    pub fn push(&mut self, part: Part) {
        assert!(self.next < self.status);
        let at = self.next;
        self.next += 1;
        self.ring
            .describe(at, part.physical, part.rest() | linked(self.next));
    }

    /// Hands the request over. Its memory is the device's until [`Ring::next_used`] gives the slot back.
    ///
    /// # Panics
    /// There are fewer parts than were announced.
    #[inline(always)]
    pub fn submit(self) {
        assert!(self.next == self.status);
        let Self { ring, head, .. } = self;
        let entry = AVAILABLE + 4 + 2 * (ring.available as usize % SIZE);
        ring.available = ring.available.wrapping_add(1);
        // SAFETY: DMA memory, in the available ring, whose next entry is not the device's before the index says so.
        unsafe {
            ring.place(entry).write_volatile(head as u16);
            fence(Ordering::Release);
            ring.place(AVAILABLE + 2).write_volatile(ring.available);
        }
    }
}
