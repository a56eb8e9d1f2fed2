//! A slot holds one capability: 32 bytes, in a CapTable or embedded in a Thread or an Irq.

use core::cell::Cell;

use abi::{Kind, Rights};

use crate::{mem, raw::Ref};

bitflags::bitflags! {
    /// What is special about a slot.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Flags: u8 {
        /// An Endpoint with the right CALL (tested by the fast path).
        const FAST_CALL = 1;
        /// An Endpoint with the right RECV (tested by the fast path).
        const FAST_RECV = 2;
        /// The capability that `retype` made: the object lives as long as it does.
        const ORIGINAL = 4;
        /// Inside a Thread or Irq, not in a table.
        const EMBEDDED = 8;
        /// A Frame of 2 MiB.
        const LARGE = 16;
        /// A Frame of device registers.
        const DEVICE = 32;
        /// Its object is being destroyed, step by step.
        const DYING = 64;
        /// A Reply object (tested by the fast path).
        const FAST_REPLY = 128;
        /// What the fast path tests.
        const FAST = Self::FAST_CALL.bits() | Self::FAST_RECV.bits() | Self::FAST_REPLY.bits();
    }
}

/// One capability and its place in the derivation tree (KERNEL.md B3).
#[repr(C)]
pub struct Slot {
    object: Cell<u64>,
    data: Cell<u64>,
    head: Cell<Head>,
    previous: Cell<u32>,
    next: Cell<u32>,
    extra: Cell<u32>,
}

/// What a lookup looks at, in one word.
#[derive(Clone, Copy)]
#[repr(C, align(4))]
struct Head {
    kind: Kind,
    rights: Rights,
    flags: u8,
    depth: u8,
}

impl Head {
    const EMPTY: Self = Self { kind: Kind::Empty, rights: 0, flags: 0, depth: 0 };

    #[inline(always)]
    fn word(self) -> u32 {
        // SAFETY: four bytes without padding.
        unsafe { core::mem::transmute(self) }
    }
}

/// Bytes of a slot.
pub const SIZE: u64 = 32;
const _: () = assert!(size_of::<Slot>() == SIZE as usize);

/// Where the fast path finds what it needs.
pub mod offset {
    use core::mem::offset_of;

    use super::{Head, Slot};

    /// See [`Slot::object`].
    pub const OBJECT: usize = offset_of!(Slot, object);
    /// See [`Slot::data`].
    pub const DATA: usize = offset_of!(Slot, data);
    /// See [`Slot::flags`].
    pub const FLAGS: usize = offset_of!(Slot, head) + offset_of!(Head, flags);
}

/// A pointer to a slot.
pub type SlotRef = Ref<Slot>;

/// What a slot holds, apart from its place in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// Kernel address of the object, or physical base (Untyped, Frame).
    pub object: u64,
    /// Endpoint: badge. Frame: mapped address | Space id. Untyped: watermark | zeroed << 32. IoPorts: base | count << 16.
    pub data: u64,
    /// What it names.
    pub kind: Kind,
    /// What may be done.
    pub rights: Rights,
    /// What is special.
    pub flags: Flags,
    /// Frame: generation of the Space. Untyped, CapTable, Space: size bits. Embedded Endpoint: whose.
    pub extra: u32,
}

