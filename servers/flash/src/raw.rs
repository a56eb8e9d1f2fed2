//! Bytes anywhere: whole blocks are read, changed, erased and programmed where erasing is needed.
//!
//! A power cut between the erasing and the end of the programming loses the block's bytes, those around the written ones
//! too. What must survive belongs into [`crate::keys`].

use crate::chip::{BLOCK, Chip, FlashError};
use crate::platform::Platform;

/// Writes bytes from `offset` on. `block` is working memory.
///
/// # Errors
/// As [`Chip::program`] and [`Chip::erase`]; then a part may be written.
pub fn write<P: Platform>(
    chip: &mut Chip<P>,
    offset: usize,
    bytes: &[u8],
    block: &mut [u8; BLOCK],
) -> Result<(), FlashError> {
    let (mut at, mut rest) = (offset, bytes);
    while !rest.is_empty() {
        let start = at / BLOCK * BLOCK;
        let (now, later) = rest.split_at(rest.len().min(start + BLOCK - at));
        chip.read(start, block)?;
        write_in_block(chip, start, at - start, now, block)?;
        at += now.len();
        rest = later;
    }
    Ok(())
}

/// `block` holds what the flash has at `start`.
fn write_in_block<P: Platform>(
    chip: &mut Chip<P>,
    start: usize,
    within: usize,
    bytes: &[u8],
    block: &mut [u8; BLOCK],
) -> Result<(), FlashError> {
    let old = &mut block[within..within + bytes.len()];
    if old == bytes {
        return Ok(());
    }
    if old.iter().zip(bytes).all(|(old, new)| old & new == *new) {
        return chip.program(start + within, bytes);
    }
    old.copy_from_slice(bytes);
    chip.erase(start..start + BLOCK)?;
    chip.program(start, block)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;

    #[test]
    fn any_bytes_anywhere() {
        let model = Model::new(4, 8);
        let mut chip = Chip::new(model.clone(), 0).unwrap();
        let mut expected = vec![0xff; 4 * BLOCK];
        let mut block = [0; BLOCK];
        for (round, (offset, length)) in [(0, 1), (10, 4096), (4095, 2), (0, 16_384), (5000, 9000)]
            .into_iter()
            .cycle()
            .take(20)
            .enumerate()
        {
            let bytes: Vec<u8> = (0..length).map(|i| (i * 7 + round * 13) as u8).collect();
            write(&mut chip, offset, &bytes, &mut block).unwrap();
            expected[offset..offset + length].copy_from_slice(&bytes);
            assert_eq!(model.cells.borrow().bytes, expected, "round {round}");
        }
        let beyond = write(&mut chip, 4 * BLOCK - 1, &[1, 2], &mut block);
        assert_eq!(beyond, Err(FlashError::OutOfBounds));
    }

    #[test]
    fn nothing_is_erased_without_need() {
        let model = Model::new(2, 0);
        let mut chip = Chip::new(model.clone(), 0).unwrap();
        let mut block = [0; BLOCK];
        write(&mut chip, 100, &[0xf0; 50], &mut block).unwrap();
        write(&mut chip, 120, &[0x70; 50], &mut block).unwrap();
        let operations = model.cells.borrow().operations;
        write(&mut chip, 120, &[0x70; 50], &mut block).unwrap();
        assert_eq!(model.cells.borrow().operations, operations, "nothing to do");
        assert_eq!(model.cells.borrow().erased, [0, 0]);
        write(&mut chip, 130, &[0x71], &mut block).unwrap();
        assert_eq!(model.cells.borrow().erased, [1, 0]);
        assert_eq!(model.cells.borrow().bytes[129..132], [0x70, 0x71, 0x70]);
    }

    #[test]
    fn a_power_cut_harms_only_the_block() {
        let mut before = Model::new(3, 8).cells.borrow().clone();
        before.bytes.fill(0x42);
        for cut in 1.. {
            let mut cells = before.clone();
            cells.power = Some(cut);
            let model = Model::of(cells);
            let mut chip = Chip::new(model.clone(), 0).unwrap();
            let written = write(&mut chip, BLOCK + 10, &[0x99; 100], &mut [0; BLOCK]);
            let after = model.cells.borrow().clone();
            assert_eq!(written.is_ok(), !after.is_off());
            assert!(after.bytes[..BLOCK].iter().all(|byte| *byte == 0x42));
            assert!(after.bytes[2 * BLOCK..].iter().all(|byte| *byte == 0x42));
            if written.is_ok() {
                assert!(cut > 4096, "erasing and programming were cut, too");
                break;
            }
        }
    }
}
