//! What the driver needs from whoever links it.

use core::marker::PhantomData;
use core::ptr::NonNull;
use virtio_drivers::{BufferDirection, Hal, PhysAddr};

/// The machine as the driver sees it. Functions without `self`, because virtio-drivers' [`Hal`] has none.
///
/// # Safety
/// `dma` returns memory that is zeroed, physically contiguous, aligned to 4096 bytes, and nobody else's for good;
/// `registers` an address where those registers are mapped.
pub unsafe trait Platform: 'static {
    /// `pages` pages of memory that the device may read and write: physical address and where it is mapped. `None`: there
    /// is no more.
    fn dma(pages: usize) -> Option<(u64, NonNull<u8>)>;

    /// Physical address of memory that `dma` gave.
    fn physical(address: NonNull<u8>) -> u64;

    /// Where `size` bytes of device registers at a physical address are mapped.
    fn registers(physical: u64, size: usize) -> NonNull<u8>;
}

/// virtio-drivers' view of a [`Platform`].
pub struct HalOf<P>(PhantomData<P>);

// SAFETY: `Platform` demands of its functions what `Hal` demands of these.
unsafe impl<P: Platform> Hal for HalOf<P> {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        // Physical address 0 tells virtio-drivers that there is none.
        P::dma(pages).unwrap_or((0, NonNull::dangling()))
    }

    unsafe fn dma_dealloc(_: PhysAddr, _: NonNull<u8>, _: usize) -> i32 {
        // DMA memory goes back when the program ends, after its device was silenced.
        0
    }

    unsafe fn mmio_phys_to_virt(physical: PhysAddr, size: usize) -> NonNull<u8> {
        P::registers(physical, size)
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        P::physical(buffer.cast())
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}
