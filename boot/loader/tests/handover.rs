//! The whole way from an archive to the state that `bootinfo` documents.

mod common;

use bootinfo::{BootInfo, MemoryKind, PHYSICAL_MAP, Range};
use common::{KERNEL, KERNEL_SIZE, Memory, UNTOUCHED, kernel, map, root, tar};
use loader::archive::Archive;
use loader::rights::writable_code;
use loader::stages::Stage;
use loader::{Entry, Error, Machine, Physical, acpi, load};
use proptest::prelude::*;

const MIB: u64 = 1 << 20;
const SIZE: u64 = 6 * MIB;
const ARCHIVE: u64 = 4 * MIB + 512;

/// A machine of 6 MiB whose archive lies at [`ARCHIVE`], with more memory above 4 GiB than it really has.
fn start(archive: &[u8], free: u64) -> (Result<Entry, Error>, Memory) {
    let range = Range {
        start: ARCHIVE,
        size: archive.len() as u64,
    };
    let memory = map(&[
        (0, MIB + free, MemoryKind::Usable),
        (5 * MIB, MIB, MemoryKind::Usable),
        (4096 * MIB, 2048 * MIB, MemoryKind::Usable),
        (range.start, range.size, MemoryKind::Loaded),
        (0xf_0000, 0x1_0000, MemoryKind::Reserved),
    ]);
    let mut physical = Memory::new(SIZE as usize, memory.clone());
    physical.bytes[ARCHIVE as usize..][..archive.len()].copy_from_slice(archive);
    let machine = Machine {
        memory,
        archive: range,
        archive_bytes: archive,
        command_line: "words for the kernel",
        folder: "",
        acpi: acpi::read(&physical, 0),
    };
    (load(machine, &mut physical), physical)
}

fn good_archive() -> Vec<u8> {
    tar(&[("manifest", b"m"), ("kernel", &kernel()), ("root", &root())])
}

/// Physical address and page-table bits of an address.
fn translate(physical: &Memory, tables: u64, address: u64) -> Option<(u64, u64)> {
    let mut table = tables;
    for level in (0..4).rev() {
        let shift = 12 + 9 * level;
        let slot = table + ((address >> shift) & 511) * 8;
        let entry = physical.read_u64(slot).expect("tables are in memory");
        if entry & 1 == 0 {
            return None;
        }
        let target = entry & 0x000f_ffff_ffff_f000;
        if level == 0 || entry & 0x80 != 0 {
            let inside = address & ((1 << shift) - 1);
            return Some((target + inside, entry));
        }
        table = target;
    }
    None
}

/// Memory in which the lower half of the table at an address is empty.
struct Kept<'a>(&'a Memory, u64);

impl Physical for Kept<'_> {
    fn read(&self, address: u64, buffer: &mut [u8]) -> bool {
        let lower = (self.1..self.1 + 2048).contains(&address);
        if lower {
            buffer.fill(0);
        }
        lower || self.0.read(address, buffer)
    }

    fn write(&mut self, _: u64, _: &[u8]) {}

    fn clear(&mut self, _: u64, _: u64) {}
}

fn rights(entry: u64) -> (bool, bool) {
    (entry & 2 != 0, entry >> 63 == 0)
}

