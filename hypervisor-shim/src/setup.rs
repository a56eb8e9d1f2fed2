//! From the list of instances to guests that are ready to run.

use bootinfo::shim::Device;
use bootinfo::{Acpi, BootInfo, MemoryKind, Range, archive, shim};
use loader::archive::Archive;
use loader::memory::PAGE;
use loader::{Entry, Error, Map, Physical};

use crate::channel::Channel;
use crate::hardware::memory::Window;
use crate::hardware::pci::Ports;
use crate::instance::{Instance, SERIAL_LINE};
use crate::machine::Machine;
use crate::nested::Nested;
use crate::partition::{self, contains};
use crate::pci::{self, Function};
use crate::pool::{LIMIT, Pool};
use crate::ports;
use crate::vcpu::{Guest, PORTS, Vcpu};

/// Makes every guest that the archive lists. An error comes with the instance's number.
pub fn build<'a, V: Vcpu>(
    info: &'a BootInfo<'a>,
    mut pool: Pool,
    hz: u64,
) -> Result<Machine<'a, V>, (usize, Error)> {
    let (files, list) = instances(info, &pool.memory).map_err(|error| (0, error))?;
    let host = V::host(&mut pool, hz).map_err(|error| (0, error))?;
    let mut machine = Machine::new(info, pool, hz, list.primary.into());
    for &ends in &list.channels {
        let channel = Channel::new(ends, list.instances.len(), &mut machine.pool);
        // The list holds no more than there is room for.
        let _ = machine.channels.push(channel.map_err(|error| (ends[0].into(), error))?);
    }
    for (number, wanted) in list.instances.iter().enumerate() {
        add(&mut machine, &host, &files, wanted).map_err(|error| (number, error))?;
    }
    Ok(machine)
}

/// The archive, and its list of instances.
pub fn instances(
    info: &BootInfo,
    memory: &Window,
) -> Result<(Archive<'static>, shim::Instances<'static>), Error> {
    let bytes = memory.bytes(info.archive.start, info.archive.size).ok_or(Error::NoArchive)?;
    let files = Archive::new(bytes).map_err(Error::BadArchive)?;
    let list = files.file(archive::INSTANCES).ok_or(Error::MissingFile(archive::INSTANCES))?;
    Ok((files, postcard::from_bytes(list).map_err(|_| Error::Instances)?))
}

/// Makes one.
fn add<V: Vcpu>(
    machine: &mut Machine<V>,
    host: &V::Host,
    files: &Archive<'static>,
    wanted: &shim::Instance,
) -> Result<(), Error> {
    let (number, info, pool) = (machine.instances.len(), machine.info, &mut machine.pool);
    let archive = files.file(wanted.archive).ok_or(Error::NoArchive)?;
    let partition = pool.take_partition(wanted.memory)?;
    let before = pool.map.size(MemoryKind::Loaded);
    let mut nested = Nested::new(V::FORMAT, pool)?;
    nested.reserve(partition)?;
    for (index, channel) in machine.channels.iter().enumerate() {
        channel.map(index, number, &mut nested)?;
    }
    let ports = nested.pool.take_ones(PORTS, "a guest's ports")?;
    let guest = Guest { number, nested: nested.root, ports };
    let vcpu = V::new(host, &guest, nested.pool)?;
    let mut instance = Instance::new(vcpu, partition, nested.root, archive);
    let mut giving = Giving { info, instance: &mut instance, nested, ports };
    wanted.devices.iter().try_for_each(|device| giving.give(device))?;
    let tables = giving.nested.size;
    let own = size_of::<Instance<V>>() as u64;
    let beside = pool.map.size(MemoryKind::Loaded) - before - tables + own;
    instance.vcpu.reset(&start(info, partition, archive, &pool.memory)?);
    machine.scheduler.set_share(number, wanted.share);
    machine.scheduler.wake(number);
    // The list holds no more than there is room for.
    let _ = machine.instances.push(instance);
    let (size, start, share) = (partition.size >> 20, partition.start, wanted.share);
    machine.say(format_args!(
        "instance {number}: {size} MiB at {start:#x}, share {share}; beside it {beside} bytes, and {tables} of tables"
    ));
    Ok(())
}

