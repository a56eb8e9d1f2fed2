//! virtio-drivers' PCI transport, with the two things it lacks: interrupts by MSI-X, and doorbells that are looked up once.

use crate::config::{Function, Playback};
use crate::platform::{HalOf, Platform};
use core::ptr::NonNull;
use virtio_drivers::transport::pci::PciTransport;
use virtio_drivers::transport::pci::bus::{DeviceFunction, PCI_CAP_ID_VNDR, PciRoot};
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{PhysAddr, Result};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// `cfg_type` of the capabilities that say where the common configuration and the doorbells lie (virtio 1.2, 4.1.4).
const COMMON: u16 = 1;
const DOORBELLS: u16 = 2;
/// Bytes of the common configuration, and offsets in it (virtio 1.2, 4.1.4.3).
const COMMON_BYTES: u64 = 56;
const QUEUE_SELECT: usize = 22;
const QUEUE_MSIX_VECTOR: usize = 26;
const QUEUE_NOTIFY_OFFSET: usize = 30;
/// Root points entry 0 of the MSI-X table at the program's Irq.
const VECTOR: u16 = 0;

/// Why there is no transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotVirtio;

/// Queues with a doorbell: as many as a network device has. (A block device has one.)
const QUEUES: usize = 2;

/// A transport whose queues interrupt by MSI-X entry 0.
pub struct MsiX {
    pci: PciTransport,
    common: NonNull<u8>,
    /// The doorbells, their bytes, and how far they lie apart.
    notify: (NonNull<u8>, u64, u64),
    /// Each queue's own, once it is set up. virtio-drivers asks the device for it at every ring: two accesses to registers
    /// that are slow.
    doorbells: [Option<NonNull<u16>>; QUEUES],
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
        // The structure of a kind: where its capability is, and where it is itself.
        let structure = |kind| {
            let is_it = |id, header: u16| id == PCI_CAP_ID_VNDR && header >> 8 == kind;
            let mut capabilities = root.capabilities(place);
            let capability = capabilities.find(|c| is_it(c.id, c.private_header))?;
            let word = |offset: usize| function.word(capability.offset as usize + offset);
            let (bar, offset) = ((word(4) & 0xff) as usize, u64::from(word(8)));
            let physical = (bar < 6).then(|| function.physical(bar) + offset)?;
            Some((physical, u64::from(word(12)), u64::from(word(16))))
        };
        let registers = |physical, bytes| {
            function.mapped(physical, bytes).ok_or(NotVirtio)?;
            Ok(P::registers(physical, bytes as usize))
        };
        let (common, ..) = structure(COMMON).ok_or(NotVirtio)?;
        let (notify, bytes, apart) = structure(DOORBELLS).ok_or(NotVirtio)?;
        let common = registers(common, COMMON_BYTES)?;
        let notify = (registers(notify, bytes)?, bytes, apart);
        let pci = PciTransport::new::<HalOf<P>, _>(&mut root, place).map_err(|_| NotVirtio)?;
        Ok(Self {
            pci,
            common,
            notify,
            doorbells: [None; QUEUES],
        })
    }

    fn register(&self, offset: usize) -> *mut u16 {
        // SAFETY: the offsets lie within the bytes that `new` has asked the platform for.
        unsafe { self.common.add(offset).cast().as_ptr() }
    }

    /// The doorbell at an offset that the device has said. `None`: it is not among them.
    fn doorbell(&self, offset: u16) -> Option<NonNull<u16>> {
        let (start, bytes, apart) = self.notify;
        let offset = u64::from(offset) * apart;
        let inside = offset.is_multiple_of(2) && offset + 2 <= bytes;
        // SAFETY: inside the bytes that `new` has asked the platform for.
        inside.then(|| unsafe { start.add(offset as usize) }.cast())
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
        let (vector, doorbell) = unsafe {
            self.register(QUEUE_SELECT).write_volatile(queue);
            self.register(QUEUE_MSIX_VECTOR).write_volatile(VECTOR);
            let vector = self.register(QUEUE_MSIX_VECTOR).read_volatile();
            (vector, self.register(QUEUE_NOTIFY_OFFSET).read_volatile())
        };
        // The device says so if it has no room for the mapping (virtio 1.2, 4.1.5.1.2.1); nothing would ever complete.
        assert_eq!(vector, VECTOR, "the device refuses MSI-X");
        let doorbell = self.doorbell(doorbell);
        if let Some(own) = self.doorbells.get_mut(queue as usize) {
            *own = doorbell;
        }
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
    #[inline(always)]
    fn notify(&mut self, queue: u16) {
        match self.doorbells.get(queue as usize) {
            // SAFETY: the queue's doorbell, a register of 16 bits (virtio 1.2, 4.1.4.4).
            Some(Some(doorbell)) => unsafe { doorbell.write_volatile(queue) },
            _ => self.pci.notify(queue),
        }
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
