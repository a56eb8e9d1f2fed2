//! A virtio network device (virtio 1.2, 5.1): frames in DMA memory, two queues.
//!
//! Over `VirtQueue` rather than virtio-drivers' own network driver, because that one negotiates the event index (which
//! hangs in 0.13) and notifies the device for each frame; here one notification tells of all that a poll has sent.

use crate::frames::{LONGEST, Link, Sender};
use core::ptr::NonNull;
use core::sync::atomic::{Ordering, fence};
use virtio::platform::{HalOf, Platform};
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::{DeviceType, Transport};

/// Frames in each direction, and descriptors of each queue: one a frame.
const QUEUE: usize = 128;
/// The queues (virtio 1.2, 5.1.2).
const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;
/// Bytes before each frame (virtio 1.2, 5.1.6): all zero when sent, as no offload is negotiated.
const HEADER: usize = 12;
/// Bytes kept for each frame.
const BUFFER: usize = 2048;
const PAGE: usize = 4096;

const _: () = assert!(HEADER + LONGEST <= BUFFER);

bitflags::bitflags! {
    /// The features that this driver knows.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Features: u64 {
        const MAC = 1 << 5;
        const VERSION_1 = 1 << 32;
    }
}

/// Why there is no driver for a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitError {
    /// It is no network device, an old one without the modern interface, or one without an address.
    Unsupported,
    /// There is too little DMA memory.
    OutOfMemory,
}

/// One queue, its buffers, and which descriptor has which.
struct Ring<P: Platform> {
    queue: VirtQueue<HalOf<P>, QUEUE>,
    buffers: NonNull<u8>,
    /// Buffer and bytes of each descriptor that the device has.
    held: [Option<(u8, u16)>; QUEUE],
    /// Buffers that the device does not have.
    free: heapless::Vec<u8, QUEUE>,
    /// The device was not told of the latest buffers.
    untold: bool,
}

impl<P: Platform> Ring<P> {
    fn new<T: Transport>(transport: &mut T, index: u16) -> Result<Self, InitError> {
        let queue =
            VirtQueue::new(transport, index, false, false).map_err(|error| match error {
                virtio_drivers::Error::DmaError => InitError::OutOfMemory,
                _ => InitError::Unsupported,
            })?;
        let (_, buffers) = P::dma(QUEUE * BUFFER / PAGE).ok_or(InitError::OutOfMemory)?;
        Ok(Self {
            queue,
            buffers,
            held: [None; QUEUE],
            free: (0..QUEUE as u8).collect(),
            untold: false,
        })
    }

    /// The first `length` bytes of a buffer that the device does not have.
    fn buffer(&mut self, index: u8, length: usize) -> &mut [u8] {
        assert!(length <= BUFFER && (index as usize) < QUEUE);
        // SAFETY: inside the DMA memory of `new`, which is this ring's alone. The device does not use it: callers have the
        // index from `free` or from `taken`, where it is only while the device does not have it.
        unsafe {
            let start = self.buffers.add(index as usize * BUFFER);
            core::slice::from_raw_parts_mut(start.as_ptr(), length)
        }
    }

    /// Hands `length` bytes of a buffer to the device, for it to write or to read.
    fn give(&mut self, index: u8, length: usize, writable: bool) {
        let buffer: *mut [u8] = self.buffer(index, length);
        // SAFETY: DMA memory that stays where it is and is touched by nobody before `taken` has it back.
        let token = unsafe {
            match writable {
                true => self.queue.add(&[], &mut [&mut *buffer]),
                false => self.queue.add(&[&*buffer], &mut []),
            }
        };
        // Cannot be full: there is a descriptor for every buffer.
        let token = token.expect("the queue has room for every buffer");
        self.held[token as usize] = Some((index, length as u16));
        self.untold = true;
    }

    /// A buffer that the device has finished with: its index, and how many bytes the device says it has written.
    ///
    /// # Panics
    /// The device gives back what it does not have: only its reset, before the next driver, helps then.
    fn taken(&mut self, writable: bool) -> Option<(u8, usize)> {
        let token = self.queue.peek_used()?;
        let held = self.held.get_mut(token as usize).and_then(Option::take);
        let (index, length) = held.expect("the device gives back what it was given");
        let buffer: *mut [u8] = self.buffer(index, length as usize);
        // SAFETY: the same buffer as in `give`.
        let popped = unsafe {
            match writable {
                true => self.queue.pop_used(token, &[], &mut [&mut *buffer]),
                false => self.queue.pop_used(token, &[&*buffer], &mut []),
            }
        };
        Some((index, popped.unwrap_or(0) as usize))
    }