impl Slot {
    /// An empty slot, as zeroed memory is.
    #[expect(
        clippy::declare_interior_mutable_const,
        reason = "a value to start from, never a place"
    )]
    pub const EMPTY: Self = Self {
        object: Cell::new(0),
        data: Cell::new(0),
        head: Cell::new(Head::EMPTY),
        previous: Cell::new(0),
        next: Cell::new(0),
        extra: Cell::new(0),
    };

    /// What kind of capability lies here; `Empty` if none.
    #[inline]
    pub fn kind(&self) -> Kind {
        self.head.get().kind
    }

    /// Whether it holds a usable capability of this kind with all of `rights`.
    #[inline(always)]
    pub fn is(&self, kind: Kind, rights: Rights) -> bool {
        let word = |kind, flags: Flags| u32::from_ne_bytes([kind, rights, flags.bits(), 0]);
        self.head.get().word() & word(0xff, Flags::DYING) == word(kind as u8, Flags::empty())
    }

    /// Nothing lies here.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.kind() == Kind::Empty
    }

    /// Everything but the links.
    pub fn get(&self) -> Capability {
        Capability {
            object: self.object.get(),
            data: self.data.get(),
            kind: self.kind(),
            rights: self.rights(),
            flags: self.flags(),
            extra: self.extra.get(),
        }
    }

    /// Stores a capability; FAST_* follow from kind and rights. The links stay.
    pub fn set(&self, cap: Capability) {
        let mut flags = cap.flags.difference(Flags::FAST);
        if !flags.contains(Flags::DYING) {
            let endpoint = |right| cap.kind == Kind::Endpoint && cap.rights & right != 0;
            flags.set(Flags::FAST_CALL, endpoint(abi::object::endpoint::CALL));
            flags.set(Flags::FAST_RECV, endpoint(abi::object::endpoint::RECV));
            flags.set(Flags::FAST_REPLY, cap.kind == Kind::Reply);
        }
        self.object.set(cap.object);
        self.data.set(cap.data);
        self.head.set(Head {
            kind: cap.kind,
            rights: cap.rights,
            flags: flags.bits(),
            depth: self.depth(),
        });
        self.extra.set(cap.extra);
    }

    /// Makes it empty, links included.
    pub fn clear(&self) {
        self.object.set(0);
        self.data.set(0);
        self.head.set(Head::EMPTY);
        self.previous.set(0);
        self.next.set(0);
        self.extra.set(0);
    }

    /// The object's address (see [`Capability::object`]).
    #[inline]
    pub fn object(&self) -> u64 {
        self.object.get()
    }

    /// The word whose meaning depends on the kind (see [`Capability::data`]).
    #[inline]
    pub fn data(&self) -> u64 {
        self.data.get()
    }

    /// Changes [`Slot::data`].
    pub fn set_data(&self, data: u64) {
        self.data.set(data);
    }

    /// See [`Capability::extra`].
    pub fn extra(&self) -> u32 {
        self.extra.get()
    }

    /// Changes [`Slot::extra`].
    pub fn set_extra(&self, extra: u32) {
        self.extra.set(extra);
    }

    /// The rights.
    #[inline]
    pub fn rights(&self) -> Rights {
        self.head.get().rights
    }

    /// The flags.
    #[inline]
    pub fn flags(&self) -> Flags {
        Flags::from_bits_retain(self.head.get().flags)
    }

    /// From now on the object is being destroyed: nobody finds it any more.
    pub fn mark_dying(&self) {
        self.set(Capability { flags: self.flags() | Flags::DYING, ..self.get() });
    }

    /// Levels above it in the tree.
    pub fn depth(&self) -> u8 {
        self.head.get().depth
    }

    /// Changes [`Slot::depth`]; only the tree does.
    pub(crate) fn set_depth(&self, depth: u8) {
        self.head.set(Head { depth, ..self.head.get() });
    }

    /// The neighbour before it in the tree's preorder list.
    pub fn previous(&self) -> Option<SlotRef> {
        decode(self.previous.get())
    }

    /// The neighbour after it.
    pub fn next(&self) -> Option<SlotRef> {
        decode(self.next.get())
    }

    /// Changes [`Slot::previous`]; only the tree does.
    pub(crate) fn set_previous(&self, slot: Option<SlotRef>) {
        self.previous.set(encode(slot));
    }

    /// Changes [`Slot::next`]; only the tree does.
    pub(crate) fn set_next(&self, slot: Option<SlotRef>) {
        self.next.set(encode(slot));
    }
}

fn encode(slot: Option<SlotRef>) -> u32 {
    // The physical map begins at a multiple of 2^37, so these bits are those of the physical address.
    slot.map_or(0, |slot| (slot.address() >> 5) as u32)
}

fn decode(link: u32) -> Option<SlotRef> {
    // SAFETY: links are written by `encode` only, and the tree unlinks a slot before its memory goes.
    (link != 0).then(|| unsafe { Ref::from_address(mem::to_virtual((link as u64) << 5)) })
}
