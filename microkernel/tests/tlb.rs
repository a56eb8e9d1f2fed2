//! Whatever is mapped, unmapped, loaded and destroyed: no program sees through what a TLB remembers that is not so any more.
//! With PCIDs and without, on a TLB that forgets nothing by itself (`arch::host::tlb`).
#![allow(unsafe_code)]

use std::collections::BTreeSet;

use abi::object::frame::READ;
use abi::{Kind, PAGE};
use microkernel::arch::{features::Features, host, paging};
use microkernel::raw::Ref;
use microkernel::slot::{self, Capability, Flags, SlotRef};
use microkernel::space::{self, Space};
use microkernel::thread::{self, Block};
use microkernel::{Kernel, captable};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

/// Spaces, pages of each, and frames that may be mapped there.
const SPACES: usize = 3;
const PAGES: u64 = 4;
const FRAMES: u64 = 8;
/// Enough for every id to be used twice.
const OPERATIONS: usize = 120_000;
const WINDOW: u64 = 0x4000_0000;

struct Idle(Block);
// SAFETY: the kernel of one test thread at a time uses it, and never lets it run.
unsafe impl Sync for Idle {}

/// Numbers that look random, the same in every run (xorshift64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Zeroed memory where addresses are physical ones: a Space's address must fit 44 bits.
fn memory(hint: u64, size: u64) -> u64 {
    let (read, write) = (ProtFlags::READ, ProtFlags::WRITE);
    // SAFETY: a new mapping, nobody else's memory.
    let address =
        unsafe { mmap_anonymous(hint as *mut _, size as usize, read | write, MapFlags::PRIVATE) };
    let address = address.expect("there is memory") as u64;
    assert!(address < 1 << 44, "{address:#x}");
    address
}

fn run(features: Features, hint: u64) {
    static IDLE: [Idle; 3] = [const { Idle(Block::new(-1)) }; 3];
    let size = 1 << space::MIN_BITS;
    let base = memory(hint, (SPACES as u64 + 1) * size);
    let slots = base + SPACES as u64 * size;
    host::set_machine(|machine| machine.features = features);
    let idle = &IDLE[(hint >> 32) as usize % 3];
    let mut kernel = Box::new(Kernel::new(thread::in_static(&idle.0)));
    kernel.begin(1 << 40, 1);
    let frames: Vec<SlotRef> = (0..FRAMES)
        .map(|number| {
            // SAFETY: zeroed memory of its own, aligned to a slot's size.
            let slot: SlotRef = unsafe { Ref::from_address(slots + number * slot::SIZE) };
            slot.set(Capability {
                object: (1 + number) * PAGE,
                data: 0,
                kind: Kind::Frame,
                rights: captable::all_rights(Kind::Frame),
                flags: Flags::ORIGINAL,
                extra: 0,
            });
            slot
        })
        .collect();

    let mut numbers = Numbers(features.bits() as u64 + 1);
    let mut living: [Option<Ref<Space>>; SPACES] = [None; SPACES];
    let mut tags = BTreeSet::new();
    let mut seen = 0;
    for _ in 0..OPERATIONS {
        let number = numbers.below(SPACES as u64) as usize;
        let page = WINDOW + numbers.below(PAGES) * PAGE;
        let frame = frames[numbers.below(FRAMES) as usize];
        match (numbers.below(8), living[number]) {
            (0, Some(space)) => {
                space::destroy(&mut kernel, space);
                living[number] = None;
            }
            (_, None) => {
                let address = base + number as u64 * size;
                // SAFETY: the memory of a Space that is not there (any more).
                unsafe { std::ptr::write_bytes(address as *mut u8, 0, size as usize) };
                space::create(&mut kernel, address, space::MIN_BITS).expect("there are ids");
                // SAFETY: made on the line before.
                let space: Ref<Space> = unsafe { Ref::from_address(address) };
                tags.insert(space.cr3.get() & (PAGE - 1));
                living[number] = Some(space);
            }
            (1, Some(_)) => space::unmap_frame(&kernel, frame),
            (2 | 3, Some(space)) => {
                // It may be mapped elsewhere, or something else there.
                let _ = space::map(&kernel, space, frame, page, READ, 0);
            }
            // The idle thread runs in the space of whoever ran before it.
            (4 | 5, Some(space)) if kernel.loaded_root() != space.cr3.get() => {
                kernel.idle.cr3.set(space.cr3.get());
                paging::load_root(space.cr3.get());
            }
            (4 | 5, Some(_)) => {}
            (_, Some(_)) => {
                let loaded = kernel.loaded_root();
                let in_use = living.iter().flatten().any(|space| space.cr3.get() == loaded);
                if !in_use {
                    continue;
                }
                let tables = paging::translate(loaded, page, false).map(|piece| piece.physical);
                let tlb = host::with_tlb(|tlb| tlb.translate(page, tables));
                assert_eq!(tlb, tables, "{features}, page {page:#x}");
                seen += tables.is_some() as usize;
            }
        }
    }
    // The test has looked at something, and ids were used again.
    assert!(seen > OPERATIONS / 50, "{seen}");
    let pcid = features.contains(Features::PCID);
    assert_eq!(tags.len(), if pcid { 4095 } else { 1 });
}

#[test]
fn without_pcids() {
    run(Features::empty(), 16 << 32);
}

#[test]
fn with_pcids() {
    run(Features::PCID, 17 << 32);
}

#[test]
fn with_pcids_and_invpcid() {
    run(Features::PCID | Features::INVPCID, 18 << 32);
}