    fn tell<T: Transport>(&mut self, transport: &mut T, index: u16) {
        // The device must see the buffers before this asks whether it wants to be told (virtio 1.2, 2.7.13.4.1).
        fence(Ordering::SeqCst);
        if core::mem::take(&mut self.untold) && self.queue.should_notify() {
            transport.notify(index);
        }
    }
}

/// A network device.
pub struct Net<P: Platform, T: Transport> {
    transport: T,
    mac: [u8; 6],
    receive: Ring<P>,
    transmit: Transmit<P>,
    /// The buffer of the frame that [`Link::receive`] gave out last.
    lent: Option<u8>,
}

/// The sending half.
pub struct Transmit<P: Platform>(Ring<P>);

impl<P: Platform, T: Transport> Net<P, T> {
    /// Resets the device and sets it up.
    pub fn new(mut transport: T) -> Result<Self, InitError> {
        if transport.device_type() != DeviceType::Network {
            return Err(InitError::Unsupported);
        }
        if transport.begin_init(Features::all()) != Features::all() {
            return Err(InitError::Unsupported);
        }
        let mac = transport.read_config_space::<[u8; 6]>(0);
        let mac = mac.map_err(|_| InitError::Unsupported)?;
        let mut receive = Ring::new(&mut transport, RECEIVE)?;
        let mut transmit = Ring::new(&mut transport, TRANSMIT)?;
        // Sent frames are collected when there is something else to do; see `Transmit::collect`.
        transmit.queue.set_dev_notify(false);
        transport.finish_init();
        while let Some(index) = receive.free.pop() {
            receive.give(index, BUFFER, true);
        }
        receive.tell(&mut transport, RECEIVE);
        Ok(Self {
            transport,
            mac,
            receive,
            transmit: Transmit(transmit),
            lent: None,
        })
    }
}

impl<P: Platform> Transmit<P> {
    /// Takes back what was sent. Says whether there is room for a frame; if not, the device interrupts when there is.
    fn collect(&mut self) -> bool {
        let ring = &mut self.0;
        let take_back = |ring: &mut Ring<P>| {
            while let Some((index, _)) = ring.taken(false) {
                // There is room for every buffer.
                let _ = ring.free.push(index);
            }
            !ring.free.is_empty()
        };
        if take_back(ring) {
            ring.queue.set_dev_notify(false);
            return true;
        }
        ring.queue.set_dev_notify(true);
        // The device must see that before this looks once more (virtio 1.2, 2.7.7.1).
        fence(Ordering::SeqCst);
        // It may have finished before it knew that it should tell.
        take_back(ring)
    }
}

impl<P: Platform> Sender for Transmit<P> {
    fn send<R>(&mut self, length: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R {
        assert!(length <= LONGEST);
        let index = self
            .0
            .free
            .pop()
            .expect("`Link` gives out a sender only if there is room");
        let buffer = self.0.buffer(index, HEADER + length);
        buffer[..HEADER].fill(0);
        let result = fill(&mut buffer[HEADER..]);
        self.0.give(index, HEADER + length, false);
        result
    }
}

impl<P: Platform, T: Transport> Link for Net<P, T> {
    type Sender = Transmit<P>;

    fn mac(&self) -> [u8; 6] {
        self.mac
    }

    fn receive(&mut self) -> Option<(&[u8], &mut Transmit<P>)> {
        if let Some(index) = self.lent.take() {
            self.receive.give(index, BUFFER, true);
        }
        if !self.transmit.collect() {
            return None;
        }
        let (index, written) = self.receive.taken(true)?;
        self.lent = Some(index);
        // What the device says about lengths is checked like anybody's word. A frame without a header is an empty one.
        let end = written.clamp(HEADER, BUFFER);
        Some((
            &self.receive.buffer(index, end)[HEADER..],
            &mut self.transmit,
        ))
    }

    fn sender(&mut self) -> Option<&mut Transmit<P>> {
        self.transmit.collect().then_some(&mut self.transmit)
    }

    fn flush(&mut self) {
        if let Some(index) = self.lent.take() {
            self.receive.give(index, BUFFER, true);
        }
        self.receive.tell(&mut self.transport, RECEIVE);
        self.transmit.0.tell(&mut self.transport, TRANSMIT);
    }
}
