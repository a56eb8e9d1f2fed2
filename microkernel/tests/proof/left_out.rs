//! The calls that random operations leave out, and what happens before the first of them.

use abi::{
    Error, Kind, Op, Tag,
    object::*,
    root,
    tag::Flags,
    trace::{Event as EventKind, Record},
};
use bootinfo::{Acpi, BootInfo, Image, MemoryKind, MemoryRange, Range, Segment};
use microkernel::{arch::paging, boot};

use crate::{
    pair::{Pair, slots::*},
    scene::{Scene, call_endpoint, receive, reply_recv},
    world::{Call, ENTRY, Event, World},
};

const SYSTEM: u64 = root::SYSTEM as u64;

/// A frame of 2 MiB is zeroed step by step, mapped, in the way of a small one, and unmapped.
#[test]
fn a_large_frame() {
    let mut pair = Pair::boot();
    let memory = pair.untyped(21);
    pair.make(memory, Kind::Space, 15, 1, 100);
    pair.make(memory, Kind::Frame, 12, 1, 101);
    let other =
        (memory + 1..30).find(|&slot| pair.invoke(slot, untyped::INFO, [0; 4]).1[1] >= 2 << 20);
    let from = other.unwrap_or(memory);
    pair.make(from, Kind::Frame, 21, 1, 102);
    // The model maps small frames only.
    let mut ask = |slot, label, words| {
        let call = Call {
            rax: Tag::new(Op::Call, label, 0, Flags::empty()).0,
            rdi: slot,
            words,
            ..Call::default()
        };
        let root = pair.world.current().expect("root runs");
        pair.world.step(&Event::Call(call));
        Error::from_code(Tag(root.frame().rax.get()).status())
    };
    let at = 8 << 21;
    assert_eq!(ask(100, space::MAP, [102, at + 4096, 3, 0]), Some(Error::InvalidAddress));
    assert_eq!(ask(100, space::MAP, [102, at, 3, 0]), None);
    assert_eq!(ask(100, space::MAP, [101, at + 4096, 3, 0]), Some(Error::AlreadyMapped));
    assert_eq!(ask(100, space::UNMAP, [102, 0, 0, 0]), None);
    assert_eq!(ask(100, space::MAP, [101, at + 4096, 3, 0]), None);
    assert_eq!(ask(100, space::MAP, [102, at, 3, 0]), Some(Error::AlreadyMapped));
}

/// What is written to the log comes back, unprintable bytes replaced; a position too early or too late is corrected.
#[test]
fn the_log() {
    let mut pair = Pair::boot();
    let text = u64::from_le_bytes(*b"proof\x01\n!");
    let root = pair.world.current().expect("root runs");
    root.set_word(4, text);
    pair.done(SYSTEM, system::LOG_QUIET, [0; 4]);
    pair.done(SYSTEM, system::LOG_WRITE, [8, 0, 0, 0]);
    let (status, _) = pair.invoke(SYSTEM, system::LOG_WRITE, [513, 0, 0, 0]);
    assert_eq!(status, Error::InvalidArgument as u8);
    let mut found = false;
    let mut position = 0;
    loop {
        let [count, first, ..] = pair.done(SYSTEM, system::LOG, [position, 0, 0, 0]);
        if count == 0 {
            break;
        }
        let words = (0..count.div_ceil(8) as usize).map(|word| root.word(4 + word));
        let bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
        found |= bytes.windows(8).any(|window| window == b"proof?\n!");
        position = first + count;
    }
    assert!(found, "the line is in the log");
    let [count, first, ..] = pair.done(SYSTEM, system::LOG, [u64::MAX, 0, 0, 0]);
    assert!(count == 0 && first >= position);
}

/// The events of the trace from a position on, and the position of the first.
fn trace_from(pair: &mut Pair, position: u64) -> (u64, Vec<Record>) {
    let root = pair.world.current().expect("root runs");
    let [count, first, ..] = pair.done(SYSTEM, system::TRACE, [position, 0, 0, 0]);
    let record = |index| {
        let words = std::array::from_fn(|word| root.word(4 + index * Record::WORDS + word));
        Record::from_words(words).expect("a known event")
    };
    (first, (0..count as usize).map(record).collect())
}

