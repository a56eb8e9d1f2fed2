use super::*;
use crate::device::{PIECES, Piece};
use crate::fake::{self, Fake, Host};
use std::rc::Rc;

fn disk(sectors: usize) -> (Fake, Disk<Host, Fake>) {
    let device = fake::new(sectors);
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
    let device = fake::new(1);
    device.0.borrow_mut().features |= 1 << 5;
    assert!(Disk::<Host, _>::new(device.clone()).unwrap().is_read_only());
    let refused = |device: Fake| Disk::<Host, _>::new(device).err();
    let old = fake::new(1);
    old.0.borrow_mut().features = 1 << 9;
    assert_eq!(refused(old), Some(InitError::Unsupported));
    let other = fake::new(1);
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
        fake::work(&device, round % 2 == 0);
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
    assert_eq!(device.0.borrow().notified[0], 400);
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
    fake::work(&device, false);
    assert_eq!(disk.completed(), Some((1, Ok(()))));
    assert_eq!(disk.completed(), Some((2, Ok(()))));
    let device = &device.0.borrow().own;
    assert!(
        device.bytes[64 * 512..192 * 512]
            .iter()
            .all(|byte| *byte == 0xaa)
    );
    assert_eq!(
        (
            device.bytes[63 * 512],
            device.bytes[192 * 512],
            device.flushes
        ),
        (63, 192, 1)
    );
}

#[test]
fn a_failed_request_is_told_and_its_slot_goes_on() {
    let (device, mut disk) = disk(200);
    device.0.borrow_mut().own.bad_from = 100;
    disk.submit(
        0,
        Operation::Read {
            sector: 99,
            sectors: 2,
        },
        None,
    );
    fake::work(&device, false);
    assert_eq!(disk.completed(), Some((0, Err(DeviceError))));
    disk.submit(
        0,
        Operation::Read {
            sector: 99,
            sectors: 1,
        },
        None,
    );
    fake::work(&device, false);
    assert_eq!(disk.completed(), Some((0, Ok(()))));
}

/// Shared memory, and pieces of so many bytes in it, 512 bytes apart.
fn shared(pieces: [u32; PIECES]) -> (Rc<NonNull<u8>>, Pieces) {
    let (physical, address) = Host::dma(16).unwrap();
    let memory = Rc::new(address);
    let mut at = 0;
    let parts = pieces.map(|bytes| {
        let piece = Piece {
            // SAFETY: the test's pieces and the gaps between them fit 16 pages.
            address: unsafe { address.add(at) },
            physical: physical + at as u64,
            bytes,
        };
        at += bytes as usize + 512;
        piece
    });
    // SAFETY: the test looks at it only after the device has finished.
    let pieces = unsafe { Pieces::new(parts, memory.clone()) };
    (memory, pieces.unwrap())
}

fn byte(memory: &NonNull<u8>, at: usize) -> u8 {
    // SAFETY: within its 16 pages, and no device works on it now.
    unsafe { memory.add(at).read_volatile() }
}

#[test]
fn one_request_fills_scattered_memory() {
    let (device, mut disk) = disk(100);
    let (memory, pieces) = shared([1024, 512, 512]);
    let operation = Operation::Read {
        sector: 7,
        sectors: 4,
    };
    disk.submit(0, operation, Some(pieces));
    fake::work(&device, false);
    assert_eq!(disk.completed(), Some((0, Ok(()))));
    let at = [0, 1023, 1024, 1536, 2047, 2048, 2560].map(|at| byte(&memory, at));
    assert_eq!(at, [7, 8, 0, 9, 9, 0, 10]);
}

/// Whoever asked may be gone long before the device is done.
#[test]
fn memory_stays_until_its_own_request_is_finished() {
    let (device, mut disk) = disk(100);
    let requests: Vec<_> = (0..SLOTS)
        .map(|slot| {
            let (memory, pieces) = shared([0, 512, 0]);
            let sector = slot as u64;
            disk.submit(slot, Operation::Read { sector, sectors: 1 }, Some(pieces));
            memory
        })
        .collect();
    let held = |slot: usize| Rc::strong_count(&requests[slot]) == 2;
    // It never finishes, as far as one can see.
    assert_eq!(disk.completed(), None);
    assert!((0..SLOTS).all(held));
    // Late, and the last one first.
    fake::work(&device, true);
    assert!((0..SLOTS).all(held), "the device's until it is told");
    for finished in (0..SLOTS).rev() {
        assert_eq!(disk.completed(), Some((finished, Ok(()))));
        assert!((0..SLOTS).all(|slot| held(slot) == (slot < finished)));
    }
}

#[test]
#[should_panic(expected = "the device owns this buffer")]
fn a_buffer_in_flight_is_out_of_reach() {
    let (_, mut disk) = disk(100);
    let operation = Operation::Read {
        sector: 0,
        sectors: 1,
    };
    disk.submit(1, operation, None);
    disk.buffer(1);
}

#[test]
fn nothing_is_no_piece() {
    // SAFETY: no device gets to see it.
    assert!(unsafe { Pieces::new([Piece::NONE; PIECES], Rc::new(())) }.is_none());
}

#[test]
fn a_request_that_stays_is_seen_and_no_other() {
    let (device, mut disk) = disk(100);
    let mut watch = disk.watch();
    let read = Operation::Read {
        sector: 1,
        sectors: 1,
    };
    assert!(!watch.look(), "nothing was asked for yet");
    for _ in 0..3 {
        for slot in 0..SLOTS {
            disk.submit(slot, read, None);
        }
        assert!(!watch.look(), "each is a new one");
        fake::work(&device, false);
        assert!(!watch.look(), "the device is done, if not the driver");
        while disk.completed().is_some() {}
        assert!(!watch.look());
    }
    disk.submit(2, Operation::Flush, None);
    assert!(!watch.look());
    disk.submit(0, read, None);
    assert!(watch.look() && watch.look());
    fake::work(&device, true);
    assert_eq!(disk.completed(), Some((0, Ok(()))));
    assert!(!watch.look());
}
