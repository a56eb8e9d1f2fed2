//! Capabilities that this program owns: the type says what each names, nobody uses one twice, and dropping it deletes it,
//! and with it all that was derived from it.
//!
//! ```no_run
//! use libsys::cap::{Cap, Endpoint, Grant};
//!
//! # fn main() -> Result<(), abi::Error> {
//! # let server: Cap<Endpoint> = Cap::endpoint()?;
//! let door = Cap::endpoint()?;
//! let for_a_friend = door.mint(7)?; // may call, and is known by its 7
//! server.call(0, [0; 4], Grant::give(for_a_friend));
//! door.revoke()?; // the friend's is gone, this one is not
//! # Ok(())
//! # }
//! ```
//!
//! What was given away is not ours any more, which the compiler knows:
//!
//! ```compile_fail,E0382
//! # use libsys::cap::{Cap, Endpoint, Grant};
//! # fn f(server: Cap<Endpoint>, mine: Cap<Endpoint>) {
//! server.call(0, [0; 4], Grant::give(mine));
//! server.call(0, [0; 4], Grant::copy(&mine));
//! # }
//! ```

use crate::object::{self, OWN_TABLE, Untyped};
use crate::rt;
use crate::slots;
use crate::syscall::{self, Answer, Output, Slot, Words};
use abi::object::{endpoint, untyped};
use abi::tag::{Flags, Transfer};
use abi::{Error, Kind, Rights};
use core::marker::PhantomData;

/// What a capability names.
pub trait Object {
    /// Its number in the kernel.
    const KIND: Kind;
}

/// An endpoint: messages go in, a server takes them out.
#[derive(Debug)]
pub enum Endpoint {}

/// An interrupt without hardware: it wakes whoever receives from the endpoint that it is bound to.
#[derive(Debug)]
pub enum Bell {}

impl Object for Endpoint {
    const KIND: Kind = Kind::Endpoint;
}

impl Object for Bell {
    const KIND: Kind = Kind::Irq;
}

/// A capability of this program.
#[derive(Debug)]
pub struct Cap<K: Object> {
    slot: Slot,
    kind: PhantomData<K>,
}

impl<K: Object> Cap<K> {
    /// Owns what lies, or will lie, in a slot that [`slots::allocate`] gave.
    pub(crate) fn adopt(slot: Slot) -> Self {
        Self {
            slot,
            kind: PhantomData,
        }
    }

    /// A new object, from this program's Untyped.
    fn make() -> Result<Self, Error> {
        let own = rt::info().own.ok_or(Error::OutOfMemory)?;
        let new = Self::empty()?;
        let source = Untyped(Slot(own.untyped));
        source.retype(K::KIND, 0, 1, OWN_TABLE, new.slot, untyped::ALL)?;
        Ok(new)
    }

    fn empty() -> Result<Self, Error> {
        slots::allocate()
            .map(Self::adopt)
            .ok_or(Error::NoCapability)
    }

    /// Another capability to the same object, with at most `rights`. It ends with this one.
    ///
    /// # Errors
    /// `TooDeep`, `NotDerivable`; `NoCapability`: no slot is free, or this one was revoked.
    pub fn derive(&self, rights: Rights) -> Result<Self, Error> {
        self.derive_with(rights, 0)
    }

    fn derive_with(&self, rights: Rights, badge: u64) -> Result<Self, Error> {
        let new = Self::empty()?;
        OWN_TABLE.derive(new.slot, self.slot, rights, badge)?;
        Ok(new)
    }

    /// Takes back all that was derived from it, whoever holds it by now.
    ///
    /// # Errors
    /// `NoCapability`: this one was revoked itself.
    pub fn revoke(&self) -> Result<(), Error> {
        OWN_TABLE.revoke(self.slot)
    }

    /// Where it lies, for calls that this type does not know. The slot is empty once this capability is dropped.
    pub fn slot(&self) -> Slot {
        self.slot
    }
}

