//! The machine's clock (MC146818), for reading.

/// Bit of the index port that is not part of the index: it switches non-maskable interrupts off.
const NMI: u8 = 0x80;
/// Registers that tell the time: seconds to status D, and the century (ACPI 6.5, 4.8.2.4).
const SHOWN: core::ops::RangeInclusive<u8> = 0..=0x0d;
const CENTURY: u8 = 0x32;

/// An instance's index port.
#[derive(Debug, Default)]
pub struct Rtc(u8);

impl Rtc {
    /// Writes the index port.
    pub fn select(&mut self, value: u8) {
        self.0 = value & !NMI;
    }

    /// Reads the data port; `read` reads a register of the machine's clock.
    pub fn read(&self, read: impl FnOnce(u8) -> u8) -> u8 {
        match self.0 {
            index if SHOWN.contains(&index) || index == CENTURY => read(index),
            _ => 0xff,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_time_is_shown() {
        let mut rtc = Rtc::default();
        for (index, shown) in [(0x80, true), (0x0d, true), (0x32, true), (0x0e, false)] {
            rtc.select(index);
            let read = rtc.read(|register| register + 1);
            let expected = if shown { (index & 0x7f) + 1 } else { 0xff };
            assert_eq!(read, expected, "{index:#x}");
        }
    }
}
