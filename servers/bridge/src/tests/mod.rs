//! Both ends on the host, over memory that a test can write, too.

mod hostile;
mod links;
mod requests;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use crate::end::Bell;
use crate::memory::{HALF, Memory};

/// Memory that two ends, also in two threads, and an attacker share.
#[derive(Clone)]
pub struct Words(pub Arc<Vec<AtomicU32>>);

impl Words {
    pub fn new() -> Self {
        Self(Arc::new(
            (0..2 * HALF / 4).map(|_| AtomicU32::new(0)).collect(),
        ))
    }
}

impl Memory for Words {
    fn load(&self, offset: usize) -> u32 {
        self.0[offset / 4].load(SeqCst)
    }

    fn store(&mut self, offset: usize, value: u32) {
        self.0[offset / 4].store(value, SeqCst);
    }

    fn copy_out(&self, offset: usize, bytes: &mut [u8]) {
        for (index, part) in bytes.chunks_mut(4).enumerate() {
            let word = self.load(offset + 4 * index).to_le_bytes();
            part.copy_from_slice(&word[..part.len()]);
        }
    }

    fn copy_in(&mut self, offset: usize, bytes: &[u8]) {
        for (index, part) in bytes.chunks(4).enumerate() {
            let mut word = [0; 4];
            word[..part.len()].copy_from_slice(part);
            self.store(offset + 4 * index, u32::from_le_bytes(word));
        }
    }
}

/// A bell that counts, and a word about who is there.
#[derive(Clone, Default)]
pub struct Counter {
    pub rings: Rc<Cell<u64>>,
    pub who: Rc<Cell<u32>>,
}

impl Bell for Counter {
    fn ring(&self) {
        self.rings.set(self.rings.get() + 1);
    }

    fn who(&self) -> u32 {
        self.who.get()
    }
}

/// Numbers from a seed (xorshift).
pub struct Random(pub u64);

impl Random {
    /// Seeds of a test, printed if it fails; more with `POSTERN_LONG=1`.
    pub fn seeds(few: u64) -> impl Iterator<Item = Self> {
        let count = match std::env::var_os("POSTERN_LONG") {
            Some(_) => 20 * few,
            None => few,
        };
        (1..=count).map(|seed| {
            println!("seed {seed}");
            Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
        })
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// One of `0..count`.
    pub fn below(&mut self, count: usize) -> usize {
        (self.next() >> 16) as usize % count
    }
}
