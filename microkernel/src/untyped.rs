//! Memory becomes objects: an Untyped is a watermark that only grows (KERNEL.md A1).

use abi::{Error, Kind, PAGE, Rights, object::untyped as rights};

use crate::{
    Kernel, captable,
    endpoint::{self, Endpoint, Reply},
    irq::{self, Irq},
    mem, object,
    raw::Ref,
    slot::{self, Capability, Flags, SlotRef},
    space, thread, tree,
};

/// Watermarks count in units of this many bytes: the smallest object.
const UNIT: u64 = 64;
/// Most bytes zeroed in one entry.
const ZERO_LIMIT: u64 = 64 << 10;
/// Most objects made at once.
const COUNT_LIMIT: u64 = 64;
/// Most objects made in an entry that has zeroed: 64 threads cost more than zeroing does.
const AFTER_ZEROING: u64 = 32;

/// What `RETYPE` asks for.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Kind of the new objects.
    pub kind: Kind,
    /// Their size, where it can be chosen.
    pub size_bits: u8,
    /// How many.
    pub count: u64,
    /// Rights of a child Untyped.
    pub rights: Rights,
}

impl Request {
    /// From `w0` and `w3` of the call.
    pub fn decode(word: u64, child_rights: u64) -> Result<Self, Error> {
        let kind = Kind::from_number(word as u8).ok_or(Error::InvalidArgument)?;
        let count = word >> 16;
        if !(1..=COUNT_LIMIT).contains(&count) {
            return Err(Error::InvalidArgument);
        }
        Ok(Self { kind, size_bits: (word >> 8) as u8, count, rights: child_rights as Rights })
    }

    /// Size of one object in bytes, a power of two.
    fn size(&self) -> Result<u64, Error> {
        let bits = self.size_bits;
        let (allowed, size) = match self.kind {
            Kind::Untyped => ((6..=36).contains(&bits), 1u64.checked_shl(bits as u32)),
            Kind::CapTable => (
                (captable::MIN_BITS..=captable::MAX_BITS).contains(&bits),
                slot::SIZE.checked_shl(bits as u32),
            ),
            Kind::Space => {
                ((space::MIN_BITS..=space::MAX_BITS).contains(&bits), 1u64.checked_shl(bits as u32))
            }
            Kind::Frame => (bits == 12 || bits == 21, 1u64.checked_shl(bits as u32)),
            Kind::Thread => (true, Some(thread::SIZE)),
            Kind::Endpoint => (true, Some(endpoint::SIZE)),
            Kind::Reply => (true, Some(endpoint::SIZE)),
            Kind::Irq => (true, Some(irq::SIZE)),
            Kind::Empty | Kind::IoPorts | Kind::System => (false, None),
        };
        size.filter(|_| allowed).ok_or(Error::InvalidArgument)
    }

    /// The right on the Untyped it needs.
    fn needed(&self) -> Rights {
        match self.kind {
            Kind::Space => rights::SPACES,
            Kind::Frame | Kind::Untyped => rights::MEMORY,
            _ => rights::OBJECTS,
        }
    }
}

/// How far an Untyped is used and zeroed, in bytes from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Marks {
    used: u64,
    zeroed: u64,
}

impl Marks {
    fn of(slot: SlotRef) -> Self {
        let (used, zeroed) = ((slot.data() & 0xffff_ffff) * UNIT, (slot.data() >> 32) * UNIT);
        if used > 0 && !tree::has_children(slot) {
            // Nothing made from it is left: it starts again. What was used is dirty, and the rest need not be remembered.
            return Self { used: 0, zeroed: 0 };
        }
        Self { used, zeroed }
    }

    fn store(self, slot: SlotRef) {
        slot.set_data((self.used / UNIT) | (self.zeroed.max(self.used) / UNIT) << 32);
    }
}

/// Bytes free in an Untyped, and its size.
pub fn info(slot: SlotRef) -> (u64, u64) {
    let size = 1 << slot.extra();
    (size - Marks::of(slot).used, size)
}

