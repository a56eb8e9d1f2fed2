//! The machine's PCI configuration space, and MSI-X tables.

use microkernel::arch::{apic, mmio, port};

use crate::pci::Bus;

const ADDRESS: u16 = 0xcf8;
const DATA: u16 = 0xcfc;
const ENABLE: u64 = 1 << 31;
/// Page of the window of device registers through which MSI-X tables are written; pages 0 to 4 are interrupt controllers.
const TABLE_PAGE: usize = 5;
/// Bytes of an entry.
const ENTRY: u64 = 16;

/// Configuration space through its ports (PCI 3.0, 3.2.2.3.2).
pub struct Ports;

impl Bus for Ports {
    fn read(&mut self, function: u16, offset: u8) -> u32 {
        select(function, offset);
        port::read(DATA, 4) as u32
    }

    fn write(&mut self, function: u16, offset: u8, value: u32) {
        select(function, offset);
        port::write(DATA, 4, value.into());
    }
}

fn select(function: u16, offset: u8) {
    port::write(ADDRESS, 4, ENABLE | u64::from(function) << 8 | u64::from(offset & !3));
}

/// Writes entry `index` of the MSI-X table at a physical address (PCI 3.0, 6.8.2): address, data, control.
pub fn write_entry(table: u64, index: usize, vector: u8, masked: bool) {
    let entry = mmio::map(TABLE_PAGE, table) + index as u64 * ENTRY;
    x86_64::instructions::tlb::flush(x86_64::VirtAddr::new(entry));
    let (address, data) = apic::message(vector);
    let words = [address as u32, (address >> 32) as u32, data as u32, masked.into()];
    for (at, word) in (entry..).step_by(4).zip(words) {
        mmio::write(at, word);
    }
}
