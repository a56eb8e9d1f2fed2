use super::*;
use crate::model::Model;

fn chip(buffer: u8) -> (Model, Chip<Model>) {
    let model = Model::new(8, buffer);
    (model.clone(), Chip::new(model, 0).unwrap())
}

#[test]
fn bits_are_cleared_by_programming_and_set_by_erasing() {
    for buffer in [0, 1, 5, 8] {
        let (model, mut chip) = chip(buffer);
        let bytes: Vec<u8> = (0..5000).map(|i| i as u8 ^ 0x5a).collect();
        for (offset, length) in [(0, 1), (3, 2), (4090, 12), (8192, 5000), (32_767, 1)] {
            chip.erase(0..32_768).unwrap();
            chip.program(offset, &bytes[..length]).unwrap();
            let mut expected = vec![0xff; 32_768];
            expected[offset..offset + length].copy_from_slice(&bytes[..length]);
            assert_eq!(model.cells.borrow().bytes, expected);
            let mut read = vec![0; 32_768];
            chip.read(0, &mut read).unwrap();
            assert_eq!(read, expected);
        }
        chip.program(100, &[0x0f]).unwrap();
        chip.program(100, &[0xf3]).unwrap();
        assert_eq!(model.cells.borrow().bytes[100], 0x03);
        assert_eq!(model.cells.borrow().erased, [5; 8]);
    }
}

#[test]
fn ranges_are_checked() {
    let (model, mut chip) = chip(8);
    let mut byte = [0];
    assert_eq!(chip.read(32_768, &mut byte), Err(FlashError::OutOfBounds));
    assert_eq!(
        chip.read(usize::MAX, &mut byte),
        Err(FlashError::OutOfBounds)
    );
    assert_eq!(chip.program(32_767, &[0, 0]), Err(FlashError::OutOfBounds));
    assert_eq!(chip.erase(0..36_864), Err(FlashError::OutOfBounds));
    assert_eq!(
        chip.erase(Range {
            start: 4096,
            end: 0
        }),
        Err(FlashError::OutOfBounds)
    );
    assert_eq!(chip.erase(1..4096), Err(FlashError::NotAligned));
    assert_eq!(chip.erase(0..4095), Err(FlashError::NotAligned));
    assert_eq!(model.cells.borrow().operations, 0);
}

#[test]
fn what_the_chip_says_is_told_and_forgotten() {
    for buffer in [0, 8] {
        let (model, mut chip) = chip(buffer);
        model.cells.borrow_mut().locked = vec![1];
        model.cells.borrow_mut().broken = vec![2];
        let bytes = [0x11; 3];
        assert_eq!(chip.program(4096, &bytes), Err(FlashError::Locked));
        assert_eq!(chip.program(8192, &bytes), Err(FlashError::Program));
        assert_eq!(chip.erase(4096..8192), Err(FlashError::Locked));
        assert_eq!(chip.erase(0..32_768), Err(FlashError::Locked));
        assert_eq!(chip.erase(8192..12_288), Err(FlashError::Erase));
        assert_eq!(chip.program(0, &bytes), Ok(()));
        assert_eq!(chip.erase(0..4096), Ok(()));
        assert_eq!(model.cells.borrow().erased, [2, 0, 0, 0, 0, 0, 0, 0]);
    }
}

#[test]
fn a_chip_that_is_never_ready_is_given_up() {
    for buffer in [0, 8] {
        let (model, mut chip) = chip(buffer);
        model.cells.borrow_mut().busy_for = u32::MAX;
        assert_eq!(chip.program(0, &[1, 2]), Err(FlashError::Timeout));
        assert_eq!(chip.erase(0..4096), Err(FlashError::Timeout));
    }
}

#[test]
fn a_driver_may_die_between_any_two_bus_cycles() {
    const SPARE: usize = 7 * BLOCK;
    for buffer in [0, 5, 8] {
        for cycles in 0.. {
            let model = Model::new(8, buffer);
            let mut chip = Chip::new(model.clone(), SPARE).unwrap();
            chip.program(0, &[0x5a; 1000]).unwrap();
            model.cells.borrow_mut().cycles = Some(cycles);
            // What it does to block 1 nobody answers for.
            let result = chip
                .erase(BLOCK..2 * BLOCK)
                .and_then(|()| chip.program(BLOCK + 3, &[1; 300]));
            let alive = model.cells.borrow().cycles != Some(0);
            model.cells.borrow_mut().cycles = None;
            let mut next = Chip::new(model.clone(), SPARE).unwrap();
            next.erase(2 * BLOCK..3 * BLOCK).unwrap();
            next.program(2 * BLOCK, &[0x77; 50]).unwrap();
            let bytes = model.cells.borrow().bytes.clone();
            assert!(bytes[..1000].iter().all(|byte| *byte == 0x5a));
            assert!(bytes[1000..BLOCK].iter().all(|byte| *byte == 0xff));
            assert!(bytes[2 * BLOCK..][..50].iter().all(|byte| *byte == 0x77));
            assert!(
                bytes[2 * BLOCK + 50..SPARE]
                    .iter()
                    .all(|byte| *byte == 0xff)
            );
            if alive {
                assert!(result.is_ok() && cycles > 300);
                break;
            }
        }
    }
}

#[test]
fn the_next_driver_need_not_wait_for_a_chip_that_is_ready() {
    let model = Model::new(4, 5);
    model.cells.borrow_mut().forgetful = true;
    let before = model.now();
    for _ in 0..3 {
        Chip::new(model.clone(), 3 * BLOCK).unwrap();
    }
    assert!(model.now() - before < LONGEST_ERASE);
}

#[test]
fn only_chips_with_such_blocks() {
    struct Other(Vec<u8>, core::cell::Cell<u64>);
    impl Platform for Other {
        fn size(&self) -> usize {
            1 << 20
        }
        fn read(&self, offset: usize) -> u8 {
            self.0.get(offset).copied().unwrap_or(0)
        }
        fn write(&mut self, _: usize, _: u8) {}
        fn copy_out(&self, _: usize, _: &mut [u8]) {}
        fn now(&self) -> u64 {
            self.1.replace(self.1.get() + 1_000_000)
        }
    }
    let of = |table: Vec<u8>| Chip::new(Other(table, Default::default()), 0).err();
    assert_eq!(of(cfi::example(16, 4096, 0).into()), None);
    assert_eq!(of(vec![0xff; 64]), Some(QueryError::Absent));
    let blocks = of(cfi::example(16, 8192, 0).into());
    assert!(matches!(blocks, Some(QueryError::Unsupported(why)) if why.contains("4096")));
}
