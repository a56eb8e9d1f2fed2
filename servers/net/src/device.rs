//! A virtio network device in the test program's memory, as good or as bad as a test wants it.

use virtio::host::{self, Buffer};
use virtio_drivers::transport::DeviceType;

pub use virtio::host::Host;

/// The device's side. Queue 0 receives, queue 1 sends.
pub type Fake = host::Fake<()>;

/// Bytes before each frame.
const HEADER: usize = 12;

/// A device with an address, which offers checksums.
pub fn new() -> Fake {
    let fake = Fake::new(DeviceType::Network, 1 << 5 | 1, &[2, 0, 0, 0, 0, 1], ());
    fake.0.borrow_mut().known = 1 << 32 | 1 << 5;
    fake
}

/// Buffers of a queue that the device has.
pub fn held(fake: &Fake, queue: usize) -> usize {
    let queue = &mut fake.0.borrow_mut().queues[queue];
    queue.take();
    queue.held.len()
}

/// Gives back the `index`-th of the buffers that the device has in a queue, after it was used, as `written` bytes.
fn finish<R>(
    fake: &Fake,
    queue: usize,
    index: usize,
    written: u32,
    work: impl FnOnce(Buffer) -> R,
) -> R {
    let queue = &mut fake.0.borrow_mut().queues[queue];
    queue.take();
    let head = queue.held.remove(index);
    let [buffer] = queue.chain(head)[..] else {
        panic!("one descriptor a frame");
    };
    let result = work(buffer);
    queue.give_back(head.into(), written);
    result
}

/// Puts a frame into the `index`-th of the buffers that the device has, and says that it has written `written` bytes.
pub fn receive(fake: &Fake, index: usize, frame: &[u8], written: u32) {
    finish(fake, 0, index, written, |buffer| {
        buffer.write(HEADER, frame)
    });
}

/// Sends the `index`-th of the frames that the device has.
pub fn send(fake: &Fake, index: usize) -> Vec<u8> {
    let bytes = finish(fake, 1, index, 0, |buffer| buffer.bytes());
    assert!(bytes[..HEADER].iter().all(|byte| *byte == 0), "no offload");
    bytes[HEADER..].into()
}

/// Gives back a buffer whether it has it or not.
pub fn lie(fake: &Fake, queue: usize, id: u32) {
    fake.0.borrow_mut().queues[queue].give_back(id, 100);
}