/// Makes objects, each with its original capability in an empty slot of `table` from `first` on. `Again` if memory is
/// still being zeroed; then nothing was made yet.
pub fn retype(
    kernel: &mut Kernel,
    untyped: SlotRef,
    table: SlotRef,
    first: u64,
    request: Request,
) -> Result<(), Error> {
    object::check(untyped, Kind::Untyped, request.needed())?;
    if request.rights & !untyped.rights() != 0 && request.kind == Kind::Untyped {
        return Err(Error::MissingRight);
    }
    let size = request.size()?;
    tree::check_depth(untyped)?;
    for index in 0..request.count {
        let index = first.checked_add(index).ok_or(Error::NoCapability)?;
        if !captable::slot_at(table, index)?.is_empty() {
            return Err(Error::SlotOccupied);
        }
    }
    if request.kind == Kind::Space && (request.count > 1 || !kernel.spaces.available()) {
        return Err(if request.count > 1 { Error::InvalidArgument } else { Error::OutOfIds });
    }
    let marks = Marks::of(untyped);
    let start = (untyped.object() + marks.used).next_multiple_of(size) - untyped.object();
    let end = size.checked_mul(request.count).and_then(|bytes| start.checked_add(bytes));
    let end = end.filter(|&end| end <= 1 << untyped.extra()).ok_or(Error::OutOfMemory)?;
    let mut zeroed = marks.zeroed;
    if request.kind != Kind::Untyped && zeroed < end {
        // Of a Thread, only the message buffer must be zero: the page before it is the kernel's own.
        let first = match (request.kind, request.count) {
            (Kind::Thread, 1) => start + thread::SIZE - PAGE,
            _ => marks.used,
        };
        zeroed = zero(untyped.object(), zeroed.max(first), end);
        Marks { used: marks.used, zeroed }.store(untyped);
        if zeroed < end || request.count > AFTER_ZEROING {
            return Err(Error::Again);
        }
    }
    for index in 0..request.count {
        let physical = untyped.object() + start + index * size;
        let slot = captable::slot_at(table, first + index)?;
        let cap = create(kernel, physical, request, untyped, zeroed >= start + (index + 1) * size)?;
        tree::insert_child(untyped, slot)?;
        slot.set(cap);
    }
    Marks { used: end, zeroed }.store(untyped);
    Ok(())
}

/// Zeroes at most [`ZERO_LIMIT`] bytes of what lies between two offsets; returns how far it came.
fn zero(base: u64, from: u64, to: u64) -> u64 {
    let to = to.min(from + ZERO_LIMIT);
    // SAFETY: the range lies above the watermark of an Untyped: nothing uses it.
    unsafe {
        core::ptr::write_bytes(mem::to_virtual(base + from) as *mut u8, 0, (to - from) as usize)
    };
    to
}

/// Makes one object in memory that is zero (except for an Untyped) and returns its original capability.
fn create(
    kernel: &mut Kernel,
    physical: u64,
    request: Request,
    untyped: SlotRef,
    is_zero: bool,
) -> Result<Capability, Error> {
    let address = mem::to_virtual(physical);
    let mut cap = Capability {
        object: address,
        data: 0,
        kind: request.kind,
        rights: captable::all_rights(request.kind),
        flags: Flags::ORIGINAL,
        extra: 0,
    };
    // SAFETY: the memory lies above the watermark, is aligned to the object's size, and nothing uses it.
    unsafe {
        match request.kind {
            Kind::Thread => {
                // START of a thread that was never configured is a fault at its first instruction.
                thread::create(address).cr3.set(kernel.empty_root);
            }
            Kind::Endpoint => {
                Ref::create(address, Endpoint::new());
            }
            Kind::Reply => {
                Ref::create(address, Reply::new());
            }
            Kind::Irq => {
                Ref::create(address, Irq::new());
            }
            _ => {}
        }
    }
    match request.kind {
        Kind::CapTable => cap.extra = request.size_bits as u32,
        Kind::Space => {
            space::create(kernel, address, request.size_bits)?;
            cap.extra = request.size_bits as u32;
        }
        Kind::Frame => {
            cap.object = physical;
            cap.flags.set(Flags::LARGE, request.size_bits as u64 > PAGE.trailing_zeros() as u64);
        }
        Kind::Untyped => {
            cap.object = physical;
            cap.rights = request.rights & untyped.rights();
            cap.extra = request.size_bits as u32;
            cap.data = if is_zero { ((1u64 << request.size_bits) / UNIT) << 32 } else { 0 };
        }
        _ => {}
    }
    Ok(cap)
}
