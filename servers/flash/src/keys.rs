//! Named values that survive power cuts: `sequential-storage`'s map in the last blocks of the chip.
//!
//! A write adds a new copy behind the last one and so wears all blocks alike; a power cut leaves the old value or the new.

use crate::chip::{BLOCK, Chip, FlashError};
use crate::platform::Platform;
use crate::waiting::{Waiting, wait};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;
use sequential_storage::Error;
use sequential_storage::cache::Cache;
use sequential_storage::map::{MapConfig, MapStorage};

/// Longest name in bytes.
pub const NAME_MAX: usize = 32;
/// Longest value in bytes.
pub const VALUE_MAX: usize = 1024;
/// Blocks at the end of a chip that hold the values; the rest is for [`crate::raw`].
pub const BLOCKS: usize = 32;

/// Working memory: a name with its length, and a value, rounded up to the largest word of any flash.
const BUFFER: usize = (2 + NAME_MAX + VALUE_MAX).next_multiple_of(32);

/// Why an operation on values failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyError {
    /// Empty, too long, or with a `/`.
    BadName,
    /// There is no value of this name.
    NotFound,
    /// The value would be too long.
    TooLong,
    /// All blocks are full of values in use.
    Full,
    /// The blocks hold something else than values.
    Corrupt,
    /// The chip.
    Flash(FlashError),
}

/// The values of a chip.
#[derive(Debug)]
pub struct Keys {
    range: Range<u32>,
    buffer: [u8; BUFFER],
}

/// One operation's view of the map.
type Map<'a, P> = MapStorage<String, Waiting<'a, P>, Uncached>;
type Uncached = Cache<
    sequential_storage::cache::Uncached,
    sequential_storage::cache::Uncached,
    sequential_storage::cache::Uncached,
    String,
>;

impl Keys {
    /// The values in the blocks of `range` (at least two). Erases blocks that an interrupted erasing left half blank: they
    /// would pass for blank ones.
    ///
    /// # Errors
    /// What the chip says.
    pub fn new<P: Platform>(chip: &mut Chip<P>, range: Range<usize>) -> Result<Self, FlashError> {
        let mut content = alloc::vec![0; BLOCK];
        for block in range.clone().step_by(BLOCK) {
            chip.read(block, &mut content)?;
            let seems_blank = content[0] == 0xff && content[BLOCK - 1] == 0xff;
            if seems_blank && content.iter().any(|byte| *byte != 0xff) {
                chip.erase(block..block + BLOCK)?;
            }
        }
        Ok(Self {
            range: range.start as u32..range.end as u32,
            buffer: [0; BUFFER],
        })
    }

    /// Whether there can be a value of this name.
    ///
    /// # Errors
    /// `BadName`.
    pub fn check_name(name: &str) -> Result<(), KeyError> {
        if name.is_empty() || name.len() > NAME_MAX || name.contains('/') {
            return Err(KeyError::BadName);
        }
        Ok(())
    }

    fn map<'a, P: Platform>(&self, chip: &'a mut Chip<P>) -> Map<'a, P> {
        let config = MapConfig::new(self.range.clone());
        MapStorage::new(Waiting(chip), config, Cache::new_uncached())
    }

    /// The value of a name.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`, `Flash`.
    pub fn get<P: Platform>(
        &mut self,
        chip: &mut Chip<P>,
        name: &String,
    ) -> Result<&[u8], KeyError> {
        let mut map = self.map(chip);
        let found = finish(map.fetch_item::<&[u8]>(&mut self.buffer, name));
        found?.ok_or(KeyError::NotFound)
    }

    /// Gives a name a value. When this returns, it survives power cuts.
    ///
    /// # Errors
    /// `BadName`, `TooLong`, `Full`, `Corrupt`, `Flash`.
    pub fn set<P: Platform>(
        &mut self,
        chip: &mut Chip<P>,
        name: &String,
        value: &[u8],
    ) -> Result<(), KeyError> {
        Self::check_name(name)?;
        if value.len() > VALUE_MAX {
            return Err(KeyError::TooLong);
        }
        let mut map = self.map(chip);
        finish(map.store_item(&mut self.buffer, name, &value))
    }

    /// Forgets a name.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`, `Flash`.
    pub fn remove<P: Platform>(
        &mut self,
        chip: &mut Chip<P>,
        name: &String,
    ) -> Result<(), KeyError> {
        self.get(chip, name)?;
        let mut map = self.map(chip);
        finish(map.remove_item(&mut self.buffer, name))
    }

    /// All names with the lengths of their values, sorted.
    ///
    /// # Errors
    /// `Corrupt`, `Flash`.
    pub fn list<P: Platform>(
        &mut self,
        chip: &mut Chip<P>,
    ) -> Result<Vec<(String, usize)>, KeyError> {
        let mut map = self.map(chip);
        let buffer = &mut self.buffer;
        let names = finish(async {
            let mut items = map.fetch_all_items(buffer).await?;
            // Old values come before new ones.
            let mut names = BTreeMap::new();
            while let Some((name, value)) = items.next::<&[u8]>(buffer).await? {
                names.insert(name, value.len());
            }
            Ok(names)
        })?;
        Ok(names.into_iter().collect())
    }
}

