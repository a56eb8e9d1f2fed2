use super::*;
use crate::device::Piece;
use core::cell::RefCell;
use core::ptr::NonNull;
use model::Model;
use proptest::prelude::*;
use std::rc::Rc;
use std::string::ToString;
use std::vec::Vec;

/// Ticks of the model's second.
const TICKS: u64 = 1000;

type Troubles = Rc<RefCell<Vec<Trouble>>>;

fn driver(model: &Model) -> (Ata<Model>, Troubles) {
    let troubles = Troubles::default();
    let report = troubles.clone();
    let report = move |trouble| report.borrow_mut().push(trouble);
    let ata = Ata::new(model.clone(), TICKS, report).expect("it is a disk");
    (ata, troubles)
}

fn read(sector: u64, sectors: usize) -> Operation {
    Operation::Read { sector, sectors }
}

fn write(sector: u64, sectors: usize) -> Operation {
    Operation::Write { sector, sectors }
}

/// Waits for a request as the server does: whenever there is nothing, only an interrupt helps.
fn finish(ata: &mut Ata<Model>, model: &Model) -> (usize, Result<(), DeviceError>) {
    loop {
        if let Some(done) = ata.completed() {
            return done;
        }
        assert!(model.works(), "it waits for an interrupt that never comes");
    }
}

fn absent(model: &Model) -> Option<Absent> {
    Ata::new(model.clone(), TICKS, |_| {}).err()
}

#[test]
fn disks_say_what_they_are() {
    for wide in [false, true] {
        let (ata, _) = driver(&Model::new(1000, wide));
        assert_eq!((ata.size(), ata.has_flush()), (512_000, true));
        assert!(!ata.is_read_only());
    }
    let with = |change: fn(&mut [u16; 256])| {
        let model = Model::new(1000, true);
        model.0.borrow_mut().identity.iter_mut().for_each(change);
        absent(&model)
    };
    let unsupported = |why| Some(Absent::Unsupported(why));
    let large = |identity: &mut [u16; 256]| identity[106] = 1 << 14 | 1 << 12;
    assert_eq!(
        with(large),
        unsupported("its sectors are longer than 512 bytes")
    );
    assert_eq!(
        with(|i| i[49] = 0),
        unsupported("it knows no sector numbers")
    );
    assert_eq!(
        with(|i| i[100] = 0),
        unsupported("it has an impossible size")
    );
    assert_eq!(
        with(|i| i[103] = 1),
        unsupported("it has an impossible size")
    );
    assert_eq!(
        with(|i| i[0] = 0x8580),
        Some(Absent::NoDevice),
        "a CD drive"
    );
    assert_eq!(with(|i| i[106] = 3 << 14 | 1 << 12), None, "not valid");
}

#[test]
fn where_no_disk_is() {
    let other = Model::new(10, true);
    other.0.borrow_mut().identity = None;
    assert_eq!(absent(&other), Some(Absent::NoDevice));
    let dead = Model::new(10, true);
    dead.0.borrow_mut().dead = true;
    assert_eq!(absent(&dead), Some(Absent::NoDevice));
}

#[derive(Debug, Clone)]
struct Request {
    operation: Operation,
    fill: u8,
}

fn requests() -> impl Strategy<Value = Vec<Request>> {
    let request = (0u64..300, 1usize..=128, 0..3, any::<u8>());
    let request = request.prop_map(|(sector, sectors, kind, fill)| Request {
        operation: match kind {
            0 => read(sector, sectors),
            1 => write(sector, sectors),
            _ => Operation::Flush,
        },
        fill,
    });
    proptest::collection::vec(request, 1..12)
}

