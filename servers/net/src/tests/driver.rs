//! The driver, against a device that does as it should, late, out of order, wrongly or not at all.

use super::Random;
use crate::device::{self, Fake, Host};
use crate::driver::{InitError, Net};
use crate::frames::{LONGEST, Link, Sender};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use virtio_drivers::transport::DeviceType;

/// Buffers of each queue.
const BUFFERS: usize = 128;

fn start() -> (Fake, Net<Host, Fake>) {
    let fake = device::new();
    let net = Net::new(fake.clone()).expect("a good device");
    (fake, net)
}

fn received(net: &mut Net<Host, Fake>) -> Option<Vec<u8>> {
    net.receive().map(|(frame, _)| frame.to_vec())
}

fn send(net: &mut Net<Host, Fake>, frame: &[u8]) -> bool {
    let sender = net.sender();
    let sent = sender.map(|s| s.send(frame.len(), |buffer| buffer.copy_from_slice(frame)));
    sent.is_some()
}

#[test]
fn only_devices_that_it_knows() {
    for change in [
        |fake: &Fake| fake.0.borrow_mut().kind = DeviceType::Block,
        |fake: &Fake| fake.0.borrow_mut().features = 1 << 5,
        |fake: &Fake| fake.0.borrow_mut().features = 1 << 32,
    ] {
        let fake = device::new();
        change(&fake);
        assert_eq!(
            Net::<Host, _>::new(fake).err(),
            Some(InitError::Unsupported)
        );
    }
    assert_eq!(start().1.mac(), [2, 0, 0, 0, 0, 1]);
}

#[test]
fn frames_come_late_and_out_of_order_and_buffers_go_back() {
    let (fake, mut net) = start();
    let mut random = Random(1);
    assert_eq!(device::held(&fake, 0), BUFFERS);
    assert_eq!(received(&mut net), None, "nothing has come");
    for round in 0..1000u32 {
        // Some at once, into whichever buffers the device likes.
        let frames: Vec<Vec<u8>> = (0..1 + random.below(BUFFERS - 1))
            .map(|number| {
                let length = 14 + random.below(LONGEST - 13);
                (0..length)
                    .map(|i| (i + number) as u8 ^ round as u8)
                    .collect()
            })
            .collect();
        for frame in &frames {
            let index = random.below(device::held(&fake, 0));
            device::receive(&fake, index, frame, 12 + frame.len() as u32);
        }
        for frame in frames {
            assert!(received(&mut net) == Some(frame));
        }
        assert_eq!(received(&mut net), None);
        let told = fake.0.borrow().notified[0];
        net.flush();
        assert_eq!(fake.0.borrow().notified[0], told + 1, "once for all");
        assert_eq!(device::held(&fake, 0), BUFFERS);
    }
}

#[test]
fn what_the_device_says_about_lengths_is_not_believed() {
    let (fake, mut net) = start();
    for (written, length) in [
        (0, 0),
        (11, 0),
        (12, 0),
        (13, 1),
        (2048, 2036),
        (2049, 2036),
        (u32::MAX, 2036),
    ] {
        device::receive(&fake, 0, b"frame", written);
        let frame = received(&mut net).expect("a frame, if an odd one");
        assert_eq!(frame.len(), length, "{written}");
    }
    device::receive(&fake, 0, b"a good frame", 24);
    assert_eq!(received(&mut net), Some(b"a good frame".to_vec()));
}

#[test]
fn a_device_that_does_not_send_is_waited_for() {
    let (fake, mut net) = start();
    let mut sent = BTreeSet::new();
    for number in 0..BUFFERS as u8 {
        assert!(send(&mut net, &[number; 14]));
        sent.insert(number);
    }
    assert!(!send(&mut net, &[0; 14]), "no room");
    // Without room for an answer nothing is received either; and nothing is lost.
    device::receive(&fake, 0, b"a frame that waits", 30);
    assert_eq!(received(&mut net), None);
    net.flush();
    // The last one first.
    for index in (0..BUFFERS).rev() {
        assert_eq!(device::held(&fake, 1), index + 1);
        let frame = device::send(&fake, index);
        assert!(frame == [frame[0]; 14] && sent.remove(&frame[0]));
    }
    assert_eq!(received(&mut net), Some(b"a frame that waits".to_vec()));
    for number in 0..10_000u32 {
        assert!(send(&mut net, &number.to_le_bytes()));
        assert_eq!(device::send(&fake, 0), number.to_le_bytes());
    }
}

#[test]
fn a_device_that_gives_back_what_it_does_not_have_ends_the_driver() {
    for (queue, id) in [(0, 128), (0, u32::MAX), (1, 0), (1, 127)] {
        let (fake, mut net) = start();
        device::lie(&fake, queue, id);
        let used = AssertUnwindSafe(|| received(&mut net));
        let why = catch_unwind(used).expect_err("only a reset helps");
        let why = why.downcast_ref::<String>().map_or("", String::as_str);
        assert!(why.contains("gives back what"), "{queue} {id}: {why:?}");
    }
}
