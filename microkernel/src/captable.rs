//! What can be done with capabilities: derive, embed, and the CapTable object itself.

use abi::{Error, Kind, Rights, object::endpoint, object::frame};

use crate::{
    object,
    raw::Ref,
    slot::{self, Capability, Flags, Slot, SlotRef},
    tree,
};

/// Slots of the smallest and the largest CapTable, as powers of two.
pub const MIN_BITS: u8 = 4;
/// See [`MIN_BITS`].
pub const MAX_BITS: u8 = 16;

/// The object: its slots. Slot 0 is the header of a table that is being emptied.
pub struct CapTable;

impl object::Object for CapTable {
    const KIND: Kind = Kind::CapTable;
}

/// The slot at an index of a table (not 0).
pub fn slot_at(table: SlotRef, index: u64) -> Result<SlotRef, Error> {
    if index == 0 || index >= 1 << table.extra() {
        return Err(Error::NoCapability);
    }
    // SAFETY: a CapTable capability holds the address of 2^extra slots.
    Ok(unsafe { Ref::from_address(table.object() + index * slot::SIZE) })
}

/// Fills the empty slot `to` with a child of `from`: fewer rights, or with a badge (Endpoint), or with a smaller port
/// range (IoPorts). `word` 0 keeps badge and range.
pub fn derive(from: SlotRef, to: SlotRef, rights: Rights, word: u64) -> Result<(), Error> {
    let cap = derived(from, rights, word)?;
    if !to.is_empty() {
        return Err(Error::SlotOccupied);
    }
    tree::insert_child(from, to)?;
    to.set(cap);
    Ok(())
}

fn derived(from: SlotRef, rights: Rights, word: u64) -> Result<Capability, Error> {
    let cap = from.get();
    if cap.kind == Kind::Empty || cap.flags.contains(Flags::DYING) {
        return Err(Error::NoCapability);
    }
    if matches!(cap.kind, Kind::Untyped | Kind::Reply | Kind::System) {
        return Err(Error::NotDerivable);
    }
    if rights & !cap.rights != 0 {
        return Err(Error::MissingRight);
    }
    let mut new = Capability { rights, flags: cap.flags & (Flags::LARGE | Flags::DEVICE), ..cap };
    match cap.kind {
        Kind::Endpoint if word != 0 => {
            if cap.rights & endpoint::MINT == 0 || cap.data != 0 {
                return Err(Error::MissingRight);
            }
            new.data = word;
        }
        Kind::IoPorts if word != 0 => {
            let (base, count) = (word & 0xffff, word >> 16);
            let (own_base, own_count) = (cap.data & 0xffff, cap.data >> 16);
            if count == 0 || base < own_base || base + count > own_base + own_count {
                return Err(Error::InvalidArgument);
            }
            new.data = word;
        }
        // A new slot is not mapped.
        Kind::Frame => (new.data, new.extra) = (0, 0),
        _ => {}
    }
    Ok(new)
}

/// Derives into a slot inside a Thread or Irq, with all rights. `owner` is kept in [`Capability::extra`] of an Endpoint.
pub fn embed(from: SlotRef, to: SlotRef, badge: Option<u64>, owner: Owner) -> Result<(), Error> {
    debug_assert!(to.is_empty());
    let cap = from.get();
    if cap.kind == Kind::Empty || cap.flags.contains(Flags::DYING) {
        return Err(Error::NoCapability);
    }
    tree::insert_child(from, to)?;
    let extra = if cap.kind == Kind::Endpoint { owner as u32 } else { cap.extra };
    let flags = cap.flags & Flags::LARGE | Flags::EMBEDDED;
    to.set(Capability { data: badge.unwrap_or(cap.data), flags, extra, ..cap });
    Ok(())
}

/// What an embedded slot is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Owner {
    /// A Thread: its table, space or fault endpoint.
    Thread = 0,
    /// An Irq: the endpoint it is bound to.
    Irq = 1,
}

/// What a capability is, told to the holder of a table that contains it.
pub fn identify(slot: SlotRef, own: Option<SlotRef>) -> Result<[u64; 4], Error> {
    let cap = slot.get();
    if cap.kind == Kind::Empty {
        return Err(Error::NoCapability);
    }
    let mine = cap.kind == Kind::Endpoint && own.is_some_and(|own| own.object() == cap.object);
    Ok([cap.kind as u64, cap.rights as u64, if mine { cap.data } else { 0 }, mine as u64])
}

/// Rights a new capability starts with.
pub fn all_rights(kind: Kind) -> Rights {
    use abi::object::*;
    match kind {
        Kind::CapTable => captable::ALL,
        Kind::Thread => thread::ALL,
        Kind::Space => space::ALL,
        Kind::Frame => frame::ALL,
        Kind::Endpoint => endpoint::ALL,
        Kind::Irq => irq::ALL,
        Kind::IoPorts => ioports::ALL,
        Kind::Untyped => untyped::ALL,
        Kind::Reply | Kind::System | Kind::Empty => 0,
    }
}

/// Rights of a frame of device registers: never executable.
pub const DEVICE_FRAME: Rights = frame::READ | frame::WRITE | frame::ADDRESS;

/// The pieces of a slot table header kept in slot 0 while a table is being emptied.
pub fn header(table: u64) -> SlotRef {
    // SAFETY: slot 0 of a CapTable at that address.
    unsafe { Ref::<Slot>::from_address(table) }
}
