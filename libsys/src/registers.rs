//! Device memory that root mapped: the one place of a driver program that touches it.

use crate::proto::program::{Device, MemoryDevice};
use crate::rt;
use core::sync::atomic::{AtomicBool, Ordering};

/// A device's memory. Every access is one access of the bus, and stays inside.
#[derive(Debug)]
pub struct Registers {
    device: MemoryDevice,
}

/// Whether [`Registers::take`] was used.
static TAKEN: AtomicBool = AtomicBool::new(false);

impl Registers {
    /// The memory of this program's only [`Device::Memory`] or [`Device::Channel`], once. `None`: the machine has none, or it was
    /// taken.
    pub fn take() -> Option<Self> {
        let device = rt::info().devices.iter().find_map(|device| match device {
            Device::Memory(memory) => *memory,
            Device::Channel(channel) => channel.map(|channel| channel.memory),
            _ => None,
        })?;
        let taken = TAKEN.swap(true, Ordering::Relaxed);
        (!taken).then_some(Self { device })
    }

    /// Bytes.
    pub fn size(&self) -> usize {
        self.device.size as usize
    }

    /// Where `bytes` at `offset` are; they lie inside.
    fn address(&self, offset: usize, bytes: usize) -> usize {
        let inside = offset
            .checked_add(bytes)
            .is_some_and(|end| end <= self.size());
        assert!(
            inside,
            "{bytes} bytes at {offset:#x} are outside the device"
        );
        self.device.address as usize + offset
    }

    /// Reads a byte.
    ///
    /// # Panics
    /// It lies outside.
    pub fn read(&self, offset: usize) -> u8 {
        let address = self.address(offset, 1);
        // SAFETY: root mapped these bytes to this program alone for its whole life; `address` keeps the bounds.
        unsafe { core::ptr::with_exposed_provenance::<u8>(address).read_volatile() }
    }

    /// Writes a byte.
    ///
    /// # Panics
    /// It lies outside.
    pub fn write(&mut self, offset: usize, value: u8) {
        let address = self.address(offset, 1);
        // SAFETY: as in `read`.
        unsafe { core::ptr::with_exposed_provenance_mut::<u8>(address).write_volatile(value) }
    }

    /// Writes four bytes, lowest first.
    ///
    /// # Panics
    /// They do not lie inside, or not at a multiple of four.
    pub fn write_word(&mut self, offset: usize, value: u32) {
        let address = self.address(offset, 4);
        assert!(address.is_multiple_of(4), "{offset:#x} is no multiple of 4");
        // SAFETY: as in `read`, and aligned.
        unsafe { core::ptr::with_exposed_provenance_mut::<u32>(address).write_volatile(value) }
    }

    /// Reads four bytes, lowest first.
    ///
    /// # Panics
    /// They do not lie inside, or not at a multiple of four.
    pub fn read_word(&self, offset: usize) -> u32 {
        let address = self.address(offset, 4);
        assert!(address.is_multiple_of(4), "{offset:#x} is no multiple of 4");
        // SAFETY: as in `read`, and aligned.
        unsafe { core::ptr::with_exposed_provenance::<u32>(address).read_volatile() }
    }

    /// Copies bytes out, eight at a time where it can.
    ///
    /// # Panics
    /// They do not lie inside.
    pub fn copy_out(&self, offset: usize, bytes: &mut [u8]) {
        let address = self.address(offset, bytes.len());
        let target = bytes.as_mut_ptr();
        // SAFETY: the source is as in `read`, the target is a borrow of the same length.
        unsafe { copy(address, target.expose_provenance(), bytes.len()) };
    }

    /// Copies bytes in, eight at a time where it can.
    ///
    /// # Panics
    /// They do not lie inside.
    pub fn copy_in(&mut self, offset: usize, bytes: &[u8]) {
        let address = self.address(offset, bytes.len());
        let source = bytes.as_ptr();
        // SAFETY: the target is as in `write`, the source is a borrow of the same length.
        unsafe { copy(source.expose_provenance(), address, bytes.len()) };
    }
}

/// Copies. In assembly, because a device may change its memory while the compiler thinks that it cannot.
///
/// # Safety
/// `count` bytes can be read at `from` and written at `to`, and do not overlap.
unsafe fn copy(from: usize, to: usize, count: usize) {
    // SAFETY: the caller's; the direction flag is clear (System V ABI).
    unsafe {
        core::arch::asm!(
            "rep movsq",
            "mov ecx, {rest:e}",
            "rep movsb",
            rest = in(reg) count % 8,
            inout("rcx") count / 8 => _,
            inout("rsi") from => _,
            inout("rdi") to => _,
            options(nostack, preserves_flags),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_go_in_and_out() {
        let memory: &'static mut [u8] = vec![0u8; 100].leak();
        let address = memory.as_mut_ptr().expose_provenance() as u64;
        let mut registers = Registers {
            device: MemoryDevice { address, size: 100 },
        };
        for offset in 0..100 {
            registers.write(offset, offset as u8);
        }
        assert_eq!((registers.read(0), registers.read(99)), (0, 99));
        for (from, to) in [(0, 100), (3, 3), (5, 6), (1, 18), (93, 100)] {
            let mut bytes = vec![0; to - from];
            registers.copy_out(from, &mut bytes);
            assert!(bytes.iter().copied().eq(from as u8..to as u8));
        }
        registers.copy_in(3, &[9; 18]);
        registers.write_word(8, 0x0807_0605);
        assert_eq!(registers.read_word(8), 0x0807_0605);
        let mut bytes = [0; 8];
        registers.copy_out(1, &mut bytes);
        assert_eq!(bytes, [1, 2, 9, 9, 9, 9, 9, 5]);
        registers.copy_out(14, &mut bytes);
        assert_eq!(bytes, [9, 9, 9, 9, 9, 9, 9, 21]);
    }

    #[test]
    #[should_panic(expected = "outside the device")]
    fn nothing_outside_is_touched() {
        let registers = Registers {
            device: MemoryDevice {
                address: 0,
                size: 16,
            },
        };
        registers.copy_out(9, &mut [0; 8]);
    }
}
