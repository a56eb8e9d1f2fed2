//! PCI: finding functions, their memory and their MSI-X capability. The bus code is virtio-drivers'.
//!
//! Generic over the access to configuration space, so that the tests bring a bus of their own.

use alloc::vec::Vec;
use virtio_drivers::transport::pci::bus::{
    BarInfo, Command, ConfigurationAccess, DeviceFunction, HeaderType, PciRoot,
};

/// Dwords of configuration space.
pub const WORDS: usize = 64;
/// Capability id of MSI-X (PCI 3.0, 6.8.2).
const MSIX: u8 = 0x11;
/// Capability id of vendor-specific capabilities, which is where virtio says what lies where.
const VENDOR: u8 = 0x09;
/// Deepest nesting of bridges that is followed.
const BRIDGES: u8 = 8;

/// A machine's PCI functions.
pub struct Bus<C: ConfigurationAccess> {
    access: C,
    root: PciRoot<C>,
}

/// A piece of a function's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bar {
    /// Physical address; 0 if firmware gave it none.
    pub address: u64,
    /// Bytes; 0 if the BAR is absent, I/O, or the upper half of another.
    pub size: u64,
}

/// Where a function's MSI-X capability and its table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MsiX {
    /// Offset of the capability in configuration space.
    pub capability: u8,
    /// BAR and offset of the table.
    pub table: (usize, u64),
    /// Bytes of the table.
    pub size: u64,
}

impl<C: ConfigurationAccess> Bus<C> {
    /// The functions that `access` and its clone `second` (the same bus) reach.
    pub fn new(access: C, second: C) -> Self {
        Self {
            access,
            root: PciRoot::new(second),
        }
    }

    /// The `index`-th function, in order of bus, device, function, of this vendor with any of these ids.
    pub fn find(&self, vendor: u16, ids: &[u16], index: u8) -> Option<DeviceFunction> {
        let mut found = Vec::new();
        self.scan(0, BRIDGES, &mut |function, of, id| {
            if of == vendor && ids.contains(&id) {
                found.push(function);
            }
        });
        found.sort_by_key(|f| (f.bus, f.device, f.function));
        found.get(index as usize).copied()
    }

    fn scan(&self, bus: u8, depth: u8, visit: &mut dyn FnMut(DeviceFunction, u16, u16)) {
        for (function, info) in self.root.enumerate_bus(bus) {
            visit(function, info.vendor_id, info.device_id);
            if info.header_type == HeaderType::PciPciBridge && depth > 0 {
                let secondary = (self.access.read_word(function, 0x18) >> 8) as u8;
                if secondary > bus {
                    self.scan(secondary, depth - 1, visit);
                }
            }
        }
    }

    /// A function's memory BARs.
    pub fn bars(&mut self, function: DeviceFunction) -> [Bar; 6] {
        let bars = self.root.bars(function).unwrap_or([const { None }; 6]);
        bars.map(|bar| match bar {
            Some(BarInfo::Memory { address, size, .. }) => Bar { address, size },
            _ => Bar::default(),
        })
    }

    /// A function's MSI-X capability.
    pub fn msix(&self, function: DeviceFunction) -> Option<MsiX> {
        let capability = self.root.capabilities(function).find(|c| c.id == MSIX)?;
        let entries = (capability.private_header & 0x7ff) as u64 + 1;
        let table = self.access.read_word(function, capability.offset + 4);
        let table = ((table & 7) as usize, (table & !7) as u64);
        (table.0 < 6).then_some(MsiX {
            capability: capability.offset,
            table,
            size: entries * 16,
        })
    }

    /// BAR and offset of a virtio function's common configuration (virtio 1.2, 4.1.4).
    pub fn virtio_common(&self, function: DeviceFunction) -> Option<(usize, u64)> {
        let mut capabilities = self.root.capabilities(function);
        let common = capabilities.find(|c| c.id == VENDOR && c.private_header >> 8 == 1)?;
        let bar = (self.access.read_word(function, common.offset + 4) & 0xff) as usize;
        (bar < 6).then(|| {
            (
                bar,
                self.access.read_word(function, common.offset + 8) as u64,
            )
        })
    }

    /// Turns MSI-X of a function on (no vector masked) or off.
    pub fn enable_msix(&mut self, function: DeviceFunction, msix: &MsiX, on: bool) {
        const ENABLE: u32 = 1 << 31;
        const MASK: u32 = 1 << 30;
        let word = self.access.read_word(function, msix.capability) & !(ENABLE | MASK);
        self.access.write_word(
            function,
            msix.capability,
            if on { word | ENABLE } else { word },
        );
    }

    /// Lets a function answer at its addresses, and write memory itself or not. Its INTx line stays off.
    pub fn set_decoding(&mut self, function: DeviceFunction, bus_master: bool) {
        let mut command = Command::MEMORY_SPACE | Command::INTERRUPT_DISABLE;
        command.set(Command::BUS_MASTER, bus_master);
        self.root.set_command(function, command);
    }

    /// A copy of a function's configuration space.
    pub fn snapshot(&self, function: DeviceFunction) -> Vec<u32> {
        (0..WORDS)
            .map(|i| self.access.read_word(function, 4 * i as u8))
            .collect()
    }
}

