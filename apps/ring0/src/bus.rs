//! Devices on the PCI bus: their registers mapped, their interrupt bound.

use crate::Machine;
use alloc::boxed::Box;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use heapless::Vec;
use microkernel::arch::{apic, mmio, port};
use spin::Mutex;
use virtio::config::Function;
use virtio::pci::Bus;
use virtio::transport::MsiX;
use virtio_drivers::transport::pci::bus::{ConfigurationAccess, DeviceFunction};

/// PCI vendor of virtio devices (virtio 1.2, 4.1.2).
const VIRTIO: u16 = 0x1af4;
const PAGE: u64 = 4096;
/// Largest BAR that is mapped.
const LARGEST: u64 = 64 << 10;
/// Pages of the window for registers, of which the interrupt controllers have the first.
const WINDOW: core::ops::Range<usize> = 8..512;

static NEXT: AtomicUsize = AtomicUsize::new(WINDOW.start);
static CONNECTED: Mutex<Vec<DeviceFunction, 4>> = Mutex::new(Vec::new());
static FUNCTIONS: Mutex<Vec<Function, 4>> = Mutex::new(Vec::new());

/// Configuration space through ports 0xcf8 and 0xcfc (PCI 3.0, 3.2.2.3.2).
struct Ports;

impl Ports {
    fn select(place: DeviceFunction, offset: u8) {
        let [bus, device, function] = [place.bus, place.device, place.function].map(u64::from);
        let address = bus << 16 | device << 11 | function << 8 | u64::from(offset & !3);
        port::write(0xcf8, 4, 1 << 31 | address);
    }
}

impl ConfigurationAccess for Ports {
    fn read_word(&self, place: DeviceFunction, offset: u8) -> u32 {
        Self::select(place, offset);
        port::read(0xcfc, 4) as u32
    }

    fn write_word(&mut self, place: DeviceFunction, offset: u8, value: u32) {
        Self::select(place, offset);
        port::write(0xcfc, 4, value.into());
    }

    unsafe fn unsafe_clone(&self) -> Self {
        Self
    }
}

/// Maps registers; returns where. `None`: the window is full.
pub fn map(physical: u64, bytes: u64) -> Option<u64> {
    let offset = physical % PAGE;
    let pages = (offset + bytes).div_ceil(PAGE) as usize;
    let first = NEXT.fetch_add(pages, Relaxed);
    if first + pages > WINDOW.end {
        return None;
    }
    let place = |page: usize| mmio::map(first + page, physical - offset + page as u64 * PAGE);
    (0..pages).map(place).min().map(|start| start + offset)
}

/// Where registers of a connected device are mapped.
pub fn mapped(physical: u64, size: u64) -> Option<NonNull<u8>> {
    let functions = FUNCTIONS.lock();
    let address = functions
        .iter()
        .find_map(|function| function.mapped(physical, size))?;
    NonNull::new(address as *mut u8)
}

/// Keeps all connected devices from writing memory.
pub fn silence() {
    let mut bus = Bus::new(Ports, Ports);
    for place in CONNECTED.lock().iter() {
        bus.set_decoding(*place, false);
    }
}

/// The way to the first virtio device with one of these ids, which interrupts at this vector. `None`: the machine has none.
///
/// # Errors
/// Why there is no way to it, in words.
pub fn connect(ids: &[u16], vector: u8) -> Result<Option<MsiX>, &'static str> {
    let mut bus = Bus::new(Ports, Ports);
    let Some(place) = bus.find(VIRTIO, ids, 0) else {
        return Ok(None);
    };
    CONNECTED
        .lock()
        .push(place)
        .map_err(|_| "too many devices")?;
    bus.set_decoding(place, true);
    let msix = bus.msix(place).ok_or("a device has no MSI-X")?;
    let bars = bus.bars(place);
    let (table, offset) = msix.table;
    let full = "too many device registers";
    let entry = map(bars[table].address + offset, 16).ok_or(full)?;
    let (address, data) = apic::message(vector);
    // Entry 0 of the MSI-X table (PCI 3.0, 6.8.2.6), not masked.
    for (index, word) in (0..).zip([address as u32, (address >> 32) as u32, data as u32, 0]) {
        mmio::write(entry + 4 * index, word);
    }
    bus.enable_msix(place, &msix, true);
    let mut given = [(0, 0); 6];
    for (given, bar) in given.iter_mut().zip(bars) {
        if bar.address != 0 && (PAGE..=LARGEST).contains(&bar.size) {
            *given = (bar.size, map(bar.address, bar.size).ok_or(full)?);
        }
    }
    let function = Function {
        config: bus.snapshot(place).leak(),
        bars: Box::leak(Box::new(given)),
    };
    FUNCTIONS
        .lock()
        .push(function)
        .map_err(|_| "too many devices")?;
    let transport = MsiX::new::<Machine>(function).map_err(|_| "not a modern virtio device")?;
    Ok(Some(transport))
}