/// While tracing is on, a call, its delivery and the reply are events with their time, in their order; afterwards they are not.
#[test]
fn the_trace() {
    let mut scene = Scene::new().server_waits(receive());
    let number =
        |pair: &mut Pair, thread| pair.done(SYSTEM, system::NUMBER, [THREADS + thread, 0, 0, 0])[0];
    let (client, server) = (number(&mut scene.0, 0), number(&mut scene.0, 3));
    let messages = |scene: &mut Scene| -> Vec<_> {
        let mut position = 0;
        let mut all = Vec::new();
        loop {
            let (first, records) = trace_from(&mut scene.0, position);
            if records.is_empty() {
                break;
            }
            position = first + records.len() as u64;
            all.extend(records);
        }
        // Root is neither.
        all.retain(|record| {
            matches!(record.event, EventKind::Call | EventKind::Deliver | EventKind::Reply)
                && [client, server].contains(&record.first)
        });
        all
    };
    let round = |scene: &mut Scene| {
        scene.acts(0, call_endpoint());
        scene.0.step(&Event::Call(reply_recv()));
        scene.0.invoke(12, thread::SUSPEND, [0; 4]);
    };
    round(&mut scene);
    assert_eq!(messages(&mut scene), []);
    scene.0.done(SYSTEM, system::TRACE_SWITCH, [1, 0, 0, 0]);
    scene.0.pass(5);
    let time = scene.0.model.now;
    round(&mut scene);
    scene.0.done(SYSTEM, system::TRACE_SWITCH, [0; 4]);
    round(&mut scene);
    let suspend = Tag::new(Op::Call, thread::SUSPEND, 0, Flags::empty()).0;
    let record = |event, first, second| Record { event, time, first, second };
    let expected = [
        record(EventKind::Call, client, call_endpoint().rax),
        record(EventKind::Deliver, client, server),
        record(EventKind::Call, server, reply_recv().rax),
        record(EventKind::Reply, server, client),
        record(EventKind::Call, client, suspend),
    ];
    assert_eq!(messages(&mut scene), expected);
}

fn information(memory: &[MemoryRange], entry: u64, acpi: Acpi) -> BootInfo<'static> {
    BootInfo {
        version: bootinfo::VERSION,
        command_line: "a fastpath=off b",
        memory: memory.iter().copied().collect(),
        kernel: Range { start: 0, size: 0 },
        kernel_virtual: 0,
        root: Image { entry, segments: Default::default() },
        archive: Range { start: 0, size: 0 },
        acpi,
    }
}

/// What the loader says becomes options, a greeting and ranges that no device frame may name.
#[test]
fn boot_information() {
    let range = |start, kind| MemoryRange { start, size: 4096, kind };
    let mut acpi = Acpi { local_apic: 0xfee0_0000, ..Acpi::default() };
    let controller = bootinfo::IoApic { address: 0xfec0_0000, gsi_base: 0 };
    acpi.io_apics.push(controller).expect("room");
    let memory = [
        range(4096, MemoryKind::Usable),
        range(8192, MemoryKind::Reserved),
        range(12288, MemoryKind::Acpi),
    ];
    let mut info = information(&memory, 0, acpi);
    assert!(boot::has_option(&info, boot::NO_FAST_PATH));
    assert!(!boot::has_option(&info, "fastpath"));
    let protected = boot::protected(&info);
    let starts: Vec<u64> = protected.iter().map(|range| range.0).collect();
    assert_eq!(starts, [4096, 12288, 0xfec0_0000, 0xfee0_0000]);
    let mut pair = Pair::boot();
    boot::greet(pair.world.kernel(), &info);
    // Too little memory, and an entry that is no user address: refused with a reason.
    let refusal = boot::start_root(pair.world.kernel(), &info);
    assert!(refusal.expect_err("one page").contains("memory"));
    info.memory = [MemoryRange {
        start: pair.world.base + (1 << 20),
        size: 4 << 20,
        kind: MemoryKind::Usable,
    }]
    .into_iter()
    .collect();
    info.root.entry = abi::USER_END;
    let refusal = boot::start_root(pair.world.kernel(), &info);
    assert!(refusal.expect_err("a kernel address").contains("entry"));
}

/// Root finds its program and the archive where they belong, with the rights the loader says; too big a program is refused.
#[test]
fn the_first_program() {
    let mut world = World::boot();
    let segment = |address, page: u64, write, execute| Segment {
        address,
        physical: world.base + page * 4096,
        size: 2 * 4096,
        write,
        execute,
    };
    let (code, data) =
        (segment(ENTRY, 256, false, true), segment(ENTRY + 0x1_0000, 258, true, false));
    let memory =
        MemoryRange { start: world.base + (2 << 20), size: 4 << 20, kind: MemoryKind::Usable };
    let archive = world.base + 260 * 4096;
    let mut info = information(&[memory], ENTRY, Acpi::default());
    info.root.segments = [code, data].into_iter().collect();
    info.archive = Range { start: archive, size: 4096 + 1 };
    boot::start_root(world.kernel(), &info).expect("it fits");
    let cr3 = world.current().expect("root runs").cr3.get();
    let at = |address, write| paging::translate(cr3, address, write).map(|piece| piece.physical);
    assert_eq!(at(ENTRY + 4096, false), Some(code.physical + 4096));
    assert_eq!(at(ENTRY, true), None);
    assert_eq!(at(ENTRY + 2 * 4096, false), None);
    assert_eq!(at(data.address + 4096, true), Some(data.physical + 4096));
    assert_eq!(at(root::ARCHIVE + 4096, false), Some(archive + 4096));
    assert_eq!(at(root::ARCHIVE, true), None);

    // More page tables than root has.
    info.archive.size = 1 << 40;
    let refusal = boot::start_root(world.kernel(), &info);
    assert!(refusal.expect_err("too big").contains("page tables"));
}
