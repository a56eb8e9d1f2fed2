//! A machine and a virtio device in a test program's memory, for tests of drivers on a host. What the device does with its
//! queues, and what it says of itself, is the test's business.

use crate::platform::Platform;
use std::alloc::{Layout, alloc_zeroed};
use std::cell::RefCell;
use std::ptr::NonNull;
use std::rc::Rc;
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{Error, PhysAddr, Result};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A machine whose physical addresses are the test's own.
pub struct Host;

// SAFETY: fresh zeroed memory, aligned, never freed.
unsafe impl Platform for Host {
    fn dma(pages: usize) -> Option<(u64, NonNull<u8>)> {
        let layout = Layout::from_size_align(pages * 4096, 4096).ok()?;
        // SAFETY: the layout is not empty.
        let address = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some((address.as_ptr().expose_provenance() as u64, address))
    }
    fn physical(address: NonNull<u8>) -> u64 {
        address.as_ptr().expose_provenance() as u64
    }
    fn registers(_: u64, _: usize) -> NonNull<u8> {
        unreachable!("the device has no registers")
    }
}

fn load<T>(address: u64) -> T {
    // SAFETY: the driver's DMA memory, by the queue's contract: the driver that a test has made gave the address.
    unsafe { std::ptr::with_exposed_provenance::<T>(address as usize).read_volatile() }
}

fn store<T>(address: u64, value: T) {
    // SAFETY: as in `load`.
    unsafe { std::ptr::with_exposed_provenance_mut::<T>(address as usize).write_volatile(value) }
}

/// A piece of the driver's memory that it has given to the device.
#[derive(Debug, Clone, Copy)]
pub struct Buffer {
    address: u64,
    /// Bytes.
    pub length: usize,
    /// Whether the device may write it; else it reads it.
    pub device_writes: bool,
}

impl Buffer {
    /// What is in it.
    pub fn bytes(&self) -> Vec<u8> {
        (self.address..).take(self.length).map(load).collect()
    }

    /// Writes bytes from `offset` on.
    ///
    /// # Panics
    /// They do not fit, or the device may not write it.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(self.device_writes && offset + bytes.len() <= self.length);
        (self.address + offset as u64..)
            .zip(bytes)
            .for_each(|(at, byte)| store(at, *byte));
    }
}

/// A queue, from the device's side.
#[derive(Default)]
pub struct Queue {
    size: u64,
    /// Descriptors, the driver's ring, the device's ring.
    parts: [u64; 3],
    seen: u16,
    /// Heads of the chains that the device has, in the order in which it got them, once [`Queue::take`] has looked.
    pub held: Vec<u16>,
}

impl Queue {
    /// Takes what the driver has given since the last time.
    pub fn take(&mut self) {
        let end: u16 = load(self.parts[1] + 2);
        while self.seen != end {
            let place = u64::from(self.seen) % self.size;
            self.held.push(load(self.parts[1] + 4 + 2 * place));
            self.seen = self.seen.wrapping_add(1);
        }
    }

    /// The buffers of a chain.
    pub fn chain(&self, head: u16) -> Vec<Buffer> {
        const NEXT: u16 = 1;
        const WRITE: u16 = 2;
        let mut chain = Vec::new();
        let mut next = head;
        loop {
            let at = self.parts[0] + 16 * u64::from(next);
            let flags: u16 = load(at + 12);
            chain.push(Buffer {
                address: load(at),
                length: load::<u32>(at + 8) as usize,
                device_writes: flags & WRITE != 0,
            });
            if flags & NEXT == 0 {
                return chain;
            }
            next = load(at + 14);
        }
    }

    /// Says that it has finished with a chain, and has written so many bytes; whether that is true or not.
    pub fn give_back(&mut self, id: u32, written: u32) {
        let index: u16 = load(self.parts[2] + 2);
        let entry = self.parts[2] + 4 + 8 * (u64::from(index) % self.size);
        store(entry, id);
        store(entry + 4, written);
        store(self.parts[2] + 2, index.wrapping_add(1));
    }
}

/// What a device has, and what was done to it.
pub struct Device<S> {
    /// What it is.
    pub kind: DeviceType,
    /// What it offers.
    pub features: u64,
    /// What the driver may accept.
    pub known: u64,
    /// What it has accepted.
    pub accepted: u64,
    /// How often each queue's doorbell rang.
    pub notified: [u32; 2],
    /// Its configuration.
    pub config: Vec<u8>,
    /// Its queues.
    pub queues: [Queue; 2],
    /// How far the driver is.
    pub status: DeviceStatus,
    /// What else the test wants.
    pub own: S,
}

/// A device; driver and test hold it.
pub struct Fake<S>(pub Rc<RefCell<Device<S>>>);

impl<S> Clone for Fake<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S> Fake<S> {
    /// One that was just switched on. It offers version 1, event index and indirect descriptors beside `features`.
    pub fn new(kind: DeviceType, features: u64, config: &[u8], own: S) -> Self {
        Self(Rc::new(RefCell::new(Device {
            kind,
            features: 1 << 32 | 1 << 29 | 1 << 28 | features,
            known: u64::MAX,
            accepted: 0,
            notified: [0; 2],
            config: config.into(),
            queues: Default::default(),
            status: DeviceStatus::empty(),
            own,
        })))
    }
}

impl<S> Transport for Fake<S> {
    fn device_type(&self) -> DeviceType {
        self.0.borrow().kind
    }
    fn read_device_features(&mut self) -> u64 {
        self.0.borrow().features
    }
    fn write_driver_features(&mut self, features: u64) {
        let mut device = self.0.borrow_mut();
        assert_eq!(features & !device.known, 0, "what it does not know");
        device.accepted = features;
    }
    fn max_queue_size(&mut self, _: u16) -> u32 {
        256
    }
    fn notify(&mut self, queue: u16) {
        self.0.borrow_mut().notified[queue as usize] += 1;
    }
    fn get_status(&self) -> DeviceStatus {
        self.0.borrow().status
    }
    fn set_status(&mut self, status: DeviceStatus) {
        self.0.borrow_mut().status = status;
    }
    fn set_guest_page_size(&mut self, _: u32) {}
    fn requires_legacy_layout(&self) -> bool {
        false
    }
    fn queue_set(
        &mut self,
        queue: u16,
        size: u32,
        descriptors: PhysAddr,
        driver: PhysAddr,
        device: PhysAddr,
    ) {
        self.0.borrow_mut().queues[queue as usize] = Queue {
            size: size.into(),
            parts: [descriptors, driver, device],
            ..Queue::default()
        };
    }
    fn queue_unset(&mut self, _: u16) {}
    fn queue_used(&mut self, queue: u16) -> bool {
        self.0.borrow().queues[queue as usize].size != 0
    }
    fn ack_interrupt(&mut self) -> InterruptStatus {
        InterruptStatus::empty()
    }
    fn read_config_generation(&self) -> u32 {
        0
    }
    fn read_config_space<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T> {
        let config = &self.0.borrow().config;
        let rest = config.get(offset..).ok_or(Error::ConfigSpaceTooSmall)?;
        let (value, _) = T::read_from_prefix(rest).map_err(|_| Error::ConfigSpaceTooSmall)?;
        Ok(value)
    }
    fn write_config_space<T: IntoBytes + Immutable>(&mut self, _: usize, _: T) -> Result<()> {
        Err(Error::Unsupported)
    }
}
