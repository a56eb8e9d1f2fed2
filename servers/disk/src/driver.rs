//! A virtio block device: several requests in flight, finished in any order.

use crate::device::{Device, DeviceError, InitError, Operation, PIECES, Pieces, SLOTS};
use crate::range::{BUFFER, SECTOR};
use alloc::boxed::Box;
use core::marker::PhantomData;
use core::ptr::NonNull;
use virtio::platform::{HalOf, Platform};
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::{DeviceType, Transport};

/// Descriptors of the queue: header, status and data of each request, rounded up to a power of two.
const QUEUE: usize = (SLOTS * (2 + PIECES)).next_power_of_two();
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

/// Type and first sector of a request, as the device wants them (virtio 1.2, 5.2.6).
fn header(operation: Operation) -> (u32, u64) {
    match operation {
        Operation::Read { sector, .. } => (0, sector),
        Operation::Write { sector, .. } => (1, sector),
        Operation::Flush => (4, 0),
    }
}

/// What the device reads and writes of a request, beside the data.
#[repr(C, align(32))]
struct Control {
    header: [u8; 16],
    status: u8,
}

struct Slot {
    control: NonNull<Control>,
    buffer: NonNull<u8>,
    in_flight: Option<InFlight>,
}

/// A request that the device has.
struct InFlight {
    token: u16,
    operation: Operation,
    /// Kept until the device is done with it.
    pieces: Option<Box<Pieces>>,
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
        // First, because whoever looks for the physical address of a buffer then finds it at once.
        let (_, memory) = P::dma(1 + SLOTS * BUFFER / PAGE).ok_or(InitError::OutOfMemory)?;
        let queue =
            VirtQueue::new(&mut transport, REQUESTS, false, false).map_err(
                |error| match error {
                    virtio_drivers::Error::DmaError => InitError::OutOfMemory,
                    _ => InitError::Unsupported,
                },
            )?;
        let slots = core::array::from_fn(|i| Slot {
            // SAFETY: the first page has room for all of them, and the buffers follow it.
            control: unsafe { memory.cast::<Control>().add(i) },
            // SAFETY: as above.
            buffer: unsafe { memory.add(PAGE + i * BUFFER) },
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
}

impl<P: Platform, T: Transport> Device for Disk<P, T> {
    fn size(&self) -> u64 {
        self.size
    }

    fn is_read_only(&self) -> bool {
        self.features.contains(Features::READ_ONLY)
    }

    fn has_flush(&self) -> bool {
        self.features.contains(Features::FLUSH)
    }

    fn buffer(&mut self, slot: usize) -> &mut [u8] {
        let slot = &mut self.slots[slot];
        assert!(slot.in_flight.is_none(), "the device owns this buffer");
        // SAFETY: DMA memory of this size, this slot's alone; the device has no request with it.
        unsafe { core::slice::from_raw_parts_mut(slot.buffer.as_ptr(), BUFFER) }
    }

    fn submit(&mut self, slot: usize, operation: Operation, pieces: Option<Box<Pieces>>) {
        let slot = &mut self.slots[slot];
        assert!(slot.in_flight.is_none(), "a slot has one request at a time");
        let (kind, sector) = header(operation);
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
        // SAFETY: header, status and buffer stay where they are for good, pieces until `completed` drops them, and none is
        // touched before.
        let token = slot.with_buffers(operation, pieces.as_deref(), |inputs, outputs| unsafe {
            queue.add(inputs, outputs)
        });
        // Cannot be full: the queue has descriptors for every slot.
        let token = token.expect("the queue has room for every slot");
        slot.in_flight = Some(InFlight {
            token,
            operation,
            pieces,
        });
        self.transport.notify(REQUESTS);
    }

    fn completed(&mut self) -> Option<(usize, Result<(), DeviceError>)> {
        let token = self.queue.peek_used()?;
        let found = self.slots.iter().position(|slot| {
            let in_flight = slot.in_flight.as_ref();
            in_flight.is_some_and(|request| request.token == token)
        });
        let index = found.expect("the device finishes only what it was asked");
        let slot = &mut self.slots[index];
        let InFlight {
            operation, pieces, ..
        } = slot.in_flight.take()?;
        let queue = &mut self.queue;
        // SAFETY: the same buffers as in `submit`.
        let popped = slot.with_buffers(operation, pieces.as_deref(), |inputs, outputs| unsafe {
            queue.pop_used(token, inputs, outputs)
        });
        // SAFETY: DMA memory that the device has given back.
        let status = unsafe { (&raw const (*slot.control.as_ptr()).status).read_volatile() };
        let done = popped.is_ok() && status == 0;
        Some((index, done.then_some(()).ok_or(DeviceError)))
    }
}

impl Slot {
    /// The buffers of a request, in the device's order: header, data, status.
    fn with_buffers<R>(
        &mut self,
        operation: Operation,
        pieces: Option<&Pieces>,
        then: impl for<'a> FnOnce(&'a [&'a [u8]], &'a mut [&'a mut [u8]]) -> R,
    ) -> R {
        let bytes = match operation {
            Operation::Read { sectors, .. } | Operation::Write { sectors, .. } => sectors * SECTOR,
            Operation::Flush => 0,
        };
        let own = [(self.buffer, bytes)];
        let parts = match pieces {
            Some(pieces) => {
                assert_eq!(pieces.bytes(), bytes, "as much memory as sectors");
                pieces.parts()
            }
            None if operation == Operation::Flush => &[],
            None => {
                assert!((1..=BUFFER).contains(&bytes), "as much as a buffer has");
                &own
            }
        };
        // SAFETY: this slot's DMA memory, used by nobody else (`&mut self`); the slices end with this function, and virtio
        // takes their addresses only.
        let control = unsafe { self.control.as_mut() };
        let (header, status) = (
            &control.header[..],
            core::slice::from_mut(&mut control.status),
        );
        // SAFETY: this slot's buffer, or memory to which no Rust reference points (`Pieces::new`); and as above.
        let slice = |(address, bytes): &(NonNull<u8>, usize)| unsafe {
            core::slice::from_raw_parts_mut(address.as_ptr(), *bytes)
        };
        let count = parts.len();
        if let Operation::Write { .. } = operation {
            let mut inputs = [header; 1 + PIECES];
            for (input, part) in inputs[1..].iter_mut().zip(parts) {
                *input = slice(part);
            }
            then(&inputs[..1 + count], &mut [status])
        } else {
            let mut outputs: [&mut [u8]; 1 + PIECES] = core::array::from_fn(|_| &mut [][..]);
            for (output, part) in outputs.iter_mut().zip(parts) {
                *output = slice(part);
            }
            outputs[count] = status;
            then(&[header], &mut outputs[..1 + count])
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
                    None,
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
            None,
        );
        disk.submit(2, Operation::Flush, None);
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
            None,
        );
        device.work(false);
        assert_eq!(disk.completed(), Some((0, Err(DeviceError))));
        disk.submit(
            0,
            Operation::Read {
                sector: 99,
                sectors: 1,
            },
            None,
        );
        device.work(false);
        assert_eq!(disk.completed(), Some((0, Ok(()))));
    }
}
