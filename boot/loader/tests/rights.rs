//! What page tables allow.

mod common;

use bootinfo::MemoryKind;
use common::{Memory, map};
use loader::paging::Tables;
use loader::rights::writable_code;
use x86_64::structures::paging::PageTableFlags as Flags;

const CODE: u64 = 0x40_3000;
const READ: Flags = Flags::PRESENT.union(Flags::NO_EXECUTE);
const WRITE: Flags = READ.union(Flags::WRITABLE);
const BOTH: Flags = Flags::PRESENT.union(Flags::WRITABLE);

/// Code of two pages at a high address, data after it, and all memory once more; then `change`.
fn found(change: impl FnOnce(&mut Tables<Memory>)) -> Option<u64> {
    let mut map = map(&[(1 << 20, 1 << 20, MemoryKind::Usable)]);
    let mut memory = Memory::new(2 << 20, map.clone());
    let mut tables = Tables::new(&mut map, &mut memory).expect("there is room");
    tables
        .map_large(1 << 39, 0, 1 << 23, WRITE)
        .expect("there is room");
    tables
        .map((1 << 39) + CODE, CODE, 0x2000, READ)
        .expect("there is room");
    tables
        .map(1 << 46, CODE, 0x2000, Flags::PRESENT)
        .expect("there is room");
    tables
        .map((1 << 46) + 0x2000, CODE + 0x2000, 0x1000, WRITE)
        .expect("there is room");
    change(&mut tables);
    let root = tables.root;
    writable_code(&memory, root)
}

#[test]
fn code_that_can_be_written_is_found() {
    assert_eq!(found(|_| {}), None);
    // By the same address, by another one, by a large page; and code among the data.
    for (address, physical, flags) in [
        (1 << 46, CODE, BOTH),
        (1 << 45, CODE + 0x1000, WRITE),
        (1 << 45, CODE + 0x2000, Flags::PRESENT),
    ] {
        let map = |tables: &mut Tables<Memory>| tables.map(address, physical, 0x1000, flags);
        assert_eq!(
            found(|tables| map(tables).expect("there is room")),
            Some(physical)
        );
    }
    let large = |tables: &mut Tables<Memory>| tables.map_large(1 << 45, 0x40_0000, 1, WRITE);
    assert_eq!(
        found(|tables| large(tables).expect("there is room")),
        Some(0x40_0000)
    );
}