impl<K: Object> Drop for Cap<K> {
    fn drop(&mut self) {
        slots::release(self.slot);
    }
}

impl Cap<Endpoint> {
    /// A new endpoint.
    ///
    /// # Errors
    /// `OutOfMemory`: the program's Untyped is used up, or the manifest gives it none. `NoCapability`: no slot is free.
    pub fn endpoint() -> Result<Self, Error> {
        Self::make()
    }

    /// A capability that may call, and is known to the server by `badge` (not 0). It ends with this one.
    ///
    /// # Errors
    /// `MissingRight`: this one cannot mint. Else as [`Cap::derive`].
    pub fn mint(&self, badge: u64) -> Result<Self, Error> {
        self.derive_with(endpoint::CALL | endpoint::GRANT, badge)
    }

    /// Calls, and passes a capability on.
    pub fn call(&self, label: u32, words: Words, grant: Grant<'_>) -> Output {
        let lent = crate::lease::Lease::NONE;
        syscall::call_transferring(self.slot, label, words, lent, grant.transfer)
    }

    /// Waits for a call that may bring a capability to an object of kind `K`; one of another kind is dropped.
    ///
    /// # Errors
    /// The kernel's.
    pub fn receive<K: Object>(&self) -> Result<(Output, Option<Cap<K>>), Error> {
        let gift = Cap::<K>::empty()?;
        let output = syscall::recv_transferring(self.slot, gift.slot).check()?;
        let is_right = || {
            OWN_TABLE
                .identify(gift.slot, Slot(0))
                .map(|found| found.kind)
                == Ok(K::KIND)
        };
        let arrived = output.tag.flags().contains(Flags::CAP_ARRIVED) && is_right();
        Ok((output, arrived.then_some(gift)))
    }

    /// Answers the call that [`Cap::receive`] returned.
    pub fn reply(&self, label: u32, words: Words) {
        syscall::reply(Answer::new(label, words));
    }
}

impl Cap<Bell> {
    /// A new one, which rings at `endpoint` under `badge`.
    ///
    /// # Errors
    /// As [`Cap::endpoint`].
    pub fn bell(endpoint: &Cap<Endpoint>, badge: u64) -> Result<Self, Error> {
        let bell = Self::make()?;
        object::Irq(bell.slot).bind(endpoint.slot, badge)?;
        Ok(bell)
    }

    /// Rings it. Rings that nobody has heard yet count as one.
    ///
    /// # Errors
    /// `NoCapability`: it was revoked.
    pub fn ring(&self) -> Result<(), Error> {
        object::Irq(self.slot).raise()
    }
}

/// A capability to pass on with a call.
#[derive(Debug)]
pub struct Grant<'a> {
    transfer: Transfer,
    /// What is still in the slot after the call is deleted; nothing is if the partner took it.
    _given: Option<Slotted>,
    borrow: PhantomData<&'a ()>,
}

/// A slot that is released when it is dropped.
#[derive(Debug)]
struct Slotted(Slot);

impl Drop for Slotted {
    fn drop(&mut self) {
        slots::release(self.0);
    }
}

impl<'a> Grant<'a> {
    /// The partner gets a copy, which ends with ours.
    pub fn copy<K: Object>(cap: &'a Cap<K>) -> Self {
        Self::new(cap.slot, None)
    }

    /// The partner gets it; it is not ours any more. If the partner has no room for it, it is deleted.
    pub fn give<K: Object>(cap: Cap<K>) -> Self {
        let slot = cap.slot;
        core::mem::forget(cap);
        Self::new(slot, Some(Slotted(slot)))
    }

    fn new(slot: Slot, given: Option<Slotted>) -> Self {
        let transfer = Transfer {
            pass: slot.0,
            move_it: given.is_some(),
            receive: 0,
        };
        Self {
            transfer,
            _given: given,
            borrow: PhantomData,
        }
    }
}
