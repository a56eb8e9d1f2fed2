//! Giving a program its hardware, and silencing it when the program ends.

use crate::channel;
use crate::pci::Ports;
use crate::problem::{Problem, Step};
use crate::program::Program;
use crate::slots::{SCRATCH, SPACE, SYSTEM, TABLE};
use crate::window::{self, WINDOW};
use abi::object::{frame, space, system};
use abi::{Error, Kind, PAGE};
use alloc::vec::Vec;
use bootinfo::Acpi;
use libsys::object::{Frame, Irq};
use libsys::proto::program::{Device, MemoryDevice, PciDevice};
use libsys::syscall::Slot;
use virtio::pci::{Bar, Bus, MsiX, pages_to_give};
use virtio_drivers::transport::pci::bus::DeviceFunction;

/// Largest BAR that is given to a program: its pages are single frames.
const LARGEST_BAR: u64 = 1 << 20;
/// Offset of `device_status` in virtio's common configuration (virtio 1.2, 4.1.4.3).
const DEVICE_STATUS: u64 = 20;

/// Gives a program all its manifest's devices; `slot` is the first free one of its table, and is moved on.
pub fn give_all(
    program: &mut Program,
    acpi: &Acpi,
    slot: &mut u32,
) -> Result<Vec<Device>, Problem> {
    let wanted = program.manifest.devices.clone();
    wanted
        .iter()
        .map(|device| give(program, acpi, device, slot))
        .collect()
}

fn give(
    program: &mut Program,
    acpi: &Acpi,
    device: &manifest::Device,
    next: &mut u32,
) -> Result<Device, Problem> {
    let slot = *next;
    let table = program.slots.table();
    match device {
        manifest::Device::Ports { base, count } => {
            SYSTEM
                .io_ports(*base, *count, SCRATCH)
                .step("make its I/O ports")?;
            *next += 1;
            table
                .move_from(Slot(slot), SCRATCH)
                .step("give it its I/O ports")?;
            Ok(Device::Ports {
                slot,
                base: *base,
                count: *count,
            })
        }
        manifest::Device::Irq { isa } => {
            let (gsi, trigger) = isa_line(acpi, *isa);
            *next += 1;
            give_irq(program, slot, gsi as u64, trigger)?;
            Ok(Device::Irq { slot })
        }
        manifest::Device::Pci {
            vendor,
            device,
            index,
        } => {
            let mut bus = Bus::new(Ports, Ports);
            let function = bus.find(*vendor, device, *index);
            function
                .map(|function| give_pci(program, &mut bus, function, next))
                .transpose()
                .map(Device::Pci)
        }
        manifest::Device::Memory { size: 0, .. } => Ok(Device::Memory(None)),
        manifest::Device::Memory { base, size, .. } => {
            let pages = (0..*size).step_by(PAGE as usize);
            let address =
                give_pages(program, *base, *size, pages, space::UNCACHED).step("map its device")?;
            Ok(Device::Memory(Some(MemoryDevice {
                address,
                size: *size,
            })))
        }
        manifest::Device::Channel(number) => {
            channel::give(program, *number, next).map(Device::Channel)
        }
    }
}

/// Makes an Irq with this source in `slot` of the program's table. Returns its MSI address and data.
pub fn give_irq(
    program: &Program,
    slot: u32,
    source: u64,
    trigger: u64,
) -> Result<(u64, u32), Problem> {
    program
        .make(Kind::Irq, 0, 1, SCRATCH)
        .step("make its interrupt")?;
    let message = SYSTEM
        .irq_attach(Irq(SCRATCH), source, trigger)
        .and_then(|()| Irq(SCRATCH).info());
    let moved = message.and_then(|m| {
        program
            .slots
            .table()
            .move_from(Slot(slot), SCRATCH)
            .map(|()| m)
    });
    if moved.is_err() {
        let _ = TABLE.delete(SCRATCH);
    }
    moved.step("attach its interrupt")
}

/// Global system interrupt and trigger of an ISA line (ACPI 6.5, 5.2.12.5).
fn isa_line(acpi: &Acpi, isa: u8) -> (u32, u64) {
    let Some(line) = acpi.overrides.iter().find(|line| line.isa == isa) else {
        return (isa as u32, 0);
    };
    let level = if line.level { system::LEVEL } else { 0 };
    (
        line.gsi,
        level
            | if line.active_low {
                system::ACTIVE_LOW
            } else {
                0
            },
    )
}

