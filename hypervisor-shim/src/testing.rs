//! A machine's memory and processor for tests.

use loader::Physical;
use std::collections::BTreeMap;
use std::vec::Vec;

use crate::hardware::processor::Identity;

/// A processor that says what it is told to.
#[derive(Default)]
pub struct Numbers {
    /// Leaves of CPUID; others are 0.
    pub leaves: BTreeMap<u32, [u32; 4]>,
    /// Model-specific registers; others do not exist.
    pub registers: BTreeMap<u32, u64>,
}

impl Identity for Numbers {
    fn cpuid(&self, leaf: u32) -> [u32; 4] {
        self.leaves.get(&leaf).copied().unwrap_or_default()
    }

    fn msr(&self, register: u32) -> u64 {
        self.registers[&register]
    }
}

/// Memory from address 0 on.
pub struct Bytes(pub Vec<u8>);

impl Bytes {
    /// `size` zeros.
    pub fn new(size: usize) -> Self {
        Self(vec![0; size])
    }
}

impl Physical for Bytes {
    fn read(&self, address: u64, buffer: &mut [u8]) -> bool {
        let start = address as usize;
        let bytes = start.checked_add(buffer.len()).and_then(|end| self.0.get(start..end));
        bytes.is_some_and(|bytes| {
            buffer.copy_from_slice(bytes);
            true
        })
    }

    fn write(&mut self, address: u64, bytes: &[u8]) {
        self.0[address as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    fn clear(&mut self, address: u64, size: u64) {
        self.0[address as usize..][..size as usize].fill(0);
    }
}
