//! Interrupts of an instance: its lines, and the vectors that wait to be taken.

use bootinfo::shim::{LINE_TABLE, LINES};

/// A write to the line port (`bootinfo::shim::LINE_PORT`).
const MASKED: u32 = 1 << 16;
const LEVEL: u32 = 1 << 15;
const ACTIVE_LOW: u32 = 1 << 13;

/// All lines of an instance: entries of an IO-APIC, as they were written.
#[derive(Debug)]
pub struct Lines {
    entries: [u32; LINES as usize],
    /// Bit n: line n fired while it was masked.
    latched: u32,
}

impl Default for Lines {
    /// All masked.
    fn default() -> Self {
        Self { entries: [MASKED; LINES as usize], latched: 0 }
    }
}

impl Lines {
    /// Whether a line is masked, level triggered, and asserted when low.
    pub fn get(&self, line: u32) -> (bool, bool, bool) {
        let entry = self.entries[line as usize];
        (entry & MASKED != 0, entry & LEVEL != 0, entry & ACTIVE_LOW != 0)
    }

    /// The instance writes the line port. Returns the line that changed.
    pub fn write(&mut self, value: u32) -> Option<u32> {
        let register = (value >> 24).checked_sub(LINE_TABLE)?;
        // The odd ones say which processor; there is one.
        let line = register.is_multiple_of(2).then_some(register / 2)?;
        let entry = self.entries.get_mut(line as usize)?;
        // Vectors below are exceptions': they keep the old one.
        *entry = if value & 0xff >= 32 { value } else { *entry & !MASKED | value & MASKED };
        Some(line)
    }

    /// A line fires. Returns the vector that is to be taken, unless it is masked.
    pub fn fire(&mut self, line: u32) -> Option<u8> {
        let entry = *self.entries.get(line as usize)?;
        if entry & MASKED != 0 {
            self.latched |= 1 << line;
        }
        (entry & MASKED == 0 && entry as u8 != 0).then_some(entry as u8)
    }

    /// The line was unmasked: what fired before.
    pub fn latched(&mut self, line: u32) -> bool {
        let (masked, ..) = self.get(line);
        let fired = !masked && self.latched & 1 << line != 0;
        self.latched &= !(u32::from(fired) << line);
        fired
    }
}

/// Vectors that wait to be taken.
#[derive(Debug, Default)]
pub struct Pending([u64; 4]);

impl Pending {
    /// One more.
    pub fn add(&mut self, vector: u8) {
        self.0[usize::from(vector / 64)] |= 1 << (vector % 64);
    }

    /// One less.
    pub fn remove(&mut self, vector: u8) {
        self.0[usize::from(vector / 64)] &= !(1 << (vector % 64));
    }

    /// None.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0[0] | self.0[1] | self.0[2] | self.0[3] == 0
    }

    /// The highest, which comes first.
    #[inline]
    pub fn first(&self) -> Option<u8> {
        if self.is_empty() {
            return None;
        }
        let word = (0..4).rev().find(|&word| self.0[word] != 0)?;
        Some((word * 64 + 63 - self.0[word].leading_zeros() as usize) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fires_where_it_is_attached() {
        let mut lines = Lines::default();
        assert_eq!(lines.fire(4), None);
        assert!(lines.get(4).0);
        assert_eq!(lines.write(0x18 << 24 | 50 | LEVEL), Some(4));
        assert!(lines.latched(4));
        assert_eq!(lines.fire(4), Some(50));
        // Masking says no vector.
        assert_eq!(lines.write(0x18 << 24 | MASKED), Some(4));
        assert_eq!(lines.fire(4), None);
        assert_eq!(lines.write(0x18 << 24), Some(4));
        assert!(lines.latched(4) && !lines.latched(4));
        assert_eq!(lines.get(4), (false, true, false));
    }

    #[test]
    fn nonsense_changes_nothing() {
        let mut lines = Lines::default();
        for value in [0, 0xf << 24, 0x19 << 24 | 50, 0x40 << 24 | 50, u32::MAX] {
            assert_eq!(lines.write(value), None, "{value:#x}");
        }
        lines.write(0x10 << 24 | 14);
        assert_eq!(lines.fire(0), None, "vector 14 is an exception");
        assert_eq!(lines.fire(24), None);
    }

    #[test]
    fn the_highest_vector_comes_first() {
        let mut pending = Pending::default();
        assert!(pending.is_empty() && pending.first().is_none());
        for vector in [48, 240, 63, 64, 255, 0] {
            pending.add(vector);
        }
        for vector in [255, 240, 64, 63, 48, 0] {
            assert_eq!(pending.first(), Some(vector));
            pending.remove(vector);
        }
        assert!(pending.is_empty());
    }
}
