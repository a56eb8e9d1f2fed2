//! virtio-drivers' PCI transport, with the one thing it lacks: interrupts by MSI-X.

use crate::config::{Function, Playback};
use crate::platform::{HalOf, Platform};
use core::ptr::NonNull;
use virtio_drivers::transport::pci::PciTransport;
use virtio_drivers::transport::pci::bus::{DeviceFunction, PCI_CAP_ID_VNDR, PciRoot};
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{PhysAddr, Result};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// `cfg_type` of the capability that says where the common configuration lies (virtio 1.2, 4.1.4).
const COMMON: u16 = 1;
/// Offsets in the common configuration (virtio 1.2, 4.1.4.3).
const QUEUE_SELECT: usize = 22;
const QUEUE_MSIX_VECTOR: usize = 26;
/// Root points entry 0 of the MSI-X table at the program's Irq.
const VECTOR: u16 = 0;

/// Why there is no transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotVirtio;

/// A transport whose queues interrupt by MSI-X entry 0.
pub struct MsiX {
    pci: PciTransport,
    common: NonNull<u8>,
}

impl MsiX {
    /// The device with this PCI function, whose registers the platform has mapped.
    pub fn new<P: Platform>(function: Function) -> core::result::Result<Self, NotVirtio> {
        // Its place on the bus does not matter: it is the only one.
        let place = DeviceFunction {
            bus: 0,
            device: 0,
            function: 0,
        };
        let mut root = PciRoot::new(Playback::new(function));
        let is_common = |id, header: u16| id == PCI_CAP_ID_VNDR && header >> 8 == COMMON;
        let capability = root
            .capabilities(place)
            .find(|c| is_common(c.id, c.private_header))
            .ok_or(NotVirtio)?;
        let word = |offset: u8| {
            function
                .config
                .get(offset as usize / 4)
                .copied()
                .unwrap_or(u32::MAX)
        };
        let (bar, offset) = (
            (word(capability.offset + 4) & 0xff) as usize,
            word(capability.offset + 8) as u64,
        );
        if bar >= 6
            || function
                .mapped(function.physical(bar) + offset, 56)
                .is_none()
        {
            return Err(NotVirtio);
        }
        let common = P::registers(function.physical(bar) + offset, 56);
        let pci = PciTransport::new::<HalOf<P>, _>(&mut root, place).map_err(|_| NotVirtio)?;
        Ok(Self { pci, common })
    }

    fn register(&self, offset: usize) -> *mut u16 {
        // SAFETY: both offsets lie within the 56 bytes that `new` has asked the platform for.
        unsafe { self.common.add(offset).cast().as_ptr() }
    }
}

impl Transport for MsiX {
    fn queue_set(
        &mut self,
        queue: u16,
        size: u32,
        descriptors: PhysAddr,
        driver: PhysAddr,
        device: PhysAddr,
    ) {
        // SAFETY: mapped device registers, 16 bits wide each.
        let vector = unsafe {
            self.register(QUEUE_SELECT).write_volatile(queue);
            self.register(QUEUE_MSIX_VECTOR).write_volatile(VECTOR);
            self.register(QUEUE_MSIX_VECTOR).read_volatile()
        };
        // The device says so if it has no room for the mapping (virtio 1.2, 4.1.5.1.2.1); nothing would ever complete.
        assert_eq!(vector, VECTOR, "the device refuses MSI-X");
        self.pci.queue_set(queue, size, descriptors, driver, device)
    }

    fn device_type(&self) -> DeviceType {
        self.pci.device_type()
    }
    fn read_device_features(&mut self) -> u64 {
        self.pci.read_device_features()
    }
    fn write_driver_features(&mut self, features: u64) {
        self.pci.write_driver_features(features)
    }
    fn max_queue_size(&mut self, queue: u16) -> u32 {
        self.pci.max_queue_size(queue)
    }
    fn notify(&mut self, queue: u16) {
        self.pci.notify(queue)
    }
    fn get_status(&self) -> DeviceStatus {
        self.pci.get_status()
    }
    fn set_status(&mut self, status: DeviceStatus) {
        self.pci.set_status(status)
    }
    fn set_guest_page_size(&mut self, size: u32) {
        self.pci.set_guest_page_size(size)
    }
    fn requires_legacy_layout(&self) -> bool {
        self.pci.requires_legacy_layout()
    }
    fn queue_unset(&mut self, queue: u16) {
        self.pci.queue_unset(queue)
    }
    fn queue_used(&mut self, queue: u16) -> bool {
        self.pci.queue_used(queue)
    }
    fn ack_interrupt(&mut self) -> InterruptStatus {
        self.pci.ack_interrupt()
    }
    fn read_config_generation(&self) -> u32 {
        self.pci.read_config_generation()
    }
    fn read_config_space<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T> {
        self.pci.read_config_space(offset)
    }
    fn write_config_space<T: IntoBytes + Immutable>(
        &mut self,
        offset: usize,
        value: T,
    ) -> Result<()> {
        self.pci.write_config_space(offset, value)
    }
}