/// The pages of a BAR that a driver may have: offsets of all but those with the MSI-X table, which root alone writes
/// (whoever writes it chooses the interrupt).
pub fn pages_to_give(
    index: usize,
    size: u64,
    msix: Option<&MsiX>,
) -> impl Iterator<Item = u64> + '_ {
    let table = msix
        .filter(|m| m.table.0 == index)
        .map(|m| m.table.1..m.table.1 + m.size);
    (0..size)
        .step_by(abi::PAGE as usize)
        .filter(move |page| match &table {
            Some(table) => page + abi::PAGE <= table.start || *page >= table.end,
            None => true,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::collections::BTreeMap;
    use std::rc::Rc;

    type Space = [u32; WORDS];

    /// Functions with their configuration space; BARs answer all-ones with their size.
    #[derive(Clone)]
    struct Fake(Rc<RefCell<Functions>>);

    type Functions = BTreeMap<(u8, u8, u8), (Space, [u32; 6])>;

    impl ConfigurationAccess for Fake {
        fn read_word(&self, f: DeviceFunction, offset: u8) -> u32 {
            let functions = self.0.borrow();
            functions
                .get(&(f.bus, f.device, f.function))
                .map_or(u32::MAX, |(space, _)| space[offset as usize / 4])
        }

        fn write_word(&mut self, f: DeviceFunction, offset: u8, value: u32) {
            let mut functions = self.0.borrow_mut();
            let (space, masks) = functions.get_mut(&(f.bus, f.device, f.function)).unwrap();
            let word = offset as usize / 4;
            match word.checked_sub(4) {
                Some(bar) if bar < 6 => {
                    space[word] = value & masks[bar] | space[word] & !masks[bar] & 0xf
                }
                _ => space[word] = value,
            }
        }

        #[allow(unsafe_code)]
        unsafe fn unsafe_clone(&self) -> Self {
            self.clone()
        }
    }

    fn function(vendor: u16, device: u16) -> Space {
        let mut space = [0; WORDS];
        space[0] = (device as u32) << 16 | vendor as u32;
        space
    }

    /// A virtio-blk function as QEMU shows it: MSI-X table in BAR 1, registers in the 64-bit BAR 4.
    fn disk() -> (Space, [u32; 6]) {
        let mut space = function(0x1af4, 0x1001);
        space[1] = 1 << 20;
        space[0x34 / 4] = 0x98;
        space[0x98 / 4] = 3 << 16 | 0x84 << 8 | 0x11;
        space[0x9c / 4] = 1;
        space[0x84 / 4] = 1 << 24 | 16 << 16 | 0x09;
        space[0x88 / 4] = 4;
        space[0x8c / 4] = 0x1000;
        space[4] = 0xc001;
        space[5] = 0xfebd_1000;
        space[8] = 0xc;
        space[9] = 0x80;
        (space, [!0x7f, !0xfff, 0, 0, !0x3fff, !0])
    }

    fn bus() -> Bus<Fake> {
        let mut bridge = function(0x8086, 0x2918);
        bridge[3] = 1 << 16;
        bridge[6] = 1 << 8;
        let functions = BTreeMap::from([
            ((0, 0, 0), (function(0x8086, 0x29c0), [0; 6])),
            ((0, 1, 0), (bridge, [0; 6])),
            ((0, 3, 0), disk()),
            ((1, 2, 0), disk()),
        ]);
        let fake = Fake(Rc::new(RefCell::new(functions)));
        Bus::new(fake.clone(), fake)
    }

    const DISK: DeviceFunction = DeviceFunction {
        bus: 0,
        device: 3,
        function: 0,
    };

    #[test]
    fn functions_are_found_behind_bridges_too() {
        let bus = bus();
        assert_eq!(bus.find(0x1af4, &[0x1001, 0x1042], 0), Some(DISK));
        assert_eq!(
            bus.find(0x1af4, &[0x1001], 1),
            Some(DeviceFunction {
                bus: 1,
                device: 2,
                function: 0
            })
        );
        assert_eq!(bus.find(0x1af4, &[0x1001], 2), None);
        assert_eq!(bus.find(0x1af4, &[0x1000], 0), None);
    }

    #[test]
    fn a_function_is_described() {
        let mut bus = bus();
        let before = bus.snapshot(DISK);
        let bars = bus.bars(DISK);
        assert_eq!(bars[0], Bar::default());
        assert_eq!(
            bars[1],
            Bar {
                address: 0xfebd_1000,
                size: 0x1000
            }
        );
        assert_eq!(
            bars[4],
            Bar {
                address: 0x80_0000_0000,
                size: 0x4000
            }
        );
        assert_eq!(bars[5], Bar::default());
        assert_eq!(bus.snapshot(DISK), before);
        assert_eq!(
            bus.msix(DISK),
            Some(MsiX {
                capability: 0x98,
                table: (1, 0),
                size: 64
            })
        );
        assert_eq!(bus.virtio_common(DISK), Some((4, 0x1000)));
    }

    #[test]
    fn switches() {
        let mut bus = bus();
        let msix = bus.msix(DISK).unwrap();
        bus.enable_msix(DISK, &msix, true);
        assert_eq!(bus.snapshot(DISK)[0x98 / 4] >> 30, 2);
        bus.enable_msix(DISK, &msix, false);
        assert_eq!(bus.snapshot(DISK)[0x98 / 4] >> 30, 0);
        bus.set_decoding(DISK, true);
        assert_eq!(bus.snapshot(DISK)[1] & 6, 6);
        bus.set_decoding(DISK, false);
        assert_eq!(bus.snapshot(DISK)[1] & 6, 2);
    }

    #[test]
    fn the_table_is_never_given() {
        let msix = MsiX {
            capability: 0,
            table: (1, 0x1ff0),
            size: 32,
        };
        let pages = |bar| pages_to_give(bar, 0x4000, Some(&msix)).collect::<Vec<_>>();
        assert_eq!(pages(1), [0, 0x3000]);
        assert_eq!(pages(4), [0, 0x1000, 0x2000, 0x3000]);
        assert_eq!(pages_to_give(1, 0x1000, None).count(), 1);
    }
}
