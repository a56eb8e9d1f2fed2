//! Giving a program its end of a channel to another instance, where the hypervisor shim is below.

use crate::device::{give_irq, give_pages};
use crate::problem::{Problem, Step};
use crate::program::Program;
use crate::slots::{SCRATCH, SYSTEM, TABLE};
use abi::PAGE;
use abi::object::space;
use bootinfo::shim;
use libsys::object::IoPorts;
use libsys::proto::program::{ChannelDevice, MemoryDevice};
use libsys::syscall::Slot;

/// Ports of a bell.
const PORTS: u16 = 4;

/// Gives a program an end of channel `number`, if there is one; `next` is the first free slot of its table, and is moved on.
pub fn give(
    program: &mut Program,
    number: u8,
    next: &mut u32,
) -> Result<Option<ChannelDevice>, Problem> {
    let bell = shim::BELL_PORT + PORTS * u16::from(number);
    SYSTEM
        .io_ports(bell, PORTS, SCRATCH)
        .step("make its I/O ports")?;
    // Nobody answers on a machine without a shim either.
    if IoPorts(SCRATCH).read(bell, 4) == Ok(shim::NO_BELL) {
        TABLE.delete(SCRATCH).step("look for its channel")?;
        return Ok(None);
    }
    let (ports, irq) = (*next, *next + 1);
    *next += 2;
    program
        .slots
        .table()
        .move_from(Slot(ports), SCRATCH)
        .step("give it its I/O ports")?;
    let line = shim::BELL_LINE + u32::from(number);
    give_irq(program, irq, line.into(), 0)?;
    let physical = shim::CHANNEL_MEMORY + u64::from(number) * shim::CHANNEL_STEP;
    let size = shim::CHANNEL_SIZE;
    let pages = (0..size).step_by(PAGE as usize);
    // It is memory, and not a device's.
    let address =
        give_pages(program, physical, size, pages, space::WRITE_BACK).step("map its channel")?;
    Ok(Some(ChannelDevice {
        ports,
        bell,
        irq,
        memory: MemoryDevice { address, size },
    }))
}
