use super::*;
use std::collections::BTreeMap;

/// Function 0:3.0, a virtio-blk function as QEMU shows it: MSI-X table in BAR 1, registers in the 64-bit BAR 4.
struct Fake {
    words: BTreeMap<u8, u32>,
    writes: std::vec::Vec<(u8, u32)>,
}

const DISK: u16 = 3 << 3;

impl Bus for Fake {
    fn read(&mut self, function: u16, offset: u8) -> u32 {
        match function {
            DISK => self.words.get(&offset).copied().unwrap_or(0),
            _ => u32::MAX,
        }
    }

    fn write(&mut self, function: u16, offset: u8, value: u32) {
        assert_eq!(function, DISK);
        let mask = match offset {
            0x10 => !0x7f,
            0x14 => !0xfff,
            0x20 => !0x3fff,
            0x24 => !0,
            0x04 => 0xffff,
            0x98 => 0xc000_0000,
            _ => 0,
        };
        let word = self.words.entry(offset).or_default();
        *word = *word & !mask | value & mask;
        self.writes.push((offset, value));
    }
}

fn machine() -> (Fake, Space) {
    let words = [
        (0, 0x1042_1af4),
        (4, 0x10_0007),
        (0x10, 0xc001),
        (0x14, 0xfebd_1000),
        (0x20, 0xc),
        (0x24, 0x80),
        (0x34, 0x84),
        (0x84, 0x9809),
        (0x98, 1 << 16 | 0x11),
        (0x9c, 1),
    ];
    let mut bus = Fake { words: words.into(), writes: std::vec::Vec::new() };
    assert_eq!(find(&mut bus, 0x1af4, &[0x1001, 0x1042], 0), Some(DISK));
    assert_eq!(find(&mut bus, 0x1af4, &[0x1042], 1), None);
    let function = Function::new(&mut bus, DISK);
    let mut space = Space::default();
    space.functions.push(function).unwrap();
    bus.writes.clear();
    (bus, space)
}

fn select(space: &mut Space, offset: u8) {
    space.address = ENABLE | u32::from(DISK) << 8 | u32::from(offset);
}

#[test]
fn a_function_is_described() {
    let (mut bus, space) = machine();
    let function = &space.functions[0];
    let memory: std::vec::Vec<_> = function.memory.iter().map(|r| (r.start, r.size)).collect();
    assert_eq!(memory, [(0xfebd_1000, 0x1000), (0x80_0000_0000, 0x4000)]);
    let msix = function.msix.as_ref().unwrap();
    assert_eq!((msix.table, msix.entries), (0xfebd_1000, 2));
    assert_eq!(bus.read(DISK, 0x14), 0xfebd_1000);
    assert_eq!(bus.read(DISK, 4) & 7, 0, "it is off");
}

#[test]
fn base_addresses_can_be_sized_but_not_moved() {
    let (mut bus, mut space) = machine();
    select(&mut space, 0x14);
    space.write(&mut bus, u32::MAX, u32::MAX);
    assert_eq!(space.read(&mut bus), 0xffff_f000);
    space.write(&mut bus, 0xfee0_0000, u32::MAX);
    assert_eq!(space.read(&mut bus), 0xfee0_0000);
    assert!(bus.writes.is_empty());
    assert_eq!(bus.read(DISK, 0x14), 0xfebd_1000);
    space.renew();
    select(&mut space, 0x14);
    assert_eq!(space.read(&mut bus), 0xfebd_1000);
}

#[test]
fn switches() {
    let (mut bus, mut space) = machine();
    select(&mut space, 4);
    space.write(&mut bus, u32::MAX, u32::MAX);
    assert_eq!(bus.read(DISK, 4) & 0xffff, 0x407);
    space.write(&mut bus, 0, 0xffff);
    assert_eq!(bus.read(DISK, 4) & 0xffff, 0);
    select(&mut space, 0x98);
    assert_eq!(space.write(&mut bus, u32::MAX, u32::MAX), Some(0));
    space.switch_msix(&mut bus, 0, u32::MAX, u32::MAX);
    assert_eq!(bus.read(DISK, 0x98) >> 30, 3);
    assert_eq!(space.write(&mut bus, 0, u32::MAX), None);
    assert_eq!(bus.read(DISK, 0x98) >> 30, 0);
}

#[test]
fn other_functions_and_registers_are_not_there() {
    let (mut bus, mut space) = machine();
    for address in [0, ENABLE, ENABLE | 4 << 11, u32::from(DISK) << 8] {
        space.address = address;
        assert_eq!(space.read(&mut bus), u32::MAX, "{address:#x}");
        assert_eq!(space.write(&mut bus, 0, u32::MAX), None);
    }
    for offset in [0x3c, 0x84, 0x9c, 0x40] {
        select(&mut space, offset);
        space.write(&mut bus, 0, u32::MAX);
    }
    assert!(bus.writes.is_empty());
}

#[test]
fn a_list_of_capabilities_may_be_endless() {
    let (mut bus, _) = machine();
    bus.words.insert(0x84, 0x8409);
    assert!(Function::new(&mut bus, DISK).msix.is_none());
}
