//! Which slots of the program's table are free.

use crate::rt;
use crate::syscall::Slot;
use alloc::vec::Vec;
use spin::Mutex;

struct Slots {
    /// First slot never used; 0 = not asked root's information yet.
    next: u32,
    released: Vec<Slot>,
}

static SLOTS: Mutex<Slots> = Mutex::new(Slots {
    next: 0,
    released: Vec::new(),
});

/// An empty slot, or `None` if the table is full.
pub fn allocate() -> Option<Slot> {
    let (first, end) = rt::info().free_slots;
    let mut slots = SLOTS.lock();
    if let Some(slot) = slots.released.pop() {
        return Some(slot);
    }
    let slot = slots.next.max(first);
    if slot >= end {
        return None;
    }
    slots.next = slot + 1;
    Some(Slot(slot))
}

/// Empties a slot that [`allocate`] gave and takes it back.
pub fn release(slot: Slot) {
    rt::delete(slot);
    SLOTS.lock().released.push(slot);
}
