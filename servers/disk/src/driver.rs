//! Requests in flight. Nothing here blocks: a request is submitted, and asked for after an interrupt.

use crate::range::{BUFFER, SECTOR};
use core::marker::PhantomData;
use core::ptr::NonNull;
use virtio::platform::{HalOf, Platform};
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::{DeviceType, Transport};

/// Requests in flight at most.
pub const SLOTS: usize = 4;
/// Descriptors of the queue: three for each request, rounded up to a power of two.
const QUEUE: usize = 16;
/// A block device's only queue.
const REQUESTS: u16 = 0;
const PAGE: usize = 4096;

bitflags::bitflags! {
    /// The features that this driver knows. Indirect descriptors and the event index are not among them: the first
    /// need memory that is no DMA memory, the second hangs in virtio-drivers 0.13 (its comparison does not wrap).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Features: u64 {
        const READ_ONLY = 1 << 5;
        const FLUSH = 1 << 9;
        const VERSION_1 = 1 << 32;
    }
}

/// What a request does (virtio 1.2, 5.2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Sectors into the slot's buffer.
    Read {
        /// First sector.
        sector: u64,
        /// How many, at most [`BUFFER`] bytes.
        sectors: usize,
    },
    /// Sectors out of the slot's buffer.
    Write {
        /// First sector.
        sector: u64,
        /// How many, at most [`BUFFER`] bytes.
        sectors: usize,
    },
    /// What was written reaches the medium.
    Flush,
}

impl Operation {
    /// Type and first sector, as the device wants them.
    fn header(self) -> (u32, u64) {
        match self {
            Self::Read { sector, .. } => (0, sector),
            Self::Write { sector, .. } => (1, sector),
            Self::Flush => (4, 0),
        }
    }
}

/// Why there is no driver for a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitError {
    /// It is no block device, or an old one without the modern interface.
    Unsupported,
    /// There is too little DMA memory.
    OutOfMemory,
}

/// The device could not do what was asked (bad sector, failed medium, unknown request).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceError;

/// What the device reads and writes of a request, beside the data.
#[repr(C, align(32))]
struct Control {
    header: [u8; 16],
    status: u8,
}

struct Slot {
    control: NonNull<Control>,
    buffer: NonNull<u8>,
    /// Token and operation of the request in flight.
    in_flight: Option<(u16, Operation)>,
}

/// A block device.
pub struct Disk<P: Platform, T: Transport> {
    transport: T,
    queue: VirtQueue<HalOf<P>, QUEUE>,
    slots: [Slot; SLOTS],
    size: u64,
    features: Features,
    platform: PhantomData<P>,
}

