//! How root reaches configuration space.

use crate::slots::PCI_PORTS;
use virtio_drivers::transport::pci::bus::{ConfigurationAccess, DeviceFunction};

/// Configuration space through ports 0xcf8 and 0xcfc (PCI 3.0, 3.2.2.3.2).
pub struct Ports;

impl Ports {
    fn select(function: DeviceFunction, offset: u8) {
        let DeviceFunction {
            bus,
            device,
            function,
        } = function;
        let address = (bus as u32) << 16
            | (device as u32) << 11
            | (function as u32) << 8
            | (offset & !3) as u32;
        let _ = PCI_PORTS.write(0xcf8, 4, 1 << 31 | address);
    }
}

impl ConfigurationAccess for Ports {
    fn read_word(&self, function: DeviceFunction, offset: u8) -> u32 {
        Self::select(function, offset);
        PCI_PORTS.read(0xcfc, 4).unwrap_or(u32::MAX)
    }

    fn write_word(&mut self, function: DeviceFunction, offset: u8, value: u32) {
        Self::select(function, offset);
        let _ = PCI_PORTS.write(0xcfc, 4, value);
    }

    #[allow(
        unsafe_code,
        reason = "the trait's signature; Ports has no state to share"
    )]
    unsafe fn unsafe_clone(&self) -> Self {
        Self
    }
}
