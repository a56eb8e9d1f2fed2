//! A virtio block device in the test program's memory: it walks the queue as a real one does.

use virtio::host;
use virtio_drivers::transport::{DeviceStatus, DeviceType};

pub use virtio::host::Host;

/// The device's side.
pub type Fake = host::Fake<Medium>;

/// What is on it.
pub struct Medium {
    pub bytes: Vec<u8>,
    pub flushes: u32,
    /// Sectors from this on fail.
    pub bad_from: u64,
}

/// A device of so many sectors, each full of its number, that can flush.
pub fn new(sectors: usize) -> Fake {
    let medium = Medium {
        bytes: (0..sectors * 512).map(|i| (i / 512) as u8).collect(),
        flushes: 0,
        bad_from: u64::MAX,
    };
    let config = (sectors as u64).to_le_bytes();
    Fake::new(DeviceType::Block, 1 << 9, &config, medium)
}

/// Finishes all requests in the queue, the last first if `reverse`.
pub fn work(fake: &Fake, reverse: bool) {
    let mut device = fake.0.borrow_mut();
    assert!(device.status.contains(DeviceStatus::DRIVER_OK));
    let device = &mut *device;
    let queue = &mut device.queues[0];
    queue.take();
    let mut heads = std::mem::take(&mut queue.held);
    if reverse {
        heads.reverse();
    }
    for head in heads {
        finish(&mut device.own, &queue.chain(head));
        queue.give_back(head.into(), 1);
    }
}

fn finish(medium: &mut Medium, chain: &[host::Buffer]) {
    let [header, data @ .., status] = chain else {
        panic!("{chain:?}")
    };
    let shape = (header.device_writes, status.length, status.device_writes);
    assert_eq!((header.length, shape), (16, (false, 1, true)));
    let header = header.bytes();
    let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
    let (kind, sector) = (word(0), u64::from(word(8)) | u64::from(word(12)) << 32);
    let bytes: usize = data.iter().map(|buffer| buffer.length).sum();
    let good = bytes == 0 || sector + bytes as u64 / 512 <= medium.bad_from;
    let mut start = sector as usize * 512;
    for buffer in data.iter().filter(|_| good) {
        assert_eq!(kind, if buffer.device_writes { 0 } else { 1 });
        let place = &mut medium.bytes[start..start + buffer.length];
        match buffer.device_writes {
            true => buffer.write(0, place),
            false => place.copy_from_slice(&buffer.bytes()),
        }
        start += buffer.length;
    }
    match (kind, data.is_empty()) {
        (4, true) => medium.flushes += 1,
        (0 | 1, false) => {}
        other => panic!("request {other:?}"),
    }
    status.write(0, &[if good { 0 } else { 1 }]);
}