impl<P: Platform, T: Transport> Disk<P, T> {
    /// Resets the device and sets it up.
    pub fn new(mut transport: T) -> Result<Self, InitError> {
        if transport.device_type() != DeviceType::Block {
            return Err(InitError::Unsupported);
        }
        let features = transport.begin_init(Features::all());
        if !features.contains(Features::VERSION_1) {
            return Err(InitError::Unsupported);
        }
        let queue =
            VirtQueue::new(&mut transport, REQUESTS, false, false).map_err(
                |error| match error {
                    virtio_drivers::Error::DmaError => InitError::OutOfMemory,
                    _ => InitError::Unsupported,
                },
            )?;
        let (_, controls) = P::dma(1).ok_or(InitError::OutOfMemory)?;
        let mut buffers = [NonNull::dangling(); SLOTS];
        for buffer in &mut buffers {
            *buffer = P::dma(BUFFER / PAGE).ok_or(InitError::OutOfMemory)?.1;
        }
        let controls = controls.cast::<Control>();
        let slots = core::array::from_fn(|i| Slot {
            // SAFETY: the page has room for all of them.
            control: unsafe { controls.add(i) },
            buffer: buffers[i],
            in_flight: None,
        });
        transport.finish_init();
        // Capacity in sectors (virtio 1.2, 5.2.4), read in halves: configuration is aligned to 4 bytes.
        let half = |offset| {
            transport
                .read_config_space::<u32>(offset)
                .map_err(|_| InitError::Unsupported)
        };
        let sectors = half(0)? as u64 | (half(4)? as u64) << 32;
        let size = sectors
            .checked_mul(SECTOR as u64)
            .ok_or(InitError::Unsupported)?;
        Ok(Self {
            transport,
            queue,
            slots,
            size,
            features,
            platform: PhantomData,
        })
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether writes are refused.
    pub fn is_read_only(&self) -> bool {
        self.features.contains(Features::READ_ONLY)
    }

    /// Whether the device has a cache to flush; without, what was written is on the medium.
    pub fn has_flush(&self) -> bool {
        self.features.contains(Features::FLUSH)
    }

    /// The buffer of a slot without a request.
    ///
    /// # Panics
    /// The device owns it: a request is in flight.
    pub fn buffer(&mut self, slot: usize) -> &mut [u8] {
        let slot = &mut self.slots[slot];
        assert!(slot.in_flight.is_none(), "the device owns this buffer");
        // SAFETY: DMA memory of this size, this slot's alone; the device has no request with it.
        unsafe { core::slice::from_raw_parts_mut(slot.buffer.as_ptr(), BUFFER) }
    }

    /// Hands a request to the device. The slot's buffer is the device's until it is [`Disk::completed`].
    ///
    /// # Panics
    /// The slot has a request in flight, or the operation is empty or larger than its buffer.
    pub fn submit(&mut self, slot: usize, operation: Operation) {
        let slot = &mut self.slots[slot];
        assert!(slot.in_flight.is_none(), "a slot has one request at a time");
        let (kind, sector) = operation.header();
        let mut header = [0; 16];
        header[..4].copy_from_slice(&kind.to_le_bytes());
        header[8..].copy_from_slice(&sector.to_le_bytes());
        // SAFETY: DMA memory of this slot, which the device does not use now.
        unsafe {
            slot.control.write(Control {
                header,
                status: u8::MAX,
            })
        };
        let queue = &mut self.queue;
        // SAFETY: header, status and buffer stay where they are for good, and are not touched before `completed`.
        let token = slot.with_buffers(operation, |inputs, outputs| unsafe {
            queue.add(inputs, outputs)
        });
        // Cannot be full: the queue has descriptors for every slot.
        let token = token.expect("the queue has room for every slot");
        slot.in_flight = Some((token, operation));
        self.transport.notify(REQUESTS);
    }

    /// The next request that the device has finished, in any order: its slot, and whether it succeeded.
    pub fn completed(&mut self) -> Option<(usize, Result<(), DeviceError>)> {
        let token = self.queue.peek_used()?;
        let found = self
            .slots
            .iter()
            .position(|slot| slot.in_flight.is_some_and(|(own, _)| own == token));
        let index = found.expect("the device finishes only what it was asked");
        let slot = &mut self.slots[index];
        let (_, operation) = slot.in_flight.take()?;
        let queue = &mut self.queue;
        // SAFETY: the same buffers as in `submit`.
        let popped = slot.with_buffers(operation, |inputs, outputs| unsafe {
            queue.pop_used(token, inputs, outputs)
        });
        // SAFETY: DMA memory that the device has given back.
        let status = unsafe { (&raw const (*slot.control.as_ptr()).status).read_volatile() };
        Some((
            index,
            if popped.is_ok() && status == 0 {
                Ok(())
            } else {
                Err(DeviceError)
            },
        ))
    }
}

impl Slot {
    /// The buffers of a request, in the device's order: header, data, status.
    fn with_buffers<R>(
        &mut self,
        operation: Operation,
        then: impl for<'a> FnOnce(&'a [&'a [u8]], &'a mut [&'a mut [u8]]) -> R,
    ) -> R {
        let bytes = match operation {
            Operation::Read { sectors, .. } | Operation::Write { sectors, .. } => sectors * SECTOR,
            Operation::Flush => 0,
        };
        assert!(bytes <= BUFFER && (bytes != 0 || operation == Operation::Flush));
        // SAFETY: this slot's DMA memory, used by nobody else (`&mut self`); the slices end with this function, and virtio
        // takes their addresses only.
        let (header, data, status) = unsafe {
            let control = self.control.as_mut();
            let data = core::slice::from_raw_parts_mut(self.buffer.as_ptr(), bytes);
            (
                &control.header,
                data,
                core::slice::from_mut(&mut control.status),
            )
        };
        match operation {
            Operation::Read { .. } => then(&[header], &mut [data, status]),
            Operation::Write { .. } => then(&[header, data], &mut [status]),
            Operation::Flush => then(&[header], &mut [status]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Fake, Host};

    fn disk(sectors: usize) -> (Fake, Disk<Host, Fake>) {
        let device = Fake::new(sectors);
        let disk = Disk::new(device.clone()).unwrap();
        (device, disk)
    }

    #[test]
    fn features_are_negotiated() {
        let (device, disk) = disk(100);
        assert_eq!(
            device.0.borrow().accepted,
            1 << 32 | 1 << 9,
            "no event index, no indirect descriptors"
        );
        assert_eq!(disk.size(), 51_200);
        assert!(disk.has_flush() && !disk.is_read_only());
        let device = Fake::new(1);
        device.0.borrow_mut().features |= 1 << 5;
        assert!(Disk::<Host, _>::new(device.clone()).unwrap().is_read_only());
        let refused = |device: Fake| Disk::<Host, _>::new(device).err();
        let old = Fake::new(1);
        old.0.borrow_mut().features = 1 << 9;
        assert_eq!(refused(old), Some(InitError::Unsupported));
        let other = Fake::new(1);
        other.0.borrow_mut().kind = DeviceType::Network;
        assert_eq!(refused(other), Some(InitError::Unsupported));
    }

    #[test]
    fn requests_finish_in_any_order() {
        let (device, mut disk) = disk(1000);
        for round in 0..100 {
            for slot in 0..SLOTS {
                disk.submit(
                    slot,
                    Operation::Read {
                        sector: 10 * slot as u64,
                        sectors: 1 + slot,
                    },
                );
            }
            assert_eq!(disk.completed(), None);
            device.work(round % 2 == 0);
            let mut done: Vec<_> = std::iter::from_fn(|| disk.completed()).collect();
            done.sort_by_key(|(slot, _)| *slot);
            assert_eq!(
                done,
                (0..SLOTS).map(|slot| (slot, Ok(()))).collect::<Vec<_>>()
            );
            for slot in 0..SLOTS {
                let expected: Vec<u8> = (0..=slot)
                    .flat_map(|i| [(10 * slot + i) as u8; 512])
                    .collect();
                assert_eq!(disk.buffer(slot)[..expected.len()], expected);
            }
        }
        assert_eq!(device.0.borrow().notified, 400);
    }

    #[test]
    fn writes_and_flushes_arrive() {
        let (device, mut disk) = disk(200);
        disk.buffer(1).fill(0xaa);
        disk.submit(
            1,
            Operation::Write {
                sector: 64,
                sectors: BUFFER / SECTOR,
            },
        );
        disk.submit(2, Operation::Flush);
        device.work(false);
        assert_eq!(disk.completed(), Some((1, Ok(()))));
        assert_eq!(disk.completed(), Some((2, Ok(()))));
        let device = device.0.borrow();
        assert!(
            device.medium[64 * 512..192 * 512]
                .iter()
                .all(|byte| *byte == 0xaa)
        );
        assert_eq!(
            (
                device.medium[63 * 512],
                device.medium[192 * 512],
                device.flushes
            ),
            (63, 192, 1)
        );
    }

    #[test]
    fn a_failed_request_is_told_and_its_slot_goes_on() {
        let (device, mut disk) = disk(200);
        device.0.borrow_mut().bad_from = 100;
        disk.submit(
            0,
            Operation::Read {
                sector: 99,
                sectors: 2,
            },
        );
        device.work(false);
        assert_eq!(disk.completed(), Some((0, Err(DeviceError))));
        disk.submit(
            0,
            Operation::Read {
                sector: 99,
                sectors: 1,
            },
        );
        device.work(false);
        assert_eq!(disk.completed(), Some((0, Ok(()))));
    }
}