proptest! {
    /// Whatever is asked, in whatever number at a time, however slow the disk is.
    #[test]
    fn requests_do_what_they_say(requests in requests(), wide: bool, latency in 0u32..6, at_once in 1..=SLOTS) {
        let model = Model::new(428, wide);
        model.0.borrow_mut().latency = latency;
        let (mut ata, troubles) = driver(&model);
        let mut expected = model.0.borrow().medium.clone();
        for group in requests.chunks(at_once) {
            for (slot, Request { operation, fill }) in group.iter().enumerate() {
                if let Operation::Write { .. } = operation {
                    ata.buffer(slot).fill(*fill);
                }
                ata.submit(slot, *operation, None);
            }
            for (slot, Request { operation, fill }) in group.iter().enumerate() {
                // One after the other.
                prop_assert_eq!(finish(&mut ata, &model), (slot, Ok(())));
                match *operation {
                    Operation::Read { sector, sectors } => {
                        let there = ata.buffer(slot)[..sectors * SECTOR].chunks(SECTOR);
                        let wanted = &expected[sector as usize..sector as usize + sectors];
                        prop_assert!(there.eq(wanted.iter().map(|sector| &sector[..])));
                    }
                    Operation::Write { sector, sectors } => {
                        expected[sector as usize..sector as usize + sectors].fill([*fill; SECTOR]);
                    }
                    Operation::Flush => {}
                }
            }
        }
        prop_assert!(ata.completed().is_none());
        let disk = model.0.borrow();
        prop_assert!((0..428).all(|sector| disk.sector(sector) == expected[sector as usize]));
        prop_assert!(troubles.borrow().is_empty());
        prop_assert_eq!(disk.resets, 1);
    }
}

#[test]
fn what_was_flushed_survives() {
    for wide in [false, true] {
        let model = Model::new(8, wide);
        let (mut ata, _) = driver(&model);
        for (sector, flush) in [(2, true), (5, false)] {
            ata.buffer(0).fill(0xaa);
            ata.submit(0, write(sector, 1), None);
            assert_eq!(finish(&mut ata, &model), (0, Ok(())));
            if flush {
                ata.submit(1, Operation::Flush, None);
                assert_eq!(finish(&mut ata, &model), (1, Ok(())));
            }
        }
        let disk = model.0.borrow();
        assert_eq!(disk.medium[2], [0xaa; SECTOR]);
        assert_eq!(disk.medium[5], [5; SECTOR], "it was only in the cache");
    }
}

/// More sectors than a command with short addresses can move, into memory of several pieces.
#[test]
fn large_requests_take_several_commands() {
    const SECTORS: usize = 600;
    for (wide, commands) in [(false, 3), (true, 1)] {
        let model = Model::new(1000, wide);
        let (mut ata, _) = driver(&model);
        let memory = vec![0u8; SECTORS * SECTOR].leak();
        let start = NonNull::from(&mut *memory).cast::<u8>();
        let parts = [(0, 10), (10, 0), (10, SECTORS - 10)].map(|(from, sectors)| Piece {
            // SAFETY: inside the memory.
            address: unsafe { start.add(from * SECTOR) },
            physical: 0,
            bytes: (sectors * SECTOR) as u32,
        });
        // SAFETY: the memory stays, and is read only when the disk is done.
        let pieces = || unsafe { Pieces::new(parts, Rc::new(())) };
        ata.submit(0, read(300, SECTORS), pieces());
        assert_eq!(finish(&mut ata, &model), (0, Ok(())));
        let there = memory.chunks(SECTOR);
        assert!(
            there
                .zip(300..)
                .all(|(bytes, n)| bytes == [n as u8; SECTOR])
        );
        // Another command than the IDENTIFY that came first.
        assert_eq!(model.0.borrow().commands.len(), 1 + commands);
        ata.submit(0, write(0, SECTORS), pieces());
        assert_eq!(finish(&mut ata, &model), (0, Ok(())));
        assert_eq!(model.0.borrow().sector(599), [(300 + 599) as u8; SECTOR]);
    }
}

