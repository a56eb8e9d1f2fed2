//! ACPI: the facts of well-formed tables, and nothing bad from damaged ones.

mod common;

use bootinfo::{Acpi, IoApic, Override};
use common::Memory;
use loader::{Map, acpi};
use proptest::prelude::*;

const ROOT_POINTER: u64 = 0xf_5000;
const ROOT: u64 = 0x2000;
const MADT: u64 = 0x3000;
const FADT: u64 = 0x4000;

fn with_sum(mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
    bytes[at] = 0u8.wrapping_sub(bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte)));
    bytes
}

fn table(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut bytes = signature.to_vec();
    bytes.extend((36 + body.len() as u32).to_le_bytes());
    bytes.resize(36, 0);
    bytes.extend(body);
    with_sum(bytes, 9)
}

fn madt() -> Vec<u8> {
    let mut body = 0xfee0_0000u32.to_le_bytes().to_vec();
    body.extend(1u32.to_le_bytes());
    body.extend([0, 8, 0, 0, 1, 0, 0, 0]); // a processor
    body.extend([1, 12, 0, 0]);
    body.extend(0xfec0_0000u32.to_le_bytes());
    body.extend(24u32.to_le_bytes());
    body.extend([2, 10, 0, 0, 2, 0, 0, 0, 0, 0]); // ISA 0 at 2, as the bus has it
    body.extend([2, 10, 0, 9, 20, 0, 0, 0, 0x0f, 0]); // ISA 9 at 20, low, level
    body.extend([5, 12, 0, 0]);
    body.extend(0x1_2345_6000u64.to_le_bytes());
    table(b"APIC", &body)
}

/// A machine of 1 MiB with XSDT (revision 2) or RSDT.
fn machine(revision: u8) -> Memory {
    let mut memory = Memory::new(1 << 20, Map::new());
    let mut put = |at: u64, bytes: Vec<u8>| {
        memory.bytes[at as usize..][..bytes.len()].copy_from_slice(&bytes);
    };
    let mut fadt = vec![0; 276 - 36];
    fadt[64 - 36..68 - 36].copy_from_slice(&0x604u32.to_le_bytes());
    put(FADT, table(b"FACP", &fadt));
    put(MADT, madt());
    let mut entries = Vec::new();
    for address in [FADT, MADT] {
        if revision < 2 {
            entries.extend((address as u32).to_le_bytes());
        } else {
            entries.extend(address.to_le_bytes());
        }
    }
    let signature = if revision < 2 { b"RSDT" } else { b"XSDT" };
    put(ROOT, table(signature, &entries));
    let mut pointer = b"RSD PTR \0POSTRN".to_vec();
    pointer.push(revision);
    let (rsdt, xsdt) = if revision < 2 { (ROOT, 0) } else { (0, ROOT) };
    pointer.extend((rsdt as u32).to_le_bytes());
    let mut pointer = with_sum(pointer, 8);
    pointer.extend(36u32.to_le_bytes());
    pointer.extend(xsdt.to_le_bytes());
    pointer.extend([0; 4]);
    put(ROOT_POINTER, with_sum(pointer, 32));
    memory
}

#[test]
fn both_kinds_of_root_table_give_the_facts() {
    for revision in [0, 2] {
        let memory = machine(revision);
        assert_eq!(acpi::find_root_pointer(&memory), ROOT_POINTER);
        let facts = acpi::read(&memory, ROOT_POINTER);
        assert_eq!(facts.rsdp, ROOT_POINTER);
        assert_eq!(facts.local_apic, 0x1_2345_6000);
        let io_apic = IoApic {
            address: 0xfec0_0000,
            gsi_base: 24,
        };
        assert_eq!(facts.io_apics[..], [io_apic]);
        let timer = Override {
            isa: 0,
            gsi: 2,
            active_low: false,
            level: false,
        };
        let sci = Override {
            isa: 9,
            gsi: 20,
            active_low: true,
            level: true,
        };
        assert_eq!(facts.overrides[..], [timer, sci]);
        assert_eq!(facts.pm1a_control, 0x604);
    }
}

#[test]
fn a_wrong_checksum_hides_a_table() {
    let mut memory = machine(2);
    memory.bytes[MADT as usize + 40] ^= 1;
    let facts = acpi::read(&memory, ROOT_POINTER);
    assert!(facts.io_apics.is_empty() && facts.overrides.is_empty());
    assert_eq!(facts.local_apic, 0xfee0_0000);
    assert_eq!(facts.pm1a_control, 0x604);
}

#[test]
fn no_tables_give_the_default() {
    let memory = Memory::new(1 << 20, Map::new());
    assert_eq!(acpi::find_root_pointer(&memory), 0);
    let expected = Acpi {
        local_apic: 0xfee0_0000,
        ..Acpi::default()
    };
    for address in [0, 0x1000, 1 << 20, u64::MAX] {
        assert_eq!(acpi::read(&memory, address), expected);
    }
}

proptest! {
    /// Bodies change, and the checksums are made right again, so that the walk sees them.
    #[test]
    fn damaged_tables_are_harmless(
        changes in proptest::collection::vec((0usize..3, 4usize..90, any::<u8>()), 1..8),
    ) {
        let mut memory = machine(2);
        for (which, at, value) in changes {
            let start = [ROOT, MADT, FADT][which] as usize;
            memory.bytes[start + at] = value;
            let length = &memory.bytes[start + 4..start + 8];
            let length = u32::from_le_bytes(length.try_into().expect("4 bytes")) as usize;
            if (36..0x1000).contains(&length) {
                let table = with_sum({
                    let mut bytes = memory.bytes[start..start + length].to_vec();
                    bytes[9] = 0;
                    bytes
                }, 9);
                memory.bytes[start..start + length].copy_from_slice(&table);
            }
        }
        let facts = acpi::read(&memory, ROOT_POINTER);
        prop_assert!(facts.rsdp == 0 || facts.rsdp == ROOT_POINTER);
    }
}
