//! Address spaces: page tables from a pool inside the object, and frames mapped into them.

use core::cell::Cell;

use abi::{Error, Kind, PAGE, Rights, USER_END, object::frame, object::space as abi_space};
use heapless::Deque;

use crate::{
    Kernel,
    arch::paging,
    mem, object,
    raw::Ref,
    slot::{Flags, SlotRef},
    thread::ThreadRef,
};

/// Number of Space ids (12 bits in a Frame slot; 0 means "not mapped").
const IDS: usize = 4096;

/// The first page of a Space object; then the root table, then the pool.
#[repr(C, align(4096))]
pub struct Space {
    /// Its id, 1 to 4095.
    id: Cell<u16>,
    /// What CR3 wants to use it: the root, tagged with the id where the processor has tags.
    pub cr3: Cell<u64>,
    /// Page-table pages given out so far.
    used: Cell<u32>,
    /// Page-table pages in the pool.
    pool: Cell<u32>,
}

/// Smallest Space: 2^15 bytes, header, root and a pool of 6.
pub const MIN_BITS: u8 = 15;
/// Largest Space: 2^24 bytes.
pub const MAX_BITS: u8 = 24;

impl Ref<Space> {
    /// Physical address of the root table.
    pub fn root(self) -> u64 {
        self.physical() + PAGE
    }

    /// Page-table pages left.
    pub fn tables_free(self) -> u32 {
        self.pool.get() - self.used.get()
    }

    /// Takes a page (zero since the Space was made) from the pool: its physical address.
    pub fn take_table(self) -> Result<u64, Error> {
        if self.tables_free() == 0 {
            return Err(Error::OutOfTables);
        }
        let table = self.physical() + (2 + self.used.get() as u64) * PAGE;
        self.used.set(self.used.get() + 1);
        Ok(table)
    }
}

/// Makes a Space in zeroed memory of 2^`bits` bytes.
pub fn create(kernel: &mut Kernel, address: u64, bits: u8) -> Result<(), Error> {
    let pool = (1u32 << bits) / PAGE as u32 - 2;
    let header =
        Space { id: Cell::new(0), cr3: Cell::new(0), used: Cell::new(0), pool: Cell::new(pool) };
    // SAFETY: `untyped` hands over zeroed memory that nothing uses, aligned to its size.
    let space: Ref<Space> = unsafe { Ref::create(address, header) };
    let id = kernel.spaces.allocate(space)?;
    space.id.set(id);
    space.cr3.set(paging::cr3(space.root(), id));
    paging::share_kernel_half(space.root());
    Ok(())
}

/// The Space goes: frames mapped in it are "already unmapped" from now on.
pub fn destroy(kernel: &mut Kernel, space: Ref<Space>) {
    if kernel.loaded_root() == space.cr3.get() {
        // No thread has it any more, so this is the idle thread.
        kernel.leave_space(kernel.idle);
    }
    // The id is the tag of what the TLB holds.
    paging::flush_space(space.cr3.get(), kernel.loaded_root());
    kernel.spaces.release(space.id.get());
}

/// Maps the frame in `slot` with `rights` (READ, WRITE, EXEC).
pub fn map(
    kernel: &Kernel,
    space: Ref<Space>,
    slot: SlotRef,
    address: u64,
    rights: Rights,
    cache: u64,
) -> Result<(), Error> {
    object::check(slot, Kind::Frame, rights)?;
    let large = slot.flags().contains(Flags::LARGE);
    let size = if large { paging::LARGE } else { PAGE };
    if rights & frame::READ == 0
        || rights & !(frame::READ | frame::WRITE | frame::EXEC) != 0
        || cache > 1
    {
        return Err(Error::InvalidArgument);
    }
    if rights & frame::WRITE != 0 && rights & frame::EXEC != 0 {
        return Err(Error::WriteAndExecute);
    }
    if !address.is_multiple_of(size) || address.checked_add(size).is_none_or(|end| end > USER_END) {
        return Err(Error::InvalidAddress);
    }
    if mapping(kernel, slot).is_some() {
        return Err(Error::AlreadyMapped);
    }
    let page = paging::Page {
        physical: slot.object(),
        write: rights & frame::WRITE != 0,
        execute: rights & frame::EXEC != 0,
        uncached: cache == abi_space::UNCACHED,
        device: slot.flags().contains(Flags::DEVICE),
    };
    paging::map(space, address, large, page.entry())?;
    slot.set_data(address | space.id.get() as u64);
    slot.set_extra(kernel.spaces.generation(space.id.get()));
    Ok(())
}