fn give_pci(
    program: &mut Program,
    bus: &mut Bus<Ports>,
    function: DeviceFunction,
    next: &mut u32,
) -> Result<PciDevice, Problem> {
    bus.set_decoding(function, false);
    let bars = bus.bars(function);
    let msix = bus.msix(function);
    let mut given = [(0, 0); 6];
    for (index, bar) in bars.iter().enumerate() {
        given[index] = (
            bar.size,
            give_bar(program, index, bar, msix.as_ref()).step("map its device")?,
        );
    }
    let mut irq = None;
    if let Some(msix) = &msix {
        let slot = *next;
        *next += 1;
        let (address, data) = give_irq(program, slot, system::MSI, 0)?;
        set_entry(&bars, msix, address, data).step("write its MSI-X table")?;
        bus.enable_msix(function, msix, true);
        irq = Some(slot);
    }
    bus.set_decoding(function, true);
    program.functions.push(function);
    Ok(PciDevice {
        config: bus.snapshot(function),
        bars: given,
        irq,
    })
}

/// Maps a BAR into the program. Returns its address, 0 if nothing was given.
fn give_bar(
    program: &mut Program,
    index: usize,
    bar: &Bar,
    msix: Option<&MsiX>,
) -> Result<u64, Error> {
    // A BAR smaller than a page may share its page with another device.
    if bar.address == 0
        || !(PAGE..=LARGEST_BAR).contains(&bar.size)
        || !bar.address.is_multiple_of(PAGE)
    {
        return Ok(0);
    }
    let mut pages = pages_to_give(index, bar.size, msix).peekable();
    if pages.peek().is_none() {
        return Ok(0);
    }
    give_pages(program, bar.address, bar.size, pages, space::UNCACHED)
}

/// Maps these pages (offsets) of `size` bytes of device memory at a physical address into the program. Returns the address.
pub fn give_pages(
    program: &mut Program,
    physical: u64,
    size: u64,
    pages: impl Iterator<Item = u64>,
    cache: u64,
) -> Result<u64, Error> {
    let address = program.device_area(size)?;
    for page in pages {
        SYSTEM.device_frame(physical + page, 12, SCRATCH)?;
        let rights = frame::READ | frame::WRITE;
        let space = program.slots.space();
        let mapped = space.map(Frame(SCRATCH), address + page, rights, cache);
        if let Err(error) = mapped.and_then(|()| program.keep(SCRATCH)) {
            let _ = TABLE.delete(SCRATCH);
            return Err(error);
        }
    }
    Ok(address)
}

/// Points entry 0 of an MSI-X table (PCI 3.0, 6.8.2.6) at an interrupt and unmasks it.
fn set_entry(bars: &[Bar; 6], msix: &MsiX, address: u64, data: u32) -> Result<(), Error> {
    with_page(bars, msix.table, |offset| {
        for (i, word) in [address as u32, (address >> 32) as u32, data, 0]
            .into_iter()
            .enumerate()
        {
            window::write_register(offset + 4 * i, word);
        }
    })
}

/// Maps the page at this BAR and offset into root's window for as long as `work` runs.
fn with_page(
    bars: &[Bar; 6],
    (bar, offset): (usize, u64),
    work: impl FnOnce(usize),
) -> Result<(), Error> {
    let physical = bars[bar].address + offset;
    if bars[bar].address == 0 || offset >= bars[bar].size {
        return Err(Error::InvalidAddress);
    }
    SYSTEM.device_frame(physical / PAGE * PAGE, 12, SCRATCH)?;
    let mapped = SPACE.map(
        Frame(SCRATCH),
        WINDOW,
        frame::READ | frame::WRITE,
        space::UNCACHED,
    );
    if mapped.is_ok() {
        work((physical % PAGE) as usize);
    }
    TABLE.delete(SCRATCH)?;
    mapped
}

/// Stops a function: no more writes to memory, no more interrupts, no request left inside the device. Its memory may be
/// used for something else only after this.
pub fn silence(function: DeviceFunction) {
    let mut bus = Bus::new(Ports, Ports);
    bus.set_decoding(function, false);
    if let Some(msix) = bus.msix(function) {
        bus.enable_msix(function, &msix, false);
    }
    // A virtio device may still finish what it has begun when bus mastering comes back: reset it (virtio 1.2, 2.4.2).
    let Some((bar, offset)) = bus.virtio_common(function) else {
        return;
    };
    let bars = bus.bars(function);
    let _ = with_page(&bars, (bar, offset + DEVICE_STATUS), |status| {
        // The device reads back 0 once it is reset; the bound is for broken ones.
        let _ = (0..1000).any(|_| window::exchange_byte(status, 0) == 0);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use bootinfo::Override;

    #[test]
    fn isa_lines_follow_their_overrides() {
        let mut acpi = Acpi::default();
        let timer = Override {
            isa: 0,
            gsi: 2,
            active_low: false,
            level: false,
        };
        let scsi = Override {
            isa: 9,
            gsi: 9,
            active_low: true,
            level: true,
        };
        acpi.overrides.extend([timer, scsi]);
        assert_eq!(isa_line(&acpi, 0), (2, 0));
        assert_eq!(isa_line(&acpi, 4), (4, 0));
        assert_eq!(isa_line(&acpi, 9), (9, system::LEVEL | system::ACTIVE_LOW));
    }
}
