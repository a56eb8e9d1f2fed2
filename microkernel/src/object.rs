//! From a slot to the object it names, with every check a capability needs.

use abi::{Error, Kind, Rights};

use crate::{
    endpoint::{Endpoint, Reply},
    irq::Irq,
    raw::Ref,
    slot::{Flags, SlotRef},
    space::Space,
    thread::{self, Thread},
};

/// A kernel object that lies at an address.
pub trait Object {
    /// Its kind.
    const KIND: Kind;
    /// Where in the object's memory the `Self` lies.
    const OFFSET: u64 = 0;
}

impl Object for Thread {
    const KIND: Kind = Kind::Thread;
    const OFFSET: u64 = thread::OFFSET;
}
impl Object for Space {
    const KIND: Kind = Kind::Space;
}
impl Object for Endpoint {
    const KIND: Kind = Kind::Endpoint;
}
impl Object for Reply {
    const KIND: Kind = Kind::Reply;
}
impl Object for Irq {
    const KIND: Kind = Kind::Irq;
}

/// The object a slot names, if it is a `T` and the capability has all of `rights`.
#[inline(always)]
pub fn named<T: Object>(slot: SlotRef, rights: Rights) -> Result<Ref<T>, Error> {
    check(slot, T::KIND, rights)?;
    // SAFETY: a slot of this kind holds the address of a live object of that type: `untyped` created both together.
    Ok(unsafe { Ref::from_address(slot.object() + T::OFFSET) })
}

/// Whether a slot holds a usable capability of this kind with all of `rights`.
#[inline(always)]
pub fn check(slot: SlotRef, kind: Kind, rights: Rights) -> Result<(), Error> {
    if slot.is(kind, rights) { Ok(()) } else { Err(refusal(slot, kind)) }
}

/// Why [`check`] failed.
#[cold]
fn refusal(slot: SlotRef, kind: Kind) -> Error {
    if slot.is_empty() || slot.flags().contains(Flags::DYING) {
        Error::NoCapability
    } else if slot.kind() != kind {
        Error::WrongKind
    } else {
        Error::MissingRight
    }
}

/// Whether `rights` are enough.
#[inline]
pub fn need(rights: Rights, needed: Rights) -> Result<(), Error> {
    if rights & needed == needed { Ok(()) } else { Err(Error::MissingRight) }
}

/// The object a slot names, whatever state the capability is in: for taking things apart.
#[inline(always)]
pub fn of<T: Object>(slot: SlotRef) -> Option<Ref<T>> {
    // SAFETY: as in `named`.
    (slot.kind() == T::KIND).then(|| unsafe { Ref::from_address(slot.object() + T::OFFSET) })
}
