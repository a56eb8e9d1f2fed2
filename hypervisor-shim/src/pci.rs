//! PCI configuration space of an instance (PCI 3.0, 3.2.2.3.2 and 6): its own functions, and nothing else.
//!
//! A guest may size its base addresses but not move them, turn its functions on and off, and switch MSI-X. The MSI-X table that
//! it sees is memory of its own: when it turns MSI-X on, the shim writes the real one.

use bootinfo::Range;
use heapless::Vec;

/// Most functions of an instance.
pub const FUNCTIONS: usize = 8;
/// Entries of an MSI-X table that can be used.
pub const ENTRIES: usize = 4;

const COMMAND: u8 = 0x04;
const BARS: u8 = 0x10;
const AFTER_BARS: u8 = 0x28;
const CAPABILITIES: u8 = 0x34;
const MSIX: u8 = 0x11;
/// Command bits that a guest may change: ports, memory, bus mastering, no interrupt line.
const COMMANDS: u32 = 0x407;
/// Upper half of MSI-X's first word: on, all masked.
const MSIX_SWITCHES: u32 = 0xc000_0000;
const MSIX_ON: u32 = 1 << 31;
/// The address port's enable bit.
const ENABLE: u32 = 1 << 31;

/// Configuration space of the machine, by dwords.
pub trait Bus {
    /// Reads the dword at `offset` of a function (bus << 8 | device << 3 | function).
    fn read(&mut self, function: u16, offset: u8) -> u32;
    /// Writes it.
    fn write(&mut self, function: u16, offset: u8, value: u32);
}

/// A base address register.
#[derive(Debug, Clone, Copy, Default)]
struct Bar {
    /// What the guest reads.
    shown: u32,
    /// What is so.
    real: u32,
    /// Bits that it can write.
    mask: u32,
}

/// An MSI-X capability.
#[derive(Debug, Clone, Copy)]
pub struct MsiX {
    capability: u8,
    /// Physical address of the table.
    pub table: u64,
    /// Entries that can be used.
    pub entries: usize,
}

/// A function.
#[derive(Debug)]
pub struct Function {
    id: u16,
    bars: [Bar; 6],
    /// Memory behind its base addresses.
    pub memory: Vec<Range, 6>,
    /// Its MSI-X capability.
    pub msix: Option<MsiX>,
    /// The page that the guest sees in place of the table's.
    pub shadow: Option<u64>,
}

impl Function {
    /// Looks at a function, and leaves it switched off.
    pub fn new(bus: &mut impl Bus, id: u16) -> Self {
        let command = bus.read(id, COMMAND) & 0xffff;
        bus.write(id, COMMAND, command & !7);
        let mut function =
            Self { id, bars: [Bar::default(); 6], memory: Vec::new(), msix: None, shadow: None };
        let real = function.size_bars(bus);
        function.msix = function.find_msix(bus, &real);
        function
    }

    /// Sizes every base address register (PCI 3.0, 6.2.5.1); returns where they lead.
    fn size_bars(&mut self, bus: &mut impl Bus) -> [u64; 6] {
        for (offset, bar) in (BARS..AFTER_BARS).step_by(4).zip(&mut self.bars) {
            let real = bus.read(self.id, offset);
            bus.write(self.id, offset, u32::MAX);
            *bar = Bar { shown: real, real, mask: bus.read(self.id, offset) };
            bus.write(self.id, offset, real);
        }
        let mut addresses = [0; 6];
        let mut index = 0;
        while index < 6 {
            let Bar { real, mask, .. } = self.bars[index];
            let memory = real & 1 == 0;
            self.bars[index].mask = mask & if memory { !0xf } else { !3 };
            let wide = real & 0b111 == 0b100 && index < 5;
            let upper = match wide {
                true => self.bars[index + 1],
                false => Bar { mask: u32::MAX, ..Bar::default() },
            };
            if memory && mask != 0 {
                let start = u64::from(upper.real) << 32 | u64::from(real & !0xf);
                let size = !(u64::from(upper.mask) << 32 | u64::from(mask & !0xf));
                addresses[index] = start;
                let _ = self.memory.push(Range { start, size: size.wrapping_add(1) });
            }
            index += 1 + usize::from(wide);
        }
        addresses
    }