/// Runs an operation of the map.
fn finish<T>(operation: impl Future<Output = Result<T, Error<FlashError>>>) -> Result<T, KeyError> {
    wait(operation).map_err(|error| match error {
        Error::Storage { value } => KeyError::Flash(value),
        Error::FullStorage => KeyError::Full,
        Error::ItemTooBig | Error::BufferTooBig | Error::BufferTooSmall(_) => KeyError::TooLong,
        _ => KeyError::Corrupt,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cells, Model};
    use std::collections::BTreeMap;

    const RANGE: Range<usize> = BLOCK..4 * BLOCK;

    fn open(cells: Cells) -> (Model, Chip<Model>, Keys) {
        let model = Model::of(cells);
        let mut chip = Chip::new(model.clone(), 0).unwrap();
        let keys = Keys::new(&mut chip, RANGE).unwrap();
        (model, chip, keys)
    }

    fn content(chip: &mut Chip<Model>, keys: &mut Keys) -> BTreeMap<String, Vec<u8>> {
        let names = keys.list(chip).unwrap();
        let value = |(name, length): (String, usize)| {
            let value = keys.get(chip, &name).unwrap().to_vec();
            assert_eq!(value.len(), length);
            (name, value)
        };
        names.into_iter().map(value).collect()
    }

    #[test]
    fn values_are_kept_replaced_and_removed() {
        let (model, mut chip, mut keys) = open(Cells::new(6, 8));
        let name = |name: &str| String::from(name);
        assert_eq!(keys.get(&mut chip, &name("a")), Err(KeyError::NotFound));
        keys.set(&mut chip, &name("a"), b"one").unwrap();
        keys.set(&mut chip, &name("b"), b"").unwrap();
        keys.set(&mut chip, &name("a"), b"two").unwrap();
        assert_eq!(keys.get(&mut chip, &name("a")), Ok(&b"two"[..]));
        assert_eq!(keys.get(&mut chip, &name("b")), Ok(&b""[..]));
        let list = keys.list(&mut chip).unwrap();
        assert_eq!(list, [(name("a"), 3), (name("b"), 0)]);
        keys.remove(&mut chip, &name("b")).unwrap();
        assert_eq!(keys.remove(&mut chip, &name("b")), Err(KeyError::NotFound));
        // A new driver on the same chip sees the same.
        let (_, mut chip, mut keys) = open(model.cells.borrow().clone().powered_on());
        assert_eq!(
            content(&mut chip, &mut keys),
            [(name("a"), b"two".to_vec())].into()
        );
    }

    #[test]
    fn limits() {
        let (model, mut chip, mut keys) = open(Cells::new(6, 8));
        let long = "n".repeat(NAME_MAX);
        keys.set(&mut chip, &long, &[7; VALUE_MAX]).unwrap();
        assert_eq!(keys.get(&mut chip, &long), Ok(&[7; VALUE_MAX][..]));
        for wrong in ["", "a/b", &"n".repeat(NAME_MAX + 1)] {
            assert_eq!(
                keys.set(&mut chip, &wrong.into(), b""),
                Err(KeyError::BadName)
            );
        }
        let too_long = keys.set(&mut chip, &"a".into(), &[0; VALUE_MAX + 1]);
        assert_eq!(too_long, Err(KeyError::TooLong));
        let mut stored = vec![long];
        let full = (0..).find_map(|i| {
            let name = alloc::format!("more {i}");
            let result = keys.set(&mut chip, &name, &[i as u8; VALUE_MAX]).err();
            stored.push(name);
            result
        });
        assert_eq!(full, Some(KeyError::Full));
        stored.pop();
        assert!(stored.len() >= 6);
        // What was there before still is, and there is room again when something goes.
        for name in &stored {
            assert_eq!(keys.get(&mut chip, name).map(<[u8]>::len), Ok(VALUE_MAX));
        }
        keys.remove(&mut chip, &stored[0]).unwrap();
        keys.remove(&mut chip, &stored[1]).unwrap();
        keys.set(&mut chip, &stored[0], b"small").unwrap();
        let cells = model.cells.borrow();
        assert!(
            cells.bytes[..BLOCK]
                .iter()
                .chain(&cells.bytes[4 * BLOCK..])
                .all(|b| *b == 0xff)
        );
    }

    #[test]
    fn a_chip_with_something_else_is_no_panic() {
        let mut cells = Cells::new(6, 8);
        let mut state = 1u32;
        for byte in &mut cells.bytes {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (state >> 24) as u8;
        }
        let (_, mut chip, mut keys) = open(cells);
        // It may be called corrupt or empty, and must be usable after a write.
        let _ = keys.get(&mut chip, &"a".into());
        keys.set(&mut chip, &"a".into(), b"new").unwrap();
        assert_eq!(keys.get(&mut chip, &"a".into()), Ok(&b"new"[..]));
    }

    #[test]
    fn all_blocks_wear_alike() {
        let (model, mut chip, mut keys) = open(Cells::new(6, 8));
        for i in 0..400u32 {
            keys.set(&mut chip, &"one".into(), &[i as u8; 100]).unwrap();
        }
        let erased = &model.cells.borrow().erased[1..4];
        let (least, most) = (erased.iter().min().unwrap(), erased.iter().max().unwrap());
        assert!(*least > 1 && most - least <= 1, "{erased:?}");
    }

    /// Names and values of step `i`; `None` removes.
    fn step(i: usize) -> (String, Option<Vec<u8>>) {
        let name = alloc::format!("key {}", i * 5 % 4);
        let value = (i % 7 != 6).then(|| vec![i as u8; i * 89 % 120]);
        (name, value)
    }

    fn apply(chip: &mut Chip<Model>, keys: &mut Keys, i: usize) -> Result<(), KeyError> {
        match step(i) {
            (name, Some(value)) => keys.set(chip, &name, &value),
            (name, None) => match keys.remove(chip, &name) {
                Err(KeyError::NotFound) => Ok(()),
                other => other,
            },
        }
    }

    #[test]
    fn a_power_cut_at_any_operation_leaves_the_old_value_or_the_new() {
        let mut state = Cells::new(4, 5);
        let mut expected = BTreeMap::new();
        let mut cuts = 0;
        for i in 0..450 {
            let (name, value) = step(i);
            let before = expected.clone();
            match value {
                Some(value) => expected.insert(name, value),
                None => expected.remove(&name),
            };
            let uncut = state.clone();
            let (model, mut chip, mut keys) = open(uncut);
            apply(&mut chip, &mut keys, i).unwrap();
            let uncut = model.cells.borrow().clone().powered_on();
            // All steps that erase, and some others.
            if uncut.erased != state.erased || i % 15 == 0 {
                cuts += cut_everywhere(&state, i, &before, &expected);
            }
            state = uncut;
        }
        assert!(cuts > 1000, "{cuts}");
        assert!(state.erased[1..].iter().all(|erased| *erased > 0));
    }

    /// Does step `i` with power failing at each of its operations. Returns how many there are.
    fn cut_everywhere(
        state: &Cells,
        i: usize,
        old: &BTreeMap<String, Vec<u8>>,
        new: &BTreeMap<String, Vec<u8>>,
    ) -> u64 {
        for cut in 1.. {
            let mut cells = state.clone();
            cells.power = Some(cut);
            let (model, mut chip, mut keys) = open(cells);
            let result = apply(&mut chip, &mut keys, i);
            let left = model.cells.borrow().clone();
            if !left.is_off() {
                assert_eq!(result, Ok(()), "step {i}");
                return cut - 1;
            }
            assert!(
                result.is_err(),
                "step {i}, cut {cut}: acknowledged too early"
            );
            let (_, mut chip, mut keys) = open(left.powered_on());
            let found = content(&mut chip, &mut keys);
            assert!(
                found == *old || found == *new,
                "step {i}, cut {cut}: {found:?}"
            );
            // And it goes on from there.
            apply(&mut chip, &mut keys, i).unwrap();
            assert_eq!(content(&mut chip, &mut keys), *new, "step {i}, cut {cut}");
        }
        unreachable!("the range does not end")
    }
}