#[test]
fn what_the_disk_refuses_has_a_name() {
    let model = Model::new(100, true);
    let (mut ata, troubles) = driver(&model);
    model.0.borrow_mut().bad.insert(50);
    for (operation, words) in [
        (
            read(50, 1),
            "reading 1 sectors from 50 on: uncorrectable data",
        ),
        (
            read(48, 4),
            "reading 4 sectors from 48 on: uncorrectable data",
        ),
        (
            write(50, 2),
            "writing 2 sectors from 50 on: uncorrectable data",
        ),
        (
            write(49, 2),
            "writing 2 sectors from 49 on: uncorrectable data",
        ),
        (read(99, 2), "reading 2 sectors from 99 on: no such sector"),
    ] {
        ata.submit(3, operation, None);
        ata.submit(1, read(7, 1), None);
        assert_eq!(finish(&mut ata, &model), (3, Err(DeviceError)));
        let trouble = troubles.borrow_mut().pop().expect("it is told");
        assert_eq!(trouble.to_string(), words);
        // The next one is not harmed.
        assert_eq!(finish(&mut ata, &model), (1, Ok(())));
        assert_eq!(ata.buffer(1)[..SECTOR], [7; SECTOR]);
    }
    assert_eq!(model.0.borrow().resets, 1, "nothing but the first one");
}

#[test]
fn a_disk_that_hangs_is_reset() {
    for operation in [read(3, 2), write(3, 2), Operation::Flush] {
        let model = Model::new(100, true);
        let (mut ata, troubles) = driver(&model);
        model.0.borrow_mut().latency = u32::MAX;
        ata.submit(0, operation, None);
        ata.submit(1, read(9, 1), None);
        if !matches!(operation, Operation::Write { .. }) {
            assert!(ata.completed().is_none(), "there is time left");
        }
        model.0.borrow_mut().latency = 1;
        let deadline = ata.deadline().expect("somebody must come back");
        model.passes(deadline + 1);
        assert_eq!(ata.completed(), Some((0, Err(DeviceError))));
        assert_eq!(troubles.borrow().as_slice(), [Trouble::Late(operation)]);
        assert_eq!(model.0.borrow().resets, 2);
        assert_eq!(finish(&mut ata, &model), (1, Ok(())));
        assert_eq!(ata.deadline(), None);
    }
}

#[test]
fn a_disk_that_is_gone_fails_at_once() {
    let model = Model::new(100, true);
    let (mut ata, troubles) = driver(&model);
    (model.0.borrow_mut().dead, model.0.borrow_mut().latency) = (true, u32::MAX);
    ata.submit(0, read(0, 1), None);
    assert!(ata.completed().is_none());
    model.passes(PATIENCE * TICKS * 2);
    assert_eq!(ata.completed(), Some((0, Err(DeviceError))));
    for slot in 0..2 {
        ata.submit(slot, Operation::Flush, None);
    }
    for slot in 0..2 {
        assert!(ata.deadline().expect("there is one") < model.now());
        assert_eq!(ata.completed(), Some((slot, Err(DeviceError))));
    }
    let last = *troubles.borrow().last().expect("it is told");
    assert_eq!(last, Trouble::Dead(Operation::Flush));
}

#[test]
fn too_many_sectors_are_not_taken() {
    let model = Model::new(100, true);
    let (mut ata, troubles) = driver(&model);
    model.0.borrow_mut().generous = true;
    ata.submit(0, read(0, 2), None);
    assert_eq!(finish(&mut ata, &model), (0, Err(DeviceError)));
    assert_eq!(
        troubles.borrow().as_slice(),
        [Trouble::Confused(read(0, 2))]
    );
    assert_eq!(model.0.borrow().resets, 2);
}

#[test]
#[should_panic(expected = "a slot has one request at a time")]
fn a_slot_is_used_once() {
    let (mut ata, _) = driver(&Model::new(100, true));
    ata.submit(0, read(0, 1), None);
    ata.submit(0, read(0, 1), None);
}