/// Unmaps the frame in `slot`, which must be mapped in this Space.
#[inline(always)]
pub fn unmap(kernel: &Kernel, space: Ref<Space>, slot: SlotRef) -> Result<(), Error> {
    match mapping(kernel, slot) {
        Some((found, address)) if found == space => {
            unmap_address(kernel, space, address);
            forget(slot);
            Ok(())
        }
        _ => Err(Error::NotMapped),
    }
}

/// The capability in `slot` goes: unmaps the frame, if it is mapped in a Space that still lives.
pub fn unmap_frame(kernel: &Kernel, slot: SlotRef) {
    if let Some((space, address)) = mapping(kernel, slot) {
        unmap_in(kernel, space, address);
        forget(slot);
    }
}

fn forget(slot: SlotRef) {
    slot.set_data(0);
    slot.set_extra(0);
}

/// Where the frame in a slot is mapped.
#[inline(always)]
fn mapping(kernel: &Kernel, slot: SlotRef) -> Option<(Ref<Space>, u64)> {
    let id = (slot.data() & 0xfff) as u16;
    let space = kernel.spaces.get(id, slot.extra())?;
    Some((space, slot.data() & !0xfff))
}

#[inline(always)]
fn unmap_address(kernel: &Kernel, space: Ref<Space>, address: u64) {
    paging::unmap(space.root(), address);
    paging::flush(space.cr3.get(), kernel.loaded_root(), address);
}

/// [`unmap_address`], for where it is not worth its length.
#[inline(never)]
fn unmap_in(kernel: &Kernel, space: Ref<Space>, address: u64) {
    unmap_address(kernel, space, address);
}

/// Maps a thread's message buffer, user read-write.
pub fn map_buffer(space: Ref<Space>, thread: ThreadRef, address: u64) -> Result<(), Error> {
    if address == 0 || !address.is_multiple_of(PAGE) || address >= USER_END {
        return Err(Error::InvalidAddress);
    }
    let page = paging::Page::memory(thread.buffer_physical(), true, false);
    paging::map(space, address, false, page.entry())
}

/// Unmaps a thread's message buffer, if it has one.
pub fn unmap_buffer(kernel: &Kernel, thread: ThreadRef) {
    let address = thread.buffer.replace(0);
    if address != 0
        && let Some(space) = object::of::<Space>(thread.space_slot())
    {
        unmap_in(kernel, space, address);
    }
}

/// Kernel addresses of the pieces of boot-time memory mapped into the first Space without a Frame capability.
pub fn map_boot(
    space: Ref<Space>,
    address: u64,
    physical: u64,
    write: bool,
    execute: bool,
) -> Result<(), Error> {
    let page = paging::Page::memory(physical, write, execute);
    paging::map(space, address, false, page.entry())
}

/// Which Space has which id. A generation tells a living Space from a dead one with the same id.
pub struct SpaceIds {
    /// Physical page number of the Space (0: none) and the generation of the id.
    entries: [(u32, u32); IDS],
    /// Ids given back, oldest first.
    returned: Deque<u16, IDS>,
    /// Ids from here on were never used.
    fresh: u16,
}

impl SpaceIds {
    /// All free.
    pub(crate) const fn new() -> Self {
        Self { entries: [(0, 0); IDS], returned: Deque::new(), fresh: 1 }
    }

    fn allocate(&mut self, space: Ref<Space>) -> Result<u16, Error> {
        let id = if (self.fresh as usize) < IDS {
            self.fresh += 1;
            self.fresh - 1
        } else {
            self.returned.pop_front().ok_or(Error::OutOfIds)?
        };
        self.entries[id as usize].0 = (space.physical() / PAGE) as u32;
        Ok(id)
    }

    /// An id is free for use.
    pub fn available(&self) -> bool {
        (self.fresh as usize) < IDS || !self.returned.is_empty()
    }

    fn release(&mut self, id: u16) {
        let entry = &mut self.entries[id as usize];
        *entry = (0, entry.1.wrapping_add(1));
        // Cannot be full: an id is released once for each time it was allocated.
        let _ = self.returned.push_back(id);
    }

    fn generation(&self, id: u16) -> u32 {
        self.entries[id as usize].1
    }

    fn get(&self, id: u16, generation: u32) -> Option<Ref<Space>> {
        let (page, current) = self.entries[id as usize & (IDS - 1)];
        // SAFETY: entries name living Spaces; `destroy` clears them.
        (id != 0 && page != 0 && current == generation)
            .then(|| unsafe { Ref::from_address(mem::to_virtual(page as u64 * PAGE)) })
    }
}
