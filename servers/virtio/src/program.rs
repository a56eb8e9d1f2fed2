//! A program of Postern as a driver's platform: root has mapped its device, and gives it memory for DMA.

use crate::config::Function;
use crate::platform::Platform;
use crate::transport::MsiX;
use core::ptr::NonNull;
use libsys::object::Irq;
use libsys::proto::memory;
use libsys::proto::program::{Device, PciDevice};
use libsys::rt;
use libsys::syscall::{self, Slot};
use spin::Mutex;

/// The program this is linked into.
pub struct Program;

/// DMA memory that root gave: address, physical address, bytes.
static DMA: Mutex<heapless::Vec<(u64, u64, u64), 32>> = Mutex::new(heapless::Vec::new());

/// The program's PCI functions, in the order of the manifest: `None` for each that the machine has not.
pub fn devices() -> impl Iterator<Item = Option<&'static PciDevice>> {
    rt::info().devices.iter().filter_map(|device| match device {
        Device::Pci(function) => Some(function.as_ref()),
        _ => None,
    })
}

fn function(device: &'static PciDevice) -> Function {
    Function {
        config: &device.config,
        bars: &device.bars,
    }
}

/// The way to `device`, its interrupt bound to the program's endpoint with this badge.
///
/// # Errors
/// Why there is none, in words.
pub fn connect(device: &'static PciDevice, badge: u64) -> Result<MsiX, &'static str> {
    let irq = device.irq.ok_or("the device has no MSI-X")?;
    Irq(Slot(irq))
        .bind(rt::ENDPOINT, badge)
        .map_err(|_| "its interrupt cannot be bound")?;
    MsiX::new::<Program>(function(device)).map_err(|_| "not a modern virtio device")
}

/// A buffer that a client shares with this program. Dropping it says that no device has a request with it any more.
#[derive(Debug)]
pub struct Attached {
    id: u64,
    address: NonNull<u8>,
    physical: u64,
    /// Contiguous.
    bytes: u64,
}

impl Attached {
    /// The buffer with this id of the client with that one. `None`: it shares no such buffer with this program.
    pub fn new(id: u64, client: u32) -> Option<Self> {
        let words = [id, client.into(), 0, 0];
        let reply = syscall::call(rt::MEMORY, memory::ATTACH, words)
            .check()
            .ok()?;
        if reply.tag.label() != memory::OK {
            return None;
        }
        let [address, physical, bytes, _] = reply.words;
        let address = NonNull::new(core::ptr::with_exposed_provenance_mut(address as usize))?;
        Some(Self {
            id,
            address,
            physical,
            bytes,
        })
    }

    /// Where `bytes` bytes from `offset` on are mapped, and their physical address. `None`: they lie outside.
    #[inline(always)]
    pub fn place(&self, offset: u32, bytes: u32) -> Option<(NonNull<u8>, u64)> {
        let offset = u64::from(offset);
        if offset + u64::from(bytes) > self.bytes {
            return None;
        }
        // SAFETY: inside what root has mapped.
        let address = unsafe { self.address.add(offset as usize) };
        Some((address, self.physical + offset))
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let _ = syscall::call(rt::MEMORY, memory::DETACH, [self.id, 0, 0, 0]);
    }
}

// SAFETY: root's `MAP_DMA` gives zeroed, contiguous, page-aligned memory to this program alone; its BARs are mapped where
// the program information says.
unsafe impl Platform for Program {
    fn dma(pages: usize) -> Option<(u64, NonNull<u8>)> {
        let bytes = pages as u64 * abi::PAGE;
        let reply = syscall::call(rt::MEMORY, memory::MAP_DMA, [bytes, 0, 0, 0])
            .check()
            .ok()?;
        if reply.tag.label() != memory::OK {
            return None;
        }
        let [address, physical, ..] = reply.words;
        DMA.lock().push((address, physical, bytes)).ok()?;
        Some((
            physical,
            NonNull::new(core::ptr::with_exposed_provenance_mut(address as usize))?,
        ))
    }

    fn physical(address: NonNull<u8>) -> u64 {
        let address = address.as_ptr().expose_provenance() as u64;
        let dma = DMA.lock();
        let region = dma
            .iter()
            .find(|(start, _, bytes)| (*start..*start + *bytes).contains(&address));
        let (start, physical, _) =
            region.expect("the driver shares only DMA memory with the device");
        physical + (address - start)
    }

    fn registers(physical: u64, size: usize) -> NonNull<u8> {
        let mut functions = devices().flatten().map(function);
        let address = functions.find_map(|function| function.mapped(physical, size as u64));
        let address = address.expect("the device names registers outside its memory");
        NonNull::new(core::ptr::with_exposed_provenance_mut(address as usize))
            .expect("root maps nothing at 0")
    }
}
