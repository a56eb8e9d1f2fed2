//! Memory for devices, taken once and for good.

use crate::Machine;
use bootinfo::{BootInfo, KERNEL_BASE, MemoryKind};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use microkernel::mem;
use spin::Mutex;
use virtio::platform::Platform;

/// Bytes of a page.
const PAGE: u64 = 4096;

/// Free memory: the next page's physical address, and its end.
static FREE: Mutex<(u64, u64)> = Mutex::new((0, 0));
/// What to subtract from an address in the image to get a physical one.
static IMAGE: AtomicU64 = AtomicU64::new(0);

/// Finds the largest piece of free memory.
pub fn init(info: &BootInfo<'_>) {
    let usable = info
        .memory
        .iter()
        .filter(|range| range.kind == MemoryKind::Usable);
    if let Some(largest) = usable.max_by_key(|range| range.size) {
        *FREE.lock() = (largest.start, largest.start + largest.size);
    }
    IMAGE.store(info.kernel_virtual - info.kernel.start, Relaxed);
}

/// Takes pages, zeroed and contiguous. Returns their physical address; `None`: there are no more.
pub fn take(pages: u64) -> Option<u64> {
    let mut free = FREE.lock();
    let (start, end) = *free;
    let next = start
        .checked_add(pages.checked_mul(PAGE)?)
        .filter(|next| *next <= end)?;
    free.0 = next;
    // SAFETY: free memory, which was nobody's until now, in the physical map.
    unsafe {
        core::ptr::write_bytes(
            mem::to_virtual(start) as *mut u8,
            0,
            (next - start) as usize,
        )
    };
    Some(start)
}

/// The physical address of memory of the image (so of the heap) or in the physical map.
pub fn physical(address: u64) -> u64 {
    if address >= KERNEL_BASE {
        address - IMAGE.load(Relaxed)
    } else {
        mem::to_physical(address)
    }
}

// SAFETY: `take` gives zeroed, contiguous pages once; registers are mapped where `bus` has mapped them.
unsafe impl Platform for Machine {
    fn dma(pages: usize) -> Option<(u64, NonNull<u8>)> {
        let physical = take(pages as u64)?;
        Some((
            physical,
            NonNull::new(mem::to_virtual(physical) as *mut u8)?,
        ))
    }

    fn physical(address: NonNull<u8>) -> u64 {
        physical(address.as_ptr() as u64)
    }

    fn registers(physical: u64, size: usize) -> NonNull<u8> {
        crate::bus::mapped(physical, size as u64).expect("the device's registers lie in its memory")
    }
}
