//! A virtio block device: several requests in flight, finished in any order.

pub mod watch;

use crate::device::{Device, DeviceError, InitError, Operation, Pieces, SLOTS};
use crate::range::{BUFFER, SECTOR};
use crate::ring::{Part, Ring};
use alloc::rc::Rc;
use core::any::Any;
use core::ptr::NonNull;
use virtio::platform::Platform;
use virtio_drivers::transport::{DeviceType, Transport};
use watch::Watch;

/// A block device's only queue.
const REQUESTS: u16 = 0;
const PAGE: usize = 4096;

bitflags::bitflags! {
    /// The features that this driver knows. Indirect descriptors and the event index are not among them.
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
    kind: u32,
    reserved: u32,
    sector: u64,
    /// The device writes the lower byte; what the upper one is for says [`watch`].
    status: u16,
}

/// Bytes of it before the status: the request's header.
const HEADER: u32 = 16;

struct Slot {
    control: NonNull<Control>,
    buffer: NonNull<u8>,
    /// Physical address of the buffer.
    physical: u64,
    in_flight: bool,
    /// What keeps the memory that the request in flight moves, if that is not the buffer.
    owner: Option<Rc<dyn Any>>,
}

/// A block device.
pub struct Disk<P, T> {
    transport: T,
    ring: Ring<P>,
    slots: [Slot; SLOTS],
    size: u64,
    features: Features,
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
        if transport.requires_legacy_layout() {
            return Err(InitError::Unsupported);
        }
        let mut ring = Ring::new(&mut transport, REQUESTS).ok_or(InitError::OutOfMemory)?;
        let (physical, memory) = P::dma(1 + SLOTS * BUFFER / PAGE).ok_or(InitError::OutOfMemory)?;
        let slots = core::array::from_fn(|i| {
            let (control, buffer) = (i * size_of::<Control>(), PAGE + i * BUFFER);
            let part = |offset, bytes, device_writes| Part {
                physical: physical + control as u64 + u64::from(offset),
                bytes,
                device_writes,
            };
            ring.frame(i, part(0, HEADER, false), part(HEADER, 1, true));
            Slot {
                // SAFETY: the first page has room for all of them, and the buffers follow it.
                control: unsafe { memory.add(control) }.cast(),
                // SAFETY: as above.
                buffer: unsafe { memory.add(buffer) },
                physical: physical + buffer as u64,
                in_flight: false,
                owner: None,
            }
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
            ring,
            slots,
            size,
            features,
        })
    }

    /// What another thread needs to see whether the device still answers.
    pub fn watch(&self) -> Watch {
        Watch::new(&self.slots)
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
        assert!(!slot.in_flight, "the device owns this buffer");
        // SAFETY: DMA memory of this size, this slot's alone; the device has no request with it.
        unsafe { core::slice::from_raw_parts_mut(slot.buffer.as_ptr(), BUFFER) }
    }

    #[inline(always)]
    fn submit(&mut self, index: usize, operation: Operation, pieces: Option<Pieces>) {
        let slot = &mut self.slots[index];
        assert!(!slot.in_flight, "a slot has one request at a time");
        let (kind, sector) = header(operation);
        let control = slot.control.as_ptr();
        // SAFETY: DMA memory of this slot, which the device does not use now.
        unsafe {
            (&raw mut (*control).kind).write_volatile(kind);
            (&raw mut (*control).sector).write_volatile(sector);
            (&raw mut (*control).status).write_volatile(watch::IN_FLIGHT);
        }
        slot.in_flight = true;
        let (sectors, device_writes) = match operation {
            Operation::Read { sectors, .. } => (sectors, true),
            Operation::Write { sectors, .. } => (sectors, false),
            Operation::Flush => (0, false),
        };
        let part = |physical, bytes| Part {
            physical,
            bytes,
            device_writes,
        };
        let bytes = sectors * SECTOR;
        if let Some(pieces) = pieces {
            assert_eq!(pieces.bytes(), bytes, "as much memory as sectors");
            let mut chain = self.ring.chain(index, pieces.parts().count());
            for piece in pieces.parts() {
                chain.push(part(piece.physical, piece.bytes));
            }
            chain.submit();
            slot.owner = Some(pieces.into_owner());
        } else if operation == Operation::Flush {
            self.ring.chain(index, 0).submit();
        } else {
            assert!((1..=BUFFER).contains(&bytes), "as much as a buffer has");
            let mut chain = self.ring.chain(index, 1);
            chain.push(part(slot.physical, bytes as u32));
            chain.submit();
        }
        self.transport.notify(REQUESTS);
    }

    #[inline(always)]
    fn completed(&mut self) -> Option<(usize, Result<(), DeviceError>)> {
        let index = self.ring.next_used()?;
        let slot = &mut self.slots[index];
        slot.in_flight = false;
        slot.owner = None;
        // SAFETY: DMA memory that the device has given back.
        let status = unsafe {
            let status = &raw const (*slot.control.as_ptr()).status;
            status.cast::<u8>().read_volatile()
        };
        Some((index, (status == 0).then_some(()).ok_or(DeviceError)))
    }
}

#[cfg(test)]
mod tests;