/// Loads a kernel and its first program into a partition.
pub fn start(
    info: &BootInfo,
    partition: Range,
    archive: &[u8],
    machine: &Window,
) -> Result<Entry, Error> {
    let acpi = Acpi { rsdp: 0, io_apics: Default::default(), pm1a_control: 0, ..info.acpi.clone() };
    let (map, mut memory) = (partition::memory_map(partition)?, machine.only(partition));
    load(map, &mut memory, archive, info.command_line, acpi)
}

/// Word of the command line: without virtualization, the machine is one instance's.
pub const OPTIONAL: &str = "shim=optional";

/// Loads those of the primary instance for the bare machine. Returns its number, too.
pub fn bare(info: &BootInfo, pool: &mut Pool) -> Result<(u8, Entry), Error> {
    let (files, list) = instances(info, &pool.memory)?;
    let wanted = list.instances.get(usize::from(list.primary)).ok_or(Error::Instances)?;
    let archive = files.file(wanted.archive).ok_or(Error::NoArchive)?;
    let (map, acpi) = (pool.map.clone(), info.acpi.clone());
    Ok((list.primary, load(map, &mut pool.memory, archive, info.command_line, acpi)?))
}

fn load(
    mut memory: Map,
    physical: &mut Window,
    bytes: &[u8],
    command_line: &str,
    acpi: Acpi,
) -> Result<Entry, Error> {
    let size = bytes.len() as u64;
    let archive = Range { start: memory.take(size, LIMIT, "the instance's archive")?, size };
    physical.write(archive.start, bytes);
    let archive_bytes = bytes;
    let machine =
        loader::Machine { memory, archive, archive_bytes, command_line, folder: "", acpi };
    loader::load(machine, physical)
}

/// An instance that gets a device.
struct Giving<'a, V> {
    info: &'a BootInfo<'a>,
    instance: &'a mut Instance<V>,
    nested: Nested<'a, Window>,
    ports: u64,
}

impl<V> Giving<'_, V> {
    fn give(&mut self, device: &Device) -> Result<(), Error> {
        match device {
            Device::Ports { base, count } => {
                let own = |port| (*base..base.saturating_add(*count)).contains(&port);
                self.instance.keyboard |= own(0x64);
                if own(shim::CONTROL_PORT) {
                    self.instance.control = Some(shim::NO_ANSWER);
                }
                for port in ports::free(*base, *count) {
                    self.nested.pool.clear_bit(self.ports, port.into());
                }
                Ok(())
            }
            Device::Irq { isa } => {
                let line = self.info.acpi.overrides.iter().find(|line| line.isa == *isa);
                let line = line.map_or(u32::from(*isa), |line| line.gsi);
                if line == SERIAL_LINE || line >= shim::LINES {
                    return Err(Error::Device("the serial line's interrupt"));
                }
                self.instance.own_lines |= 1 << line;
                Ok(())
            }
            Device::Memory { size: 0, .. } => Ok(()),
            Device::Memory { base, size } => self.map_device(Range { start: *base, size: *size }),
            Device::Pci { vendor, device, index } => {
                match pci::find(&mut Ports, *vendor, device, *index) {
                    Some(id) => self.give_function(id),
                    // As on a machine without a shim: the program is told that it is not there.
                    None => Ok(()),
                }
            }
        }
    }

    /// Maps a device's memory, if it is a device's and not anybody's memory.
    fn map_device(&mut self, range: Range) -> Result<(), Error> {
        let taken = self.info.memory.iter().any(|memory| {
            memory.kind != MemoryKind::Reserved
                && memory.start < range.start + range.size
                && range.start < memory.start + memory.size
        });
        let controllers = self.info.acpi.io_apics.iter().map(|io| io.address);
        let mut controllers = controllers.chain([self.info.acpi.local_apic]);
        if taken || controllers.any(|at| contains(range, at, 1)) {
            return Err(Error::Device("memory of the machine as a device's"));
        }
        self.nested.device(range)
    }

    fn give_function(&mut self, id: u16) -> Result<(), Error> {
        let mut function = Function::new(&mut Ports, id);
        for range in function.memory.clone() {
            // One smaller than a page may share it with another device.
            if range.start.is_multiple_of(PAGE) && range.size >= PAGE && range.start != 0 {
                self.map_device(range)?;
            }
        }
        if let Some(msix) = &function.msix {
            let page = self.nested.pool.take(PAGE, "an MSI-X table")?;
            self.nested.shadow(msix.table / PAGE * PAGE, page)?;
            function.shadow = Some(page);
        }
        let full = Error::Device("so many PCI functions");
        self.instance.pci.functions.push(function).map_err(|_| full)
    }
}
