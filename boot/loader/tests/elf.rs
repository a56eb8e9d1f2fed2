//! Programs: every refusal by name, and no file that makes the parser panic or plan nonsense.

mod common;

use common::{KERNEL, KERNEL_SIZE, Load, elf, kernel};
use loader::elf::{Error, Program};
use proptest::prelude::*;

const WINDOW: std::ops::Range<u64> = 0xffff_ffff_8000_0000..0xffff_ffff_ffff_f000;

fn load(address: u64, size: u64, flags: u32) -> Load {
    Load {
        address,
        data: vec![1, 2, 3],
        memory_size: size,
        flags,
    }
}

fn refusal(entry: u64, loads: &[Load]) -> Error {
    Program::parse(&elf(entry, loads), WINDOW).expect_err("it must be refused")
}

#[test]
fn a_kernel_is_planned_as_linked() {
    let file = kernel();
    let program = Program::parse(&file, WINDOW).expect("it is well-formed");
    assert_eq!(program.entry, KERNEL + 0x10);
    assert_eq!(program.span(), KERNEL..KERNEL + KERNEL_SIZE);
    let rights: Vec<_> = program
        .segments
        .iter()
        .map(|segment| (segment.write, segment.execute))
        .collect();
    assert_eq!(rights, [(false, true), (false, false), (true, false)]);
    let data = &program.segments[2];
    assert_eq!((data.address, data.size), (KERNEL + 0x3000, 0x2000));
    assert_eq!((data.offset, data.data), (0x10, &[0x33; 0x50][..]));
}

#[test]
fn every_flaw_has_its_name() {
    let code = load(KERNEL, 0x1000, 5);
    let end = u64::MAX - 0xfff; // the first address after the window
    let cases = [
        (Error::NoSegments, KERNEL, vec![]),
        (Error::NoSegments, KERNEL, vec![load(KERNEL, 0, 5)]),
        (Error::WriteAndExecute, KERNEL, vec![load(KERNEL, 9, 7)]),
        (Error::AddressOutOfRange, KERNEL, vec![load(0x1000, 9, 5)]),
        (Error::AddressOutOfRange, KERNEL, vec![load(end - 1, 9, 5)]),
        (
            Error::AddressOutOfRange,
            KERNEL,
            vec![load(KERNEL, 1 << 40, 5)],
        ),
        (
            Error::AddressOutOfRange,
            KERNEL,
            vec![load(KERNEL, u64::MAX, 5)],
        ),
        (Error::DataOutsideFile, KERNEL, vec![load(KERNEL, 2, 5)]),
        (
            Error::Overlap,
            KERNEL,
            vec![code.clone(), load(KERNEL + 0xfff, 9, 6)],
        ),
        (
            Error::Overlap,
            KERNEL,
            vec![code.clone(), load(KERNEL + 8, 0x9, 6)],
        ),
        (Error::BadEntry, KERNEL + 0x1000, vec![code.clone()]),
        (Error::BadEntry, KERNEL, vec![load(KERNEL, 9, 4)]),
    ];
    for (error, entry, loads) in cases {
        assert_eq!(refusal(entry, &loads), error);
    }
    let nine: Vec<_> = (0..9).map(|i| load(KERNEL + i * 0x1000, 9, 5)).collect();
    assert_eq!(refusal(KERNEL, &nine), Error::TooManySegments);
    assert!(Program::parse(&elf(KERNEL, &nine[..8]), WINDOW).is_ok());
}

#[test]
fn other_files_are_refused() {
    let patched = |at: usize, value: u8| {
        let mut file = kernel();
        file[at] = value;
        Program::parse(&file, WINDOW).expect_err("it must be refused")
    };
    assert_eq!(patched(0, 0), Error::NotElf);
    assert_eq!(patched(4, 1), Error::NotElf); // 32-bit
    assert_eq!(patched(5, 2), Error::NotElf); // big-endian
    assert_eq!(patched(54, 55), Error::NotElf); // size of a program header
    assert_eq!(patched(18, 183), Error::WrongMachine);
    assert_eq!(patched(16, 3), Error::NotStatic);
    assert_eq!(patched(64 + 8 + 7, 0x80), Error::DataOutsideFile); // offset
    assert_eq!(Program::parse(b"", WINDOW), Err(Error::NotElf));
    assert_eq!(Program::parse(&kernel()[..100], WINDOW), Err(Error::NotElf));
}

/// Whatever the file, an accepted plan is sound.
fn check(file: &[u8]) {
    let Ok(program) = Program::parse(file, WINDOW) else {
        return;
    };
    let mut last = WINDOW.start;
    for segment in &program.segments {
        assert!(segment.size > 0 && segment.size % 4096 == 0 && segment.address % 4096 == 0);
        assert!(last <= segment.address, "not rising, or overlapping");
        last = segment.address + segment.size;
        assert!(last <= WINDOW.end);
        assert!(segment.offset + segment.data.len() as u64 <= segment.size);
        let (whole, part) = (file.as_ptr_range(), segment.data.as_ptr_range());
        let inside = whole.start <= part.start && part.end <= whole.end;
        assert!(inside || segment.data.is_empty());
        assert!(!(segment.write && segment.execute));
    }
    assert!(program.span().contains(&program.entry));
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_harmless(bytes: Vec<u8>) {
        check(&bytes);
    }

    /// Headers of a good file with some bytes changed; interesting values as often as any.
    #[test]
    fn mutated_programs_are_harmless(
        changes in proptest::collection::vec(
            (0usize..240, prop_oneof![any::<u8>(), Just(0), Just(0xff), Just(0x80), 0u8..8]), 1..6),
        cut in 0usize..800,
    ) {
        let mut file = kernel();
        for (at, value) in changes {
            file[at] = value;
        }
        check(&file);
        check(&file[..cut.min(file.len())]);
    }
}
