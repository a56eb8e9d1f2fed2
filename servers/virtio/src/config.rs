//! A PCI function's configuration space, played back from a copy: a driver program has no access to the real one.

use virtio_drivers::transport::pci::bus::{ConfigurationAccess, DeviceFunction};

/// Offset of the first BAR.
const BARS: usize = 0x10;

/// A PCI function as its owner (root) describes it.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    /// Configuration space, 64 dwords.
    pub config: &'static [u32],
    /// Per BAR: size in bytes (0: absent, I/O, or upper half) and where it is mapped (0: not given).
    pub bars: &'static [(u64, u64); 6],
}

impl Function {
    /// A dword of configuration space; all ones beyond its end, as PCI has it.
    pub fn word(&self, offset: usize) -> u32 {
        self.config.get(offset / 4).copied().unwrap_or(u32::MAX)
    }

    fn is_64_bit(&self, bar: usize) -> bool {
        self.word(BARS + 4 * bar) & 7 == 4
    }

    /// Physical address of a memory BAR.
    pub fn physical(&self, bar: usize) -> u64 {
        let low = (self.word(BARS + 4 * bar) & !0xf) as u64;
        let high = if self.is_64_bit(bar) && bar < 5 {
            self.word(BARS + 4 * bar + 4)
        } else {
            0
        };
        (high as u64) << 32 | low
    }

    /// Where `size` bytes at a physical address are mapped, if they lie in a BAR that was given.
    pub fn mapped(&self, physical: u64, size: u64) -> Option<u64> {
        (0..6).find_map(|bar| {
            let (length, address) = self.bars[bar];
            let offset = physical.checked_sub(self.physical(bar))?;
            (address != 0 && offset < length && size <= length - offset).then_some(address + offset)
        })
    }
}

/// Answers configuration reads from the copy. Writes do nothing, except that a BAR overwritten with ones tells its size
/// (PCI 3.0, 6.2.5.1) until it is written again: that is how virtio-drivers asks.
#[derive(Clone)]
pub struct Playback {
    function: Function,
    sizing: [bool; 6],
}

impl Playback {
    /// Plays back this function, whatever its address.
    pub fn new(function: Function) -> Self {
        Self {
            function,
            sizing: [false; 6],
        }
    }

    fn bar(offset: u8) -> Option<usize> {
        (offset as usize)
            .checked_sub(BARS)
            .map(|o| o / 4)
            .filter(|bar| *bar < 6)
    }

    fn size_mask(&self, bar: usize) -> u32 {
        let function = &self.function;
        let upper = bar > 0 && function.is_64_bit(bar - 1);
        let size = function.bars[if upper { bar - 1 } else { bar }].0;
        let mask = if size == 0 { 0 } else { !(size - 1) };
        if upper {
            (mask >> 32) as u32
        } else {
            mask as u32
        }
    }
}

impl ConfigurationAccess for Playback {
    fn read_word(&self, _: DeviceFunction, offset: u8) -> u32 {
        match Self::bar(offset) {
            Some(bar) if self.sizing[bar] => self.size_mask(bar),
            _ => self.function.word(offset as usize),
        }
    }

    fn write_word(&mut self, _: DeviceFunction, offset: u8, value: u32) {
        if let Some(bar) = Self::bar(offset) {
            self.sizing[bar] = value == u32::MAX;
        }
    }

    unsafe fn unsafe_clone(&self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use virtio_drivers::transport::pci::bus::{BarInfo, PciRoot};

    static BARS: [(u64, u64); 6] = [
        (0, 0),
        (0x1000, 0),
        (0, 0),
        (0, 0),
        (0x4000, 0x3000_0000_0000),
        (0, 0),
    ];
    const DEVICE: DeviceFunction = DeviceFunction {
        bus: 0,
        device: 0,
        function: 0,
    };

    fn function() -> Function {
        let mut config = vec![0; 64];
        config[4] = 0xc001;
        config[5] = 0xfebd_1000;
        config[8] = 0xc;
        config[9] = 0x80;
        Function {
            config: config.leak(),
            bars: &BARS,
        }
    }

    #[test]
    fn virtio_drivers_sees_the_bars() {
        let mut root = PciRoot::new(Playback::new(function()));
        let bars = root.bars(DEVICE).unwrap();
        assert!(bars[0].is_none() && bars[2].is_none());
        assert!(matches!(
            bars[1],
            Some(BarInfo::Memory {
                address: 0xfebd_1000,
                size: 0x1000,
                ..
            })
        ));
        assert!(matches!(
            bars[4],
            Some(BarInfo::Memory {
                address: 0x80_0000_0000,
                size: 0x4000,
                ..
            })
        ));
        assert_eq!(root.bars(DEVICE).unwrap(), bars, "asking changes nothing");
    }

    #[test]
    fn only_given_registers_are_found() {
        let function = function();
        assert_eq!(function.mapped(0x80_0000_1000, 64), Some(0x3000_0000_1000));
        assert_eq!(function.mapped(0x80_0000_3fff, 1), Some(0x3000_0000_3fff));
        assert_eq!(function.mapped(0x80_0000_3fff, 2), None);
        assert_eq!(function.mapped(0x80_0000_4000, 0), None);
        assert_eq!(function.mapped(0xfebd_1000, 4), None, "the MSI-X table");
        assert_eq!(function.mapped(0, 4), None);
    }
}