#[test]
fn the_hand_over_is_as_documented() {
    let (entry, physical) = start(&good_archive(), 2 * MIB);
    let entry = entry.expect("it loads");
    let see = |address| translate(&physical, entry.page_tables, address);

    // BootInfo, where RDI says, through the tables.
    let (at, _) = see(entry.boot_info).expect("mapped");
    let bytes = &physical.bytes[at as usize..][..entry.boot_info_size as usize];
    let info: BootInfo = postcard::from_bytes(bytes).expect("it is postcard");
    assert_eq!(info.version, bootinfo::VERSION);
    assert_eq!(info.command_line, "words for the kernel");
    assert_eq!(info.archive.start, ARCHIVE);

    // The kernel: contiguous, its pages with their own rights, gaps not mapped.
    assert_eq!(entry.kernel, KERNEL + 0x10);
    assert_eq!(
        (info.kernel_virtual, info.kernel.size),
        (KERNEL, KERNEL_SIZE)
    );
    let expected = [
        Some((false, true)),
        None,
        Some((false, false)),
        Some((true, false)),
        Some((true, false)),
    ];
    for (page, expected) in expected.into_iter().enumerate() {
        let offset = page as u64 * 4096;
        let seen = see(KERNEL + offset);
        assert_eq!(
            seen.map(|(_, entry)| rights(entry)),
            expected,
            "page {page}"
        );
        if let Some((at, _)) = seen {
            assert_eq!(at, info.kernel.start + offset);
        }
        // In the physical map it is never executable, and writable only where it is here, too.
        let (_, alias) = see(PHYSICAL_MAP + info.kernel.start + offset).expect("mapped");
        let writable = expected.is_none_or(|(write, _)| write);
        assert_eq!(rights(alias), (writable, false), "page {page}");
    }
    assert_eq!(see(KERNEL + KERNEL_SIZE), None);
    let image = &physical.bytes[info.kernel.start as usize..][..KERNEL_SIZE as usize];
    assert_eq!(image[..0x123], [0x90; 0x123]);
    assert_eq!(image[0x3010..0x3060], [0x33; 0x50]);
    assert!(image[0x3060..].iter().all(|&byte| byte == 0));

    // Root: its own pages, tails zero.
    assert_eq!(info.root.entry, 0x40_0004);
    let [code, data] = &info.root.segments[..] else {
        panic!("two segments")
    };
    assert_eq!((code.address, code.size), (0x40_0000, 0x3000));
    assert!(code.execute && !code.write && data.write && !data.execute);
    let bytes = &physical.bytes[data.physical as usize..][..data.size as usize];
    assert_eq!((data.address, data.size), (0x40_5000, 0x4000));
    assert_eq!(bytes[8..16], [0x44; 8]);
    assert!(bytes[16..].iter().all(|&byte| byte == 0));

    // The physical map, to the end of memory above 4 GiB and no further; the identity map of the low 4 GiB.
    for address in [0, 0x1234, 5 * MIB, 4096 * MIB, 6144 * MIB - 1] {
        let (at, entry) = see(PHYSICAL_MAP + address).expect("mapped");
        assert_eq!((at, rights(entry)), (address, (true, false)));
    }
    assert_eq!(see(PHYSICAL_MAP + 6144 * MIB), None);
    for address in [0x10_0000, 4096 * MIB - 1] {
        let (at, entry) = see(address).expect("mapped");
        assert_eq!((at, rights(entry)), (address, (true, true)));
    }
    assert_eq!(see(4096 * MIB), None);

    // Without the identity map, which is left behind, no code can be changed.
    let mut kept = Kept(&physical, entry.page_tables);
    assert_eq!(writable_code(&kept, entry.page_tables), None);
    kept.1 = 0;
    assert!(writable_code(&kept, entry.page_tables).is_some());

    // What the map calls usable, nobody touched; what was used, it calls loaded.
    for range in info.memory.iter().filter(|r| r.kind == MemoryKind::Usable) {
        let end = (range.start + range.size).min(SIZE);
        let mut bytes = (range.start.min(end)..end).map(|at| physical.bytes[at as usize]);
        assert!(bytes.all(|byte| byte == UNTOUCHED), "{range:x?}");
    }
    let loaded = |at: u64| {
        info.memory.iter().any(|range| {
            range.kind == MemoryKind::Loaded
                && (range.start..range.start + range.size).contains(&at)
        })
    };
    assert!(loaded(info.kernel.start) && loaded(at) && loaded(entry.page_tables));
    assert!(loaded(code.physical) && loaded(data.physical) && loaded(ARCHIVE));
}

#[test]
fn refusals_have_names() {
    let refusal = |files: &[(&str, &[u8])]| start(&tar(files), 2 * MIB).0.expect_err("refused");
    let (kernel, root) = (kernel(), root());
    assert_eq!(refusal(&[("root", &root)]), Error::MissingFile("kernel"));
    assert_eq!(refusal(&[("kernel", &kernel)]), Error::MissingFile("root"));
    let error = loader::elf::Error::AddressOutOfRange;
    let name = "root";
    assert_eq!(
        refusal(&[("kernel", &kernel), ("root", &kernel)]),
        Error::Program { name, error }
    );
    assert!(matches!(start(b"text", MIB).0, Err(Error::BadArchive(_))));
    assert!(matches!(
        start(&[7; 4096], MIB).0,
        Err(Error::BadArchive(_))
    ));
}

