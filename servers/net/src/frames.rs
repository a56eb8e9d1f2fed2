//! Ethernet frames: what the stack wants of a device, and copies of them for those who read `net:`.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

/// Longest frame in bytes: header and 1500 of content.
pub const LONGEST: usize = 1514;
/// Shortest frame in bytes: a header.
pub const SHORTEST: usize = 14;
/// Most readers of `net:`. Each client has an equal share, at least one.
pub const MOST: usize = 4;
/// Frames kept for a reader of `net:`; later ones are lost.
const KEPT: usize = 64;

/// A network device. Nothing here waits.
pub trait Link {
    /// Sends, if [`Link::sender`] says that it can.
    type Sender: Sender;

    /// Its Ethernet address.
    fn mac(&self) -> [u8; 6];

    /// The next frame that has arrived, if there is room for an answer to it. It is gone at the next call.
    fn receive(&mut self) -> Option<(&[u8], &mut Self::Sender)>;

    /// Whoever sends one frame; `None` while there is no room. The device interrupts when there is again.
    fn sender(&mut self) -> Option<&mut Self::Sender>;

    /// Tells the device of all that was done since the last time.
    fn flush(&mut self);
}

/// Room for one frame.
pub trait Sender {
    /// Sends `length` bytes (at most [`LONGEST`]), which `fill` writes.
    fn send<R>(&mut self, length: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R;
}

/// A device as smoltcp wants it, with its readers.
pub struct Frames<L> {
    link: L,
    taps: Vec<(u32, VecDeque<Box<[u8]>>)>,
    /// Frames received and sent.
    pub count: (u64, u64),
}

impl<L: Link> Frames<L> {
    /// The frames of this device.
    pub const fn new(link: L) -> Self {
        Self {
            link,
            taps: Vec::new(),
            count: (0, 0),
        }
    }

    /// The device.
    pub fn link(&mut self) -> &mut L {
        &mut self.link
    }

    /// Keeps copies for a reader from now on.
    pub fn tap(&mut self, reader: u32) {
        self.taps.push((reader, VecDeque::new()));
    }

    /// Keeps none any more.
    pub fn untap(&mut self, reader: u32) {
        self.taps.retain(|(other, _)| *other != reader);
    }

    /// The frames kept for a reader, oldest first.
    pub fn kept(&mut self, reader: u32) -> Option<&mut VecDeque<Box<[u8]>>> {
        let tap = self.taps.iter_mut().find(|(other, _)| *other == reader);
        tap.map(|(_, frames)| frames)
    }

    /// Whether there are frames kept for a reader.
    pub fn has_kept(&self, reader: u32) -> bool {
        self.taps
            .iter()
            .any(|(other, kept)| *other == reader && !kept.is_empty())
    }

    /// Sends one frame; `None`: there is no room.
    pub fn send(&mut self, frame: &[u8]) -> Option<()> {
        let sender = self.link.sender()?;
        sender.send(frame.len(), |buffer| buffer.copy_from_slice(frame));
        self.count.1 += 1;
        Some(())
    }
}

/// A frame that has arrived.
pub struct Received<'a>(&'a [u8]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// Room for a frame.
pub struct Sending<'a, S>(&'a mut S, &'a mut u64);

impl<S: Sender> TxToken for Sending<'_, S> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        *self.1 += 1;
        self.0.send(length, f)
    }
}

impl<L: Link> Device for Frames<L> {
    type RxToken<'a>
        = Received<'a>
    where
        L: 'a;
    type TxToken<'a>
        = Sending<'a, L::Sender>
    where
        L: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Sending<'_, L::Sender>)> {
        let (frame, sender) = self.link.receive()?;
        self.count.0 += 1;
        for (_, kept) in &mut self.taps {
            if kept.len() < KEPT {
                kept.push_back(frame.into());
            }
        }
        Some((Received(frame), Sending(sender, &mut self.count.1)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending<'_, L::Sender>> {
        Some(Sending(self.link.sender()?, &mut self.count.1))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = LONGEST;
        capabilities
    }
}
