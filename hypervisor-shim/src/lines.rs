//! Interrupts of an instance: its lines, and the vectors that wait to be taken.

use bootinfo::shim::{LINE_TABLE, LINES};

/// A write to the line port (`bootinfo::shim::LINE_PORT`).
const MASKED: u32 = 1 << 16;
const LEVEL: u32 = 1 << 15;
const ACTIVE_LOW: u32 = 1 << 13;

/// One line.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// Where it arrives; 0: nowhere.
    pub vector: u8,
    /// Not now.
    pub masked: bool,
    /// Level triggered.
    pub level: bool,
    /// Asserted when low.
    pub active_low: bool,
    /// It fired while it was masked.
    latched: bool,
}

/// All lines of an instance.
#[derive(Debug)]
pub struct Lines([Line; LINES as usize]);

impl Lines {
    /// All masked.
    pub const fn new() -> Self {
        Self(
            [Line { vector: 0, masked: true, level: false, active_low: false, latched: false };
                LINES as usize],
        )
    }

    /// A line, if there is one.
    pub fn get(&self, line: u32) -> Option<&Line> {
        self.0.get(line as usize)
    }

    /// The instance writes the line port. Returns the line that changed.
    pub fn write(&mut self, value: u32) -> Option<u32> {
        let register = (value >> 24).checked_sub(LINE_TABLE)?;
        // The odd ones say which processor; there is one.
        if register % 2 != 0 {
            return None;
        }
        let line = self.0.get_mut(register as usize / 2)?;
        line.masked = value & MASKED != 0;
        // Vectors below are exceptions'.
        if value & 0xff >= 32 {
            line.vector = value as u8;
            line.level = value & LEVEL != 0;
            line.active_low = value & ACTIVE_LOW != 0;
        }
        Some(register / 2)
    }

    /// A line fires. Returns the vector that is to be taken, unless it is masked.
    pub fn fire(&mut self, line: u32) -> Option<u8> {
        let line = self.0.get_mut(line as usize)?;
        line.latched = line.masked;
        (!line.masked && line.vector != 0).then_some(line.vector)
    }

    /// The line was unmasked: what fired before.
    pub fn latched(&mut self, line: u32) -> bool {
        let line = self.0.get_mut(line as usize);
        line.is_some_and(|line| !line.masked && core::mem::take(&mut line.latched))
    }
}

impl Default for Lines {
    fn default() -> Self {
        Self::new()
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
        let mut lines = Lines::new();
        assert_eq!(lines.fire(4), None);
        assert_eq!(lines.write(0x18 << 24 | 50 | LEVEL), Some(4));
        assert!(lines.latched(4));
        assert_eq!(lines.fire(4), Some(50));
        // Masking says no vector.
        assert_eq!(lines.write(0x18 << 24 | MASKED), Some(4));
        assert_eq!(lines.fire(4), None);
        assert_eq!(lines.write(0x18 << 24), Some(4));
        assert!(lines.latched(4) && !lines.latched(4));
        assert!(lines.get(4).is_some_and(|line| line.level));
    }

    #[test]
    fn nonsense_changes_nothing() {
        let mut lines = Lines::new();
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
