//! Where the text of kernels is that ran before, if there were some.

use bootinfo::relay::Relay;
use manifest::{Device, MemoryKind, Program};

/// A program with that memory gets it.
pub fn place(program: &mut Program, relay: Relay) {
    for device in &mut program.devices {
        if let Device::Memory {
            kind: MemoryKind::Relayed,
            base,
            size,
        } = device
        {
            (*base, *size) = (relay.text, relay.size);
        }
    }
}
