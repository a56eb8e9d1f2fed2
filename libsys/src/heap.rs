//! malloc: `talc` over memory of root that grows at its end, and is given back there.
//!
//! The lock spins, so the threads of a program that allocate must all have the same priority: then the one that holds
//! it gets its turn.

use crate::proto::{memory, program};
use crate::{rt, syscall};
use core::alloc::Layout;
use core::ptr::NonNull;
use talc::base::{Talc, binning::Binning};
use talc::source::Source;

/// The type of a program's `#[global_allocator]`.
pub type Heap = talc::TalcLock<spin::Mutex<()>, Growing>;

/// Makes the heap at least so many bytes long (zeroed, writable), or cuts it to that. Returns the bytes it has then, and the
/// unit in which they come. `None`: it cannot; then nothing has changed. Must not allocate.
pub type Resize = fn(bytes: u64) -> Option<(u64, u64)>;

/// The heap of a program.
pub const fn heap() -> Heap {
    at(program::HEAP, from_root)
}

/// A heap that starts empty at `address` and grows upwards.
const fn at(address: u64, resize: Resize) -> Heap {
    Heap::new(Growing {
        start: address,
        size: 0,
        unit: 0,
        resize,
    })
}

/// Memory from `root.memory`, charged to this program's budget.
fn from_root(bytes: u64) -> Option<(u64, u64)> {
    let reply = syscall::call(rt::MEMORY, memory::HEAP, [bytes, 0, 0, 0]);
    let reply = reply.check().ok()?;
    (reply.tag.label() == memory::OK).then_some((reply.words[0], reply.words[1]))
}

/// One contiguous piece of memory that grows and shrinks at its end.
#[derive(Debug)]
pub struct Growing {
    start: u64,
    /// Bytes it has.
    size: u64,
    /// Bytes in which it comes and goes.
    unit: u64,
    resize: Resize,
}

impl Growing {
    fn end(&self) -> *mut u8 {
        core::ptr::with_exposed_provenance_mut((self.start + self.size) as usize)
    }

    /// Asks for another size. Says whether it got it.
    fn ask(&mut self, size: u64) -> bool {
        let Some(got) = (self.resize)(size) else {
            return false;
        };
        (self.size, self.unit) = got;
        true
    }
}

// SAFETY: neither `acquire` nor `resize` uses an allocator (`Resize` is documented not to), and what they hand over is memory
// that was just made usable, or still is.
unsafe impl Source for Growing {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        // A page for talc's own headers and the alignment of the ends.
        let need = (layout.size() as u64)
            .checked_add(layout.align() as u64 + abi::PAGE)
            .ok_or(())?;
        let (size, old_end) = (talc.source.size, talc.source.end());
        let wanted = size.checked_add(need).ok_or(())?;
        if !talc.source.ask(wanted) {
            return Err(());
        }
        let new_end = talc.source.end();
        match NonNull::new(old_end).filter(|_| size > 0) {
            // SAFETY: the heap ended there, aligned far beyond talc's unit so that it did not round it down, and the memory
            // up to the new end is the program's alone from now on.
            Some(old_end) => drop(unsafe { talc.extend(old_end, new_end) }),
            // SAFETY: the memory is the program's alone from now on.
            None => drop(unsafe { talc.claim(old_end, talc.source.size as usize) }.ok_or(())?),
        }
        Ok(())
    }

    const TRACK_HEAP_END: bool = true;

    unsafe fn resize(&mut self, free: *mut u8, end: *mut u8, is_heap_base: bool) -> *mut u8 {
        // Less than two units stay, so that an allocation that comes and goes does not ask root each time.
        if is_heap_base || (end as usize - free as usize) < 2 * self.unit as usize {
            return end;
        }
        let used = free as u64 - self.start;
        match self.ask(used.next_multiple_of(self.unit)) {
            true => self.end(),
            false => end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::alloc::GlobalAlloc;
    use core::sync::atomic::{AtomicU64, Ordering};

    /// The size of the test's heap as its source was last asked.
    static ASKED: AtomicU64 = AtomicU64::new(0);
    const UNIT: u64 = 16 << 10;

    #[test]
    fn grows_reuses_and_gives_back() {
        // A heap inside a leaked piece of the host's heap, which the source then "maps" piece by piece.
        let layout = Layout::from_size_align(64 * UNIT as usize, UNIT as usize).unwrap();
        // SAFETY: the layout is not empty; the memory is never freed.
        let start = unsafe { std::alloc::alloc_zeroed(layout) };
        let heap = at(start.expose_provenance() as u64, |bytes| {
            let size = bytes.next_multiple_of(UNIT);
            (size <= 32 * UNIT).then(|| {
                ASKED.store(size, Ordering::Relaxed);
                (size, UNIT)
            })
        });
        let big = Layout::from_size_align(100_000, 16).unwrap();
        let endless = Layout::from_size_align(isize::MAX as usize - 15, 16).unwrap();
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
            assert!(heap.alloc(endless).is_null());
            let full = ASKED.load(Ordering::Relaxed);
            heap.dealloc(second, big);
            let half = ASKED.load(Ordering::Relaxed);
            assert!(half + 100_000 - 2 * UNIT <= full, "{half} of {full}");
            assert_eq!(heap.alloc(big), second, "it grows again");
            heap.dealloc(first, big);
            heap.dealloc(second, big);
            assert!(ASKED.load(Ordering::Relaxed) <= 2 * UNIT);
        }
    }
}
