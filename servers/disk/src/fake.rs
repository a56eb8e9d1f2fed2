//! A virtio block device in the test program's memory: it walks the queue as a real one does.

use std::alloc::{Layout, alloc_zeroed};
use std::cell::RefCell;
use std::ptr::NonNull;
use std::rc::Rc;
use virtio::platform::Platform;
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{PhysAddr, Result};
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
        unreachable!("the fake has no registers")
    }
}

/// The device's side.
pub struct Device {
    pub kind: DeviceType,
    pub features: u64,
    pub accepted: u64,
    pub medium: Vec<u8>,
    pub flushes: u32,
    pub notified: u32,
    /// Sectors from this on fail.
    pub bad_from: u64,
    queue: Option<(u16, [u64; 3])>,
    seen: u16,
    status: DeviceStatus,
}

/// Both sides hold it.
#[derive(Clone)]
pub struct Fake(pub Rc<RefCell<Device>>);

impl Fake {
    pub fn new(sectors: usize) -> Self {
        let medium = (0..sectors * 512).map(|i| (i / 512) as u8).collect();
        Self(Rc::new(RefCell::new(Device {
            kind: DeviceType::Block,
            // Version 1, event index, indirect descriptors, flush.
            features: 1 << 32 | 1 << 29 | 1 << 28 | 1 << 9,
            accepted: 0,
            medium,
            flushes: 0,
            notified: 0,
            bad_from: u64::MAX,
            queue: None,
            seen: 0,
            status: DeviceStatus::empty(),
        })))
    }

    /// Finishes all requests in the queue, the last first if `reverse`.
    pub fn work(&self, reverse: bool) {
        let mut device = self.0.borrow_mut();
        assert!(device.status.contains(DeviceStatus::DRIVER_OK));
        let (size, [_, driver, _]) = device.queue.unwrap();
        let end: u16 = load(driver + 2);
        let mut heads = Vec::new();
        while device.seen != end {
            heads.push(load::<u16>(driver + 4 + 2 * (device.seen % size) as u64));
            device.seen = device.seen.wrapping_add(1);
        }
        if reverse {
            heads.reverse();
        }
        heads.into_iter().for_each(|head| device.finish(head));
    }
}

impl Device {
    fn finish(&mut self, head: u16) {
        let (size, [descriptors, _, used]) = self.queue.unwrap();
        let mut chain = Vec::new();
        let mut next = head;
        loop {
            let at = descriptors + 16 * next as u64;
            let (address, length, flags): (u64, u32, u16) = (load(at), load(at + 8), load(at + 12));
            chain.push((address, length as usize, flags & 2 != 0));
            if flags & 1 == 0 {
                break;
            }
            next = load(at + 14);
        }
        let [header, data @ .., status] = &chain[..] else {
            panic!("{chain:?}")
        };
        assert!((header.1, header.2, status.1, status.2) == (16, false, 1, true));
        let (kind, sector): (u32, u64) = (load(header.0), load(header.0 + 8));
        let bytes: usize = data.iter().map(|(_, length, _)| length).sum();
        let good = bytes == 0 || sector + bytes as u64 / 512 <= self.bad_from;
        let mut start = sector as usize * 512;
        for (address, length, written) in data.iter().filter(|_| good) {
            assert_eq!(kind, if *written { 0 } else { 1 });
            let medium = &mut self.medium[start..start + length];
            for (byte, at) in medium.iter_mut().zip(*address..) {
                match written {
                    true => store(at, *byte),
                    false => *byte = load(at),
                }
            }
            start += length;
        }
        match (kind, data.is_empty()) {
            (4, true) => self.flushes += 1,
            (0 | 1, false) => {}
            other => panic!("request {other:?}"),
        }
        store(status.0, if good { 0u8 } else { 1 });
        let index: u16 = load(used + 2);
        let entry = used + 4 + 8 * (index % size) as u64;
        store(entry, head as u32);
        store(entry + 4, 1u32);
        store(used + 2, index.wrapping_add(1));
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
        self.0.borrow_mut().accepted = features;
    }
    fn max_queue_size(&mut self, _: u16) -> u32 {
        256
    }
    fn notify(&mut self, _: u16) {
        self.0.borrow_mut().notified += 1;
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
        _: u16,
        size: u32,
        descriptors: PhysAddr,
        driver: PhysAddr,
        device: PhysAddr,
    ) {
        self.0.borrow_mut().queue = Some((size as u16, [descriptors, driver, device]));
    }
    fn queue_unset(&mut self, _: u16) {}
    fn queue_used(&mut self, _: u16) -> bool {
        self.0.borrow().queue.is_some()
    }
    fn ack_interrupt(&mut self) -> InterruptStatus {
        InterruptStatus::empty()
    }
    fn read_config_generation(&self) -> u32 {
        0
    }
    fn read_config_space<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T> {
        let sectors = (self.0.borrow().medium.len() as u64 / 512).to_le_bytes();
        Ok(T::read_from_prefix(&sectors[offset..])
            .map_err(|_| virtio_drivers::Error::ConfigSpaceTooSmall)?
            .0)
    }
    fn write_config_space<T: IntoBytes + Immutable>(&mut self, _: usize, _: T) -> Result<()> {
        Err(virtio_drivers::Error::Unsupported)
    }
}
