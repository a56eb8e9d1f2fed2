//! malloc: `talc` over memory asked for in pieces.
//!
//! The lock spins, so the threads of a program that allocate must all have the same priority: then the one that holds
//! it gets its time slice. Programs have one thread for now.

use crate::proto::memory;
use crate::{rt, syscall};
use core::alloc::Layout;
use talc::base::{Talc, binning::Binning};
use talc::source::Source;

/// The type of a program's `#[global_allocator]`.
pub type Heap = talc::TalcLock<spin::Mutex<()>, Growing>;

/// Makes `size` bytes at `address` usable (zeroed, writable, for good); both are multiples of [`GROWTH`]. Says whether it
/// did. Must not allocate.
pub type Grow = fn(address: u64, size: u64) -> bool;

/// The heap grows by multiples of this many bytes.
pub const GROWTH: u64 = 16 << 10;

/// A heap that starts empty at `address` (a multiple of [`GROWTH`]) and grows upwards.
pub const fn heap(address: u64, grow: Grow) -> Heap {
    Heap::new(Growing {
        end: address,
        claimed: false,
        grow,
    })
}

/// Memory from `root.memory`, charged to this program's budget.
pub fn from_root(address: u64, size: u64) -> bool {
    syscall::call(rt::MEMORY, memory::MAP, [address, size, 0, 0])
        .check()
        .is_ok_and(|reply| reply.tag.label() == memory::OK)
}

/// One contiguous piece of memory that grows at its end.
#[derive(Debug)]
pub struct Growing {
    /// Everything below, down to the start, belongs to the heap.
    end: u64,
    claimed: bool,
    grow: Grow,
}

// SAFETY: `acquire` uses no allocator (`grow` is documented not to) and hands over only memory that was just made usable.
unsafe impl Source for Growing {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        // A page for talc's own headers and the alignment of the ends.
        let need = layout.size() as u64 + layout.align() as u64 + abi::PAGE;
        let size = need.next_multiple_of(GROWTH);
        let start = talc.source.end;
        if !(talc.source.grow)(start, size) {
            return Err(());
        }
        talc.source.end = start + size;
        let pointer = |address: u64| core::ptr::with_exposed_provenance_mut::<u8>(address as usize);
        if talc.source.claimed {
            let old_end = core::ptr::NonNull::new(pointer(start)).ok_or(())?;
            // SAFETY: `start` is where the heap ended, aligned far beyond talc's unit so that it did not round it down,
            // and the memory up to the new end is the program's alone from now on.
            unsafe { talc.extend(old_end, pointer(start + size)) };
        } else {
            // SAFETY: the memory is the program's alone from now on.
            unsafe { talc.claim(pointer(start), size as usize) }.ok_or(())?;
            talc.source.claimed = true;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::alloc::GlobalAlloc;

    #[test]
    fn grows_and_reuses() {
        // A heap inside a leaked piece of the host's heap, which the source then "maps" piece by piece.
        let layout = Layout::from_size_align(64 * GROWTH as usize, GROWTH as usize).unwrap();
        // SAFETY: the layout is not empty; the memory is never freed.
        let start = unsafe { std::alloc::alloc_zeroed(layout) };
        let heap = heap(start.expose_provenance() as u64, |_, size| {
            size <= 32 * GROWTH
        });
        let big = Layout::from_size_align(100_000, 16).unwrap();
        // SAFETY: not empty, freed with the same layout, used only inside.
        unsafe {
            let first = heap.alloc(big);
            let second = heap.alloc(big);
            assert!(first != second && !first.is_null() && !second.is_null());
            first.write_bytes(1, big.size());
            second.write_bytes(2, big.size());
            assert_eq!(*first.add(big.size() - 1), 1);
            heap.dealloc(first, big);
            assert_eq!(heap.alloc(big), first);
            assert!(
                heap.alloc(Layout::from_size_align(9 << 20, 16).unwrap())
                    .is_null()
            );
        }
    }
}
