//! Looking from another thread whether a device still answers, at no cost for the driver's thread.
//!
//! A request's status is a byte that the device writes when it is done. The byte behind it is the mark of whoever looks. The
//! driver writes both at once for each new request, so a mark that is still there belongs to a request that is still in flight.

use super::{Control, Slot};
use crate::device::SLOTS;
use core::ptr::NonNull;

/// Status and mark of a request that the device has; the lower byte lies first.
pub(super) const IN_FLIGHT: u16 = 0x00ff;
/// The same, seen before.
const MARKED: u16 = 0x01ff;

/// The requests of a device.
pub struct Watch([NonNull<u16>; SLOTS]);

// SAFETY: it names DMA memory, which stays where it is as long as the program runs.
unsafe impl Send for Watch {}

impl Watch {
    pub(super) fn new(slots: &[Slot; SLOTS]) -> Self {
        Self(slots.each_ref().map(|slot| {
            let control: *mut Control = slot.control.as_ptr();
            // SAFETY: a field of this slot's own DMA memory.
            unsafe { NonNull::new_unchecked(&raw mut (*control).status) }
        }))
    }

    /// Whether a request has been in flight since the last look. Marks those that are in flight now.
    pub fn look(&mut self) -> bool {
        self.0.iter().any(|status| {
            // SAFETY: DMA memory, to which nobody makes a reference. Driver and device may write it at any moment: the driver
            // all of it, whereupon a mark that follows is one of the new request; the device the other byte.
            let seen = unsafe { status.read_volatile() };
            if seen == IN_FLIGHT {
                // SAFETY: as above.
                unsafe { status.cast::<u8>().add(1).write_volatile(1) };
            }
            seen == MARKED
        })
    }
}
