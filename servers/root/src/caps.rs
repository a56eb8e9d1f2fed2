//! What a program holds, as the kernel knows it, in words for people.

use crate::slots::{ENDPOINT, ProgramSlots};
use crate::system::{System, facet};
use crate::{layout, program::Program};
use abi::Kind;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use libsys::object::CapTable;
use libsys::proto::control::Holding;
use libsys::proto::program::LAST_FACET;
use libsys::syscall::Slot;

/// The answer to CAPS, in postcard.
pub fn of(system: &System, index: usize) -> Vec<u8> {
    let program = &system.programs[index];
    let slots = 1..1 << layout::TABLE_BITS;
    let all: Vec<_> = slots
        .filter_map(|slot| holding(system, program, slot))
        .collect();
    postcard::to_allocvec(&all).unwrap_or_default()
}

fn holding(system: &System, program: &Program, slot: u32) -> Option<Holding> {
    let table = program.slots.table();
    let found = table.identify(Slot(slot), Slot(0)).ok()?;
    let (what, from) = match found.kind {
        Kind::Endpoint => endpoint(system, program, slot),
        _ => (described(found.kind).into(), giver(program, slot)),
    };
    Some(Holding {
        slot,
        kind: found.kind as u8,
        rights: found.rights,
        what,
        from,
    })
}

/// Whose endpoint it is, and by which way in.
fn endpoint(system: &System, program: &Program, slot: u32) -> (String, String) {
    let table = program.slots.table();
    if let Some(badge) = badge(table, slot, ENDPOINT) {
        let name = match badge as u32 {
            facet::MEMORY => layout::MEMORY,
            facet::CONTROL => layout::CONTROL,
            _ => "its faults",
        };
        return (name.into(), "root".into());
    }
    let of = |slots: ProgramSlots| badge(table, slot, slots.endpoint());
    if of(program.slots).is_some() {
        return ("its own".into(), giver(program, slot));
    }
    let servers = system.programs.iter().filter(|p| p.parent.is_none());
    let mut known = servers.filter_map(|server| Some((server, of(server.slots)?)));
    match known.next() {
        None => ("an endpoint".into(), giver(program, slot)),
        Some((server, badge)) => match badge as u32 {
            0 => (server.name().into(), "root".into()),
            number @ 1..=LAST_FACET => {
                let facet = server.manifest.facets.get(number as usize - 1);
                let facet = facet.map_or("?", String::as_str);
                (format!("{}.{facet}", server.name()), "root".into())
            }
            number => (
                format!("{}, session {number}", server.name()),
                server.name().into(),
            ),
        },
    }
}

fn badge(table: CapTable, slot: u32, endpoint: Slot) -> Option<u64> {
    table.identify(Slot(slot), endpoint).ok()?.badge
}

fn giver(program: &Program, slot: u32) -> String {
    let root = slot < program.free_slot;
    if root { "root" } else { "itself" }.to_string()
}

fn described(kind: Kind) -> &'static str {
    match kind {
        Kind::CapTable => "its table",
        Kind::Untyped => "memory for kernel objects",
        Kind::Thread => "a thread of it",
        Kind::Space => "its address space",
        Kind::Frame => "a page",
        Kind::Reply => "a place for a caller that waits",
        Kind::Irq => "an interrupt",
        Kind::IoPorts => "I/O ports",
        _ => "?",
    }
}
