//! The heap: `talc`, with the small pieces that came back in a list of their own. A request to a device needs one each time, and
//! any kernel keeps such pieces ready.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;
use talc::{TalcLock, source::Claim};

/// Bytes and alignment of a small piece.
const SMALL: Layout = match Layout::from_size_align(128, 16) {
    Ok(layout) => layout,
    Err(_) => panic!("a power of two"),
};

/// A heap.
pub struct Heap {
    all: TalcLock<spin::Mutex<()>, Claim>,
    /// The first free small piece; each holds the address of the next.
    free: Cell<*mut u8>,
}

// SAFETY: one processor, and interrupt handlers allocate nothing.
unsafe impl Sync for Heap {}

#[cfg(target_os = "none")]
#[global_allocator]
static HEAP: Heap = {
    const SIZE: usize = 8 << 20;
    static mut ARENA: [u8; SIZE] = [0; SIZE];
    Heap {
        // SAFETY: nothing else names the arena.
        all: TalcLock::new(unsafe { Claim::array(&raw mut ARENA) }),
        free: Cell::new(core::ptr::null_mut()),
    }
};

fn is_small(layout: Layout) -> bool {
    layout.size() <= SMALL.size() && layout.align() <= SMALL.align()
}

// SAFETY: a small piece is one of talc's of the size SMALL, and in the list or somebody's, never both.
unsafe impl GlobalAlloc for Heap {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !is_small(layout) {
            // SAFETY: as the caller promises.
            return unsafe { self.all.alloc(layout) };
        }
        let piece = self.free.get();
        if piece.is_null() {
            // SAFETY: SMALL is not empty.
            return unsafe { self.all.alloc(SMALL) };
        }
        // SAFETY: a free piece, aligned and large enough, holds the address of the next.
        self.free.set(unsafe { piece.cast::<*mut u8>().read() });
        piece
    }

    #[inline]
    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        if !is_small(layout) {
            // SAFETY: as the caller promises.
            return unsafe { self.all.dealloc(piece, layout) };
        }
        // SAFETY: the piece is nobody's any more, aligned and large enough.
        unsafe { piece.cast::<*mut u8>().write(self.free.get()) };
        self.free.set(piece);
    }
}
