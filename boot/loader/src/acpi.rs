//! The few facts of ACPI that the kernel needs (ACPI 6.5, chapter 5.2). A table with a wrong checksum or length is
//! as good as absent. (The crate `acpi` wants unstable features and trusts every length.)

use bootinfo::{Acpi, IoApic, Override};

use crate::Physical;

/// Size of the header that every table begins with.
const HEADER: u64 = 36;

/// No table of interest is longer; a longer one is damaged.
const TABLE_LIMIT: u64 = 1 << 20;

/// Where the local APIC is if nothing else is said (SDM 3A 12.4.1).
const LOCAL_APIC: u64 = 0xfee0_0000;

/// Finds the root pointer in a BIOS's memory (ACPI 6.5, 5.2.5.1), 0 if there is none.
pub fn find_root_pointer(physical: &impl Physical) -> u64 {
    let mut segment = [0; 2];
    physical.read(0x40e, &mut segment);
    let extended_bios_data = u64::from(u16::from_le_bytes(segment)) << 4;
    (extended_bios_data..extended_bios_data + 1024)
        .chain(0xe_0000..0x10_0000)
        .step_by(16)
        .find(|&address| root_table(physical, address).is_some())
        .unwrap_or(0)
}

/// Reads MADT and FADT, starting at the root pointer (0: there is none).
pub fn read(physical: &impl Physical, root_pointer: u64) -> Acpi {
    let mut acpi = Acpi {
        local_apic: LOCAL_APIC,
        ..Acpi::default()
    };
    let Some((root, entry_size)) = root_table(physical, root_pointer) else {
        return acpi;
    };
    acpi.rsdp = root_pointer;
    for offset in (HEADER..root.length).step_by(entry_size) {
        let address = match entry_size {
            4 => root.bytes(offset).map(|b| u32::from_le_bytes(b).into()),
            _ => root.bytes(offset).map(u64::from_le_bytes),
        };
        match address.and_then(|address| Table::open(physical, address)) {
            Some((b"APIC", table)) => read_madt(&table, &mut acpi),
            Some((b"FACP", table)) => acpi.pm1a_control = pm1a_control(&table).unwrap_or(0),
            _ => {}
        }
    }
    acpi
}

/// The table that lists all others, and the size of its entries: XSDT if there is one, else RSDT.
fn root_table<P: Physical>(physical: &P, root_pointer: u64) -> Option<(Table<'_, P>, usize)> {
    let mut bytes = [0; 36];
    if !physical.read(root_pointer, &mut bytes[..20]) || &bytes[..8] != b"RSD PTR " {
        return None;
    }
    if sum(&bytes[..20]) != 0 {
        return None;
    }
    let extended = bytes[15] >= 2 && physical.read(root_pointer, &mut bytes) && sum(&bytes) == 0;
    let word =
        |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let xsdt = u64::from(word(24)) | u64::from(word(28)) << 32;
    if extended && let Some((b"XSDT", table)) = Table::open(physical, xsdt) {
        return Some((table, 8));
    }
    match Table::open(physical, word(16).into()) {
        Some((b"RSDT", table)) => Some((table, 4)),
        _ => None,
    }
}

/// The local APIC, the IO-APICs and the ISA lines (ACPI 6.5, 5.2.12). What the lists cannot hold is left out.
fn read_madt<P: Physical>(madt: &Table<'_, P>, acpi: &mut Acpi) {
    if let Some(address) = madt.u32(36) {
        acpi.local_apic = address.into();
    }
    let mut at = 44;
    while let Some([kind, length]) = madt.bytes(at) {
        match (kind, length) {
            (1, 12..) => {
                if let (Some(address), Some(gsi_base)) = (madt.u32(at + 4), madt.u32(at + 8)) {
                    let address = address.into();
                    let _ = acpi.io_apics.push(IoApic { address, gsi_base });
                }
            }
            (2, 10..) => {
                if let Some(bytes) = madt.bytes(at + 3) {
                    let _ = acpi.overrides.push(isa_override(bytes));
                }
            }
            (5, 12..) => {
                if let Some(bytes) = madt.bytes(at + 4) {
                    acpi.local_apic = u64::from_le_bytes(bytes);
                }
            }
            (_, 0 | 1) => return,
            _ => {}
        }
        at += u64::from(length);
    }
}

/// An interrupt source override, from its source on (ACPI 6.5, 5.2.12.5): source, GSI, flags.
fn isa_override([isa, g0, g1, g2, g3, flags, _]: [u8; 7]) -> Override {
    Override {
        isa,
        gsi: u32::from_le_bytes([g0, g1, g2, g3]),
        active_low: flags & 0b11 == 0b11,
        level: (flags >> 2) & 0b11 == 0b11,
    }
}

/// The port of PM1a_CNT (ACPI 6.5, 5.2.9): the old field, or the extended one if that is a port.
fn pm1a_control<P: Physical>(fadt: &Table<'_, P>) -> Option<u16> {
    const SYSTEM_IO: u8 = 1;
    match fadt.u32(64)? {
        0 => {
            let [space] = fadt.bytes(172)?;
            let port = fadt.bytes(176).map(u64::from_le_bytes)?;
            (space == SYSTEM_IO).then(|| port.try_into().ok())?
        }
        port => port.try_into().ok(),
    }
}

/// A table whose checksum was right.
struct Table<'p, P> {
    physical: &'p P,
    address: u64,
    length: u64,
}

impl<'p, P: Physical> Table<'p, P> {
    /// Checks the table at `address` and returns its signature too.
    fn open(physical: &'p P, address: u64) -> Option<(&'static [u8; 4], Self)> {
        const KNOWN: [&[u8; 4]; 4] = [b"APIC", b"FACP", b"RSDT", b"XSDT"];
        let mut header = [0; HEADER as usize];
        if !physical.read(address, &mut header) {
            return None;
        }
        let signature = KNOWN.into_iter().find(|known| header.starts_with(*known))?;
        let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]).into();
        let table = Self {
            physical,
            address,
            length,
        };
        let plausible = (HEADER..=TABLE_LIMIT).contains(&length);
        (plausible && table.checksum() == Some(0)).then_some((signature, table))
    }

    /// The sum of all bytes.
    fn checksum(&self) -> Option<u8> {
        (0..self.length).try_fold(0u8, |total, offset| {
            let [byte] = self.bytes(offset)?;
            Some(total.wrapping_add(byte))
        })
    }

    /// Bytes of the table; `None` beyond its end.
    fn bytes<const N: usize>(&self, offset: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        let inside = offset + N as u64 <= self.length;
        (inside && self.physical.read(self.address + offset, &mut bytes)).then_some(bytes)
    }

    fn u32(&self, offset: u64) -> Option<u32> {
        self.bytes(offset).map(u32::from_le_bytes)
    }
}

/// A sum that is 0 for an intact table.
fn sum(bytes: &[u8]) -> u8 {
    bytes
        .iter()
        .fold(0, |total, byte| total.wrapping_add(*byte))
}
