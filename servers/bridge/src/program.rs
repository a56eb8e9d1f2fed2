//! A program of Postern as an end of a channel.

use alloc::format;
use alloc::string::String;
use bridge::end::{self, End};
use bridge::link::Link;
use bridge::memory::Memory;
use libsys::object::{IoPorts, Irq};
use libsys::proto::program::Device;
use libsys::registers::Registers;
use libsys::rt;
use libsys::syscall::Slot;
use libsys::time::Instant;

/// The memory that root mapped.
#[derive(Debug)]
pub struct Program(Registers);

impl Memory for Program {
    fn load(&self, offset: usize) -> u32 {
        self.0.read_word(offset)
    }

    fn store(&mut self, offset: usize, value: u32) {
        self.0.write_word(offset, value);
    }

    fn copy_out(&self, offset: usize, bytes: &mut [u8]) {
        self.0.copy_out(offset, bytes);
    }

    fn copy_in(&mut self, offset: usize, bytes: &[u8]) {
        self.0.copy_in(offset, bytes);
    }
}

/// The bell: a port of the hypervisor shim.
#[derive(Debug)]
pub struct Bell {
    ports: IoPorts,
    port: u16,
}

impl end::Bell for Bell {
    fn ring(&self) {
        // Root gave the capability for exactly this port: it is not refused.
        let _ = self.ports.write(self.port, 4, 0);
    }

    fn who(&self) -> u32 {
        self.ports.read(self.port, 4).unwrap_or_default()
    }
}

/// This program's end, its bell bound to the program's endpoint. `None`: there is no such channel here.
///
/// # Errors
/// The manifest does not give it an end, or the bell cannot be bound.
pub fn end() -> Result<Option<End<Program, Bell>>, String> {
    let channel = rt::info().devices.iter().find_map(|device| match device {
        Device::Channel(channel) => Some(*channel),
        _ => None,
    });
    let channel = channel.ok_or("the manifest gives it no channel")?;
    let Some((channel, memory)) = channel.zip(Registers::take()) else {
        rt::say(format_args!("there is no channel"));
        return Ok(None);
    };
    Irq(Slot(channel.irq))
        .bind(rt::ENDPOINT, 0)
        .map_err(|error| format!("its bell cannot be bound: {error:?}"))?;
    let bell = Bell {
        ports: IoPorts(Slot(channel.ports)),
        port: channel.bell,
    };
    let side = end::Bell::who(&bell) & bootinfo::shim::BELL_SECOND;
    // No two moments are the same.
    let epoch = Instant::now().0 >> 4;
    let link = Link::new(Program(memory), side, epoch as u32);
    Ok(Some(End::new(link, bell)))
}
