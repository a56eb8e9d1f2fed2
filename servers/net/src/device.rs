//! A virtio network device in the test program's memory, as good or as bad as a test wants it.

use std::alloc::{Layout, alloc_zeroed};
use std::cell::RefCell;
use std::ptr::NonNull;
use std::rc::Rc;
use virtio::platform::Platform;
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

/// A queue, from the device's side.
#[derive(Default)]
struct Queue {
    size: u64,
    /// Descriptors, the driver's ring, the device's ring.
    parts: [u64; 3],
    seen: u16,
    /// Heads of buffers that the device has.
    held: Vec<u16>,
}

impl Queue {
    /// Takes what the driver has given since the last time.
    fn take(&mut self) {
        let end: u16 = load(self.parts[1] + 2);
        while self.seen != end {
            let place = u64::from(self.seen) % self.size;
            self.held.push(load(self.parts[1] + 4 + 2 * place));
            self.seen = self.seen.wrapping_add(1);
        }
    }

    /// Address and bytes of a buffer.
    fn buffer(&self, head: u16) -> (u64, usize) {
        let at = self.parts[0] + 16 * u64::from(head);
        assert_eq!(load::<u16>(at + 12) & 1, 0, "one descriptor a frame");
        (load(at), load::<u32>(at + 8) as usize)
    }

    /// Says that it has finished with a buffer, and has written so many bytes.
    fn give_back(&mut self, id: u32, written: u32) {
        let index: u16 = load(self.parts[2] + 2);
        let entry = self.parts[2] + 4 + 8 * (u64::from(index) % self.size);
        store(entry, id);
        store(entry + 4, written);
        store(self.parts[2] + 2, index.wrapping_add(1));
    }
}

/// The device's state.
pub struct Device {
    pub kind: DeviceType,
    pub features: u64,
    pub told: [u32; 2],
    queues: [Queue; 2],
    status: DeviceStatus,
}

/// Both sides hold it.
#[derive(Clone)]
pub struct Fake(pub Rc<RefCell<Device>>);

impl Fake {
    pub fn new() -> Self {
        Self(Rc::new(RefCell::new(Device {
            kind: DeviceType::Network,
            // Version 1, event index, indirect descriptors, an address, checksums.
            features: 1 << 32 | 1 << 29 | 1 << 28 | 1 << 5 | 1,
            told: [0; 2],
            queues: Default::default(),
            status: DeviceStatus::empty(),
        })))
    }

    /// Buffers of a queue that the device has.
    pub fn held(&self, queue: usize) -> usize {
        let queue = &mut self.0.borrow_mut().queues[queue];
        queue.take();
        queue.held.len()
    }

    /// Puts a frame into the `index`-th of the buffers that the device has, and says that it has written `written` bytes.
    pub fn receive(&self, index: usize, frame: &[u8], written: u32) {
        let queue = &mut self.0.borrow_mut().queues[0];
        queue.take();
        let head = queue.held.remove(index);
        let (address, length) = queue.buffer(head);
        assert!(12 + frame.len() <= length);
        (address + 12..)
            .zip(frame)
            .for_each(|(at, byte)| store(at, *byte));
        queue.give_back(head.into(), written);
    }

    /// Sends the `index`-th of the frames that the device has.
    pub fn send(&self, index: usize) -> Vec<u8> {
        let queue = &mut self.0.borrow_mut().queues[1];
        queue.take();
        let head = queue.held.remove(index);
        let (address, length) = queue.buffer(head);
        let bytes: Vec<u8> = (address..).take(length).map(load::<u8>).collect();
        assert!(bytes[..12].iter().all(|byte| *byte == 0), "no offload");
        queue.give_back(head.into(), 0);
        bytes[12..].into()
    }

    /// Gives back a buffer whether it has it or not.
    pub fn lie(&self, queue: usize, id: u32) {
        self.0.borrow_mut().queues[queue].give_back(id, 100);
    }
}

fn load<T>(address: u64) -> T {
    // SAFETY: the driver's DMA memory, by the queue's contract.
    unsafe { std::ptr::with_exposed_provenance::<T>(address as usize).read_volatile() }
}

fn store<T>(address: u64, value: T) {
    // SAFETY: as in `load`.
    unsafe { std::ptr::with_exposed_provenance_mut::<T>(address as usize).write_volatile(value) }
}

impl Transport for Fake {
    fn device_type(&self) -> DeviceType {
        self.0.borrow().kind
    }
    fn read_device_features(&mut self) -> u64 {
        self.0.borrow().features
    }
    fn write_driver_features(&mut self, features: u64) {
        assert_eq!(features & !(1 << 32 | 1 << 5), 0, "what it does not know");
    }
    fn max_queue_size(&mut self, _: u16) -> u32 {
        256
    }
    fn notify(&mut self, queue: u16) {
        self.0.borrow_mut().told[queue as usize] += 1;
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
        table: PhysAddr,
        driver: PhysAddr,
        device: PhysAddr,
    ) {
        self.0.borrow_mut().queues[queue as usize] = Queue {
            size: size.into(),
            parts: [table, driver, device],
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
        let mac = [2, 0, 0, 0, 0, 1];
        let (value, _) =
            T::read_from_prefix(&mac[offset..]).map_err(|_| Error::ConfigSpaceTooSmall)?;
        Ok(value)
    }
    fn write_config_space<T: IntoBytes + Immutable>(&mut self, _: usize, _: T) -> Result<()> {
        Err(Error::Unsupported)
    }
}