    fn find_msix(&self, bus: &mut impl Bus, bars: &[u64; 6]) -> Option<MsiX> {
        let mut at = bus.read(self.id, CAPABILITIES) as u8 & !3;
        // A list that never ends is a broken device's.
        for _ in 0..48 {
            if at == 0 {
                return None;
            }
            let word = bus.read(self.id, at);
            if word as u8 == MSIX {
                let place = bus.read(self.id, at + 4);
                let bar = *bars.get(place as usize & 7)?;
                let entries = (word >> 16 & 0x7ff) as usize + 1;
                return (bar != 0).then_some(MsiX {
                    capability: at,
                    table: bar + u64::from(place & !7),
                    entries: entries.min(ENTRIES),
                });
            }
            at = (word >> 8) as u8 & !3;
        }
        None
    }

    /// Takes it off the bus: no more writes to memory, no more interrupts.
    pub fn silence(&self, bus: &mut impl Bus) {
        bus.write(self.id, COMMAND, 0);
        if let Some(msix) = &self.msix {
            bus.write(self.id, msix.capability, 0);
        }
    }
}

/// Functions on bus 0 with one of these ids, in order.
pub fn find(bus: &mut impl Bus, vendor: u16, devices: &[u16], index: u8) -> Option<u16> {
    let mut matching = (0..256u16).filter(|&id| {
        let found = bus.read(id, 0);
        found as u16 == vendor && devices.contains(&((found >> 16) as u16))
    });
    matching.nth(index.into())
}

/// An instance's view.
#[derive(Debug, Default)]
pub struct Space {
    /// The address port.
    pub address: u32,
    /// Its functions.
    pub functions: Vec<Function, FUNCTIONS>,
}

impl Space {
    /// The function that the address port names, and the dword's offset.
    fn selected(&self) -> Option<(usize, u8)> {
        let id = (self.address >> 8) as u16;
        let index = self.functions.iter().position(|f| f.id == id)?;
        let plain = self.address & (ENABLE | 0x7f00_0003) == ENABLE;
        plain.then_some((index, self.address as u8))
    }

    /// As after reset.
    pub fn renew(&mut self) {
        self.address = 0;
        let bars = self.functions.iter_mut().flat_map(|f| &mut f.bars);
        bars.for_each(|bar| bar.shown = bar.real);
    }

    /// Reads the selected dword; of what is not there, all ones.
    pub fn read(&self, bus: &mut impl Bus) -> u32 {
        match self.selected() {
            Some((index, offset @ BARS..AFTER_BARS)) => {
                self.functions[index].bars[usize::from(offset - BARS) / 4].shown
            }
            Some((index, offset)) => bus.read(self.functions[index].id, offset),
            None => u32::MAX,
        }
    }

    /// Writes the bits of `mask` of the selected dword. Returns the function whose MSI-X is to be turned on: the real table must
    /// be written before [`Space::switch_msix`].
    pub fn write(&mut self, bus: &mut impl Bus, value: u32, mask: u32) -> Option<usize> {
        let (index, offset) = self.selected()?;
        let function = &mut self.functions[index];
        match offset {
            COMMAND => {
                let old = bus.read(function.id, COMMAND) & 0xffff;
                let mask = mask & COMMANDS;
                bus.write(function.id, COMMAND, old & !mask | value & mask);
            }
            BARS..AFTER_BARS => {
                let bar = &mut function.bars[usize::from(offset - BARS) / 4];
                let mask = mask & bar.mask;
                bar.shown = bar.shown & !mask | value & mask;
            }
            _ if function.msix.is_some_and(|msix| msix.capability == offset) => {
                if value & mask & MSIX_ON != 0 {
                    return Some(index);
                }
                self.switch_msix(bus, index, value, mask);
            }
            _ => {}
        }
        None
    }

    /// Writes the switches of a function's MSI-X.
    pub fn switch_msix(&self, bus: &mut impl Bus, index: usize, value: u32, mask: u32) {
        let function = &self.functions[index];
        if let Some(msix) = &function.msix {
            let old = bus.read(function.id, msix.capability);
            let mask = mask & MSIX_SWITCHES;
            bus.write(function.id, msix.capability, old & !mask | value & mask);
        }
    }
}

#[cfg(test)]
mod tests;