#[test]
fn every_shortage_of_memory_is_an_error() {
    // All sizes of free memory from none up: refused until it fits, never anything else.
    let archive = good_archive();
    let mut fitted = false;
    for pages in 0..64 {
        let memory = map(&[
            (MIB, pages * 4096, MemoryKind::Usable),
            (4096 * MIB, 4096 * MIB, MemoryKind::Usable),
        ]);
        let mut physical = Memory::new(SIZE as usize, memory.clone());
        let machine = Machine {
            memory,
            archive: Range { start: 0, size: 0 },
            archive_bytes: &archive,
            command_line: "",
            folder: "",
            acpi: acpi::read(&physical, 0),
        };
        match load(machine, &mut physical) {
            Ok(_) => fitted = true,
            Err(Error::NotEnoughMemory { .. }) => assert!(!fitted),
            Err(other) => panic!("{other}"),
        }
    }
    assert!(fitted);
}

#[test]
fn a_long_command_line_is_refused_and_the_longest_fits() {
    let archive = good_archive();
    for (length, expected) in [(2048, true), (2049, false)] {
        let memory = map(&[(MIB, 2 * MIB, MemoryKind::Usable)]);
        let mut physical = Memory::new(SIZE as usize, memory.clone());
        let words = "x".repeat(length);
        let machine = Machine {
            memory,
            archive: Range { start: 0, size: 0 },
            archive_bytes: &archive,
            command_line: &words,
            folder: "",
            acpi: acpi::read(&physical, 0),
        };
        assert_eq!(load(machine, &mut physical).is_ok(), expected);
    }
}

proptest! {
    /// `Memory` panics on a write outside free memory.
    #[test]
    fn mutated_archives_never_panic_or_write_elsewhere(
        changes in proptest::collection::vec((0usize..8192, any::<u8>()), 0..4),
        headers in proptest::collection::vec((0usize..240, any::<u8>()), 0..4),
    ) {
        let mut kernel = kernel();
        for (at, value) in headers {
            kernel[at] = value;
        }
        let mut archive = tar(&[("kernel", &kernel), ("root", &root())]);
        let _ = start(&archive, 2 * MIB);
        for (at, value) in changes {
            let length = archive.len();
            archive[at % length] = value;
        }
        let _ = start(&archive, 2 * MIB);
    }
}

#[test]
fn kernels_boot_one_after_the_other() {
    let archive = |list: &str| tar(&[("stages", list.as_bytes())]);
    let bytes = archive("a x=1 words\nb\n. own words\n");
    let files = Archive::new(&bytes).expect("it is an archive");
    let stage = |folder, words| {
        Ok(Stage {
            folder,
            words,
            is_one_of_several: true,
        })
    };
    assert_eq!(Stage::of(&files, 0), stage("a", "x=1 words"));
    assert_eq!(Stage::of(&files, 1), stage("b", ""));
    assert_eq!(Stage::of(&files, 2), stage("", "own words"));
    assert_eq!(Stage::of(&files, 3), Err(Error::Stages));
    // One that ends with nobody behind it, one that nobody can follow, and no folder.
    for (damaged, number) in [("a\n", 0), (".\n.\n", 0), (" a\n.\n", 0), ("", 0)] {
        let bytes = archive(damaged);
        let files = Archive::new(&bytes).expect("it is an archive");
        assert_eq!(Stage::of(&files, number), Err(Error::Stages), "{damaged:?}");
    }
    let plain = good_archive();
    let files = Archive::new(&plain).expect("it is an archive");
    assert!(Stage::of(&files, 0).is_ok_and(|stage| !stage.is_one_of_several));
}

#[test]
fn a_kernel_in_a_folder_needs_no_program() {
    let (kernel, root) = (kernel(), root());
    let bytes = tar(&[("a/kernel", &kernel), ("b/root", &root), ("root", &root)]);
    let started = |folder| {
        let memory = map(&[(MIB, 2 * MIB, MemoryKind::Usable)]);
        let mut physical = Memory::new(SIZE as usize, memory.clone());
        let machine = Machine {
            memory,
            archive: Range { start: 0, size: 0 },
            archive_bytes: &bytes,
            command_line: "",
            folder,
            acpi: acpi::read(&physical, 0),
        };
        load(machine, &mut physical).map(|entry| entry.kernel != 0)
    };
    assert_eq!(started("a"), Ok(true));
    assert_eq!(started("b"), Err(Error::MissingFile("kernel")));
    assert_eq!(started(""), Err(Error::MissingFile("kernel")));
}
