//! The network device: frames that came are kept until they are read, as the server keeps them.

use crate::caller::{Memory, put, take};
use crate::{Machine, bus, interrupts};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use libsys::proto::io::IoError;
use net::driver::Net;
use net::frames::{LONGEST, Link, SHORTEST, Sender};
use virtio::transport::MsiX;

/// Ids of virtio network devices (virtio 1.2, 4.1.2.1 and 5).
const NETWORKS: [u16; 2] = [0x1000, 0x1041];
/// Frames kept; later ones are lost.
const KEPT: usize = 64;

/// A network device.
pub struct Network {
    link: Net<Machine, MsiX>,
    kept: VecDeque<Box<[u8]>>,
}

impl Network {
    /// Finds it. `None`: the machine has none.
    ///
    /// # Errors
    /// It cannot be used, in words.
    pub fn find(vector: u8) -> Result<Option<Self>, &'static str> {
        let Some(transport) = bus::connect(&NETWORKS, vector)? else {
            return Ok(None);
        };
        let link = Net::new(transport).map_err(|_| "the network device cannot be used")?;
        let kept = VecDeque::with_capacity(KEPT);
        Ok(Some(Self { link, kept }))
    }

    /// Takes the frames that have come.
    fn poll(&mut self) {
        while let Some((frame, _)) = self.link.receive() {
            if self.kept.len() < KEPT {
                self.kept.push_back(frame.into());
            }
        }
        self.link.flush();
    }

    /// Waits until a frame is there.
    pub fn wait(&mut self) {
        loop {
            self.poll();
            if !self.kept.is_empty() {
                return;
            }
            interrupts::wait();
        }
    }

    /// Reads the oldest frame.
    ///
    /// # Errors
    /// `BadBuffer`: it is longer than the memory, or that may not be written.
    pub fn read(&mut self, memory: &impl Memory) -> Result<usize, IoError> {
        self.wait();
        let Some(frame) = self.kept.front().filter(|f| f.len() <= memory.length()) else {
            return Err(IoError::BadBuffer);
        };
        let length = put(memory, 0, frame)?;
        self.kept.pop_front();
        Ok(length)
    }

    /// Sends a frame; waits for room, if there is none.
    ///
    /// # Errors
    /// `BadRequest`: it is no frame. `BadBuffer`: it may not be read.
    pub fn write(&mut self, memory: &impl Memory) -> Result<usize, IoError> {
        let length = memory.length();
        if !(SHORTEST..=LONGEST).contains(&length) {
            return Err(IoError::BadRequest);
        }
        memory.piece(0, length, false).ok_or(IoError::BadBuffer)?;
        while self.link.sender().is_none() {
            interrupts::wait();
        }
        let sent = match self.link.sender() {
            Some(sender) => sender.send(length, |frame| take(memory, 0, frame)),
            None => Err(IoError::DeviceError),
        };
        self.link.flush();
        sent
    }
}
