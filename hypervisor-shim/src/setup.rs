//! From the list of instances to guests that are ready to run.

use bootinfo::shim::Device;
use bootinfo::{Acpi, BootInfo, MemoryKind, Range, shim};
use core::fmt;
use loader::archive::Archive;
use loader::memory::PAGE;
use loader::{Error, Map, Physical};

use crate::hardware::memory::AllMemory;
use crate::hardware::pci::Ports;
use crate::instance::{Instance, SERIAL_LINE};
use crate::machine::Machine;
use crate::nested::Nested;
use crate::partition::{self, Memory, contains};
use crate::pci::{self, Function};
use crate::ports;
use crate::vcpu::Vcpu;

/// Where everything is loaded.
const LIMIT: u64 = 4 << 30;

/// Why there are no guests.
#[derive(Debug)]
pub enum Problem {
    /// The list of instances cannot be read.
    List,
    /// Instance `.0` cannot be loaded.
    Load(usize, Error),
    /// Instance `.0` cannot have device `.1`.
    Device(usize, &'static str),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List => write!(f, "the list of instances is damaged; pack it again"),
            Self::Load(number, error) => write!(f, "instance {number}: {error}"),
            Self::Device(number, what) => write!(f, "instance {number} cannot have {what}"),
        }
    }
}

/// Makes every guest that the archive lists.
pub fn build<'a, V: Vcpu>(
    info: &'a BootInfo<'a>,
    mut map: Map,
    mut memory: AllMemory,
    hz: u64,
) -> Result<Machine<'a, V>, Problem> {
    let bytes = memory.bytes(info.archive.start, info.archive.size).ok_or(Problem::List)?;
    let files = Archive::new(bytes).map_err(|_| Problem::List)?;
    let list = files.file(bootinfo::archive::INSTANCES).ok_or(Problem::List)?;
    let list: shim::Instances = postcard::from_bytes(list).map_err(|_| Problem::List)?;
    let host = V::host(&mut map, &mut memory, hz).map_err(|error| Problem::Load(0, error))?;
    let mut machine = Machine::new(info, memory, hz, list.primary.into());
    for (number, wanted) in list.instances.iter().enumerate() {
        let load = |error| Problem::Load(number, error);
        let partition = partition::carve(&mut map, wanted.memory).map_err(load)?;
        let memory = machine.memory();
        let mut nested = Nested::new(V::FORMAT, &mut map, memory).map_err(load)?;
        nested.memory(partition, &mut map, memory).map_err(load)?;
        let (vcpu, ports) = V::new(&host, number, nested.root, &mut map, memory).map_err(load)?;
        let archive = files.file(wanted.archive).ok_or(load(Error::NoArchive))?;
        let mut instance = Instance::new(vcpu, partition, archive);
        for device in &wanted.devices {
            let mut giving = Giving {
                number,
                info,
                instance: &mut instance,
                nested: &mut nested,
                map: &mut map,
                memory,
                ports,
            };
            giving.give(device)?;
        }
        let entry = start(info, partition, archive, memory).map_err(load)?;
        instance.vcpu.reset(&entry);
        machine.scheduler.set_share(number, wanted.share);
        machine.scheduler.wake(number);
        // The list holds no more than there is room for.
        let _ = machine.instances.push(instance);
        machine.say(format_args!(
            "instance {number}: {} MiB at {:#x}, share {}",
            partition.size >> 20,
            partition.start,
            wanted.share
        ));
    }
    Ok(machine)
}

/// Loads a kernel and its first program into a partition.
pub fn start(
    info: &BootInfo,
    partition: Range,
    archive: &[u8],
    machine: &mut AllMemory,
) -> Result<loader::Entry, Error> {
    let mut map = partition::memory_map(partition)?;
    let size = archive.len() as u64;
    let at = map.take(size, LIMIT, "the instance's archive")?;
    let mut memory = Memory { partition, machine };
    memory.write(at, archive);
    let guest = loader::Machine {
        memory: map,
        archive: Range { start: at, size },
        archive_bytes: archive,
        command_line: info.command_line,
        acpi: Acpi { rsdp: 0, io_apics: Default::default(), pm1a_control: 0, ..info.acpi.clone() },
    };
    loader::load(guest, &mut memory)
}

/// An instance that gets a device.
struct Giving<'a, V> {
    number: usize,
    info: &'a BootInfo<'a>,
    instance: &'a mut Instance<V>,
    nested: &'a mut Nested,
    map: &'a mut Map,
    memory: &'a mut AllMemory,
    ports: Range,
}

impl<V> Giving<'_, V> {
    fn give(&mut self, device: &Device) -> Result<(), Problem> {
        match device {
            Device::Ports { base, count } => {
                let own = |port| (*base..base.saturating_add(*count)).contains(&port);
                self.instance.keyboard |= own(0x64);
                if own(shim::CONTROL_PORT) {
                    self.instance.control = Some(shim::NO_ANSWER);
                }
                self.own_ports(*base, *count);
                Ok(())
            }
            Device::Irq { isa } => {
                let line = self.info.acpi.overrides.iter().find(|line| line.isa == *isa);
                let line = line.map_or(u32::from(*isa), |line| line.gsi);
                if line == SERIAL_LINE || line >= shim::LINES {
                    return Err(Problem::Device(self.number, "the serial line's interrupt"));
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

    fn own_ports(&mut self, base: u16, count: u16) {
        let mut page = [0; PAGE as usize];
        for index in 0..2 {
            let at = self.ports.start + index * PAGE;
            self.memory.read(at, &mut page);
            ports::own(&mut page, index as u32, base, count);
            self.memory.write(at, &page);
        }
    }

    /// Maps a device's memory, if it is a device's and not anybody's memory.
    fn map_device(&mut self, range: Range) -> Result<(), Problem> {
        let taken = self.info.memory.iter().any(|memory| {
            memory.kind != MemoryKind::Reserved
                && memory.start < range.start + range.size
                && range.start < memory.start + memory.size
        });
        let controllers = self.info.acpi.io_apics.iter().map(|io| io.address);
        let mut controllers = controllers.chain([self.info.acpi.local_apic]);
        if taken || controllers.any(|at| contains(range, at, 1)) {
            return Err(Problem::Device(self.number, "memory of the machine as a device's"));
        }
        self.nested
            .device(range, self.map, self.memory)
            .map_err(|error| Problem::Load(self.number, error))
    }

    fn give_function(&mut self, id: u16) -> Result<(), Problem> {
        let mut function = Function::new(&mut Ports, id);
        for range in function.memory.clone() {
            // One smaller than a page may share it with another device.
            if range.start.is_multiple_of(PAGE) && range.size >= PAGE && range.start != 0 {
                self.map_device(range)?;
            }
        }
        if let Some(msix) = &function.msix {
            let load = |error| Problem::Load(self.number, error);
            let page = self.map.take(PAGE, LIMIT, "an MSI-X table").map_err(load)?;
            self.memory.clear(page, PAGE);
            let table = msix.table / PAGE * PAGE;
            self.nested.shadow(table, page, self.map, self.memory).map_err(load)?;
            function.shadow = Some(page);
        }
        let full = Problem::Device(self.number, "so many PCI functions");
        self.instance.pci.functions.push(function).map_err(|_| full)
    }
}
